"""Figures of results: by place, object and declared path (R25)."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.click_logs import JUDGED, POLICY, START, write_log
from support.memory_store import MemoryDao
from support.plain_figures import PlainSearch, acts, followers, is_typing, text_at
from support.rollup_making import SEGMENTS, make_all, roll_ups_of

from clickstream.analytics.figures import FiguresEngine
from clickstream.domain import limits
from clickstream.domain.analytics import Segments
from clickstream.domain.errors import InvalidArgument
from clickstream.domain.figures import Figures, Population, Question
from clickstream.domain.windows import Bucket, Window

UTC_WINDOW = Window(START - timedelta(hours=22), START + timedelta(hours=98), ZoneInfo("UTC"))
BERLIN_WINDOW = Window(START, START + timedelta(hours=97), ZoneInfo("Europe/Berlin"))
Value = Callable[[PlainSearch, Any], str]
VALUES: dict[str, Value] = {
    "object": lambda _, result: result.object_id,
    "position": lambda search, result: str(search.places[result.object_id]),
    "meta.brand": lambda _, result: text_at(result.meta, "brand"),
}


def plain_by_value(
    searches: list[PlainSearch], value: Value, kept: Callable[[PlainSearch, Any], bool], population: Population
) -> dict[tuple[Any, str], dict[str, Any]]:
    """(day of the window or None, value) → counts over the shown results that are kept."""
    following = followers(searches)
    found: dict[tuple[Any, str], dict[str, Any]] = {}
    for search in searches:
        typing = is_typing(search, following.get(id(search)))
        left_out = (
            (search.irrelevant and not population.include_irrelevant)
            or (search.robot and not population.include_robots)
            or (typing and population.collapse_typing)
        )
        if not search.clickable or left_out:
            continue
        of_search = acts(search, POLICY.aliases)
        shown = defaultdict(list)
        for result in search.session.results:
            if kept(search, result):
                shown[value(search, result)].append(result.object_id)
        for each, objects in shown.items():
            counts = found.setdefault((None, each), {"searches": 0, "showings": 0, "acts": {}, "with": {}})
            counts["searches"] += 1
            counts["showings"] += len(objects)
            seen = defaultdict(int)
            for (kind, object_id), moments in of_search.items():
                if object_id in objects and kind in POLICY.grades:
                    seen[kind] += len(moments)
            for kind, count in seen.items():
                counts["acts"][kind] = counts["acts"].get(kind, 0) + count
                counts["with"][kind] = counts["with"].get(kind, 0) + 1
    return found


def plain(figures: Figures) -> dict[str, Any]:
    """Figures in the form of `plain_by_value`."""
    return {
        "searches": figures.searches,
        "showings": figures.showings,
        "acts": {each.type: each.count for each in figures.events},
        "with": {each.type: each.searches_with for each in figures.events},
    }


def inside(window: Window) -> Callable[[PlainSearch, Any], bool]:
    """Keeps the results of the window's searches."""
    return lambda search, _: window.start <= search.at < window.end


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(list(VALUES)),
    st.sampled_from((UTC_WINDOW, BERLIN_WINDOW)),
    st.builds(Population, st.booleans(), st.booleans()),
    st.booleans(),
    st.booleans(),
)
def test_r25_results_have_the_figures_of_a_plain_count(
    seed: int, dimension: str, window: Window, population: Population, days: bool, declared: bool
) -> None:
    """R25: by place, object and path of results, from whole days or parts of them, every value is exact."""
    dao = MemoryDao()
    searches = write_log(dao, seed, JUDGED)
    roll_ups = roll_ups_of(dao, SEGMENTS if declared else Segments())
    make_all(roll_ups, dao, days=days)
    answer = FiguresEngine(dao, roll_ups).figures(window, Bucket.WHOLE, dimension, Question({}, population), 100)
    expected = plain_by_value(searches, VALUES[dimension], inside(window), population)
    assert {(None, row.value): plain(row.figures) for row in answer.rows} == expected
    [total] = plain_by_value(searches, lambda *_: "", inside(window), population).values()
    assert (answer.total.searches, answer.total.showings) == (total["searches"], total["showings"])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["", *VALUES, "client", "batch"]), st.booleans())
def test_r25_filters_on_results_and_searches_hold_together(seed: int, dimension: str, days: bool) -> None:
    """R25: with filters on objects and on the client, only those results of those searches count."""
    dao = MemoryDao()
    searches = write_log(dao, seed, JUDGED)
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao, days=days)
    filters = {"object": ("a", "b", "c"), "client": ("web",)}
    if dimension in filters:
        filters = {"position": ("1", "11", "13")}
    answer = FiguresEngine(dao, roll_ups).figures(UTC_WINDOW, Bucket.WHOLE, dimension, Question(filters), 100)
    value = {"": lambda *_: "", "client": lambda search, _: search.session.client.name, **VALUES}
    value["batch"] = lambda search, _: f"batch-{search.batch}"
    of_filters = {**VALUES, "client": value["client"]}
    expected = plain_by_value(
        searches,
        value[dimension],
        lambda search, result: all(of_filters[name](search, result) in kept for name, kept in filters.items()),
        Population(),
    )
    found = {(None, row.value): plain(row.figures) for row in answer.rows if row.figures.searches}
    assert found == expected


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["a", "zz"]))
def test_r25_one_object_by_day_of_a_zone(seed: int, object_id: str) -> None:
    """R25: a filter on one object, by days that begin at another hour than those of UTC."""
    dao = MemoryDao()
    searches = write_log(dao, seed, JUDGED)
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao)
    question = Question({"object": (object_id,)})
    answer = FiguresEngine(dao, roll_ups).figures(BERLIN_WINDOW, Bucket.DAY, "", question, 20)
    for row in answer.rows:
        kept = lambda search, result, row=row: (  # noqa: E731
            row.start <= search.at < row.end and result.object_id == object_id
        )
        expected = plain_by_value(searches, lambda *_: "", kept, Population())
        assert plain(row.figures) == expected.get((None, ""), plain(Figures()))


def test_by_event_type_each_row_has_one_type() -> None:
    """The dimension `event_type` answers each type with its own events, also those that no rule names."""
    dao = MemoryDao()
    write_log(dao, 3, JUDGED)
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao)
    engine = FiguresEngine(dao, roll_ups)
    answer = engine.figures(UTC_WINDOW, Bucket.WHOLE, "event_type", Question(), 100)
    together = engine.figures(UTC_WINDOW, Bucket.WHOLE, "", Question(), 100).total
    assert [row.figures.events for row in answer.rows] == [[each] for each in together.events]
    assert "odd" in {row.value for row in answer.rows}
    assert answer.value_count == len(together.events)


def test_a_filter_on_event_types_keeps_searches_with_one() -> None:
    """Searches without an act of one of the types are left out."""
    dao = MemoryDao()
    searches = write_log(dao, 5, JUDGED)
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao)
    question = Question({"event_type": ("purchase", "save", "unheard")})
    answer = FiguresEngine(dao, roll_ups).figures(UTC_WINDOW, Bucket.WHOLE, "", question, 100)
    kept = 0
    for search in searches:
        kinds = {kind for kind, object_id in acts(search, POLICY.aliases) if object_id in search.places}
        kept += bool(kinds & {"purchase", "save"}) and not search.irrelevant and not search.robot
    assert answer.total.searches == kept > 0


def test_too_many_results_to_count_one_by_one_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the roll-ups have no sums of is bounded, and the refusal names the window."""
    dao = MemoryDao()
    write_log(dao, 1, JUDGED)
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao)
    monkeypatch.setattr(limits, "FIGURE_SHOWINGS", 10)
    question = Question({"client": ("web",)})
    with pytest.raises(InvalidArgument, match="window: has about"):
        FiguresEngine(dao, roll_ups).figures(UTC_WINDOW, Bucket.WHOLE, "object", question, 100)


def test_too_many_events_for_an_undeclared_path_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that is not declared is read from the sessions, within a bound."""
    dao = MemoryDao()
    write_log(dao, 1, JUDGED)
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao)
    monkeypatch.setattr(limits, "FIGURE_RAW_EVENTS", 10)
    with pytest.raises(InvalidArgument, match="CLICKSTREAM_SEGMENTS does not declare"):
        FiguresEngine(dao, roll_ups).figures(UTC_WINDOW, Bucket.WHOLE, "context.other", Question(), 100)


def test_an_empty_window_has_rows_and_no_rates() -> None:
    """R25: where there is nothing to divide by, a rate is absent."""
    dao = MemoryDao()
    engine = FiguresEngine(dao, roll_ups_of(dao))
    answer = engine.figures(UTC_WINDOW, Bucket.DAY, "", Question(), 20)
    assert [row.start for row in answer.rows] == UTC_WINDOW.edges(Bucket.DAY)[:-1]
    assert {type(row.start) for row in answer.rows} == {datetime}
    assert not any(row.figures.rates() for row in [*answer.rows])
    assert (answer.total.searches, answer.total.users, answer.total.median_first_click_seconds) == (0, 0, None)
