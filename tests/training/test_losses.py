import math
from collections.abc import Callable

import pytest
import torch

from clickstream.servicers import training_wire
from clickstream.training.losses import LOSSES, base_shares, graded_contrastive, listwise_softmax, targets_and_allowed

UNIT = torch.eye(4)


def test_loss_by_hand() -> None:
    """One query, cosines 1 and 0 and 0, temperature 0.5, targets 3/4 and 1/4 on the first two."""
    loss = listwise_softmax(
        UNIT[:1], UNIT[:3], torch.tensor([[0.75, 0.25, 0.0]]), torch.ones(1, 3, dtype=torch.bool), temperature=0.5
    )
    total = math.exp(2) + 2
    assert loss.item() == pytest.approx(-0.75 * math.log(math.exp(2) / total) - 0.25 * math.log(1 / total), rel=1e-5)


def test_an_item_that_is_left_out_gets_no_gradient() -> None:
    """What is not allowed neither attracts nor repels."""
    items = UNIT[:3].clone().requires_grad_()
    queries = torch.nn.functional.normalize(torch.ones(1, 4), dim=1)
    loss = listwise_softmax(queries, items, torch.tensor([[1.0, 0, 0]]), torch.tensor([[True, True, False]]), 0.1)
    loss.backward()
    assert items.grad is not None
    assert items.grad[1].abs().sum() > 0
    assert items.grad[2].abs().sum() == 0


def test_better_graded_items_pull_harder() -> None:
    """Graded: of two relevant items at the same cosine, the better one is drawn nearer."""
    queries = torch.nn.functional.normalize(torch.ones(1, 4), dim=1)
    items = UNIT[:3].clone().requires_grad_()
    targets, allowed = targets_and_allowed([0, 1, 2], [{0: 3.0, 1: 1.0, 2: 0.0}], [set()], [[]])
    listwise_softmax(queries, items, targets, allowed, 1.0).backward()
    assert items.grad is not None
    pull = -(items.grad @ queries[0])
    assert pull[0] > pull[1] > pull[2]


def test_targets_are_shares_of_the_grades() -> None:
    """Shown for the query: by squared grade. Not shown for it: a negative."""
    targets, allowed = targets_and_allowed([5, 6, 7, 8], [{5: 3.0, 6: 1.0, 7: 0.0}], [set()], [[]])
    assert targets.tolist() == [[pytest.approx(0.9), pytest.approx(0.1), 0.0, 0.0]]
    assert allowed.tolist() == [[True, True, True, True]]


def test_a_near_equal_querys_items_are_never_negatives() -> None:
    """Item 8 was shown for a near-equal query only: left out. Item 7 is graded there: no negative here."""
    near = {7: 2.0, 8: 0.0, 6: 0.0}
    targets, allowed = targets_and_allowed([5, 6, 7, 8, 9], [{5: 1.0, 6: 0.0, 7: 0.0}], [set()], [[near]])
    assert targets.tolist() == [[1.0, 0.0, 0.0, 0.0, 0.0]]
    assert allowed.tolist() == [[True, True, False, False, True]]


def test_own_grades_win_over_a_near_equal_querys_zero() -> None:
    """What the query itself has grades for stays a positive."""
    targets, allowed = targets_and_allowed([5], [{5: 1.0}], [set()], [[{5: 0.0}]])
    assert targets.tolist() == [[1.0]]
    assert allowed.tolist() == [[True]]


def test_what_was_probably_not_examined_is_no_negative() -> None:
    """Items 6 and 7 have no grade; 7 was shown where nobody looks: it is left out, 6 stays a negative."""
    targets, allowed = targets_and_allowed([5, 6, 7], [{5: 1.0, 6: 0.0, 7: 0.0}], [{7}], [[]])
    assert targets.tolist() == [[1.0, 0.0, 0.0]]
    assert allowed.tolist() == [[True, True, False]]


def test_base_shares_are_of_what_is_allowed() -> None:
    """The base model's softmax over two allowed items; the third has none of it."""
    shares = base_shares(torch.tensor([[0.5, 0.0, 0.9]]), torch.tensor([[True, True, False]]), 0.5)
    base = math.e / (math.e + 1)
    assert shares.tolist() == [[pytest.approx(base), pytest.approx(1 - base), 0.0]]


def test_contrastive_loss_by_hand() -> None:
    """Cosines 1, 0, 0, 0, temperature 0.5: each of two positives against the one allowed negative alone."""
    targets, allowed = torch.tensor([[0.75, 0.25, 0.0, 0.0]]), torch.tensor([[True, True, True, False]])
    loss = graded_contrastive(UNIT[:1], UNIT, targets, allowed, temperature=0.5)
    assert loss.item() == pytest.approx(-0.75 * math.log(math.exp(2) / (math.exp(2) + 1)) - 0.25 * math.log(0.5))


def test_contrastive_positives_do_not_compete() -> None:
    """Raising one positive's score leaves the other's term as it is; in the listwise loss it costs it."""
    allowed = torch.tensor([[True, True, True, False]])
    targets = torch.tensor([[1.0, 1e-9, 0.0, 0.0]])
    queries = torch.nn.functional.normalize(torch.tensor([[1.0, 0.9, 0.5, 0.1]]), dim=1)

    def pull(loss: Callable[..., torch.Tensor]) -> list[float]:
        items = UNIT.clone().requires_grad_()
        loss(queries, items, targets, allowed, 0.1).backward()
        assert items.grad is not None
        return [-float(row @ queries[0]) for row in items.grad]

    first, second, negative, left_out = pull(graded_contrastive)
    assert first > 0 > negative
    assert second == pytest.approx(0, abs=1e-6)
    assert left_out == 0
    assert pull(listwise_softmax)[1] < -0.1


def test_contrastive_without_negatives_is_no_loss() -> None:
    """A query whose items are all relevant teaches nothing, and its gradient is a number."""
    items = UNIT[:2].clone().requires_grad_()
    loss = graded_contrastive(UNIT[:1], items, torch.tensor([[0.5, 0.5]]), torch.ones(1, 2, dtype=torch.bool), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert items.grad is not None
    assert items.grad.tolist() == torch.zeros(2, 4).tolist()


def test_the_contract_knows_every_loss() -> None:
    """What the settings accept is what there is."""
    assert tuple(LOSSES) == training_wire.CHOICES["loss"]
