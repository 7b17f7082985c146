import random

import torch

from clickstream.training.data.examples import Evidence, Example
from clickstream.training.learning.steps import ITEMS_PER_QUERY, Steps, draw_items, near_equal_queries


def of(targets: dict[int, float]) -> dict[int, Evidence]:
    """Evidence with one look for each item."""
    return {item: Evidence(target, 1.0, target) for item, target in targets.items()}


EXAMPLES = [Example(f"q{n}", of({item: float(item == n) for item in range(n, n + 12)}), {}) for n in range(10)]


def test_every_query_occurs_once_per_epoch() -> None:
    """Ten queries make steps of 4, 4 and 2, in another order in the next epoch."""
    steps = Steps(EXAMPLES, [[]] * 10, queries_per_step=4, seed=1)
    epochs = [[query for number in range(e * 3, e * 3 + 3) for query in steps.make(number).queries] for e in range(2)]
    assert steps.per_epoch == 3
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]


def test_r16_a_step_depends_on_seed_and_number_only() -> None:
    """R16: a resumed run makes the same steps; another seed makes others."""
    one, other = (Steps(EXAMPLES, [[]] * 10, 4, seed=1).make(4) for _ in range(2))
    assert (one.queries, one.items) == (other.queries, other.items)
    assert torch.equal(one.labels.acts, other.labels.acts)
    reseeded = Steps(EXAMPLES, [[]] * 10, 4, seed=2).make(4)
    assert (one.queries, one.items) != (reseeded.queries, reseeded.items)


def test_each_item_enters_a_step_once() -> None:
    """An item of several queries is in the step once, and is labelled for each of them."""
    step = Steps(EXAMPLES, [[]] * 10, 10, seed=1).make(0)
    assert len(set(step.items)) == len(step.items) < sum(min(12, ITEMS_PER_QUERY) for _ in EXAMPLES)
    for row, query in enumerate(step.queries):
        assert step.items[int(step.labels.acts[row].argmax())] == query


def test_near_equal_queries_are_found_beyond_one_block() -> None:
    """Near-equal queries in different blocks find each other, and no query finds itself."""
    vectors = torch.nn.functional.normalize(torch.randn(1500, 16, generator=torch.Generator().manual_seed(1)), dim=1)
    vectors[1400] = vectors[3]
    near = near_equal_queries(vectors)
    assert 1400 in near[3]
    assert 3 in near[1400]
    assert all(query not in others for query, others in enumerate(near))


def test_a_step_draws_the_best_and_some_others() -> None:
    """The best half by target is always drawn, the rest changes, and there are never more than the limit."""
    example = Example("q", of({item: float(item % 7) for item in range(30)}), {})
    best = sorted(example.evidence, key=lambda item: (-example.evidence[item].target, item))[: ITEMS_PER_QUERY // 2]
    draws = [draw_items(example, random.Random(seed)) for seed in range(20)]
    for draw in draws:
        assert len(set(draw)) == len(draw) == ITEMS_PER_QUERY
        assert draw[: len(best)] == best
    assert len({tuple(draw) for draw in draws}) > 10
    assert sorted(draw_items(Example("q", of({1: 0.0, 2: 1.0}), {}), random.Random(0))) == [1, 2]


def test_every_epoch_draws_other_items() -> None:
    """A query with many items gets others of them in every epoch."""
    steps = Steps([Example("q", of({item: float(item == 0) for item in range(100)}), {})], [[]], 1, seed=1)
    epochs = [tuple(steps.make(epoch).items) for epoch in range(5)]
    assert len(set(epochs)) == 5
    assert len({item for items in epochs for item in items}) > 2 * ITEMS_PER_QUERY


def test_items_with_many_looks_are_drawn_more_often() -> None:
    """Of 40 items without acts, four have ten times the looks: most draws have them, and every item is drawn."""
    often = {0, 1, 2, 3}
    evidence = {item: Evidence(0.0, 10.0 if item in often else 1.0, 0.0) for item in range(40)}
    draws = [set(draw_items(Example("q", evidence, {}), random.Random(seed))) for seed in range(200)]
    assert sum(len(draw & often) for draw in draws) > 0.65 * 4 * len(draws)
    assert set().union(*draws) == set(range(40))


def test_unknown_items_are_not_drawn() -> None:
    """Only known items enter a step, as unknown ones would be left out of the loss."""
    example = Example("q", of({item: float(item < 3) for item in range(10)}), {}, unknown=frozenset(range(5, 10)))
    assert sorted(draw_items(example, random.Random(0))) == [0, 1, 2, 3, 4]


def test_a_step_leaves_unknown_items_out() -> None:
    """An item that another query draws takes no part for a query to which it is unknown."""
    examples = [Example("q", of({1: 1.0, 2: 0.0}), {}, unknown=frozenset({2})), Example("r", of({2: 1.0}), {})]
    step = Steps(examples, [[], []], 2, seed=1).make(0)
    row, column = step.queries.index(0), step.items.index(2)
    assert not step.labels.allowed[row, column]
    assert int((~step.labels.allowed).sum()) == 1


def test_a_step_knows_all_acts_of_its_queries() -> None:
    """Acts on items that were not drawn count, too: they weigh a query's clicks against the base model's ranking."""
    example = Example("q", {item: Evidence(2.0, 1.0, 2.0) for item in range(30)}, {})
    assert Steps([example], [[]], 1, seed=1).make(0).acts.tolist() == [60.0]
