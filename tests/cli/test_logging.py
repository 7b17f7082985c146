"""What commands log of what they do: servers by default, clients not."""

import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pymongo.database import Database
from support.builders import session_drafts, training_run
from support.servers import ServeProcess, wait_for

from clickstream.app import supervisor
from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.batches import BatchStatus

OURS, THEIRS = "INFO clickstream.workers: ours\n", "INFO library: theirs\n"

SCRIPT = """
import logging, sys
from clickstream import cli
from clickstream.app import serve, trainer, worker
from clickstream.client import admin

def tell(*_):
    logging.getLogger("clickstream.workers").info("ours")
    logging.getLogger("clickstream.workers").debug("too much")
    logging.getLogger("library").info("theirs")
    return []

async def run(*_):
    tell()

serve.serve = trainer.serve_trainer = worker.work = run
admin.batches = tell
cli.main(sys.argv[1:])
"""
"""The command line, with commands that do nothing but log."""


@pytest.mark.parametrize(
    ("command", "logged"),
    [
        ("serve", [OURS]),
        ("trainer", [OURS]),
        ("worker", [OURS]),
        ("--verbose worker", [OURS, THEIRS]),
        ("batches", []),
        ("--verbose batches", [OURS, THEIRS]),
    ],
)
def test_servers_log_what_they_do_and_clients_are_quiet(command: str, logged: list[str]) -> None:
    """Our own messages at INFO by default, those of libraries on request, all on stderr."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT, *command.split()], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stderr.splitlines(keepends=True)
    assert len(lines) == len(logged)
    assert all(line.endswith(said) for line, said in zip(lines, logged, strict=True))
    assert "ours" not in ran.stdout


def test_processes_are_as_verbose_as_their_parent(caplog: pytest.LogCaptureFixture) -> None:
    """Libraries are heard in the serving processes only where they are in the parent."""
    caplog.set_level(logging.INFO, "clickstream")
    assert "--verbose" not in supervisor._command("serve", "127.0.0.1:1")
    caplog.set_level(logging.INFO)
    assert "--verbose" in supervisor._command("serve", "127.0.0.1:1")


def test_a_worker_tells_of_a_run_that_fails(
    mongod: EmbeddedMongo, database: Database[Document], tmp_path: Path
) -> None:
    """Without any option: that it took the run up, how that ended and why, and nothing else."""
    dao, now = MongoDao(database), datetime.now(UTC)
    dao.sessions.append(session_drafts(1))
    dao.batches.release("r-1", None, now)
    dao.batches.change_status(1, {BatchStatus.RELEASED}, BatchStatus.ARCHIVED, run_id="", reason="", at=now)
    dao.runs.create(training_run("run-1", at=now))
    environment = {"MONGODB_URI": mongod.uri, "CLICKSTREAM_DATABASE": database.name}
    worker = ServeProcess(tmp_path, environment, "worker", None)
    try:
        log = wait_for(lambda: b"archived\n" in worker.read_log() and worker.log).decode()
    finally:
        worker.kill()
    [logged] = [line for line in log.splitlines() if line != "working"]
    assert logged.endswith("INFO clickstream.workers.run_worker: run run-1 failed: batch-1 is archived")
