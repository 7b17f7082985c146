"""Which queries measure which fold, and choose how far it goes (R17, R28)."""

from collections import Counter

import pytest
from support.shop_log import shop_log

from clickstream.domain.runs import FineTuningSettings
from clickstream.training.data.dataset import read_dataset
from clickstream.training.data.examples import Example
from clickstream.training.data.folds import Fold
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.learning.step_scale import SCALES, weights_of
from clickstream.training.measuring import fold_scores
from clickstream.training.measuring.fold_scores import Measuring, Part, as_measured, parts_of, scored
from clickstream.training.measuring.ranking import QueryScores


def examples(*names: str) -> list[Example]:
    """Queries of these names."""
    return [Example(name, {}, {0: 1.0}) for name in names]


def test_r17_the_halves_of_one_split_choose_for_each_other() -> None:
    """R17: one fold has two parts without a common query; several folds have one each, with their own queries."""
    one = Fold([], examples("a", "b", "c"), repeated=examples("d", "e"))
    halves = parts_of([one])
    assert [[each.query for each in part.held_out] for part in halves] == [["a", "c"], ["b"]]
    assert [[each.query for each in part.repeated] for part in halves] == [["d"], ["e"]]
    assert [part.fold for part in parts_of([one, one, one])] == [0, 1, 2]
    assert parts_of([one, one])[1].held_out == one.held_out


def test_r17_segments_see_the_queries_in_the_order_of_their_scores() -> None:
    """R17: the folds as measured list the held-out queries as the parts do, each with what its fold trained."""
    fold = Fold(examples("trained"), examples("a", "b", "c", "d"))
    for folds in ([fold], [fold, Fold(examples("other"), examples("e"))]):
        listed = [each for measured in as_measured(folds) for each in measured.held_out]
        assert listed == [each for part in parts_of(folds) for each in part.held_out]
    assert [each.training for each in as_measured([fold])] == [fold.training, fold.training]


def test_a_query_that_several_folds_measure_counts_by_its_mean() -> None:
    """A repeated query of two folds has one entry, the mean of both models' scores; a held-out query has its own."""
    folds = [Fold([], examples("a"), repeated=examples("b")), Fold([], examples("b"), repeated=examples(" B "))]
    base = [(part, [QueryScores(*[0.1 * number] * 4) for number in (1, 2)]) for part in parts_of(folds)]
    new = [(part, [QueryScores(*[value] * 4) for value in (0.5, 0.6 + 0.2 * part.fold)]) for part in parts_of(folds)]
    held_out, repeated = scored(base, new)
    assert list(held_out.queries) == ["a", "b"]
    assert list(repeated.queries) == ["b"]
    assert repeated.new[0].ndcg == pytest.approx(0.7)
    assert held_out.base[1].ndcg == pytest.approx(0.1)


def test_r28_no_part_chooses_its_own_scale(settings: FineTuningSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """R28: scores that speak for the whole way in one half move the other half's scale, and not their own."""
    monkeypatch.setattr(fold_scores, "MIN_HELD_OUT_QUERIES", 1)
    dataset = read_dataset(shop_log(1), settings)
    encoder = load_encoder(settings.base_model, 16, "cpu")
    items = embed(encoder, "item", dataset.texts, lambda: None)
    rising = parts_of(dataset.folds)[0].held_out[0].query
    asked: Counter[str] = Counter()

    def ndcg(_: Measuring, part: Part, *where: object) -> list[float]:
        """The first half ranks better with every scale, the second half does not change."""
        name = part.held_out[0].query
        asked[name] += 1
        return [0.2 * asked[name] if name == rising else 0.5] * len(part.examples)

    monkeypatch.setattr(Measuring, "_ndcg", ndcg)
    measuring = Measuring(encoder, dataset, weights_of(encoder), [weights_of(encoder)], lambda: None)
    chosen = measuring.choose(0.0, items)
    assert chosen.by_part == [SCALES[0], 1.0]
    assert [each.scale for each in chosen.figures] == [0.0, *SCALES]
    assert measuring.choose(0.7, items).by_part == [0.7, 0.7]
