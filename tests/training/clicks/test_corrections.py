"""Corrections for position bias, from a log to grades (R18)."""

import random

import pytest
from support.simulated_log import Truth, counted, sessions

from clickstream.training.clicks.cascade import SimplifiedDbn
from clickstream.training.clicks.click_log import Cell, ClickLog, Session, Showing
from clickstream.training.clicks.corrections import CORRECTIONS
from clickstream.training.clicks.counting import MeanGrade, RankCtr
from clickstream.training.clicks.labels import MAX_RATIO, Grade, Grades, in_any_session
from clickstream.training.clicks.position_based import PositionBased


def log_of(cells: dict[str, dict[int, dict[int, Cell]]]) -> ClickLog:
    """A log of counts, that holds every session, also those without an act."""
    log = ClickLog(cells)
    for query, items in cells.items():
        each = [cell for by_position in items.values() for cell in by_position.values()]
        log.sessions[query] = max(cell.impressions for cell in each)
        log.sessions_with_act[query] = min(sum(cell.acts for cell in each), log.sessions[query])
    return log


def unfair_log(sessions: int, scale: float = 1.0) -> tuple[ClickLog, Truth]:
    """50 queries whose 8 items are shown in one fixed random order; attention halves with every position."""
    source = random.Random(5)
    cells: dict[str, dict[int, dict[int, Cell]]] = {}
    worth: Truth = {}
    for number in range(50):
        query = f"q{number}"
        worth[query] = {item: source.random() for item in range(8)}
        cells[query] = {}
        for item in range(8):
            acts = sum(source.random() < 0.5**item * worth[query][item] for _ in range(sessions))
            cells[query][item] = {item: Cell(sessions, acts, acts * scale, sessions, 0)}
    return log_of(cells), worth


def pairs_in_order(grades: Grades, worth: Truth) -> float:
    """Share of item pairs that the targets order as their true worth does."""
    right = total = 0
    for query, items in worth.items():
        for one in items:
            for other in items:
                if items[one] > items[other]:
                    total += 1
                    right += grades[query][one].target > grades[query][other].target
    return right / total


def test_rank_ctr_finds_worth_where_the_mean_grade_finds_position() -> None:
    """R18: with much evidence, the correction orders items far more like their worth than no correction does."""
    log, worth = unfair_log(sessions=20_000)
    assert pairs_in_order(RankCtr(log).grades(), worth) > 0.9
    assert pairs_in_order(MeanGrade(log).grades(), worth) < 0.8


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_r18_the_position_based_model_is_right_whatever_attention_does(decay: float) -> None:
    """R18: on a fair ranking it beats no correction where attention falls, and rank-CTR where it does not."""
    seen, worth = sessions(lambda place: (place + 1) ** -decay, queries=150, per_query=200)
    log = counted(seen)
    right = {name: pairs_in_order(CORRECTIONS[name](log).grades(), worth) for name in ("none", "rank_ctr", "pbm")}
    assert right["pbm"] > right["rank_ctr"] - 0.03
    assert right["pbm"] > right["none"] - 0.02
    if decay:
        assert 1 - right["pbm"] < 0.7 * (1 - right["none"])
    else:
        assert right["pbm"] > right["rank_ctr"]


@pytest.mark.parametrize("correction", [RankCtr, PositionBased, SimplifiedDbn])
def test_one_chance_click_far_down_does_not_beat_many_at_the_top(correction) -> None:
    """The prior: a rare click teaches less than well-tested appeal."""
    rest = {f"q{n}": {0: {0: Cell(100, 40, 40.0, 60, 30)}, 19: {19: Cell(100, 1, 1.0, 1, 1)}} for n in range(20)}
    log = log_of({**rest, "q": {1: {0: Cell(30, 24, 24.0, 25, 23)}, 2: {19: Cell(30, 1, 1.0, 1, 1)}}})
    grades = correction(log).grades()["q"]
    assert grades[1].target > grades[2].target > 0


def test_the_gain_does_not_lean_towards_what_was_seen_often() -> None:
    """R18: two equally good items measure the same, though one was shown where few look."""
    cells: dict[str, dict[int, dict[int, Cell]]] = {
        f"q{n}": {1: {0: Cell(100, 40, 40.0)}, 2: {9: Cell(100, 4, 4.0)}} for n in range(20)
    }
    cells["q"] = {1: {0: Cell(100, 80, 80.0)}, 2: {9: Cell(100, 8, 8.0)}, 3: {9: Cell(100, 3, 3.0)}}
    grades = RankCtr(log_of(cells)).grades()["q"]
    assert grades[1].gain == pytest.approx(grades[2].gain, rel=0.1)
    assert grades[1].gain == pytest.approx(1.0, rel=0.2)
    assert grades[3].gain == 0


def test_the_gain_is_clipped() -> None:
    """One click where there are almost none counts at most ten times what was expected."""
    log = log_of({**{f"q{n}": {1: {0: Cell(1000)}} for n in range(20)}, "q": {1: {0: Cell(1, 1, 1.0)}}})
    assert RankCtr(log).grades()["q"][1].gain == MAX_RATIO - 1


def test_rank_ctr_has_no_unit() -> None:
    """A policy that grades everything ten times as high gives the same corrected grades."""
    one, ten = RankCtr(unfair_log(50)[0]).grades(), RankCtr(unfair_log(50, scale=10.0)[0]).grades()
    for query, items in one.items():
        for item, grade in items.items():
            assert (ten[query][item].target, ten[query][item].gain) == pytest.approx((grade.target, grade.gain))


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_purchase_teaches_more_than_a_click(name: str) -> None:
    """Importances count: of two items with as many acts, the one with the higher grades has the higher target."""
    cells = {1: {0: Cell(20, 5, 5.0, 10, 3)}, 2: {0: Cell(20, 5, 20.0, 10, 3)}}
    grades = CORRECTIONS[name](log_of({"q": cells})).grades()["q"]
    assert grades[2].target == pytest.approx(4 * grades[1].target)


@pytest.mark.parametrize("name", CORRECTIONS)
def test_more_evidence_is_more_certain(name: str) -> None:
    """A hundred times as many showings and acts are about a hundred times as much evidence."""
    cells = {1: {0: Cell(20, 4, 4.0, 10, 3)}, 2: {0: Cell(2000, 400, 400.0, 1000, 300)}}
    grades = CORRECTIONS[name](log_of({"q": cells})).grades()["q"]
    assert grades[2].acts == pytest.approx(100 * grades[1].acts)
    assert grades[2].looks > 30 * grades[1].looks


def test_mean_grade_is_per_showing() -> None:
    """Showings at all positions count alike."""
    grade = MeanGrade(log_of({"q": {7: {0: Cell(3, 1, 2.0), 4: Cell(1, 1, 1.0)}}})).grades()["q"][7]
    assert (grade.target, grade.gain) == (0.75, 0.75)


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_log_without_acts_gives_zeros(name: str) -> None:
    """Nothing done: every grade is 0, and nothing is divided by 0."""
    grade = CORRECTIONS[name](log_of({"q": {1: {0: Cell(5)}}})).grades()["q"][1]
    assert (grade.target, grade.gain) == (0.0, 0.0)


@pytest.mark.parametrize("name", CORRECTIONS)
def test_what_was_never_seen_is_predicted_by_the_rest(name: str) -> None:
    """An unknown query or item has a chance between 0 and 1."""
    model = CORRECTIONS[name](counted(sessions(lambda place: 1 / (place + 1), queries=20)[0]))
    for query in ("q0", "unknown"):
        assert all(
            0 < chance < 1 for chance in model.predict(Session(query, [Showing(99, 0, 0.0), Showing(98, 30, 0.0)]))
        )


def test_a_query_without_an_act_is_predicted_by_what_the_whole_log_leaves_out() -> None:
    """Such a query cannot tell which share of its sessions the log holds, so all queries together tell it."""
    log = ClickLog()
    log.sessions.update({"clicked": 10, "idle": 5, "as the whole log": 15})
    log.sessions_with_act.update({"clicked": 10, "as the whole log": 10})
    chances = [0.4, 0.2]
    expected = in_any_session(log, "as the whole log", chances)
    log.sessions.pop("as the whole log")
    log.sessions_with_act.pop("as the whole log")
    assert in_any_session(log, "idle", chances) == in_any_session(log, "unknown", chances) == expected
    assert expected != in_any_session(log, "clicked", chances)


def test_the_position_based_model_counts_looks_in_sessions_that_the_log_lacks() -> None:
    """Everybody looks at the top: an item there was looked at once in each session, logged or not."""
    seen, _ = sessions(lambda place: (place + 1) ** -1.5, queries=20)
    log = counted(seen)
    model = PositionBased(log)
    for query, items in model.grades().items():
        [top] = [item for item, cells in log.cells[query].items() if 0 in cells]
        assert items[top].looks == pytest.approx(model.attention.sessions[query])
    assert sum(model.attention.sessions.values()) > 1.1 * log.sessions.total()


def test_a_position_is_examined_in_proportion_to_its_acts() -> None:
    """Rank-CTR: where a third as many act, a third as many are taken to look, and a rare position does not lead."""
    log = log_of({"q": {1: {0: Cell(900, 300, 300.0)}, 2: {1: Cell(900, 100, 100.0)}, 3: {9: Cell(1, 1, 1.0)}}})
    grades = RankCtr(log).grades()["q"]
    assert grades[2].looks / grades[1].looks == pytest.approx(1 / 3, rel=0.05)
    assert grades[1].looks == pytest.approx(900, rel=0.15)


def test_what_nobody_looked_at_is_unknown() -> None:
    """An item is unknown while it was probably never examined; what was acted on is known."""
    assert Grade(0.0, 0.0, 0.1, 0.6).is_unknown
    assert not Grade(0.0, 0.0, 0.1, 0.7).is_unknown
    assert not Grade(0.1, 0.0, 0.1, 0.01).is_unknown
