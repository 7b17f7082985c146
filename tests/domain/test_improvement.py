"""The rules of the improvement queue (R15)."""

from datetime import timedelta

import pytest
from support.builders import NOW, SECOND

from clickstream.domain import limits
from clickstream.domain.improvement import LONGEST_BACKOFF, QueueRules, group_of

RULES = QueueRules(least=3, age=timedelta(seconds=60), attempts=3, backoff=timedelta(seconds=10))


def test_r15_a_run_begins_by_count_or_by_age() -> None:
    """R15: a run is due with enough sessions, or when the first has waited long enough; never without sessions."""
    assert RULES.is_due(3, NOW, NOW)
    assert not RULES.is_due(2, NOW, NOW + 59 * SECOND)
    assert RULES.is_due(2, NOW, NOW + 60 * SECOND)
    assert not RULES.is_due(2, NOW + SECOND, NOW + 60 * SECOND)
    assert not RULES.is_due(0, None, NOW + 999 * SECOND)


def test_r15_a_session_is_tried_so_often_with_growing_pauses() -> None:
    """R15: after a failed run a session waits twice as long each time; after the last it has failed."""
    outcomes = [RULES.after_failure(attempts, "too few queries", NOW) for attempts in range(3)]
    assert [outcome.state for outcome in outcomes] == ["pending", "pending", "failed"]
    assert [outcome.not_before for outcome in outcomes] == [NOW + 10 * SECOND, NOW + 20 * SECOND, None]
    assert {outcome.reason for outcome in outcomes} == {"too few queries"}


def test_r15_the_pause_has_an_end() -> None:
    """R15: however often it failed, a session waits for a day at most."""
    patient = QueueRules(least=1, age=timedelta(0), attempts=2_000, backoff=timedelta(days=1))
    assert patient.after_failure(1_000, "", NOW).not_before == NOW + LONGEST_BACKOFF


def test_r15_a_run_takes_all_that_wait_up_to_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """R15: as long as there is room for all of them, however many are of one query, in their order."""
    waiting = {f"s-{number}": "red shoe" for number in range(5)}
    monkeypatch.setattr(limits, "IMPROVEMENT_GROUP", 5)
    monkeypatch.setattr(limits, "IMPROVEMENT_GROUP_OF_A_QUERY", 2)
    assert group_of(waiting) == waiting


def test_r15_a_popular_query_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """R15: where more wait than a run takes, each query has its turn, those that wait longest first."""
    popular = {f"p-{number}": "red shoe" for number in range(100)}
    waiting = popular | {"a": "blue shoe", "b": "green shoe", "c": "blue shoe"}
    monkeypatch.setattr(limits, "IMPROVEMENT_GROUP", 4)
    monkeypatch.setattr(limits, "IMPROVEMENT_GROUP_OF_A_QUERY", 2)
    assert list(group_of(waiting)) == ["p-0", "p-1", "a", "b"]
