"""A store with work, and workers with short intervals."""

import pytest
from support.builders import NOW, push, session_drafts, training_run
from support.memory_store import MemoryDao

from clickstream.workers import run_leases, wake_signal


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the intervals of heartbeats and polls."""
    monkeypatch.setattr(run_leases, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(wake_signal, "POLL_SECONDS", 0.01)


@pytest.fixture
def dao(memory_dao: MemoryDao) -> MemoryDao:
    """Two released batches of two sessions, one of which trains, and a run over the first."""
    for batch in (1, 2):
        memory_dao.sessions.append(session_drafts(2, f"b{batch}"))
        memory_dao.events.append([push(f"b{batch}-1", "e-1")])
        memory_dao.batches.release(f"r-{batch}", None, NOW)
    memory_dao.runs.create(training_run())
    return memory_dao
