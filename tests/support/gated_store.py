"""A store whose writes wait until a test lets them go on, and group commit over it."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

from clickstream.dao.group_commit import NO_SIGNALS, GroupCommit
from clickstream.domain.signals import Signals
from support.builders import push, session_draft
from support.servers import until

MEGABYTE = 2**20


class Gate:
    """A store that writes while it is open, and records the groups that it was sent."""

    def __init__(self) -> None:
        self.sessions = self.events = self
        self.groups: list[list[str]] = []
        self.answer: Callable[[str], Any] = lambda session_id: f"stored {session_id}"
        self.open = threading.Event()

    def append(self, items: Sequence[Any]) -> list[Any]:
        """Both `sessions.append` and `events.append`."""
        self.groups.append([item.session_id for item in items])
        assert self.open.wait(10)
        return [self.answer(item.session_id) for item in items]


def play(
    scenario: Callable[[GroupCommit, Gate], Any],
    max_waiting_bytes: int = 64 * MEGABYTE,
    signals: Signals = NO_SIGNALS,
) -> Gate:
    """Runs a scenario in an event loop."""
    gate = Gate()

    async def run() -> None:
        commit = GroupCommit(
            gate,  # type: ignore[arg-type]
            max_waiting_bytes=max_waiting_bytes,
            signals=signals,
        )
        try:
            await asyncio.wait_for(scenario(commit, gate), 20)
        finally:
            gate.open.set()
            await commit.close()

    asyncio.run(run())
    return gate


def sent(commit: GroupCommit, session_id: str) -> "asyncio.Future[Any]":
    """Submits a session."""
    return commit.append_session(session_draft(session_id))


async def blocked(commit: GroupCommit, gate: Gate) -> "asyncio.Future[Any]":
    """A first write, which the store has begun and does not end."""
    first = sent(commit, "first")
    await until(lambda: gate.groups)
    return first


async def quiet() -> None:
    """Lets every task of the loop run until it waits for the store or for another task."""
    for _ in range(10):
        await asyncio.sleep(0)


def events_sent(commit: GroupCommit, session_id: str, count: int) -> "asyncio.Future[Any]":
    """Submits a push of `count` events."""
    return commit.append_events(push(session_id, *map(str, range(count))))
