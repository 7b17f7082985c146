"""The cascade: it labels items down to the last act of a session, and expects no act after a satisfying one."""

from clickstream.training.clicks.cascade import SimplifiedDbn
from clickstream.training.clicks.click_log import ClickLog, LoggedSession, Showing


def test_an_item_below_the_last_act_is_not_counted_as_turned_down() -> None:
    """Of two items without an act, the one above the last act is the worse."""
    log = ClickLog()
    for _ in range(10):
        log.add(LoggedSession("q", [Showing(1, 0, 0.0), Showing(2, 1, 1.0), Showing(3, 2, 0.0)]))
    model = SimplifiedDbn(log)
    assert model.predict(LoggedSession("q", [Showing(3, 0, 0.0)])) > model.predict(
        LoggedSession("q", [Showing(1, 0, 0.0)])
    )
    labels = model.labels()["q"]
    assert labels[1].looks > labels[3].looks
    assert labels[2].target > labels[1].target == labels[3].target == 0


def test_a_cascade_expects_no_act_after_a_satisfying_one() -> None:
    """An act on an item that always satisfied ends the search; without an act people look further down."""
    log = ClickLog()
    for number in range(200):
        log.add(LoggedSession("q", [Showing(1, 0, float(number % 2)), Showing(2, 1, float(1 - number % 2))]))
    model = SimplifiedDbn(log)
    satisfied = model.predict(LoggedSession("q", [Showing(1, 0, 1.0), Showing(2, 1, 0.0)]))[1]
    unsatisfied = model.predict(LoggedSession("q", [Showing(1, 0, 0.0), Showing(2, 1, 0.0)]))[1]
    assert satisfied < 0.05 < 0.9 < unsatisfied


def test_an_item_with_acts_is_never_a_negative() -> None:
    """An item that was acted on every time, but never last, keeps acts and a target above 0."""
    log = ClickLog()
    for _ in range(50):
        log.add(LoggedSession("q", [Showing(1, 0, 1.0), Showing(2, 1, 1.0), Showing(3, 2, 0.0)]))
    labels = SimplifiedDbn(log).labels()["q"]
    assert 0 < labels[1].target < labels[2].target
    assert labels[1].acts > 0
