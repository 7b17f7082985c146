"""Compares two models on each kind of held-out query: for which searches the new one is better, and for which worse."""

from collections import defaultdict
from collections.abc import Sequence

from clickstream.domain.evaluations import Segment
from clickstream.training.data.examples import Example
from clickstream.training.data.folds import Fold
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


def by_segment(
    folds: Sequence[Fold], base: Sequence[QueryScores], new: Sequence[QueryScores], seed: int
) -> list[Segment]:
    """Compares both models on each kind of held-out query; kinds without a query are left out.

    Args:
        folds: Their held-out queries were scored, each by the model of its fold.
        base: The base model's scores of the held-out queries, fold by fold.
        new: The new model's scores of them.
        seed: Seeds the intervals.
    """
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    count = 0
    for fold in folds:
        trained = {item for example in fold.training for item in example.evidence}
        for place, example in enumerate(fold.held_out, count):
            for kind, value in _kinds(example, trained).items():
                places[kind, value].append(place)
        count += len(fold.held_out)
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
