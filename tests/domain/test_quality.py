"""Marks of checks, and the steps that data take."""

import pytest

from clickstream.domain.figures import Rate
from clickstream.domain.quality import Check, Mark, QualityCheck, measured, steps, valued
from clickstream.domain.quality_checks import OF_SEARCHES, SMALLEST_GAIN

HIGH = Check("high", "of all", rate=("bad", "all"), warn=0.1, fail=0.3)
LOW = Check("low", "of all", rate=("good", "all"), warn=0.5, fail=0.2, low_is_bad=True)


@pytest.mark.parametrize(
    ("check", "interval", "mark"),
    [
        (HIGH, (0.0, 0.09), Mark.OK),
        (HIGH, (0.09, 0.9), Mark.OK),
        (HIGH, (0.11, 0.9), Mark.WARN),
        (HIGH, (0.31, 0.32), Mark.FAIL),
        (LOW, (0.6, 0.9), Mark.OK),
        (LOW, (0.1, 0.51), Mark.OK),
        (LOW, (0.1, 0.49), Mark.WARN),
        (LOW, (0.1, 0.19), Mark.FAIL),
        (Check("shown", "of all"), (0.0, 1.0), Mark.SHOWN),
    ],
)
def test_a_mark_is_given_only_if_the_whole_interval_lies_beyond(
    check: Check, interval: tuple[float, float], mark: Mark
) -> None:
    """The end that is nearer to the good side decides, so that few data do not shout."""
    assert check.mark(*interval) is mark


def test_few_data_do_not_shout() -> None:
    """2 of 3 may be chance; 200 of 300 are not."""
    assert measured(HIGH, {"bad": 1, "all": 3}).mark is Mark.OK
    found = measured(HIGH, {"bad": 200, "all": 300})
    assert (found.mark, found.rate) == (Mark.FAIL, Rate(200, 300))
    assert measured(HIGH, {"bad": 0}).mark is Mark.UNSPECIFIED
    assert valued(SMALLEST_GAIN, None).mark is Mark.UNSPECIFIED


def checks(**bad: Mark) -> list[QualityCheck]:
    """All checks in order but these."""
    found = [QualityCheck(each, bad.get(each.id, Mark.OK), Rate(1, 100)) for each in OF_SEARCHES]
    return [*found, QualityCheck(SMALLEST_GAIN, bad.get("smallest_gain", Mark.OK), value=0.05)]


def test_a_step_needs_those_before_it() -> None:
    """Good data reach every step; what fails is named at its own step, and later steps are not reached either."""
    assert [each.is_reached for each in steps(checks(), 60)] == [True] * 4
    found = steps(checks(items_without_text=Mark.FAIL), 60)
    assert [each.is_reached for each in found] == [True, True, False, False]
    assert [len(each.missing) for each in found] == [0, 0, 1, 0]
    assert found[2].missing[0].startswith("items_without_text: ")
    assert [each.is_reached for each in steps(checks(items_without_text=Mark.WARN), 60)] == [True] * 4
    assert steps(checks(), 49)[2].missing == ["49 distinct queries have a click; 50 are needed"]
    assert not steps(checks(smallest_gain=Mark.WARN), 60)[3].is_reached
