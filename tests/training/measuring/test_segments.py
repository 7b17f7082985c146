from collections import Counter

import pytest

from clickstream.training.data.examples import NO_EVIDENCE, Example
from clickstream.training.data.folds import Fold
from clickstream.training.measuring.ranking import QueryScores
from clickstream.training.measuring.segments import VALUES, by_segment


def fold(*held_out: Example) -> list[Fold]:
    """One fold, in which training has shown items 1 and 2."""
    trained = Example("red", {1: NO_EVIDENCE, 2: NO_EVIDENCE}, {})
    return [Fold([trained], list(held_out))]


def held_out(query: str = "blue shoe", sessions: int = 1, item: int = 1) -> Example:
    """A held-out query for which one item is relevant and another, never trained, is not."""
    return Example(query, {}, {item: 1.0, 9: 0.0}, sessions)


def kinds(*examples: Example) -> dict[tuple[str, str], int]:
    """How many queries each segment has."""
    score = [QueryScores(0.5, 0.5, 0.5, 0.5)] * len(examples)
    return {(s.kind, s.value): s.comparison.query_count for s in by_segment(fold(*examples), score, score, 1)}


@pytest.mark.parametrize(
    ("example", "segment"),
    [
        (held_out(sessions=1), ("sessions", "1")),
        (held_out(sessions=2), ("sessions", "2 to 9")),
        (held_out(sessions=9), ("sessions", "2 to 9")),
        (held_out(sessions=10), ("sessions", "10 to 99")),
        (held_out(sessions=100), ("sessions", "100 or more")),
        (held_out("shoe"), ("words", "1")),
        (held_out("red shoe"), ("words", "2")),
        (held_out("red shoe for men"), ("words", "3 to 4")),
        (held_out("red shoe for old men"), ("words", "5 or more")),
        (held_out(item=1), ("items", "all trained")),
        (held_out(item=2), ("items", "all trained")),
        (held_out(item=3), ("items", "some new")),
        (Example("shoe", {}, {1: 1.0, 3: 0.5}, 1), ("items", "some new")),
    ],
)
def test_r17_each_query_is_in_its_segment(example: Example, segment: tuple[str, str]) -> None:
    """R17: the stated bounds decide the segment of a held-out query, by its sessions, words and items."""
    assert kinds(example)[segment] == 1


def test_every_query_is_in_one_segment_of_each_kind() -> None:
    """The segments of a kind add up to all held-out queries, and come in the order of the table."""
    examples = [
        held_out(" ".join(["word"] * words), sessions, item)
        for words in range(1, 8)
        for sessions in (1, 5, 50, 500)
        for item in (1, 3)
    ]
    found = kinds(*examples)
    total: Counter[str] = Counter()
    for (kind, _), count in found.items():
        total[kind] += count
    assert total == dict.fromkeys(VALUES, len(examples))
    assert list(found) == [(kind, value) for kind, values in VALUES.items() for value in values]


def test_a_segment_compares_the_models_on_its_own_queries() -> None:
    """One-word queries got better and two-word queries worse, and each row shows it, with an interval."""
    examples = [held_out("shoe"), held_out("red shoe")] * 10
    base = [QueryScores(0.5, 0.5, 0.5, 0.5)] * 20
    new = [QueryScores(0.9, 0.5, 0.5, 0.5), QueryScores(0.2, 0.5, 0.5, 0.5)] * 10
    segments = {s.value: s.comparison for s in by_segment(fold(*examples), base, new, 1) if s.kind == "words"}
    assert segments["1"].ndcg_gain.lower == pytest.approx(0.4)
    assert segments["2"].ndcg_gain.upper == pytest.approx(-0.3)
    assert (segments["2"].base.ndcg_at_10, segments["2"].new.ndcg_at_10) == (0.5, pytest.approx(0.2))


def test_without_held_out_queries_there_is_no_row() -> None:
    """Without held-out queries no segment is reported."""
    assert by_segment(fold(), [], [], 1) == []
