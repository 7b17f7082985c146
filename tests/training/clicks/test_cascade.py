"""The cascade among the click models."""

from clickstream.training.clicks.cascade import SimplifiedDbn
from clickstream.training.clicks.click_log import ClickLog, Session, Showing


def test_below_the_last_act_nothing_is_held_against_an_item() -> None:
    """The cascade: of two items that nobody acted on, the one that was passed is the worse."""
    log = ClickLog()
    for _ in range(10):
        log.add(Session("q", [Showing(1, 0, 0.0), Showing(2, 1, 1.0), Showing(3, 2, 0.0)]))
    model = SimplifiedDbn(log)
    assert model.predict(Session("q", [Showing(3, 0, 0.0)])) > model.predict(Session("q", [Showing(1, 0, 0.0)]))
    grades = model.grades()["q"]
    assert grades[1].looks > grades[3].looks
    assert grades[2].target > grades[1].target == grades[3].target == 0


def test_a_cascade_expects_nothing_more_from_the_satisfied() -> None:
    """Who acted and was satisfied every time looks no further; who did not act goes on."""
    log = ClickLog()
    for number in range(200):
        log.add(Session("q", [Showing(1, 0, float(number % 2)), Showing(2, 1, float(1 - number % 2))]))
    model = SimplifiedDbn(log)
    satisfied = model.predict(Session("q", [Showing(1, 0, 1.0), Showing(2, 1, 0.0)]))[1]
    unsatisfied = model.predict(Session("q", [Showing(1, 0, 0.0), Showing(2, 1, 0.0)]))[1]
    assert satisfied < 0.05 < 0.9 < unsatisfied


def test_what_was_chosen_is_never_worth_nothing() -> None:
    """An item that was acted on every time, and never last, is no negative: it keeps acts and a target."""
    log = ClickLog()
    for _ in range(50):
        log.add(Session("q", [Showing(1, 0, 1.0), Showing(2, 1, 1.0), Showing(3, 2, 0.0)]))
    grades = SimplifiedDbn(log).grades()["q"]
    assert 0 < grades[1].target < grades[2].target
    assert grades[1].acts > 0
