"""Figures as they are answered: counts, rates and what they cover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Rate:
    """A share, by its two counts; the denominator is 1 or more."""

    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class EventFigures:
    """The events of one type: on shown objects, on others, and the clickable searches with one on a shown object."""

    type: str
    count: int
    unshown_count: int
    searches_with: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of a group of searches. The contract's `Figures` explains each; None is "absent"."""

    searches: int = 0
    clickable_searches: int = 0
    irrelevant_searches: int = 0
    typing_searches: int = 0
    robot_searches: int = 0
    users: int | None = None
    showings: int = 0
    events: Sequence[EventFigures] = ()
    clickable_clicks: int = 0
    clickable_showings: int = 0
    no_results_searches: int | None = None
    click_place_sum: int = 0
    click_places: Sequence[int] = ()
    median_first_click_seconds: float | None = None
    p90_first_click_seconds: float | None = None
    abandoned: Rate | None = None
    refinement: Rate | None = None

    def rates(self) -> dict[str, tuple[int, int]]:
        """Every rate that is not absent: its name in the contract → numerator and denominator."""
        clickable, clicked = self.clickable_searches, self.searches_with("click")
        found = {
            "click_through_rate": (clicked, clickable),
            "clicks_per_showing": (self.clickable_clicks, self.clickable_showings),
            "add_to_cart_rate": (self.searches_with("add_to_cart"), clickable),
            "purchase_rate": (self.searches_with("purchase"), clickable),
            "no_click_rate": (clickable - clicked, clickable),
        }
        if self.no_results_searches is not None:
            found["no_results_rate"] = self.no_results_searches, self.searches
        for name, rate in (("abandoned_rate", self.abandoned), ("refinement_rate", self.refinement)):
            if rate is not None:
                found[name] = rate.numerator, rate.denominator
        for each in self.events:
            found[f"event_rate.{each.type}"] = each.searches_with, clickable
        return {name: counts for name, counts in found.items() if counts[1]}

    def searches_with(self, event_type: str) -> int:
        """The number of clickable searches with an event of this type on a shown object."""
        return sum(each.searches_with for each in self.events if each.type == event_type)


@dataclass(frozen=True, slots=True)
class FiguresRow:
    """The figures of a part of time and of a value of the dimension."""

    start: datetime
    end: datetime
    value: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an answer covers; without a window, `start` and `end` are None."""

    start: datetime | None
    end: datetime | None
    time_zone: str
    exact_until: datetime | None
    from_sessions: bool
    importance_policy_version: str
    robot_verdict_number: int = 0


@dataclass(frozen=True, slots=True)
class FiguresAnswer:
    """The figures of a window, in rows and all together."""

    rows: Sequence[FiguresRow]
    total: Figures
    value_count: int
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class TopRow:
    """A query or item with its figures and, where a list compares, its searches in the window before."""

    value: str
    figures: Figures
    searches_before: int | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """The second rate minus the first, with its interval where both rates have one."""

    name: str
    difference: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides and what differs."""

    first: Figures
    second: Figures
    differences: Sequence[Difference]
    warnings: Sequence[str]
    outlier_searches: tuple[int, int]
    coverages: tuple[Coverage, Coverage]


@dataclass(frozen=True, slots=True)
class Population:
    """Which searches count."""

    include_irrelevant: bool = False
    collapse_typing: bool = False
    include_robots: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What figures are about: dimension → values that are kept, and which searches count."""

    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    population: Population = Population()
