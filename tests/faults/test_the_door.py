"""Real server processes with TLS and tokens: rotation under load, two doors, proxies, attacks (R19, R20, R23, R24)."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner
from embedding_studio.clickstream.v1 import batch_service_pb2, clickstream_service_pb2
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from support.builders import create_request
from support.certificates import Authority
from support.servers import PATIENCE, ServeProcess, reason, refused, wait_for
from support.token_files import entry, written

from clickstream.cli.commands import main
from clickstream.client import Credentials, open_channel
from clickstream.dao.embedded_mongod import EmbeddedMongo

ROOT = Path(__file__).parents[2]
ABSENT = clickstream_service_pb2.GetSessionRequest(session_id="absent")


@pytest.fixture
def environment(mongod: EmbeddedMongo, tmp_path: Path) -> dict[str, str]:
    """A database of its own for a server that trains nothing."""
    name = f"door_{tmp_path.name[-20:]}".replace("-", "_")
    return {"MONGODB_URI": mongod.uri, "CLICKSTREAM_DATABASE": name, "CLICKSTREAM_RUN_TRAINING": "false"}


class Caller(threading.Thread):
    """Makes calls at a rate until it is stopped, every tenth on a new connection; keeps how they ended."""

    def __init__(self, address: str, credentials: Credentials, rate: float) -> None:
        super().__init__()
        self._address = address
        self._credentials = credentials
        self._pause = 1 / rate
        self.stopped = threading.Event()
        self.outcomes: Counter[str] = Counter()

    def run(self) -> None:
        """Calls until `stopped`."""
        channel = open_channel(self._address, self._credentials)
        for number in range(1_000_000):
            if self.stopped.is_set():
                break
            if number % 10 == 9:
                own = [("grpc.use_local_subchannel_pool", 1)]
                with open_channel(self._address, self._credentials, options=own) as fresh:
                    self.outcomes[outcome(fresh)] += 1
            else:
                self.outcomes[outcome(channel)] += 1
            self.stopped.wait(self._pause)
        channel.close()


def outcome(channel: grpc.Channel) -> str:
    """How a call ends that asks for a session that is not there."""
    try:
        ClickstreamServiceStub(channel).GetSession(ABSENT, timeout=PATIENCE)
    except grpc.RpcError as error:
        return reason(error) or f"{error.code().name}: {error.details()}"
    return "OK"


@pytest.mark.alone
def test_r24_certificates_and_tokens_rotate_under_load(environment: dict[str, str], tmp_path: Path) -> None:
    """R24: of 200 calls/s during 20 rotations, one of them broken, only those with the revoked token fail."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("127.0.0.1")
    held = tmp_path / "shop.token"
    held.write_text("token-0")
    common = [entry("probe", "probe", "client")]
    tokens = written(
        tmp_path / "tokens.toml", [*common, entry("shop-0", "token-0", "client"), entry("old", "o", "client")]
    )
    options = ["--tokens", str(tokens), "--tls-cert", str(certificate), "--tls-key", str(key)]
    server = ServeProcess(tmp_path / "data", environment, options=options)
    shop = Credentials(token_file=held, tls_ca=authority.file)
    callers = [Caller(server.address, shop, 50.0) for _ in range(4)]
    revoked = Caller(server.address, Credentials(token="o", tls_ca=authority.file), 5.0)
    try:
        [each.start() for each in (*callers, revoked)]
        for rotation in range(1, 21):
            if rotation == 7:
                certificate.write_text("broken")
                wait_for(lambda: b"what was read before stays in force" in server.read_log())
            elif rotation % 2:
                authority.issue("127.0.0.1")
                time.sleep(1.2)
            else:
                rotate_token(server.address, authority.file, tokens, held, common, rotation)
        assert callers[0].is_alive()
    finally:
        [each.stopped.set() for each in (*callers, revoked)]
        [each.join(PATIENCE) for each in (*callers, revoked)]
        server.terminate()
        assert server.wait() == 0
    total = sum((each.outcomes for each in callers), Counter[str]())
    assert set(total) == {"SESSION_NOT_FOUND"}, total
    assert total.total() > 2_000
    assert {"SESSION_NOT_FOUND", "TOKEN_INVALID"} <= set(revoked.outcomes)
    assert set(revoked.outcomes) <= {"SESSION_NOT_FOUND", "TOKEN_INVALID", "REFUSALS_EXCEEDED"}


def rotate_token(address: str, ca: Path, tokens: Path, held: Path, common: list[str], rotation: int) -> None:
    """Gives the shop a new token as docs/security.md says: both are valid, the holder changes, the old one goes."""
    earlier, new = entry("shop-old", held.read_text(), "client"), f"token-{rotation}"
    written(tokens, [*common, earlier, entry(f"shop-{rotation}", new, "client")])

    def is_known() -> bool:
        with open_channel(address, Credentials(token=new, tls_ca=ca)) as channel:
            return outcome(channel) == "SESSION_NOT_FOUND"

    wait_for(is_known)
    moved = held.with_suffix(".new")
    moved.write_text(new)
    moved.rename(held)
    time.sleep(2.2)  # the clients look once a second; a call that began before may still be on its way
    written(tokens, [*common, entry(f"shop-{rotation}", new, "client")])


def test_r19_two_doors_of_a_process(environment: dict[str, str], tmp_path: Path) -> None:
    """R19: the first address serves clients only; the second, a Unix socket, serves all; the command line uses both."""
    tokens = written(tmp_path / "tokens.toml", [entry("night", "n", "batch"), entry("shop", "s", "client")])
    held = tmp_path / "night.token"
    held.write_text("n")
    inside = f"unix:{tmp_path}/in.sock"
    server = ServeProcess(
        tmp_path / "data", environment, options=["--tokens", str(tokens), "--internal-listen", inside]
    )
    wait_for(lambda: f"internally on {inside}".encode() in server.read_log())
    with (
        open_channel(server.address, Credentials(token="s")) as outer,
        open_channel(inside, Credentials(token="n")) as inner,
    ):
        assert ClickstreamServiceStub(outer).CreateSession(create_request("s-1"), timeout=PATIENCE).created
        listing = batch_service_pb2.ListBatchesRequest()
        error = refused(BatchServiceStub(outer).ListBatches, listing, timeout=PATIENCE)
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert len(BatchServiceStub(inner).ListBatches(listing, timeout=PATIENCE).batches) == 1
    run = CliRunner().invoke
    assert run(main, ["batches", "--address", inside, "--token-file", str(held)]).exit_code == 0
    for words, said in (
        (["--address", inside], "UNAUTHENTICATED: a token is needed"),
        (["--address", server.address, "--token-file", str(held)], "UNIMPLEMENTED"),
        (["--address", f"http://{server.address}"], "begins with a scheme"),
        (["--address", "10.0.0.9:1", "--token-file", str(held)], "in plain text"),
    ):
        result = run(main, ["batches", *words])
        assert said in result.stderr, result.stderr
        assert result.exit_code in (2, 5)
    server.terminate()
    assert server.wait() == 0


def test_refused_requests_fill_no_log(environment: dict[str, str], tmp_path: Path) -> None:
    """Compressed requests, wrong tokens and bytes that are no HTTP/2 leave nothing in the log of a server."""
    tokens = written(tmp_path / "tokens.toml", [entry("shop", "s", "client")])
    server = ServeProcess(tmp_path / "data", environment, options=["--tokens", str(tokens)])
    before = server.read_log()
    create = "/embedding_studio.clickstream.v1.ClickstreamService/CreateSession"
    with grpc.insecure_channel(server.address) as channel:
        for _ in range(20):
            refused(channel.unary_unary(create), b"x" * 10_000, compression=grpc.Compression.Gzip, timeout=PATIENCE)
            refused(channel.unary_unary(create), b"", metadata=[("authorization", "Bearer x")], timeout=PATIENCE)
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
    time.sleep(0.5)
    assert server.read_log() == before
    server.terminate()
    assert server.wait() == 0


@pytest.mark.parametrize("trouble", ["unknown authority", "plain text", "no client certificate"])
def test_r19_the_command_line_says_what_is_wrong_with_a_connection(
    environment: dict[str, str], tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R19: one sentence for a certificate that is not trusted, for missing TLS, and for a missing certificate."""
    monkeypatch.setattr("clickstream.client.calls.ATTEMPTS", 1)
    authority, other = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    certificate, key = authority.issue("127.0.0.1")
    options = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    if trouble == "no client certificate":
        options += ["--tls-client-ca", str(authority.file)]
    server = ServeProcess(tmp_path / "data", environment, options=options)
    trusted = {"unknown authority": ["--tls-ca", str(other.file)], "plain text": []}
    words = trusted.get(trouble, ["--tls-ca", str(authority.file)])
    result = CliRunner().invoke(main, ["batches", "--address", server.address, *words])
    expected = {
        "unknown authority": "not signed by an authority in --tls-ca",
        "plain text": "may want TLS",
        "no client certificate": "client certificate",
    }
    assert expected[trouble] in result.stderr, result.stderr
    assert len(result.stderr.splitlines()) == 1
    server.kill()


def test_loopback_never_goes_through_a_proxy(environment: dict[str, str], tmp_path: Path) -> None:
    """With proxies in its environment, a server reaches its own trainer, and the command line the server."""
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")
    server = ServeProcess(tmp_path / "data", environment | proxies)
    command = [sys.executable, "-m", "clickstream", "batches", "--address", server.address]
    ran = subprocess.run(command, env=os.environ | proxies, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    embed = [sys.executable, "-m", "clickstream", "promote", "nothing-0123456789abcdef", "--address", server.address]
    ran = subprocess.run(embed, env=os.environ | proxies, capture_output=True, text=True, timeout=60)
    assert "NOT_FOUND" in ran.stderr
    server.terminate()
    assert server.wait() == 0


@pytest.mark.alone
def test_r20_r23_attacks_and_drains_leave_honest_callers_alone(mongod_program: None, tmp_path: Path) -> None:
    """R20, R23: under each attack of the benchmark no honest call fails, memory is bounded, and drains lose nothing."""
    script = ROOT / "benchmarks" / "attacks.py"
    command = [sys.executable, str(script), "--short", "--out", str(tmp_path / "attacks.md")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stderr[-3_000:]
    assert (tmp_path / "attacks.md").read_text().count("\n| ") >= 9
