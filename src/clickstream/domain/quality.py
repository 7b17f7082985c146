"""Checks of data quality: what they measure, their marks, and the steps that data take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from clickstream.domain.figures import Coverage, Rate
from clickstream.domain.intervals import wilson


class Mark(StrEnum):
    """How bad a check is; UNSPECIFIED: there was nothing to measure; SHOWN: the check has no mark."""

    UNSPECIFIED = "unspecified"
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SHOWN = "shown"


@dataclass(frozen=True, slots=True)
class Check:
    """A check: the counts that it divides, and its marks. docs/quality.md says where each mark is from.

    A value beyond a mark is bad: above it or, if `low_is_bad`, below it. `rate` names the counts of the numerator and
    the denominator; a check without one measures a value.
    """

    id: str
    description: str
    advice: str = ""
    rate: tuple[str, str] = ("", "")
    warn: float | None = None
    fail: float | None = None
    low_is_bad: bool = False
    is_approximate: bool = False

    def mark(self, lower: float, upper: float) -> Mark:
        """The mark of a measured interval: beyond a mark only if all of it lies beyond, so that few data do not shout.

        Args:
            lower: The lower end; of a value without an interval the value itself.
            upper: The upper end, likewise.
        """
        if self.warn is None and self.fail is None:
            return Mark.SHOWN
        for limit, mark in ((self.fail, Mark.FAIL), (self.warn, Mark.WARN)):
            if limit is not None and (upper < limit if self.low_is_bad else lower > limit):
                return mark
        return Mark.OK


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """A check with what it measured: a rate or a value, or neither if there was nothing to measure."""

    check: Check
    mark: Mark
    rate: Rate | None = None
    value: float | None = None
    example_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class QualityStep:
    """A step, whether it is reached, and what it lacks, in sentences."""

    name: str
    is_reached: bool
    missing: Sequence[str]


@dataclass(frozen=True, slots=True)
class QualityGroup:
    """The checks of one day, batch or client."""

    value: str
    searches: int
    checks: Sequence[QualityCheck]


@dataclass(frozen=True, slots=True)
class Refused:
    """How many requests and events of one client were refused for one reason."""

    reason: str
    client: str
    count: int


@dataclass(frozen=True, slots=True)
class Quality:
    """The checks of all data together and by group, and what they mean."""

    checks: Sequence[QualityCheck]
    steps: Sequence[QualityStep]
    groups: Sequence[QualityGroup]
    unnamed_types: Sequence[tuple[str, int]]
    refusals: Sequence[Refused]
    coverage: Coverage


# Distinct queries with a click below which a batch teaches too little.
TRAINABLE_QUERIES = 50
# The SD of the difference in nDCG@10 of a query where no run has measured it.
DEFAULT_SD = 0.35
# Of a difference between two means that is shown with 80 % power at 5 %: 1.96 + 0.84.
POWER = 2.8


def measured(check: Check, counts: Mapping[str, int], example_ids: Sequence[str] = ()) -> QualityCheck:
    """A check of a rate, measured from counts; a count that is absent is 0."""
    numerator, denominator = (counts.get(name, 0) for name in check.rate)
    if not denominator:
        return QualityCheck(check, Mark.UNSPECIFIED)
    return QualityCheck(
        check, check.mark(*wilson(numerator, denominator)), Rate(numerator, denominator), None, example_ids
    )


def valued(check: Check, value: float | None) -> QualityCheck:
    """A check of a value; None: there is nothing to measure."""
    return QualityCheck(check, Mark.UNSPECIFIED if value is None else check.mark(value, value), None, value)


def steps(checks: Sequence[QualityCheck], clicked_queries: int) -> list[QualityStep]:
    """The four steps: stored, measurable, trainable and judgeable. A step is reached only if those before it are.

    Args:
        checks: Every check.
        clicked_queries: The number of distinct queries with a click.
    """
    of = {each.check.id: each for each in checks}

    def failing(*names: str, marks: Sequence[Mark] = (Mark.FAIL,)) -> list[str]:
        found = [of[name] for name in names if name in of and of[name].mark in marks]
        return [f"{each.check.id}: {each.check.advice}" for each in found]

    searches = of["searches_without_user"].rate
    stored = [] if searches else ["there is no search"]
    measurable = failing("unshown_events", "searches_with_click", "early_events", "unnamed_types", "robots")
    measurable += failing("users_per_type", marks=(Mark.FAIL, Mark.WARN))
    trainable = failing("items_without_text", "purchases_alone")
    trainable += failing("swapped_pairs", marks=(Mark.FAIL, Mark.WARN))
    if clicked_queries < TRAINABLE_QUERIES:
        trainable.append(f"{clicked_queries} distinct queries have a click; {TRAINABLE_QUERIES} are needed")
    judgeable = failing("smallest_gain", marks=(Mark.FAIL, Mark.WARN))
    if of["smallest_gain"].value is None:
        judgeable.append("no held-out query has a click")
    found, reached = [], True
    for name, missing in (
        ("stored", stored + failing("conflicts", "refused_times")),
        ("measurable", measurable),
        ("trainable", trainable),
        ("judgeable", judgeable),
    ):
        reached = reached and not missing
        found.append(QualityStep(name, reached, missing))
    return found
