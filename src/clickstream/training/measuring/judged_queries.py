"""Measures on judged queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clickstream.domain.evaluations import JudgedEvaluation
from clickstream.domain.judgements import JudgedQuery, packed
from clickstream.domain.query_split import normalised
from clickstream.training.asking import may_go_on
from clickstream.training.data.dataset import Dataset
from clickstream.training.data.examples import Example
from clickstream.training.measuring.ranking import QueryScores, compare_scores


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """The judged queries for which a known item is relevant, as examples with the gains 2^grade - 1.

    `searched` is true for examples whose text was trained on, or by which training stopped. `unmeasured_queries`
    counts the judged queries without a known relevant item, `unknown_items` the judgements on unknown items.
    """

    judgements_sha256: str
    examples: list[Example]
    searched: list[bool]
    unmeasured_queries: int
    unknown_items: int


def judged_set(judged: Sequence[JudgedQuery], dataset: Dataset, rows: Mapping[str, int]) -> JudgedSet | None:
    """Selects the judged queries on which both models can be measured; None if there are no judgements.

    Queries with the same `normalised` text count as one, and so do objects with the same text: the highest grade
    counts.

    Args:
        judged: The judgements.
        dataset: The dataset that the model learns from.
        rows: The index into `dataset.texts` by object id.
    """
    if not judged:
        return None
    pooled: dict[str, Example] = {}
    unknown = 0
    for each in judged:
        may_go_on()
        example = pooled.setdefault(normalised(each.query), Example(each.query.strip(), {}, {}))
        for object_id, grade in each.grades.items():
            row = rows.get(object_id)
            if row is None:
                unknown += 1
            else:
                example.gains[row] = max(2.0**grade - 1.0, example.gains.get(row, 0.0))
    used = dataset.used_queries
    measured = {key: example for key, example in pooled.items() if any(example.gains.values())}
    return JudgedSet(
        judgements_sha256=packed(judged)[0],
        examples=list(measured.values()),
        searched=[key in used for key in measured],
        unmeasured_queries=len(pooled) - len(measured),
        unknown_items=unknown,
    )


def compare_judged(
    judged: JudgedSet, base: Sequence[QueryScores], new: Sequence[QueryScores], seed: int
) -> JudgedEvaluation:
    """Compares both models' scores of `judged.examples`: those that training used apart from the others.

    Args:
        judged: The examples.
        base: The base model's scores of them.
        new: The new model's scores of them.
        seed: Seeds the intervals.
    """
    unsearched, searched = (
        compare_scores(
            [score for score, known in zip(base, judged.searched, strict=True) if known == wanted],
            [score for score, known in zip(new, judged.searched, strict=True) if known == wanted],
            seed,
        )
        for wanted in (False, True)
    )
    return JudgedEvaluation(
        judged.judgements_sha256, unsearched, searched, judged.unmeasured_queries, judged.unknown_items
    )
