"""Collects the rows of a range, session by session: searches, showings, and what quality and robots ask for."""

import itertools
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import crawleruseragents
import polars as pl

from clickstream.analytics import columns
from clickstream.analytics.frame_rules import FrameRules
from clickstream.contract.search_log import LoggedSearch, acted_object, logged_search
from clickstream.conversion.convert import reason_to_skip
from clickstream.dao.interface.analytics import RawEvent
from clickstream.domain.analytics import CLICK_RANGES, CONTEXT, META, user_key
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.query_split import normalised
from clickstream.domain.sessions import StoredSession
from clickstream.domain.training_inputs import ERASED, UNREADABLE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CLICK_STARTS = [first for first, _ in CLICK_RANGES]
_AT = pl.Datetime("ms", "UTC")
_DELAYS = ("stored_events", "events_early", "events_1h", "events_24h")
_QUALITY = ("purchases", "purchases_alone", "texts", "texts_empty", "texts_word")
# What the counts by reason and by UTC day in `totals` begin with.
SKIP, DAY = "skip_", "day_"
# The rule `clicked_all` of robot policies: this many results, and this share of them.
CLICKED_ALL_RESULTS, CLICKED_ALL_SHARE = 10, 0.9


@dataclass(frozen=True, slots=True)
class RangeFrames:
    """The frames of a range, the UTC days of its sessions, and its counts.

    `totals` has the stored `events`, the `showings`, the sessions that give a training input as `converts` and those
    that do not as `skip_REASON`, the sessions of every UTC day as `day_DAY`, the time of the first and last session
    as `first_ms` and `last_ms`, and `unreadable_events`; what is 0 may be absent.
    """

    searches: pl.DataFrame
    showings: pl.DataFrame
    days: tuple[int, ...]
    totals: dict[str, int]


# (object, type) → times of the events in milliseconds
Times = dict[tuple[str, str], list[int]]


def distinct_events(times: Sequence[int]) -> int:
    """The number of events that count, of one session, object and type, given their times in milliseconds."""
    if len(times) == 1:
        return 1
    ordered = sorted(times)
    return 1 + sum(later - earlier > columns.SAME_EVENT_MS for earlier, later in itertools.pairwise(ordered))


@lru_cache(maxsize=10_000)
def _is_robot(user_agent: str) -> bool:
    """Whether a declared agent is a robot, by the list that the projects of COUNTER, Matomo and others share."""
    return bool(crawleruseragents.is_crawler(user_agent))


def _clicked_all(objects: Sequence[str], times: Times) -> bool:
    """Whether nearly all of many results were clicked, by the first click of each in list order."""
    needed = CLICKED_ALL_SHARE * len(objects)
    if len(objects) < CLICKED_ALL_RESULTS or len(times) <= needed:
        return False
    moments = [min(found) for each in objects if (found := times.get((each, columns.CLICK)))]
    return len(moments) > needed and all(earlier <= later for earlier, later in itertools.pairwise(moments))


def _purchases(times: Times, shown: Set[str]) -> tuple[int, int]:
    """The shown objects with a purchase, and those of them without a click or cart before or at the same time."""
    purchases = alone = 0
    for (object_id, kind), moments in times.items():
        if kind == columns.PURCHASE and object_id in shown:
            both = (columns.CLICK, columns.ADD_TO_CART)
            before = [moment for other in both for moment in times.get((object_id, other), ())]
            purchases += 1
            alone += not before or min(before) > min(moments)
    return purchases, alone


@dataclass(slots=True)
class RangeMaking:
    """The rows of a range while they are collected: `add` every session in order, then take `frames`."""

    rules: FrameRules
    searches: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    showings: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    # Per search, and per shown result by its row: event type → events.
    shown: list[dict[str, int]] = field(default_factory=list)
    unshown: list[dict[str, int]] = field(default_factory=list)
    of_results: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    # UTC day → its sessions.
    days: Counter[int] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)
    template: ItemTemplate | None = None
    _queries: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rules.item_template:
            self.template = ItemTemplate(self.rules.item_template)

    def add(self, session: StoredSession, events: Iterable[RawEvent]) -> None:
        """Adds a session with its events."""
        if session.erased:
            self.totals[SKIP + ERASED] += 1
            return
        with_texts = self.template is not None and session.number % columns.TEXT_SESSIONS == 1
        try:
            search = logged_search(session, self.rules.segments, with_metas=with_texts)
        except ValueError:
            self.totals[SKIP + UNREADABLE] += 1
            return
        at = (session.created_at - _EPOCH) // _MILLISECOND
        self.days[at // columns.DAY_MS] += 1
        self._add_search(session, search, at)
        times = self._times(events, at)
        self._add_events(search, at, times)
        self._add_quality(search, times)
        self._add_conversion(session, search, times)
        self._add_showings(session.number, search)

    def _times(self, events: Iterable[RawEvent], at: int) -> Times:
        times: Times = {}
        named = self.rules.policy.named
        stored = early = after_hour = after_day = 0
        an_hour_later, a_day_later = at + columns.HOUR_MS, at + columns.DAY_MS
        for event in events:
            stored += 1
            if not at <= event.at_ms <= an_hour_later:  # few are
                early += event.at_ms < at
                after_hour += event.at_ms > an_hour_later
                after_day += event.at_ms > a_day_later
            try:
                key = acted_object(event.payload), named(event.type)
            except ValueError:
                self.totals["unreadable_events"] += 1
                continue
            if key in times:
                times[key].append(event.at_ms)
            else:
                times[key] = [event.at_ms]
        self.totals["events"] += stored
        for name, count in zip(_DELAYS, (stored, early, after_hour, after_day), strict=True):
            self.searches[name].append(count)
        return times

    def _add_search(self, session: StoredSession, search: LoggedSearch, at: int) -> None:
        query = self._queries.get(search.query)
        if query is None:
            query = self._queries[search.query] = normalised(search.query)
        row = self.searches
        row["batch"].append(session.batch)
        row["number"].append(session.number)
        row["at"].append(at)
        row["user"].append(user_key(session.user_id))
        row["irrelevant"].append(session.irrelevant_at is not None)
        row["query"].append(query)
        row["payload"].append(search.payload_search)
        row["client"].append(search.client)
        row["sort"].append(search.sort)
        row["filtered"].append(search.filtered)
        row["shown"].append(len(search.objects))
        for path, value in zip(self.rules.segments.context, search.context, strict=True):
            row[CONTEXT + path].append(value)

    def _add_events(self, search: LoggedSearch, at: int, times: Times) -> None:
        rows = {each: index for index, each in enumerate(search.objects)} if times else {}
        begin = len(self.showings["place"])
        shown: dict[str, int] = {}
        unshown: dict[str, int] = {}
        clicks = [0] * len(_CLICK_STARTS)
        place_sum, first_click = 0, None
        for (object_id, event_type), moments in times.items():
            count = distinct_events(moments)
            index = rows.get(object_id)
            if index is None:
                unshown[event_type] = unshown.get(event_type, 0) + count
                continue
            shown[event_type] = shown.get(event_type, 0) + count
            if event_type in self.rules.policy.grades:
                self.of_results[event_type][begin + index] = count
            if event_type == columns.CLICK:
                place = search.places[index]
                place_sum += count * place
                clicks[bisect_right(_CLICK_STARTS, place) - 1] += count
                delay = max(0, min(moments) - at)
                first_click = delay if first_click is None else min(first_click, delay)
        row = self.searches
        row["first_click_ms"].append(first_click)
        row["click_place_sum"].append(place_sum)
        for start, count in zip(_CLICK_STARTS, clicks, strict=True):
            row[f"{columns.CLICKS}{start}"].append(count)
        grades, default = self.rules.policy.grades, self.rules.policy.default_grade
        row["graded"].append(any(grades.get(each, default) > 0 for each in shown))
        self.shown.append(shown)
        self.unshown.append(unshown)

    def _add_quality(self, search: LoggedSearch, times: Times) -> None:
        """What only the checks of data quality and the rules about robots ask for."""
        row = self.searches
        row["declared_agent"].append(bool(search.user_agent) and _is_robot(search.user_agent))
        row["clicked_all"].append(_clicked_all(search.objects, times))
        purchases, alone = _purchases(times, set(search.objects)) if columns.PURCHASE in self.shown[-1] else (0, 0)
        row["purchases"].append(purchases)
        row["purchases_alone"].append(alone)
        words: list[int] = []
        if self.template and search.metas:
            words = [len(self.template.render(meta).split(maxsplit=2)) for meta in search.metas]
        row["texts"].append(len(words))
        row["texts_empty"].append(words.count(0))
        row["texts_word"].append(words.count(1))

    def _add_conversion(self, session: StoredSession, search: LoggedSearch, times: Times) -> None:
        self.searches["server_time"].append(session.server_time)
        reason = reason_to_skip(
            irrelevant=session.irrelevant_at is not None,
            robot=False,
            payload_search=search.payload_search,
            query=self._queries[search.query],
            texts=set(search.objects) - search.others if search.others else set(search.objects),
            others=search.others,
            acted={object_id for object_id, _ in times},
        )
        self.searches["converts"].append(reason is None)
        self.totals["converts" if reason is None else SKIP + reason] += 1

    def _add_showings(self, number: int, search: LoggedSearch) -> None:
        self.totals["showings"] += len(search.objects)
        row = self.showings
        row["number"].extend([number] * len(search.objects))
        row["place"].extend(search.places)
        row["object"].extend(search.objects)
        for path, values in zip(self.rules.segments.meta, search.meta, strict=True):
            row[META + path].extend(values)

    def frames(self) -> RangeFrames:
        """The frames of everything that was added."""
        searches = pl.DataFrame(self.searches, schema=self._search_schema())
        searches = searches.with_columns(
            ((pl.col("shown") > 0) & ~pl.col("payload")).alias("clickable"),
            *(
                pl.Series(prefix + name, counts, pl.UInt32)
                for prefix, rows in ((columns.EVENTS, self.shown), (columns.UNSHOWN, self.unshown))
                for name, counts in self._by_type(rows)
            ),
        )
        meta = {META + path: pl.String for path in self.rules.segments.meta}
        schema = {"number": pl.UInt32, "place": pl.UInt32, "object": pl.String, **meta}
        showings = pl.DataFrame(self.showings, schema=schema)
        showings = showings.with_columns(
            pl.Series(columns.EVENTS + name, [counts.get(row, 0) for row in range(showings.height)], pl.UInt32)
            for name, counts in sorted(self.of_results.items())
        )
        totals = dict(self.totals) | {f"{DAY}{day}": count for day, count in self.days.items()}
        if moments := self.searches["at"]:
            totals |= {"first_ms": min(moments), "last_ms": max(moments)}
        return RangeFrames(searches, showings, tuple(sorted(self.days)), totals)

    def _search_schema(self) -> dict[str, Any]:
        return {
            "batch": pl.UInt32,
            "number": pl.UInt32,
            "at": _AT,
            "user": pl.Int64,
            "irrelevant": pl.Boolean,
            "query": pl.String,
            "payload": pl.Boolean,
            "client": pl.String,
            "sort": pl.String,
            "filtered": pl.Boolean,
            "shown": pl.UInt32,
            **{CONTEXT + path: pl.String for path in self.rules.segments.context},
            "first_click_ms": pl.Int64,
            "click_place_sum": pl.Int64,
            **{f"{columns.CLICKS}{start}": pl.UInt32 for start in _CLICK_STARTS},
            "graded": pl.Boolean,
            **dict.fromkeys(("converts", "server_time", "declared_agent", "clicked_all"), pl.Boolean),
            **dict.fromkeys((*_DELAYS, *_QUALITY), pl.UInt32),
        }

    def _by_type(self, rows: Sequence[Mapping[str, int]]) -> Iterator[tuple[str, list[int]]]:
        """For each event type its count in every search; the rarer of the types that no rule names count as one."""
        totals = _sum(rows)
        named = self.rules.policy.grades
        others = [name for name, _ in totals.most_common() if name not in named]
        rare = set(others[columns.TYPES_KEPT :])
        for name in sorted(totals.keys() - rare):
            yield name, [counts.get(name, 0) for counts in rows]
        if rare:
            yield columns.OTHER_TYPES, [sum(counts[name] for name in counts.keys() & rare) for counts in rows]


def _sum(rows: Sequence[Mapping[str, int]]) -> Counter[str]:
    totals = Counter[str]()
    for counts in rows:
        totals.update(counts)
    return totals
