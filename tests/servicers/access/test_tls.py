"""Certificates of a port: taken up anew, broken ones refused, and names of client certificates (R19, R24)."""

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2, clickstream_service_pb2
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from support.certificates import Authority
from support.memory_store import MemoryDao
from support.servers import PATIENCE, InProcessServer, reason, refused
from support.token_files import certificate_entry, entry, written

from clickstream.servicers.access.tls import ServerCertificate, TlsFiles
from clickstream.servicers.access.tokens import TokenFile
from clickstream.servicers.server import Listening

HOST = "127.0.0.1"
ABSENT = clickstream_service_pb2.GetSessionRequest(session_id="absent")


def now() -> datetime:
    """The present time."""
    return datetime.now(UTC)


def presented(address: str, authority: Path) -> bytes:
    """The certificate that a server shows in a handshake made now."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=str(authority))
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        shown = wrapped.getpeercert(binary_form=True)
        assert shown is not None
        return shown


def test_r24_a_new_certificate_is_shown_and_open_connections_stay(tmp_path: Path) -> None:
    """R24: after `reload` new handshakes get the new certificate; a call on an older connection goes on."""
    authority = Authority(tmp_path)
    certificate = ServerCertificate(TlsFiles(*authority.issue(HOST)))
    with InProcessServer(MemoryDao(), now, listenings=[Listening(f"{HOST}:0", certificate)]) as server:
        before = presented(server.address, authority.file)
        tls = grpc.ssl_channel_credentials(authority.file.read_bytes())
        with grpc.secure_channel(server.address, tls) as channel:
            stub = ClickstreamServiceStub(channel)
            assert reason(refused(stub.GetSession, ABSENT)) == "SESSION_NOT_FOUND"
            authority.issue(HOST)
            certificate.reload()
            now_shown = presented(server.address, authority.file)
            assert now_shown != before
            assert [presented(server.address, authority.file) for _ in range(20)] == [now_shown] * 20
            assert reason(refused(stub.GetSession, ABSENT)) == "SESSION_NOT_FOUND"


@pytest.mark.parametrize("broken", ["missing key", "another key", "no PEM", "no authorities"])
def test_r24_broken_files_leave_the_certificate_in_force(tmp_path: Path, broken: str) -> None:
    """R24: files that do not fit together are refused with their names, and handshakes go on as before."""
    authority = Authority(tmp_path)
    files = TlsFiles(*authority.issue(HOST), authority.file)
    certificate = ServerCertificate(files)
    certificate.credentials()
    if broken == "missing key":
        files.key.unlink()
    elif broken == "another key":
        files.key.write_bytes(Authority(tmp_path / "other").issue(HOST)[1].read_bytes())
    elif broken == "no PEM":
        files.certificate.write_bytes(b"\x30\x82")
    else:
        authority.file.write_text("nothing")
    with pytest.raises(ValueError, match=r"cannot be read|not that of|not in PEM|cannot be used") as refusal:
        certificate.reload()
    assert str(tmp_path) in str(refusal.value)
    assert certificate._taken() is None


def test_r19_a_client_certificate_is_a_caller(tmp_path: Path) -> None:
    """R19: its name has the scopes of its entry and no others; an unknown name is as good as no token."""
    authority = Authority(tmp_path)
    certificate = ServerCertificate(TlsFiles(*authority.issue(HOST), authority.file))
    entries = [certificate_entry("shop.internal", "client"), entry("night", "night-token", "batch")]
    tokens = TokenFile(written(tmp_path / "tokens.toml", entries), now)
    with InProcessServer(MemoryDao(), now, listenings=[Listening(f"{HOST}:0", certificate, tokens)]) as server:

        def outcomes(name: str, token: str = "") -> list[str]:
            pem, key = authority.issue(name)
            tls = grpc.ssl_channel_credentials(authority.file.read_bytes(), key.read_bytes(), pem.read_bytes())
            metadata = [("authorization", f"Bearer {token}")] if token else []
            with grpc.secure_channel(server.address, tls) as channel:
                get, batches = ClickstreamServiceStub(channel).GetSession, BatchServiceStub(channel).ListBatches
                listed = refused_or_ok(batches, batch_service_pb2.ListBatchesRequest(), metadata)
                return [refused_or_ok(get, ABSENT, metadata), listed]

        assert outcomes("shop.internal") == ["SESSION_NOT_FOUND", "SCOPE_MISSING"]
        assert outcomes("other.internal") == ["TOKEN_MISSING", "TOKEN_MISSING"]
        assert outcomes("other.internal", "night-token") == ["SCOPE_MISSING", "OK"]
        tls = grpc.ssl_channel_credentials(authority.file.read_bytes())
        with grpc.secure_channel(server.address, tls) as channel:
            assert refused(ClickstreamServiceStub(channel).GetSession, ABSENT).code() is grpc.StatusCode.UNAVAILABLE


def refused_or_ok(method, request, metadata) -> str:
    """The reason with which a call is refused; OK if it is not."""
    try:
        method(request, metadata=metadata, timeout=PATIENCE)
    except grpc.RpcError as error:
        return reason(error)
    return "OK"
