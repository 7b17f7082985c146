"""Compares two models on each kind of held-out query: for which searches the new one is better, and for which worse."""

from collections import defaultdict
from collections.abc import Sequence

from clickstream.domain.evaluations import Segment
from clickstream.training.data.dataset import Dataset, Example
from clickstream.training.measuring.ranking import QueryScores, compare_scores

# Highest count and name. Fixed, unlike quantiles of the log, so that the tables of two runs can be compared.
SESSIONS = ((1, "1"), (9, "2 to 9"), (99, "10 to 99"))
WORDS = ((1, "1"), (2, "2"), (4, "3 to 4"))

ALL_TRAINED, SOME_NEW = "all trained", "some new"

# The values of each kind, in the order of the table.
VALUES = {
    "sessions": [*(name for _, name in SESSIONS), "100 or more"],
    "words": [*(name for _, name in WORDS), "5 or more"],
    "items": [ALL_TRAINED, SOME_NEW],
}


def by_segment(dataset: Dataset, base: Sequence[QueryScores], new: Sequence[QueryScores], seed: int) -> list[Segment]:
    """Compares both models on each kind of held-out query; kinds without a query are left out.

    Args:
        dataset: The dataset whose held-out queries were scored.
        base: The base model's scores of `dataset.held_out`.
        new: The new model's scores of them.
        seed: Seeds the intervals.
    """
    trained = {item for example in dataset.training for item in example.evidence}
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, example in enumerate(dataset.held_out):
        for kind, value in _kinds(example, trained).items():
            places[kind, value].append(place)
    return [
        Segment(kind, value, compare_scores([base[at] for at in found], [new[at] for at in found], seed))
        for kind, values in VALUES.items()
        for value in values
        if (found := places.get((kind, value)))
    ]


def _kinds(example: Example, trained: set[int]) -> dict[str, str]:
    relevant = {item for item, gain in example.gains.items() if gain > 0}
    return {
        "sessions": _name(example.sessions, SESSIONS, VALUES["sessions"][-1]),
        "words": _name(len(example.query.split()), WORDS, VALUES["words"][-1]),
        "items": ALL_TRAINED if relevant <= trained else SOME_NEW,
    }


def _name(count: int, bounds: tuple[tuple[int, str], ...], beyond: str) -> str:
    return next((name for highest, name in bounds if count <= highest), beyond)
