"""Logging of commands: servers log by default, clients do not."""

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

# The command line, with commands that only log.
SCRIPT = """
import logging, sys
from clickstream import cli
from clickstream.app import serve, trainer, worker
from clickstream.client import admin

def log(*_):
    logging.getLogger("clickstream.workers").info("ours")
    logging.getLogger("clickstream.workers").debug("too much")
    logging.getLogger("library").info("theirs")
    return []

async def run(*_):
    log()

serve.serve = trainer.serve_trainer = worker.work = run
admin.AdminClient.batches = log
cli.main(sys.argv[1:])
"""


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
    """Servers log our messages at INFO; with --verbose every command logs those of libraries, too; all on stderr."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT, *command.split()], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stderr.splitlines(keepends=True)
    assert len(lines) == len(logged)
    assert all(line.endswith(message) for line, message in zip(lines, logged, strict=True))
    assert "ours" not in ran.stdout


def test_processes_are_as_verbose_as_their_parent(caplog: pytest.LogCaptureFixture) -> None:
    """Serving processes log the messages of libraries exactly if their parent does."""
    caplog.set_level(logging.INFO, "clickstream")
    assert "--verbose" not in supervisor._command("serve", "127.0.0.1:1")
    caplog.set_level(logging.INFO)
    assert "--verbose" in supervisor._command("serve", "127.0.0.1:1")


def test_a_worker_logs_a_run_that_fails(mongod: EmbeddedMongo, database: Database[Document], tmp_path: Path) -> None:
    """Without any option, a worker logs the end of a run with its reason, and nothing more."""
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
