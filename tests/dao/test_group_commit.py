"""Group commit: what arrives while a write runs goes out together as the next one."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support.builders import push, session_draft
from support.serving import until

from clickstream.dao import group_commit as module
from clickstream.dao.group_commit import GroupCommit
from clickstream.domain.errors import NotFound, Reason, ResourceExhausted, Unavailable

MEGABYTE = 2**20


class Gate:
    """A store that writes when it is let, and remembers what came together."""

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


def play(scenario: Callable[[GroupCommit, Gate], Any], max_waiting_bytes: int = 64 * MEGABYTE) -> Gate:
    """Runs a scenario in an event loop."""
    gate = Gate()

    async def run() -> None:
        commit = GroupCommit(gate, max_waiting_bytes=max_waiting_bytes)  # type: ignore[arg-type]
        try:
            await asyncio.wait_for(scenario(commit, gate), 20)
        finally:
            gate.open.set()
            await commit.close()

    asyncio.run(run())
    return gate


def sent(commit: GroupCommit, session_id: str) -> "asyncio.Future[Any]":
    """A session on its way into the store."""
    return commit.append_session(session_draft(session_id))


async def blocked(commit: GroupCommit, gate: Gate) -> "asyncio.Future[Any]":
    """A first write, which is in the store's hands and stays there."""
    first = sent(commit, "first")
    await until(lambda: gate.groups)
    return first


def test_a_lone_request_goes_out_at_once() -> None:
    """A request that meets no write is written by itself, without waiting for company or for a timer."""

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        gate.open.set()
        timers: list[Any] = []
        asyncio.get_running_loop().call_later = lambda *args: timers.append(args)  # type: ignore[assignment]
        assert await sent(commit, "s-1") == "stored s-1"
        assert await sent(commit, "s-2") == "stored s-2"
        assert timers == []
        del asyncio.get_running_loop().call_later

    assert play(scenario).groups == [["s-1"], ["s-2"]]


def test_what_arrives_during_a_write_goes_out_together() -> None:
    """Fifty requests behind a running write share the next one, in their order; each gets its own answer."""

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        first = await blocked(commit, gate)
        others = [sent(commit, f"s-{number}") for number in range(50)]
        await asyncio.sleep(0)
        gate.open.set()
        assert await first == "stored first"
        assert await asyncio.gather(*others) == [f"stored s-{number}" for number in range(50)]

    assert play(scenario).groups == [["first"], [f"s-{number}" for number in range(50)]]


def test_sessions_go_before_events_of_the_same_group() -> None:
    """R4: events that arrive with their session find it stored."""

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        await blocked(commit, gate)
        acts = commit.append_events(push("s-1", "e-1"))
        await asyncio.sleep(0)
        created = sent(commit, "s-1")
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(acts, created)

    seen: list[str] = []
    gate_groups = play(scenario).groups
    seen = [group[0] for group in gate_groups]
    assert seen == ["first", "s-1", "s-1"]


def test_r2_one_item_that_fails_fails_alone() -> None:
    """R2: an error of one item reaches its own caller only."""

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        gate.answer = lambda session_id: NotFound(Reason.SESSION_NOT_FOUND, session_id) if session_id == "bad" else "ok"
        await blocked(commit, gate)
        others = [sent(commit, session_id) for session_id in ("good", "bad", "fine")]
        await asyncio.sleep(0)
        gate.open.set()
        good, bad, fine = await asyncio.gather(*others, return_exceptions=True)
        assert (good, fine) == ("ok", "ok")
        assert isinstance(bad, NotFound)

    assert play(scenario).groups[1] == ["good", "bad", "fine"]


def test_r3_a_write_that_fails_reaches_every_caller_and_the_next_goes_on() -> None:
    """R3: when the store fails, all callers of that write hear it, and later writes are attempted again."""

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        def down(_: str) -> None:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "down")

        gate.answer = down
        gate.open.set()
        failed = await asyncio.gather(sent(commit, "s-1"), sent(commit, "s-2"), return_exceptions=True)
        assert [type(error) for error in failed] == [Unavailable, Unavailable]
        gate.answer = lambda session_id: "up"
        assert await sent(commit, "s-3") == "up"

    play(scenario)


def test_r7_the_waiting_writes_are_bounded() -> None:
    """R7: beyond the limit a write is refused at once with RESOURCE_EXHAUSTED; when there is room, it is taken."""

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        await blocked(commit, gate)
        waiting = [sent(commit, f"s-{number}") for number in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted) as refused:
            await sent(commit, "too many")
        assert (refused.value.reason, refused.value.retry_after > 0) == ("WRITE_QUEUE_FULL", True)
        gate.open.set()
        await asyncio.gather(*waiting)
        assert await sent(commit, "again") == "stored again"

    size = len(session_draft("s-1").payload) + module.OVERHEAD_BYTES
    gate = play(scenario, max_waiting_bytes=3 * size + 10)
    assert all("too many" not in group for group in gate.groups)


def test_a_group_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long queue goes out in several groups; one item above the size goes alone."""
    size = len(session_draft("s-1").payload) + module.OVERHEAD_BYTES
    monkeypatch.setattr(module, "GROUP_BYTES", 2 * size + 10)

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        await blocked(commit, gate)
        waiting = [sent(commit, f"s-{number}") for number in range(3)]
        waiting.append(commit.append_events(push("large", *map(str, range(9)))))
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(*waiting)

    assert play(scenario).groups == [["first"], ["s-0", "s-1"], ["s-2"], ["large"]]


def test_a_caller_that_leaves_disturbs_nobody() -> None:
    """R1: the write of a cancelled call stands, and the others of its group get their answers."""

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        first = await blocked(commit, gate)
        leaving, staying = sent(commit, "leaving"), sent(commit, "staying")
        await asyncio.sleep(0)
        first.cancel()
        leaving.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        assert await staying == "stored staying"
        assert first.cancelled()
        assert leaving.cancelled()
        assert await sent(commit, "later") == "stored later"

    assert play(scenario).groups[:2] == [["first"], ["leaving", "staying"]]


def test_r20_close_waits_for_what_was_accepted() -> None:
    """R20: closing writes everything that waits before it returns."""

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        first = await blocked(commit, gate)
        second = sent(commit, "second")
        await asyncio.sleep(0)
        closing = asyncio.create_task(commit.close())
        await asyncio.sleep(0)
        assert not closing.done()
        gate.open.set()
        await closing
        assert (await first, await second) == ("stored first", "stored second")

    assert play(scenario).groups == [["first"], ["second"]]


def events_sent(commit: GroupCommit, session_id: str, count: int) -> "asyncio.Future[Any]":
    """A push of so many events on its way into the store."""
    return commit.append_events(push(session_id, *map(str, range(count))))


def test_a_full_group_of_events_goes_out_beside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one group of events is written, a second goes out if it is full, and a third waits for either."""
    monkeypatch.setattr(module, "GROUP_DOCUMENTS", 4)

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        first = events_sent(commit, "first", 1)
        await until(lambda: gate.groups)
        waiting = [events_sent(commit, "second", 3)]
        await asyncio.sleep(0.02)
        assert len(gate.groups) == 1  # not full
        waiting += [events_sent(commit, "second", 1), *(events_sent(commit, f"third-{each}", 2) for each in range(3))]
        await until(lambda: len(gate.groups) == 2)
        await asyncio.sleep(0.02)
        assert gate.groups == [["first"], ["second", "second"]]
        gate.open.set()
        await asyncio.gather(first, *waiting)

    assert sorted(map(len, play(scenario).groups)) == [1, 1, 2, 2]


@pytest.mark.parametrize("held", ["in flight", "waiting"])
def test_r4_nothing_is_written_beside_or_past_a_session(monkeypatch: pytest.MonkeyPatch, held: str) -> None:
    """R4: as long as a session is being written or waits, groups go one by one, so its events find it."""
    monkeypatch.setattr(module, "GROUP_DOCUMENTS", 2)

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        waiting = [sent(commit, "s-1") if held == "in flight" else events_sent(commit, "other", 1)]
        await until(lambda: gate.groups)
        if held == "waiting":
            waiting.append(sent(commit, "s-1"))
        waiting += [events_sent(commit, "s-1", 2) for _ in range(3)]
        await asyncio.sleep(0.02)
        assert len(gate.groups) == 1
        gate.open.set()
        await asyncio.gather(*waiting)

    groups = play(scenario).groups
    assert groups[-3:] == [["s-1"]] * 3


def test_streams_wait_for_room_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: streams may fill half of what may wait; who asks first goes first, however little a later one wants."""
    size = len(session_draft("s-1").payload) + module.OVERHEAD_BYTES

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        await blocked(commit, gate)
        waiting = [sent(commit, f"s-{number}") for number in range(3)]
        order: list[str] = []

        async def ask(name: str, wanted: int) -> None:
            await commit.room(wanted)
            order.append(name)

        asking = [asyncio.create_task(ask("large", 3 * size)), asyncio.create_task(ask("small", 1))]
        await asyncio.sleep(0.02)
        assert order == []
        sent(commit, "a call still gets in")
        gate.open.set()
        await asyncio.gather(*asking, *waiting)
        assert order == ["large", "small"]
        await commit.room(100 * size)  # nothing waits: even the largest may go

    play(scenario, max_waiting_bytes=8 * size)
