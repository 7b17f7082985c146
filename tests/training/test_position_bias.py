import random

import pytest

from clickstream.training.position_bias import CORRECTIONS, MAX_RATIO, Cell, Grade, Grades, Log, mean_grade, rank_ctr


def simulated_log(sessions: int, scale: float = 1.0) -> tuple[Log, dict[str, dict[int, float]]]:
    """50 queries whose 8 items are shown in one fixed random order; attention halves with every position."""
    source = random.Random(5)
    log: dict[str, dict[int, dict[int, Cell]]] = {}
    worth: dict[str, dict[int, float]] = {}
    for number in range(50):
        query = f"q{number}"
        worth[query] = {item: source.random() for item in range(8)}
        log[query] = {}
        for item in range(8):
            acts = sum(source.random() < 0.5**item * worth[query][item] for _ in range(sessions))
            log[query][item] = {item: Cell(sessions, acts, acts * scale)}
    return log, worth


def pairs_in_order(grades: Grades, worth: dict[str, dict[int, float]]) -> float:
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
    log, worth = simulated_log(sessions=20_000)
    assert pairs_in_order(rank_ctr(log), worth) > 0.9
    assert pairs_in_order(mean_grade(log), worth) < 0.8


def test_one_chance_click_far_down_does_not_beat_many_at_the_top() -> None:
    """The prior: a rare click teaches less than well-tested appeal."""
    rest = {f"q{n}": {0: {0: Cell(100, 40, 40.0)}, 19: {19: Cell(100, 1, 1.0)}} for n in range(20)}
    log: Log = {**rest, "q": {1: {0: Cell(30, 24, 24.0)}, 2: {19: Cell(30, 1, 1.0)}}}
    grades = rank_ctr(log)["q"]
    assert grades[1].target > grades[2].target > 0


def test_the_gain_does_not_lean_towards_what_was_seen_often() -> None:
    """R18: two equally good items measure the same, though one was shown where few look."""
    log: dict[str, dict[int, dict[int, Cell]]] = {
        f"q{n}": {1: {0: Cell(100, 40, 40.0)}, 2: {9: Cell(100, 4, 4.0)}} for n in range(20)
    }
    log["q"] = {1: {0: Cell(100, 80, 80.0)}, 2: {9: Cell(100, 8, 8.0)}, 3: {9: Cell(100, 3, 3.0)}}
    grades = rank_ctr(log)["q"]
    assert grades[1].gain == pytest.approx(grades[2].gain, rel=0.1)
    assert grades[1].gain == pytest.approx(1.0, rel=0.2)
    assert grades[3].gain == 0


def test_the_gain_is_clipped() -> None:
    """One click where there are almost none counts at most ten times what was expected."""
    log: Log = {f"q{n}": {1: {0: Cell(1000, 0, 0.0)}} for n in range(20)}
    assert rank_ctr({**log, "q": {1: {0: Cell(1, 1, 1.0)}}})["q"][1].gain == MAX_RATIO - 1


def test_rank_ctr_has_no_unit() -> None:
    """A policy that grades everything ten times as high gives the same corrected grades."""
    one, ten = rank_ctr(simulated_log(50)[0]), rank_ctr(simulated_log(50, scale=10.0)[0])
    for query, items in one.items():
        for item, grade in items.items():
            assert ten[query][item] == pytest.approx(grade)


def test_mean_grade_is_per_showing() -> None:
    """Showings at all positions count alike."""
    log: Log = {"q": {7: {0: Cell(3, 1, 2.0), 4: Cell(1, 1, 1.0)}}}
    assert mean_grade(log) == {"q": {7: Grade(0.75, 0.75)}}


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_log_without_acts_gives_zeros(name: str) -> None:
    """Nothing done: every grade is 0, and nothing is divided by 0."""
    assert CORRECTIONS[name]({"q": {1: {0: Cell(5)}}}) == {"q": {1: Grade(0.0, 0.0)}}
