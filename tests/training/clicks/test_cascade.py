"""The cascade: it labels items down to the last act of a session, and expects no act after a satisfying one."""

from support.simulated_log import LoggedSession, Showing, counted, labels_of, lists_of

from clickstream.training.clicks.cascade import SimplifiedDbn


def test_an_item_below_the_last_act_is_not_counted_as_turned_down() -> None:
    """Of two items without an act, the one above the last act is the worse."""
    log = counted([LoggedSession(0, [Showing(1, 0, 0.0), Showing(2, 1, 1.0), Showing(3, 2, 0.0)])] * 10)
    model = SimplifiedDbn(log)
    below, above = (LoggedSession(0, [Showing(item, 0, 0.0)]) for item in (3, 1))
    assert model.predict(lists_of(log, below)) > model.predict(lists_of(log, above))
    labels = labels_of(log, model)[0]
    assert labels[1].looks > labels[3].looks
    assert labels[2].target > labels[1].target == labels[3].target == 0


def test_a_cascade_expects_no_act_after_a_satisfying_one() -> None:
    """An act on an item that always satisfied ends the search; without an act people look further down."""
    log = counted(
        [
            LoggedSession(0, [Showing(1, 0, float(number % 2)), Showing(2, 1, float(1 - number % 2))])
            for number in range(200)
        ]
    )
    first, none = (LoggedSession(0, [Showing(1, 0, grade), Showing(2, 1, 0.0)]) for grade in (1.0, 0.0))
    satisfied, unsatisfied = SimplifiedDbn(log).predict(lists_of(log, first, none))[:, 1]
    assert satisfied < 0.05 < 0.9 < unsatisfied


def test_an_item_with_acts_is_never_a_negative() -> None:
    """An item that was acted on every time, but never last, keeps acts and a target above 0."""
    log = counted([LoggedSession(0, [Showing(1, 0, 1.0), Showing(2, 1, 1.0), Showing(3, 2, 0.0)])] * 50)
    labels = labels_of(log, SimplifiedDbn(log))[0]
    assert 0 < labels[1].target < labels[2].target
    assert labels[1].acts > 0
