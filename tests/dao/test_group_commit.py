"""Group commit: items that arrive during a write are written together as the next group."""

import asyncio
from typing import Any

import pytest
from support.builders import push
from support.gated_store import Gate, blocked, events_sent, play, quiet, sent
from support.servers import until

from clickstream.dao import group_commit as module
from clickstream.dao.group_commit import GroupCommit
from clickstream.domain.errors import NotFound, Reason, Unavailable


def test_a_single_request_is_written_at_once() -> None:
    """A request that meets no other write is written alone, without waiting for others or for a timer."""

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        gate.open.set()
        timers: list[Any] = []
        asyncio.get_running_loop().call_later = lambda *args: timers.append(args)  # type: ignore[assignment]
        assert await sent(commit, "s-1") == "stored s-1"
        assert await sent(commit, "s-2") == "stored s-2"
        assert timers == []
        del asyncio.get_running_loop().call_later

    assert play(scenario).groups == [["s-1"], ["s-2"]]


def test_requests_that_arrive_during_a_write_are_written_together() -> None:
    """Fifty requests during a write share the next one, in their order, and each gets its own answer."""

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
    """R3: when the store fails, all callers of that write get the error, and later writes are tried."""

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


def test_a_full_group_of_events_goes_out_beside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one group of events is written, a second goes out if it is full, and a third waits for either."""
    monkeypatch.setattr(module, "GROUP_DOCUMENTS", 4)

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        first = events_sent(commit, "first", 1)
        await until(lambda: gate.groups)
        waiting = [events_sent(commit, "second", 3)]
        await quiet()
        assert commit._in_flight == 1  # the second is not full
        waiting += [events_sent(commit, "second", 1), *(events_sent(commit, f"third-{each}", 2) for each in range(3))]
        await quiet()
        assert commit._in_flight == 2
        await until(lambda: len(gate.groups) == 2)
        assert gate.groups == [["first"], ["second", "second"]]
        gate.open.set()
        await asyncio.gather(first, *waiting)

    assert sorted(map(len, play(scenario).groups)) == [1, 1, 2, 2]


@pytest.mark.parametrize("session_is", ["in flight", "waiting"])
def test_r4_nothing_is_written_beside_or_past_a_session(monkeypatch: pytest.MonkeyPatch, session_is: str) -> None:
    """R4: while a session is written or waits, groups are written one by one, so that its events find it."""
    monkeypatch.setattr(module, "GROUP_DOCUMENTS", 2)

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        waiting = [sent(commit, "s-1") if session_is == "in flight" else events_sent(commit, "other", 1)]
        await until(lambda: gate.groups)
        if session_is == "waiting":
            waiting.append(sent(commit, "s-1"))
        waiting += [events_sent(commit, "s-1", 2) for _ in range(3)]
        await quiet()
        assert commit._in_flight == 1
        gate.open.set()
        await asyncio.gather(*waiting)

    groups = play(scenario).groups
    assert groups[-3:] == [["s-1"]] * 3


def test_after_a_session_full_groups_of_events_go_out_beside_another_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once no session waits or is being written, two full groups of events are written at once."""
    monkeypatch.setattr(module, "GROUP_DOCUMENTS", 2)

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        gate.open.set()
        await sent(commit, "s-1")
        gate.open.clear()
        waiting = [events_sent(commit, "s-1", 2) for _ in range(2)]
        await quiet()
        assert commit._in_flight == 2
        gate.open.set()
        await asyncio.gather(*waiting)

    play(scenario)


def test_r23_unary_writes_go_before_streamed_ones_and_neither_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """R23: a flood of streams does not hold up a unary write, and each group takes a streamed write, too."""
    monkeypatch.setattr(module, "GROUP_DOCUMENTS", 20)

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        await blocked(commit, gate)
        streamed = [
            commit.append_events(push(f"stream-{number}", *map(str, range(10))), streamed=True) for number in range(4)
        ]
        unary = [events_sent(commit, f"unary-{number}", 5) for number in range(6)]
        gate.open.set()
        await asyncio.gather(*streamed, *unary)

    groups = play(scenario).groups
    assert groups[1:] == [
        ["unary-0", "unary-1", "unary-2", "stream-0"],
        ["unary-3", "unary-4", "unary-5", "stream-1"],
        ["stream-2", "stream-3"],
    ]
