"""The audit log: which calls it has, and what of them (R22)."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from embedding_studio.clickstream.v1 import analytics_service_pb2, batch_service_pb2, clickstream_service_pb2
from support.builders import create_request
from support.memory_store import MemoryDao
from support.servers import InProcessServer, refused, wait_for
from support.token_files import entry, written

from clickstream.servicers.access.audit import AuditLog
from clickstream.servicers.access.tokens import TokenFile
from clickstream.servicers.server import Listening

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
RELEASE = batch_service_pb2.ReleaseBatchRequest(release_id="night-1")


def rows(path: Path) -> list[dict[str, object]]:
    """The lines of an audit log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_calls_that_write_or_export_are_noted_with_their_outcome(tmp_path: Path) -> None:
    """A line has the time, who, from where, method, ids and outcome; reads and client calls have none."""
    path = tmp_path / "audit.jsonl"
    tokens = TokenFile(written(tmp_path / "tokens.toml", [entry("night", "secret", "admin")]), lambda: NOW)
    who = [("authorization", "Bearer secret")]
    audit = AuditLog(path, lambda: NOW)
    listenings = [Listening("127.0.0.1:0", tokens=tokens)]
    with InProcessServer(MemoryDao(), lambda: NOW, listenings=listenings, audit=audit) as server:
        refused(server.batch.ReleaseBatch, RELEASE, metadata=who)
        server.clickstream.CreateSession(create_request("s-1"), metadata=who)
        server.batch.ReleaseBatch(RELEASE, metadata=who)
        server.batch.ListBatches(batch_service_pb2.ListBatchesRequest(), metadata=who)
        request = batch_service_pb2.StreamBatchSessionsRequest(batch_id="batch-1", after_number=0)
        list(server.batch.StreamBatchSessions(request, metadata=who))
        refused(server.batch.ReleaseBatch, RELEASE)
        wait_for(lambda: len(rows(path)) == 3)
    first = {
        "at": "2026-05-04T12:00:00.000+00:00",
        "caller": "night",
        "address": "ipv4:127.0.0.1",
        "method": "BatchService/ReleaseBatch",
        "ids": {"release_id": "night-1"},
        "status": "FAILED_PRECONDITION",
    }
    streamed = {"method": "BatchService/StreamBatchSessions", "ids": {"batch_id": "batch-1"}, "status": "OK"}
    assert rows(path) == [first, first | {"status": "OK"}, first | streamed]
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_content_and_no_person_is_noted(tmp_path: Path) -> None:
    """An audit line names no user and nothing that a person wrote."""
    path = tmp_path / "audit.jsonl"
    with InProcessServer(MemoryDao(), lambda: NOW, audit=AuditLog(path, lambda: NOW)) as server:
        request = analytics_service_pb2.OverruleRobotVerdictRequest(user_id="anna", reason="she is my aunt")
        refused(server.analytics.OverruleRobotVerdict, request)
        wait_for(path.read_text)
    assert "anna" not in path.read_text()
    assert "aunt" not in path.read_text()


def test_a_moved_log_is_opened_anew(tmp_path: Path) -> None:
    """After a rotation the next line goes to a new file of the old name."""
    path, moved = tmp_path / "audit.jsonl", tmp_path / "audit.1"
    with InProcessServer(MemoryDao(), lambda: NOW, audit=AuditLog(path, lambda: NOW)) as server:
        refused(server.batch.ReleaseBatch, RELEASE)
        wait_for(lambda: len(rows(path)) == 1)
        path.rename(moved)
        refused(server.batch.ReleaseBatch, RELEASE)
        wait_for(lambda: path.exists() and len(rows(path)) == 1)
    assert len(rows(moved)) == 1


def test_a_log_that_cannot_be_written_is_named_at_the_start(tmp_path: Path) -> None:
    """A folder that does not exist ends the start with the path."""
    with pytest.raises(ValueError, match=r"absent/audit\.jsonl cannot be written: No such file"):
        AuditLog(tmp_path / "absent" / "audit.jsonl", lambda: NOW)


def test_without_a_file_the_lines_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Without a file the process's own log has the lines."""
    caplog.set_level(logging.INFO, "clickstream.audit")
    with InProcessServer(MemoryDao(), lambda: NOW, audit=AuditLog(None, lambda: NOW)) as server:
        error = refused(server.batch.ReleaseBatch, RELEASE)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        refused(server.clickstream.GetSession, clickstream_service_pb2.GetSessionRequest(session_id="s"))
        wait_for(lambda: caplog.records)
    assert [json.loads(record.message)["method"] for record in caplog.records] == ["BatchService/ReleaseBatch"]
