"""The example of the Python client runs."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from support.memory_store import MemoryDao
from support.servers import InProcessServer

EXAMPLE = Path(__file__).parents[2] / "examples" / "python_client.py"


def test_the_example_does_what_it_says(memory_dao: MemoryDao) -> None:
    """The example runs against a server, which then has two searches with an event each and one of a robot."""
    with InProcessServer(memory_dao, lambda: datetime.now(UTC)) as server:
        done = subprocess.run(
            [sys.executable, EXAMPLE, server.address], capture_output=True, text=True, timeout=60, check=True
        )
    assert done.stderr == ""
    assert "red shoes: 1 event in batch-1, number 1" in done.stdout
    kept = memory_dao.sessions.page(1, 0, 10, include_irrelevant=True).sessions
    assert [session.irrelevant_at is None for session in kept] == [True, True, False]
    events = memory_dao.events.of_sessions(1, 1, 3).of
    assert [len(events[number].events) for number in (1, 2)] == [1, 1]
