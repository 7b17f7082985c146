import random

import pytest

from clickstream.demo.simulated_reader import simulate_clicks


def click_rates(grades: list[float], sessions: int = 20_000, **model: float) -> list[float]:
    """Share of sessions in which each position is clicked."""
    source = random.Random(1)
    counts = [0] * len(grades)
    for _ in range(sessions):
        for position in simulate_clicks(grades, source, **model):
            counts[position] += 1
    return [count / sessions for count in counts]


def test_click_rates_follow_the_formula() -> None:
    """Examination 1/(k+1) times 0.1 + 0.9 (2^g - 1)/15."""
    grades = [0.0, 4.0, 2.0, 1.0, 3.0]
    expected = [(0.1 + 0.9 * (2**grade - 1) / 15) / (k + 1) for k, grade in enumerate(grades)]
    assert click_rates(grades) == pytest.approx(expected, abs=0.012)


def test_eta_says_how_fast_attention_falls() -> None:
    """0: every position alike; 2: the third position is examined by one in nine."""
    assert click_rates([4.0] * 3, eta=0.0) == [1.0, 1.0, 1.0]
    assert click_rates([4.0] * 3, eta=2.0) == pytest.approx([1.0, 1 / 4, 1 / 9], abs=0.012)


def test_without_noise_only_relevant_items_are_clicked() -> None:
    """Grade 0 is never clicked."""
    assert click_rates([0.0, 4.0], noise=0.0)[0] == 0.0


def test_the_same_source_gives_the_same_clicks() -> None:
    """Simulations can be repeated."""
    runs = [[simulate_clicks([1.0] * 20, source) for _ in range(50)] for source in map(random.Random, (5, 5, 6))]
    assert runs[0] == runs[1] != runs[2]
