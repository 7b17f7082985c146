import math

import pytest
import torch

from clickstream.training.losses import listwise_softmax, targets_and_allowed, with_base_shares

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
    targets, allowed = targets_and_allowed([0, 1, 2], [{0: 3.0, 1: 1.0, 2: 0.0}], [[]])
    listwise_softmax(queries, items, targets, allowed, 1.0).backward()
    assert items.grad is not None
    pull = -(items.grad @ queries[0])
    assert pull[0] > pull[1] > pull[2]


def test_targets_are_shares_of_the_grades() -> None:
    """Shown for the query: by squared grade. Not shown for it: a negative."""
    targets, allowed = targets_and_allowed([5, 6, 7, 8], [{5: 3.0, 6: 1.0, 7: 0.0}], [[]])
    assert targets.tolist() == [[pytest.approx(0.9), pytest.approx(0.1), 0.0, 0.0]]
    assert allowed.tolist() == [[True, True, True, True]]


def test_a_near_equal_querys_items_are_never_negatives() -> None:
    """Item 8 was shown for a near-equal query only: left out. Item 7 is graded there: no negative here."""
    near = {7: 2.0, 8: 0.0, 6: 0.0}
    targets, allowed = targets_and_allowed([5, 6, 7, 8, 9], [{5: 1.0, 6: 0.0, 7: 0.0}], [[near]])
    assert targets.tolist() == [[1.0, 0.0, 0.0, 0.0, 0.0]]
    assert allowed.tolist() == [[True, True, False, False, True]]


def test_own_grades_win_over_a_near_equal_querys_zero() -> None:
    """What the query itself has grades for stays a positive."""
    targets, allowed = targets_and_allowed([5], [{5: 1.0}], [[{5: 0.0}]])
    assert targets.tolist() == [[1.0]]
    assert allowed.tolist() == [[True]]


def test_base_shares_are_mixed_in_where_allowed() -> None:
    """Weight 0.25 on the base model's softmax over what is allowed; rows still sum to 1."""
    allowed = torch.tensor([[True, True, False]])
    mixed = with_base_shares(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.5, 0.0, 0.9]]), allowed, 0.5, 0.25)
    base = math.e / (math.e + 1)
    assert mixed.tolist() == [[pytest.approx(0.25 * base), pytest.approx(0.75 + 0.25 * (1 - base)), 0.0]]
