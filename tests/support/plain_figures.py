"""Figures counted in plain Python, search by search: what the roll-ups must answer. Shares no code with them."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from embedding_studio.clickstream.v1 import session_pb2

BANDS = {1: (1, 1), 2: (2, 2), 3: (3, 4), 5: (5, 8), 9: (9, 16), 17: (17, 20), 21: (21, 10**9)}


@dataclass
class PlainSearch:
    """A session as it is stored, with its events; times to the millisecond."""

    session: session_pb2.Session
    batch: int
    number: int
    events: list[session_pb2.Event] = field(default_factory=list)
    irrelevant: bool = False
    query: str = ""
    robot: bool = False

    @property
    def at(self) -> datetime:
        return milliseconds(self.session.created_at)

    @property
    def places(self) -> dict[str, int]:
        """The 1-based place of each shown object."""
        results = self.session.results
        return {
            each.object_id: (each.position if each.HasField("position") else index) + 1
            for index, each in enumerate(results)
        }

    @property
    def clickable(self) -> bool:
        return len(self.session.results) > 0 and not self.session.payload_search

    def value(self, path: str) -> str:
        """The text at a dotted path of the context; "" if there is none."""
        return text_at(self.session.context, path)


def text_at(struct: Any, path: str) -> str:
    """The text at a dotted path; "" if there is none."""
    value: Any = struct
    for name in path.split("."):
        if not hasattr(value, "fields") or name not in value.fields:
            return ""
        value = value.fields[name]
        value = value.struct_value if value.HasField("struct_value") else value
    return str(value.string_value) if value.HasField("string_value") else ""


def milliseconds(stamp: Any) -> datetime:
    """A timestamp, cut to milliseconds."""
    return datetime.fromtimestamp(stamp.seconds, UTC) + timedelta(milliseconds=stamp.nanos // 10**6)


def acts(search: PlainSearch, aliases: Mapping[str, str]) -> dict[tuple[str, str], list[datetime]]:
    """(type, object) → the times of its acts: an event within 30 s of the one before is the same act."""
    times = defaultdict(list)
    for event in search.events:
        times[aliases.get(event.type, event.type), event.object_id].append(milliseconds(event.created_at))
    kept = {}
    for key, moments in times.items():
        moments.sort()
        kept[key] = [
            moment
            for index, moment in enumerate(moments)
            if index == 0 or moment - moments[index - 1] > timedelta(seconds=30)
        ]
    return kept


def followers(searches: Iterable[PlainSearch]) -> dict[int, PlainSearch]:
    """Id of a search → the same user's next search of the same UTC day; of relevant searches of known users."""
    days = defaultdict(list)
    for search in searches:
        if search.session.user_id and not search.irrelevant:
            days[search.session.user_id, search.at.date()].append(search)
    following = {}
    for of_day in days.values():
        of_day.sort(key=lambda each: (each.at, each.batch, each.number))
        following.update({id(each): after for each, after in itertools.pairwise(of_day)})
    return following


def is_typing(search: PlainSearch, after: PlainSearch | None) -> bool:
    """Whether the query was still being typed."""
    if after is None or search.events or not search.query or after.at - search.at > timedelta(seconds=30):
        return False
    return after.query.startswith(search.query) and after.query != search.query


@dataclass
class Tally:
    """What is counted, search by search."""

    grades: Mapping[str, float]
    aliases: Mapping[str, str]
    found: dict[str, Any] = field(default_factory=lambda: defaultdict(int))
    counted: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    unshown: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    searches_with: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    rates: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    users: set[str] = field(default_factory=set)
    bands: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    first_clicks: list[float] = field(default_factory=list)

    def add(self, search: PlainSearch, after: PlainSearch | None) -> None:
        """Counts a search."""
        self.found["searches"] += 1
        self.found["clickable_searches"] += search.clickable
        self.found["showings"] += len(search.session.results)
        self.rates["no_results_rate"][0] += not search.session.results
        self.rates["no_results_rate"][1] += 1
        seen = self._add_acts(search)
        refined = after is not None and after.at - search.at <= timedelta(minutes=5)
        if search.session.user_id:
            self.users.add(search.session.user_id)
            self.rates["refinement_rate"][0] += refined
            self.rates["refinement_rate"][1] += 1
        if search.clickable:
            self._add_clickable(search, seen, refined)

    def _add_acts(self, search: PlainSearch) -> set[str]:
        seen = set()
        for (kind, object_id), moments in acts(search, self.aliases).items():
            place = search.places.get(object_id)
            if place is None:
                self.unshown[kind] += len(moments)
                continue
            self.counted[kind] += len(moments)
            seen.add(kind)
            if kind == "click" and search.clickable:
                self.found["click_place_sum"] += place * len(moments)
                self.rates["clicks_per_showing"][0] += len(moments)
                for start, (first, last) in BANDS.items():
                    self.bands[start] += len(moments) * (first <= place <= last)
        return seen

    def _add_clickable(self, search: PlainSearch, seen: set[str], refined: bool) -> None:
        self.rates["clicks_per_showing"][1] += len(search.session.results)
        for kind in seen:
            self.searches_with[kind] += 1
        if search.session.user_id:
            graded = any(self.grades.get(kind, 0) > 0 for kind in seen)
            self.rates["abandoned_rate"][0] += not refined and not graded
            self.rates["abandoned_rate"][1] += 1
        clicks = [
            moments[0]
            for (kind, object_id), moments in acts(search, self.aliases).items()
            if kind == "click" and object_id in search.places
        ]
        if clicks:
            self.first_clicks.append(max(0.0, (min(clicks) - search.at) / timedelta(seconds=1)))


def plain_figures(
    searches: list[PlainSearch],
    chosen: Callable[[PlainSearch], bool],
    grades: Mapping[str, float],
    aliases: Mapping[str, str],
    *,
    include_irrelevant: bool = False,
    include_robots: bool = False,
    collapse_typing: bool = False,
    whole_days: bool = True,
) -> dict[str, Any]:
    """The figures of the chosen searches, as the contract's names, with rates as (numerator, denominator)."""
    following = followers(searches)
    tally = Tally(grades, aliases)
    beside: dict[str, int] = defaultdict(int)
    for search in filter(chosen, searches):
        after = following.get(id(search))
        typing = is_typing(search, after)
        beside["irrelevant_searches"] += search.irrelevant
        beside["robot_searches"] += search.robot and not search.irrelevant
        beside["typing_searches"] += typing and not search.robot
        left_out = (search.irrelevant and not include_irrelevant) or (search.robot and not include_robots)
        if not left_out and not (typing and collapse_typing):
            tally.add(search, after)
    clickable, rates = tally.found["clickable_searches"], tally.rates
    kinds = {"click_through_rate": "click", "add_to_cart_rate": "add_to_cart", "purchase_rate": "purchase"}
    for name, kind in kinds.items():
        rates[name] = [tally.searches_with[kind], clickable]
    rates["no_click_rate"] = [clickable - tally.searches_with["click"], clickable]
    if not whole_days:
        rates.pop("refinement_rate", None)
        rates.pop("abandoned_rate", None)
    return {
        **{name: tally.found[name] for name in ("searches", "clickable_searches", "showings", "click_place_sum")},
        **{name: beside[name] for name in ("irrelevant_searches", "robot_searches", "typing_searches")},
        "users": len(tally.users) if whole_days else None,
        "events": {
            kind: (tally.counted[kind], tally.unshown[kind], tally.searches_with[kind])
            for kind in {*tally.counted, *tally.unshown}
        },
        "rates": {name: tuple(counts) for name, counts in rates.items() if counts[1]},
        "click_places": [tally.bands[start] for start in BANDS],
        "median_first_click_seconds": quantile(tally.first_clicks, 0.5),
        "p90_first_click_seconds": quantile(tally.first_clicks, 0.9),
    }


def quantile(values: list[float], share: float) -> float | None:
    """The quantile by linear interpolation; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
