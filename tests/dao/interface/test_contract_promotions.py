"""What every store promises about model versions and the log of promotions."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.builders import NOW, SECOND, model_version, training_run

from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.errors import AlreadyExists, FailedPrecondition
from clickstream.domain.promotions import PromotionOrder
from clickstream.domain.runs import RunState

LATER = NOW + 60 * SECOND


def finished(dao: ClickstreamDao, run_id: str, seconds: int = 0, **changes: object) -> None:
    """A run that succeeded, with its version."""
    dao.runs.create(training_run(run_id, at=NOW + seconds * SECOND))
    assert dao.runs.claim("me", LATER, 2 * SECOND + LATER).run_id == run_id
    version = replace(model_version(run_id), created_at=NOW + seconds * SECOND, **changes)
    assert dao.runs.finish(run_id, "me", RunState.SUCCEEDED, "well", version, LATER)


def ids(found: list) -> list[str]:
    """The run ids of versions or runs."""
    return [each.run_id for each in found]


def append(dao: ClickstreamDao, request_id: str, model_version_id: str = "", **fields: object) -> tuple[int, str]:
    """Carries an order out; returns its number and the version that it promoted."""
    promotion, _ = dao.promotions.append(PromotionOrder(request_id, model_version_id, **fields), NOW)
    return promotion.sequence, promotion.model_version_id


def test_r16_a_late_loser_leaves_no_version(dao: ClickstreamDao) -> None:
    """R16: a worker that has lost its lease makes neither a version nor a promotion."""
    dao.runs.create(training_run())
    dao.runs.claim("dead", NOW, NOW + SECOND)
    dao.runs.claim("me", LATER, LATER + SECOND)
    assert not dao.runs.finish("run-1", "dead", RunState.SUCCEEDED, "well", model_version(), LATER)
    assert dao.runs.model_version("model-run-1") is None
    assert dao.runs.model_versions(None, 10, gate_passed_only=False) == []
    assert dao.runs.promotion_due() is None


def test_versions_are_listed_newest_first_in_pages(dao: ClickstreamDao) -> None:
    """A listing has every version once, also versions of one moment, and no run without a version."""
    for number in range(5):
        finished(dao, f"run-{number}", number // 2, gate_passed=number % 2 == 0)
    dao.runs.create(training_run("run-9", batches=(2,), at=LATER))
    assert ids(dao.runs.model_versions(None, 10, gate_passed_only=False)) == [
        f"run-{number}" for number in (4, 3, 2, 1, 0)
    ]
    assert ids(dao.runs.model_versions(None, 10, gate_passed_only=True)) == ["run-4", "run-2", "run-0"]
    assert ids(dao.runs.model_versions((NOW + SECOND, "run-3"), 2, gate_passed_only=False)) == ["run-2", "run-1"]
    assert dao.runs.model_version("model-run-3") == replace(
        model_version("run-3"), created_at=NOW + SECOND, gate_passed=False
    )
    assert ids(dao.runs.of_batch(1, None, 2)) == ["run-4", "run-3"]
    assert ids(dao.runs.of_batch(1, (NOW + 2 * SECOND, "run-1"), 5)) == ["run-3", "run-2", "run-1", "run-0"]
    assert ids(dao.runs.of_batch(2, None, 5)) == ["run-9"]


def test_r17_a_promotion_is_due_until_it_is_decided(dao: ClickstreamDao) -> None:
    """R17: only a version that passed its gate waits for its promotion, and only until that is decided."""
    finished(dao, "no", gate_passed=False)
    assert dao.runs.promotion_due() is None
    finished(dao, "yes", 1)
    assert dao.runs.promotion_due().run_id == "yes"
    dao.runs.promotion_decided("yes")
    assert dao.runs.promotion_due() is None


def test_rollbacks_go_back_one_promotion_each(dao: ClickstreamDao) -> None:
    """A rollback returns to what was promoted before; promoting the same again is no step to go back."""
    assert dao.promotions.current() is None
    with pytest.raises(FailedPrecondition):
        append(dao, "early")
    assert append(dao, "p-1", "a") == (1, "a")
    assert append(dao, "p-2", "b") == (2, "b")
    assert append(dao, "p-3", "b") == (3, "b")
    assert append(dao, "p-4", "c") == (4, "c")
    assert append(dao, "r-1") == (5, "b")
    assert append(dao, "r-2") == (6, "a")
    with pytest.raises(FailedPrecondition):
        append(dao, "r-3")
    assert append(dao, "p-5", "d") == (7, "d")
    assert append(dao, "r-3") == (8, "a")
    assert dao.promotions.current().model_version_id == "a"
    assert [each.sequence for each in dao.promotions.list(None, 2)] == [8, 7]
    assert [each.sequence for each in dao.promotions.list(3, 9)] == [2, 1]


def test_r1_a_retried_order_changes_nothing(dao: ClickstreamDao) -> None:
    """R1: the same request id answers the same entry for ever, and is refused for another order."""
    first = append(dao, "p-1", "a")
    append(dao, "p-2", "b")
    back = append(dao, "r-1")
    append(dao, "p-3", "c")
    assert (append(dao, "p-1", "a"), append(dao, "r-1")) == (first, back)
    assert dao.promotions.append(PromotionOrder("p-1", "a"), LATER)[1] is False
    for order in (PromotionOrder("p-1", "b"), PromotionOrder("p-1"), PromotionOrder("r-1", "a")):
        with pytest.raises(AlreadyExists):
            dao.promotions.append(order, LATER)
    assert dao.promotions.current().sequence == 4


def test_an_order_may_name_what_it_expects(dao: ClickstreamDao) -> None:
    """Compare-and-set: an order that expects another version promoted is refused and leaves no entry."""
    append(dao, "p-1", "a", expected=frozenset({""}))
    with pytest.raises(FailedPrecondition):
        append(dao, "p-2", "b", expected=frozenset({"", "z"}))
    assert append(dao, "p-2", "b", expected=frozenset({"a"})) == (2, "b")


def test_racing_orders_are_all_carried_out_one_after_the_other(dao: ClickstreamDao) -> None:
    """Promotions and rollbacks at once, each sent twice: one entry each, numbered without a gap."""
    for number in range(4):  # enough to go back to, in whatever order they come
        append(dao, f"p-{number}", f"m-{number}")
    orders = [PromotionOrder(f"r-{number}", f"x-{number}" if number % 4 else "") for number in range(8)] * 2
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda order: dao.promotions.append(order, NOW), orders))
    log = dao.promotions.list(None, 100)
    assert [each.sequence for each in log] == list(range(12, 0, -1))
    assert sorted(each.request_id for each in log[:8]) == [f"r-{number}" for number in range(8)]
    assert sum(created for _, created in outcomes) == 8
    by_sequence = {each.sequence: each for each in log}
    for each in log:
        if each.rollback:
            before = by_sequence[by_sequence[each.sequence - 1].previous]
            assert each.model_version_id == before.model_version_id


def test_r1_a_racing_retry_answers_as_the_first(dao: ClickstreamDao) -> None:
    """R1: the same order sent several times at once is carried out once, and none is refused for its own effect."""
    append(dao, "p-0", "a")
    for number in range(10):
        append(dao, f"p-{number + 1}", "b")
        order = PromotionOrder(f"r-{number}", expected=frozenset({"b"}))
        with ThreadPoolExecutor(6) as pool:
            outcomes = list(pool.map(lambda order: dao.promotions.append(order, NOW), [order] * 6))
        assert {promotion.model_version_id for promotion, _ in outcomes} == {"a"}
        assert sum(created for _, created in outcomes) == 1


def test_of_racing_orders_that_expect_the_same_one_wins(dao: ClickstreamDao) -> None:
    """Compare-and-set under a race: exactly one of the orders that expect `a` is carried out."""
    append(dao, "p-0", "a")

    def attempt(number: int) -> bool:
        try:
            append(dao, f"r-{number}", f"x-{number}", expected=frozenset({"a"}))
        except FailedPrecondition:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    assert dao.promotions.current().sequence == 2
