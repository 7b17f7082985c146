"""The log: one line for each thing, with who and which, and never with content."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from support.builders import create_request
from support.memory_store import MemoryDao
from support.servers import Clock, InProcessServer, ServeProcess, refused, wait_for
from support.token_files import entry, written

from clickstream.servicers.access.tokens import TokenFile
from clickstream.servicers.server import Listening
from clickstream.servicers.telemetry import Telemetry
from clickstream.telemetry.logs import JsonLines

TRACE = "0af7651916cd43dd8448eb211c80319c"


def line(**extra: object) -> dict[str, object]:
    """A record with a traceback, as JSON."""
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.getLogger("x").makeRecord("x", 40, "f", 1, "it %s", ("failed",), sys.exc_info(), extra=extra)
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def test_a_line_is_one_object_with_the_known_fields_only() -> None:
    """A traceback stays in the line; an extra that is no field is left out."""
    found = line(run_id="run-1", query="red shoes")
    assert (found["message"], found["level"], found["run_id"]) == ("it failed", "ERROR", "run-1")
    assert "ValueError" in str(found["traceback"])
    assert "query" not in found


def test_a_slow_call_is_one_line_without_its_content(
    memory_dao: MemoryDao, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says method, status, peer, caller, request id and trace id; no query, user id or token, and no forged line."""
    tokens = TokenFile(written(tmp_path / "tokens.toml", [entry("shop", "secret-token", "client")]), clock)
    telemetry = Telemetry(slow_seconds=0.0)
    trace = ("traceparent", f"00-{TRACE}-1111111111111111-01")
    metadata = [("authorization", "Bearer secret-token"), ("x-request-id", "r-7"), trace]
    listening = Listening("127.0.0.1:0", tokens=tokens)
    with InProcessServer(memory_dao, clock, listenings=[listening], telemetry=telemetry) as server:
        request = create_request(query="red shoes", user_id="user-9")
        server.clickstream.CreateSession(request, metadata=metadata)
        forged = [metadata[0], ("x-request-id", "a b {red}")]
        refused(server.clickstream.GetSession, pb.GetSessionRequest(session_id="none"), metadata=forged)
    slow, second = (record for record in caplog.records if "slow" in record.getMessage())
    found = json.loads(JsonLines().format(slow))
    assert found["method"].endswith("/CreateSession")
    assert (found["status"], found["request_id"], found["trace_id"], found["caller"]) == ("OK", "r-7", TRACE, "shop")
    assert found["peer"].startswith("ipv4:127.0.0.1:")
    assert "request_id" not in json.loads(JsonLines().format(second))
    for secret in ("red", "user-9", "secret-token"):
        assert secret not in caplog.text + json.dumps(found)


def test_a_server_logs_json_from_its_first_line_on(serve: Callable[..., ServeProcess]) -> None:
    """Also the lines that say that it listens and drains."""
    server = serve("--log-format", "json")
    server.terminate()
    wait_for(lambda: b"draining" in server.read_log())
    lines = [json.loads(each) for each in server.log.decode().splitlines() if each]
    own = [each["message"] for each in lines if each["logger"] == "clickstream.app.process"]
    assert own[-1] == "draining"
    assert any(each.startswith("listening on ") for each in own)
