"""Every method of every service, with every kind of caller, on every kind of port (R19, R22)."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from support.certificates import Authority
from support.memory_store import MemoryDao
from support.servers import PATIENCE, InProcessServer, reason
from support.token_files import entry, written

from clickstream.domain import call_limits
from clickstream.models.embedding_queue import Embedder, EmbeddingQueue
from clickstream.servicers import reflection
from clickstream.servicers.access.audit import AUDITED
from clickstream.servicers.access.scopes import GIVEN, SCOPES, Scope, holds
from clickstream.servicers.access.tls import ServerCertificate, TlsFiles
from clickstream.servicers.access.tokens import TokenFile
from clickstream.servicers.model_host import ModelHostServicer
from clickstream.servicers.server import Listening, Server
from clickstream.servicers.services import SERVICES

UNARY_READS = {
    *("BatchService/GetBatch", "BatchService/ListBatches", "ImprovementService/GetImprovementTask"),
    *("ImprovementService/ListImprovementTasks", "TrainingService/GetTrainingRun"),
    *("TrainingService/ListTrainingRuns", "TrainingService/WatchTrainingRun", "TrainingService/GetTrainingCurve"),
    *("ModelService/GetModelVersion", "ModelService/ListModelVersions", "ModelService/ListPromotions"),
    *("AnalyticsService/QueryFigures", "AnalyticsService/ListTop", "AnalyticsService/CompareFigures"),
    *("AnalyticsService/GetDataQuality", "AnalyticsService/GetBatchProgress", "ModelHostService/EmbedTexts"),
}
"""Internal methods that change nothing and hand out no session, person or model."""
DOORS = ("plain client", "plain internal", "tls client", "tls internal")


class Ports:
    """One server with four ports: with and without TLS, for clients and internal."""

    def __init__(self, server: InProcessServer, authority: Path) -> None:
        self.server = server
        tls = grpc.ssl_channel_credentials(authority.read_bytes())
        self.channels = {
            name: grpc.secure_channel(address, tls) if name.startswith("tls") else grpc.insecure_channel(address)
            for name, address in zip(DOORS, server.addresses, strict=True)
        }

    def call(self, door: str, path: str, token: str | None) -> tuple[grpc.StatusCode, str]:
        """Calls a method with a body that is no message: one that is let in is INVALID_ARGUMENT. Status and reason."""
        metadata = [] if token is None else [("authorization", f"Bearer {token}")]
        method: Any = self.channels[door].stream_stream(path, None, None)
        call = method(iter([b"\xff"]), metadata=metadata, timeout=PATIENCE)
        try:
            list(call)
        except grpc.RpcError as error:
            return error.code(), reason(error)
        return grpc.StatusCode.OK, ""


def now() -> datetime:
    """The present time."""
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """The four ports, over an empty store in memory."""
    folder = tmp_path_factory.mktemp("ports")
    authority = Authority(folder)
    files = TlsFiles(*authority.issue("127.0.0.1"))
    entries = [entry(scope, f"token-{scope}", scope) for scope in GIVEN]
    entries.append(entry("old", "token-expired", "admin", expires="2020-01-01T00:00:00Z"))
    tokens = TokenFile(written(folder / "tokens.toml", entries), now)
    listenings = [
        Listening("127.0.0.1:0", ServerCertificate(files) if door.startswith("tls") else None, tokens, only)
        for door in DOORS
        for only in [Scope.CLIENT if "client" in door else None]
    ]
    with pytest.MonkeyPatch.context() as patch, InProcessServer(MemoryDao(), now, listenings=listenings) as server:
        patch.setattr(call_limits, "REFUSALS_PER_SECOND", 1e6)
        yield Ports(server, authority.file)


def no_model(model_version_id: str) -> Embedder:
    """Loads nothing."""
    raise AssertionError(model_version_id)


def served(door: str, path: str) -> bool:
    """Whether a door has a method."""
    return "internal" in door or SCOPES[path] in (Scope.CLIENT, Scope.OPEN, Scope.ANY)


def test_r22_every_method_has_a_scope() -> None:
    """R22: the table names exactly the methods of the contract, of health and of reflection."""
    services = [row[1].DESCRIPTOR.services_by_name[row[2]] for row in SERVICES]
    reflection._describe_v1()  # a server does it, too, once it has reflection
    pool = descriptor_pool.Default()
    services += [pool.FindServiceByName("grpc.health.v1.Health")]
    services += [pool.FindServiceByName(f"grpc.reflection.{version}.ServerReflection") for version in ("v1", "v1alpha")]
    contract = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    assert set(SCOPES) == contract


def test_r22_a_method_outside_the_table_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """R22: a server with a method that has no scope ends before it listens."""
    monkeypatch.delitem(SCOPES, "/embedding_studio.clickstream.internal.v1.ModelHostService/EmbedTexts")

    async def listen() -> None:
        Server([ModelHostServicer(Path("none"), EmbeddingQueue(no_model))]).listen(Listening("127.0.0.1:0"))

    with pytest.raises(KeyError, match="EmbedTexts"):
        asyncio.run(listen())


def test_every_internal_method_is_audited_or_known_to_change_nothing() -> None:
    """An internal method that writes or exports is in the audit table."""
    internal = {
        path.rpartition(".")[2] for path, scope in SCOPES.items() if scope not in (Scope.CLIENT, Scope.OPEN, Scope.ANY)
    }
    assert internal == AUDITED | UNARY_READS
    assert not AUDITED & UNARY_READS


@pytest.mark.parametrize("door", DOORS)
def test_r19_r22_every_method_with_every_caller(ports: Ports, door: str) -> None:
    """R19, R22: status and reason of every method, without a token, with wrong ones and with the right one."""
    for path, scope in SCOPES.items():
        if not served(door, path):
            for token in (None, "wrong", "token-admin"):
                assert ports.call(door, path, token) == (grpc.StatusCode.UNIMPLEMENTED, ""), path
            continue
        if scope is Scope.OPEN:
            for token in (None, "wrong", "token-client"):
                assert ports.call(door, path, token) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"), path
            continue
        assert ports.call(door, path, None) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"), path
        assert ports.call(door, path, "wrong") == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"), path
        assert ports.call(door, path, "token-expired") == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED"), path
        for held in GIVEN:
            expected = (
                (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
                if holds([held], scope)
                else (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
            )
            assert ports.call(door, path, f"token-{held}") == expected, (path, held)
    assert not ports.server.dao.sessions.page(1, 0, 10, include_irrelevant=True).sessions, (
        "a refused call left something"
    )
