"""The losses and their labels, computed by hand and by their gradients."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from clickstream.servicers.checks.training_settings import CHOICES
from clickstream.training.data.examples import Evidence
from clickstream.training.learning import losses
from clickstream.training.learning.losses import (
    LEAST_LOOKS,
    LOSSES,
    StepLabels,
    base_shares,
    graded_contrastive,
    labels_of,
    listwise_softmax,
)

UNIT = torch.eye(4)


def labels(
    acts: Sequence[float],
    looks: Sequence[float] = (),
    allowed: Sequence[bool] = (),
    targets: Sequence[float] = (),
) -> StepLabels:
    """Labels of one query; by default all items were looked at equally often, and all take part."""
    return StepLabels(
        torch.tensor([acts]),
        torch.tensor([looks or [1.0] * len(acts)]),
        torch.tensor([targets or acts]),
        torch.tensor([allowed or [True] * len(acts)]),
    )


def known(acts: float, looks: float = 1.0, target: float | None = None) -> Evidence:
    """Evidence whose target is, by default, acts per look."""
    return Evidence(acts, looks, acts / looks if target is None else target)


def pull(loss: Callable[..., Tensor], of: StepLabels, temperature: float = 1.0) -> list[float]:
    """How strongly the loss draws each item to a query that has the same cosine with all items."""
    queries = torch.nn.functional.normalize(torch.ones(1, 4), dim=1)
    items = UNIT[: of.acts.shape[1]].clone().requires_grad_()
    loss(queries, items, of, temperature).sum().backward()
    assert items.grad is not None
    return [-float(row @ queries[0]) for row in items.grad]


@pytest.fixture
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the share of acts by chance to 0."""
    monkeypatch.setattr(losses, "CHANCE_SHARE", 0.0)


@pytest.mark.usefixtures("no_chance")
def test_loss_by_hand() -> None:
    """Cosines 1, 0 and 0, temperature 0.5, acts 3/4 and 1/4 on the first two, and equal looks."""
    loss = listwise_softmax(UNIT[:1], UNIT[:3], labels([0.75, 0.25, 0.0]), temperature=0.5)
    total = math.exp(2) + 2
    assert loss.tolist() == [pytest.approx(-0.75 * math.log(math.exp(2) / total) - 0.25 * math.log(1 / total))]


@pytest.mark.usefixtures("no_chance")
def test_looks_multiply_the_chance_of_an_act() -> None:
    """An item that was looked at three times as often has three times the weight in the softmax."""
    loss = listwise_softmax(UNIT[:1], UNIT[:3], labels([0.0, 1.0, 0.0], looks=[1.0, 3.0, 1.0]), temperature=0.5)
    first, second = (1 + LEAST_LOOKS) * math.exp(2), 3 + LEAST_LOOKS
    assert loss.item() == pytest.approx(-math.log(second / (first + second + 1 + LEAST_LOOKS)))


def test_chance_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a quarter of chance, the probability of an act is 3/4 of the item's share and 1/4 of its share of looks."""
    monkeypatch.setattr(losses, "CHANCE_SHARE", 0.25)
    loss = listwise_softmax(UNIT[:1], UNIT[:3], labels([0.0, 1.0, 0.0]), temperature=0.5)
    assert loss.item() == pytest.approx(-math.log(0.75 / (math.exp(2) + 2) + 0.25 / 3))


def test_an_act_on_an_item_with_a_low_score_is_hardly_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """With chance acts, an act on an item far below the others draws it less than a tenth as strongly."""
    queries = torch.nn.functional.normalize(torch.tensor([[1.0, 1.0, 0.0, 0.0]]), dim=1)

    def drawn(share: float) -> float:
        monkeypatch.setattr(losses, "CHANCE_SHARE", share)
        items = UNIT.clone().requires_grad_()
        listwise_softmax(queries, items, labels([0.5, 0.0, 0.5, 0.0]), 0.1).sum().backward()
        assert items.grad is not None
        return -float(items.grad[2] @ queries[0])

    assert drawn(0.2) < 0.1 * drawn(0.0)


@pytest.mark.usefixtures("no_chance")
def test_the_loss_is_lowest_where_scores_are_log_acts_per_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items with the same acts per look end with the same score, at whatever position they were shown."""
    monkeypatch.setattr(losses, "LEAST_LOOKS", 0.0)
    looks, rates = torch.tensor([100.0, 10.0, 1.0, 50.0]), torch.tensor([0.2, 0.2, 0.8, 0.1])
    acts = looks * rates
    scores = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], max_iter=200)

    def closure() -> Tensor:
        optimizer.zero_grad()
        # One query per item axis: the score is the cosine with a unit vector of that length.
        loss = listwise_softmax(scores, UNIT, labels((acts / acts.sum()).tolist(), looks.tolist()), 1.0).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    found = (scores - scores.mean()).exp()[0]
    expected = (rates.log() - rates.log().mean()).exp()
    assert found.tolist() == [pytest.approx(rate, rel=1e-2) for rate in expected.tolist()]


def test_an_item_with_few_looks_is_hardly_pushed_away() -> None:
    """Of two items without an act, the one with many looks sinks, and the one with few stays about where it is."""
    _, looked_at, unseen = pull(listwise_softmax, labels([1.0, 0.0, 0.0], looks=[10.0, 10.0, 0.1]))
    assert looked_at < 0
    assert abs(unseen) < 0.05 * abs(looked_at)


def test_an_item_that_is_left_out_gets_no_gradient() -> None:
    """An item that is not allowed is neither attracted nor repelled."""
    _, second, left_out = pull(listwise_softmax, labels([1.0, 0.0, 0.0], allowed=[True, True, False]))
    assert second != 0
    assert left_out == 0


def test_better_graded_items_pull_harder() -> None:
    """Of two relevant items at the same cosine, the one with more acts is drawn more strongly, by every loss."""
    of = labels_of([0, 1, 2], [{0: known(3.0), 1: known(1.0), 2: known(0.0)}], [set()], [[]])
    for loss in LOSSES.values():
        best, good, bad = pull(loss, of)
        assert best > good > bad


def test_labels_are_shares_of_acts_and_squared_targets() -> None:
    """An item that was not shown for the query gets the mean looks of those that were."""
    own = {5: known(3.0, 4.0, 0.3), 6: known(1.0, 1.0, 0.1), 7: known(0.0, 1.0)}
    made = labels_of([5, 6, 7, 8], [own], [set()], [[]])
    assert made.acts.tolist() == [[0.75, 0.25, 0.0, 0.0]]
    assert made.looks.tolist() == [[4.0, 1.0, 1.0, 2.0]]
    assert made.targets.tolist() == [[pytest.approx(0.9), pytest.approx(0.1), 0.0, 0.0]]
    assert made.allowed.tolist() == [[True, True, True, True]]


def test_a_near_equal_querys_items_are_never_negatives() -> None:
    """Item 8, shown only for a near-equal query, is left out, and so is item 7, which was acted on there."""
    near = {7: known(2.0), 8: known(0.0), 6: known(0.0)}
    own = {5: known(1.0), 6: known(0.0), 7: known(0.0)}
    made = labels_of([5, 6, 7, 8, 9], [own], [set()], [[near]])
    assert made.acts.tolist() == [[1.0, 0.0, 0.0, 0.0, 0.0]]
    assert made.allowed.tolist() == [[True, True, False, False, True]]


@pytest.mark.parametrize("acts", [0.0, 0.5, 3.0])
def test_own_acts_win_over_a_near_equal_querys(acts: float) -> None:
    """An item with acts for the query stays a positive, whatever acts it has for a near-equal query."""
    made = labels_of([5, 6], [{5: known(1.0), 6: known(0.0)}], [set()], [[{5: known(acts)}]])
    assert made.acts.tolist() == [[1.0, 0.0]]
    assert made.allowed.tolist() == [[True, True]]


def test_an_item_that_was_probably_not_examined_is_no_negative() -> None:
    """Of two items without an act, the unknown one is left out, and the other stays a negative."""
    made = labels_of([5, 6, 7], [{5: known(1.0), 6: known(0.0), 7: known(0.0)}], [{7}], [[]])
    assert made.acts.tolist() == [[1.0, 0.0, 0.0]]
    assert made.allowed.tolist() == [[True, True, False]]


def test_base_shares_are_of_allowed_items() -> None:
    """The softmax is over the two allowed items; the third gets 0."""
    shares = base_shares(torch.tensor([[0.5, 0.0, 0.9]]), torch.tensor([[True, True, False]]), 0.5)
    base = math.e / (math.e + 1)
    assert shares.tolist() == [[pytest.approx(base), pytest.approx(1 - base), 0.0]]


def test_contrastive_loss_by_hand() -> None:
    """Cosines 1, 0, 0, 0 and temperature 0.5: each of two positives is compared with the one allowed negative."""
    of = labels([0.75, 0.25, 0.0, 0.0], allowed=[True, True, True, False])
    loss = graded_contrastive(UNIT[:1], UNIT, of, temperature=0.5)
    assert loss.item() == pytest.approx(-0.75 * math.log(math.exp(2) / (math.exp(2) + 1)) - 0.25 * math.log(0.5))


def test_contrastive_positives_do_not_compete() -> None:
    """A positive with a tiny share is not pushed away by the other one, as it is in the listwise loss."""
    of = labels([1.0, 1e-9, 0.0, 0.0], allowed=[True, True, True, False])
    first, second, negative, left_out = pull(graded_contrastive, of, 0.1)
    assert first > 0 > negative
    assert second == pytest.approx(0, abs=1e-6)
    assert left_out == 0
    assert pull(listwise_softmax, of, 0.1)[1] < -0.1


def test_contrastive_without_negatives_is_no_loss() -> None:
    """A query whose items are all relevant has loss 0 and gradient 0."""
    items = UNIT[:2].clone().requires_grad_()
    loss = graded_contrastive(UNIT[:1], items, labels([0.5, 0.5]), 0.1).sum()
    loss.backward()
    assert loss.item() == 0
    assert items.grad is not None
    assert items.grad.tolist() == torch.zeros(2, 4).tolist()


def test_the_contract_knows_every_loss() -> None:
    """The settings accept exactly the losses that exist."""
    assert tuple(LOSSES) == CHOICES["loss"]
