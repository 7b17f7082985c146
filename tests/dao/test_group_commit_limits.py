"""Group commit: what bounds it, how it closes, and the figures that it reports."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from support.builders import push, session_draft
from support.gated_store import Gate, blocked, events_sent, play, quiet, sent
from support.servers import until

from clickstream.dao import group_commit as module
from clickstream.dao.group_commit import GroupCommit
from clickstream.domain.errors import ResourceExhausted
from clickstream.domain.signals import NoSignals


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


def test_a_caller_that_leaves_disturbs_no_other() -> None:
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


def test_r20_close_waits_for_a_writer_that_began_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """R20: a second writer that starts while closing waits for the first still writes everything that it accepted."""
    monkeypatch.setattr(module, "GROUP_DOCUMENTS", 2)

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        may_end = {name: threading.Event() for name in ("session", "beside", "longer", "last")}

        def append(items: Sequence[Any]) -> list[str]:
            assert may_end[items[0].session_id].wait(10)
            return [f"stored {item.session_id}" for item in items]

        gate.append = append  # type: ignore[method-assign]
        waiting = [sent(commit, "session"), events_sent(commit, "beside", 2)]
        waiting += [events_sent(commit, "longer", 2), events_sent(commit, "last", 1)]
        await quiet()
        closing = asyncio.create_task(commit.close())
        await quiet()
        assert commit._in_flight == 1  # no other beside a session
        may_end["session"].set()
        await until(lambda: commit._in_flight == 2)
        may_end["beside"].set()
        await until(lambda: commit._in_flight == 1)  # the first writer has ended
        await quiet()
        assert not closing.done()
        may_end["longer"].set()
        may_end["last"].set()
        assert [await each for each in waiting] == [f"stored {name}" for name in may_end]
        await closing

    play(scenario)


def test_streams_wait_for_room_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: streams may fill half of the waiting bytes; the first to ask is first, whatever the others ask for."""
    size = len(session_draft("s-1").payload) + module.OVERHEAD_BYTES

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        await blocked(commit, gate)
        waiting = [sent(commit, f"s-{number}") for number in range(3)]
        order: list[str] = []

        async def ask(name: str, wanted: int) -> None:
            await commit.wait_for_room(wanted)
            order.append(name)

        asking = [asyncio.create_task(ask("large", 3 * size)), asyncio.create_task(ask("small", 1))]
        await quiet()
        assert order == []
        sent(commit, "a call still gets in")
        gate.open.set()
        await asyncio.gather(*asking, *waiting)
        assert order == ["large", "small"]
        await commit.wait_for_room(100 * size)  # nothing waits: even the largest may go

    play(scenario, max_waiting_bytes=8 * size)


class Recorder(NoSignals):
    """Records the values of every distribution."""

    def __init__(self) -> None:
        self.observed: dict[str, list[float]] = defaultdict(list)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Records a value; group commit has no labels."""
        assert not labels
        self.observed[name].append(value)


def test_each_group_reports_its_size_and_the_wait_of_its_oldest_write() -> None:
    """One value per group: its documents, and the seconds that its oldest write waited until the group was sent."""
    recorder = Recorder()
    waited: list[float] = []

    async def scenario(commit: GroupCommit, gate: Gate) -> None:
        loop = asyncio.get_running_loop()
        first = await blocked(commit, gate)
        submitted = loop.time()
        others = [events_sent(commit, "first", 3)]
        await asyncio.sleep(0.05)
        others.append(sent(commit, "s-2"))
        waited.append(loop.time() - submitted)
        gate.open.set()
        await asyncio.gather(first, *others)
        waited.append(loop.time() - submitted)

    play(scenario, signals=recorder)
    assert sorted(recorder.observed) == ["write_group_documents", "write_group_wait_seconds"]
    assert recorder.observed["write_group_documents"] == [1, 4]
    at_once, oldest = recorder.observed["write_group_wait_seconds"]
    assert at_once >= 0
    assert waited[0] <= oldest <= waited[1]
