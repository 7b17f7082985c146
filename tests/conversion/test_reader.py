"""The inputs of a released batch, from any starting point (R13, R14)."""

from dataclasses import replace

import pytest
from embedding_studio.clickstream.v1 import session_pb2
from support.builders import NOW, SECOND, push, session_draft, struct
from support.memory_store import MemoryDao
from support.servers import POLICY

from clickstream.contract.training_inputs import training_input_message
from clickstream.conversion import reader as module
from clickstream.conversion.reader import InputReader
from clickstream.domain import limits
from clickstream.domain.analytics import day_of
from clickstream.domain.robots import RobotVerdict
from clickstream.domain.sessions import SessionDraft
from clickstream.domain.training_inputs import ConversionSummary

SESSIONS = 23


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pages in a small batch."""
    monkeypatch.setattr(module, "PAGE_SESSIONS", 5)


@pytest.fixture
def reader(memory_dao: MemoryDao) -> InputReader:
    """Reads a released batch in which every third session has no event, and the 8th is irrelevant."""
    for number in range(1, SESSIONS + 1):
        memory_dao.sessions.append([session_draft(f"s-{number}", context=struct(number=number))])
        if number % 3:
            memory_dao.events.append([push(f"s-{number}", "e-2", "e-1", object_id="b")])
    memory_dao.sessions.mark_irrelevant("s-8", NOW)
    memory_dao.batches.release("r-1", None, NOW)
    return InputReader(memory_dao, POLICY)


def read(reader: InputReader, after: int = 0) -> tuple[list[bytes], ConversionSummary]:
    """The inputs after a number as bytes, and what was counted."""
    summary = reader.new_summary(0)
    pages = list(reader.pages(1, SESSIONS, after, summary))
    messages = [training_input_message(converted) for page in pages for converted in page]
    return [message.SerializeToString(deterministic=True) for message in messages], summary


def test_r14_the_same_bytes_from_any_starting_point(reader: InputReader) -> None:
    """R14: a reader that starts behind a number gets exactly the rest of what a reader from the start gets."""
    whole, summary = read(reader)
    graded = [number for number in range(1, SESSIONS + 1) if number % 3 and number != 8]
    assert len(whole) == len(graded)
    for after in range(SESSIONS + 2):
        tail, counted = read(reader, after)
        assert tail == whole[sum(number <= after for number in graded) :]
        assert counted.session_count == max(SESSIONS - after, 0)
    assert summary.skipped_sessions == {"no_events": 7, "irrelevant": 1}


def test_r14_large_sessions_change_nothing_but_the_pieces(reader: InputReader, monkeypatch) -> None:
    """R7, R14: where a page does not fit memory it is read in pieces, and the inputs are the same."""
    whole, counted = read(reader)
    monkeypatch.setattr(limits, "PAGE_BYTES", 2 * len(session_draft("s-1").payload))
    assert read(reader) == (whole, counted)
    assert max(len(page) for page in reader.pages(1, SESSIONS, 0, reader.new_summary(0))) < 3


def test_r14_a_first_reader_from_any_number_fixes_the_same_pages(reader: InputReader, memory_dao: MemoryDao) -> None:
    """R14: a first reader from the middle freezes the same pages as one from the start."""
    tail, _ = read(reader, 12)
    memory_dao.events.append([push("s-11", "e-9", object_id="c"), push("s-13", "e-9", object_id="c")])
    memory_dao.sessions.mark_irrelevant("s-14", NOW)
    whole, summary = read(reader)
    assert whole[-len(tail) :] == tail
    assert summary.ignored_events == {"late": 2}


@pytest.mark.parametrize("broken", ["session", "event", "time"])
def test_r13_an_unreadable_payload_is_skipped_with_a_reason(
    reader: InputReader, memory_dao: MemoryDao, broken: str
) -> None:
    """R13: a session or event that cannot be parsed costs its own session only, and is counted."""
    whole, _ = read(reader)
    state = memory_dao._state
    if broken == "session":
        state.log[1][3] = replace(state.log[1][3], payload=b"\xff\xff")
    else:
        bad = session_pb2.Event(event_id="e-1", object_id="b", type="click")
        bad.created_at.seconds = 2**60
        payload = b"\xff\xff" if broken == "event" else bad.SerializeToString()
        state.frozen.clear()
        state.events[1, 4]["e-1"] = state.events[1, 4]["e-1"]._replace(payload=payload)
    found, summary = read(reader)
    assert len(found) == len(whole) - 1
    assert summary.skipped_sessions["unreadable"] == 1
    assert summary.session_count == SESSIONS


def test_r13_an_erased_session_is_passed_over_and_counted(reader: InputReader, memory_dao: MemoryDao) -> None:
    """R13: a session that lost its content gives no input; the others are as before."""
    whole, _ = read(reader)
    memory_dao.erase("s-4")
    found, summary = read(reader)
    assert found == [each for place, each in enumerate(whole) if place != 2]  # after 1 and 2; 3 has no event
    assert summary.skipped_sessions == {"no_events": 7, "irrelevant": 1, "erased": 1}
    assert reader.of_session("s-4", "improve-1", summary, None) is None
    assert summary.skipped_sessions["erased"] == 2


def test_r6_r12_a_result_without_a_position_has_its_index(memory_dao: MemoryDao) -> None:
    """R6, R12: positions that the client gave are the input's; otherwise the index in the session is."""
    paged = session_draft("s-2")
    sent = session_pb2.Session.FromString(paged.payload)
    for index, result in enumerate(sent.results):
        result.position = 20 + 2 * index
    memory_dao.sessions.append([session_draft("s-1"), replace(paged, payload=sent.SerializeToString())])
    memory_dao.events.append([push("s-1", "e-1"), push("s-2", "e-1")])
    reader = InputReader(memory_dao, POLICY)
    inputs = [reader.of_session(name, "improve-1", reader.new_summary(0), None) for name in ("s-1", "s-2")]
    assert [[each.position for each in found.results] for found in inputs if found] == [[0, 1, 2], [20, 22, 24]]


def test_r12_every_input_names_its_policy_and_place(reader: InputReader) -> None:
    """R12: an input carries the policy's version, its batch and its number."""
    [first, *_] = next(iter(reader.pages(1, SESSIONS, 0, reader.new_summary(0))))
    assert (first.policy_version, first.batch_id, first.number) == (POLICY.version, "batch-1", 1)
    assert first.searched_at == NOW
    assert [(each.object_id, each.grade, each.event_ids) for each in first.results] == [
        ("a", 0.0, ()),
        ("b", 1.0, ("e-1", "e-2")),
        ("c", 0.0, ()),
    ]


def test_r13_an_empty_range_gives_nothing(memory_dao: MemoryDao) -> None:
    """R13: reading behind the end is no error."""
    reader = InputReader(memory_dao, POLICY)
    assert list(reader.pages(1, 0, 0, reader.new_summary(0))) == []


def test_r6_what_is_stored_is_what_was_sent() -> None:
    """R6: the payload in the draft is the session with the time filled in; absent positions stay absent."""
    draft: SessionDraft = session_draft("s-1")
    stored = session_pb2.Session.FromString(draft.payload)
    assert not any(result.HasField("position") for result in stored.results)
    assert stored.created_at.ToDatetime(tzinfo=NOW.tzinfo) == NOW


def test_r27_verdicts_apply_after_the_frozen_page_as_of_their_number(memory_dao: MemoryDao) -> None:
    """R14, R27: every number of the list gives its own inputs, for ever, and the frozen page stays as it is."""
    for number, user_id in enumerate(("robot", "robot", "person", ""), 1):
        memory_dao.sessions.append([session_draft(f"s-{number}", user_id=user_id)])
        memory_dao.events.append([push(f"s-{number}", "e-1")])
    memory_dao.sessions.append([session_draft("s-5", user_id="robot")])
    memory_dao.sessions.mark_irrelevant("s-5", NOW)
    memory_dao.sessions.append([session_draft("s-6", NOW + 86_400 * SECOND, user_id="robot")])
    memory_dao.events.append([push("s-6", "e-1")])
    memory_dao.batches.release("r-1", None, NOW)
    reader, day = InputReader(memory_dao, POLICY), day_of(NOW)

    def numbers(verdict_number: int, after: int = 0) -> tuple[list[int], dict[str, int]]:
        summary = reader.new_summary(verdict_number)
        found = [each.number for page in reader.pages(1, 6, after, summary) for each in page]
        assert summary.robot_verdict_number == verdict_number
        return found, dict(summary.skipped_sessions)

    everybody = [1, 2, 3, 4, 6], {"irrelevant": 1}
    assert numbers(0) == everybody
    memory_dao.robots.append(
        [RobotVerdict("robot", day, True, "policy", NOW), RobotVerdict("", day, True, "x", NOW)], 0
    )
    assert numbers(0) == everybody
    filtered = [3, 4, 6], {"robot": 2, "irrelevant": 1}
    assert numbers(1) == filtered
    assert numbers(2) == filtered, "a session without a user is nobody's"
    memory_dao.robots.order(RobotVerdict("robot", day, False, "ann", NOW, request_id="r-1"))
    assert numbers(3) == everybody
    assert numbers(2) == filtered
    assert numbers(2, after=1) == ([3, 4, 6], {"robot": 1, "irrelevant": 1})
    summary = reader.new_summary(2)
    assert reader.of_session("s-1", "improve-1", summary, None) is None
    assert summary.skipped_sessions == {"robot": 1}
