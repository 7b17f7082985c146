"""Figures equal those that are counted search by search (R25)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.click_logs import GRADES, JUDGED, POLICY, START, write_log
from support.memory_store import MemoryDao
from support.plain_figures import PlainSearch, plain_figures
from support.rollup_making import SEGMENTS, make_all, roll_ups_of

from clickstream.analytics.figures import FiguresEngine
from clickstream.dao.interface.analytics import RollUpState
from clickstream.domain.analytics import Segments
from clickstream.domain.figures import Figures, Population, Question
from clickstream.domain.windows import Bucket, Window

DAY = timedelta(days=1)
ZONES = ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu")
VALUES = {
    "query": lambda search: search.query,
    "client": lambda search: search.session.client.name,
    "sort": lambda search: search.session.sort,
    "filtered": lambda search: "true" if search.session.filter.fields else "false",
    "batch": lambda search: f"batch-{search.batch}",
    "context.locale": lambda search: search.value("locale"),
    "context.where.page": lambda search: search.value("where.page"),
}


def plain(figures: Figures) -> dict[str, Any]:
    """Figures in the form of `plain_figures`."""
    return {
        **{
            name: getattr(figures, name)
            for name in (
                *("searches", "clickable_searches", "irrelevant_searches", "typing_searches", "showings", "users"),
                *("click_place_sum", "robot_searches"),
            )
        },
        "events": {each.type: (each.count, each.unshown_count, each.searches_with) for each in figures.events},
        "rates": {name: counts for name, counts in figures.rates().items() if not name.startswith("event_rate.")},
        "click_places": list(figures.click_places),
        "median_first_click_seconds": pytest.approx(figures.median_first_click_seconds),
        "p90_first_click_seconds": pytest.approx(figures.p90_first_click_seconds),
    }


def counted(searches: list[PlainSearch], chosen: Any, population: Population, *, whole_days: bool) -> dict[str, Any]:
    """The figures of the chosen searches, in plain Python."""
    return plain_figures(
        searches,
        chosen,
        GRADES,
        POLICY.aliases,
        include_irrelevant=population.include_irrelevant,
        include_robots=population.include_robots,
        collapse_typing=population.collapse_typing,
        whole_days=whole_days,
    )


def whole(moment: datetime) -> bool:
    """Whether a moment begins a UTC day."""
    return moment.astimezone(UTC).time() == datetime.min.time()


populations = st.builds(Population, st.booleans(), st.booleans(), st.booleans())
windows = st.builds(
    lambda start, length, zone: Window.around(
        START + timedelta(hours=start), START + timedelta(hours=start + length), ZoneInfo(zone)
    ),
    st.sampled_from((-30, -22, 0, 2, 13, 26)),
    st.sampled_from((1, 5, 24, 48, 100)),
    st.sampled_from(ZONES),
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), windows, st.sampled_from(list(Bucket)), populations, st.booleans())
def test_r25_the_figures_of_every_part_of_time_are_those_of_a_plain_count(
    seed: int, window: Window, bucket: Bucket, population: Population, days: bool
) -> None:
    """R25: in every zone, for every part of time, from rows of days or of ranges, every count and rate is exact."""
    dao = MemoryDao()
    searches = write_log(dao, seed, JUDGED)
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao, days=days)
    answer = FiguresEngine(dao, roll_ups).figures(window, bucket, "", Question({}, population), 20)
    edges = [row.start for row in answer.rows] + [answer.rows[-1].end]
    assert edges == window.edges(bucket)
    exact = all(map(whole, edges))
    for row in answer.rows:
        expected = counted(searches, lambda each, row=row: row.start <= each.at < row.end, population, whole_days=exact)
        assert plain(row.figures) == expected
    exact = whole(window.start) and whole(window.end)
    inside = lambda each: window.start <= each.at < window.end  # noqa: E731
    assert plain(answer.total) == counted(searches, inside, population, whole_days=exact)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(list(VALUES)), populations, st.booleans(), st.booleans())
def test_r25_the_figures_of_every_value_are_those_of_a_plain_count(
    seed: int, dimension: str, population: Population, days: bool, declared: bool
) -> None:
    """R25: by every dimension of searches, declared or not, every value has the figures of its searches."""
    dao = MemoryDao()
    searches = write_log(dao, seed, JUDGED)
    roll_ups = roll_ups_of(dao, SEGMENTS if declared else Segments())
    make_all(roll_ups, dao, days=days)
    window = Window(START - timedelta(hours=22), START + timedelta(hours=98), ZoneInfo("UTC"))
    question = Question({"client": ("web", "")}, population)
    answer = FiguresEngine(dao, roll_ups).figures(window, Bucket.WHOLE, dimension, question, 100)
    value, kept = VALUES[dimension], ("web", "")
    chosen = [each for each in searches if each.session.client.name in kept and window.start <= each.at < window.end]
    values = {value(each) for each in chosen}
    expected = {
        each: counted(
            searches,
            lambda search, each=each: search in chosen and value(search) == each,
            population,
            whole_days=True,
        )
        for each in values
    }
    expected = {each: figures for each, figures in expected.items() if figures["searches"]}
    assert {row.value: plain(row.figures) for row in answer.rows} == expected
    assert answer.value_count == len(expected)
    assert answer.coverage.from_sessions == (dimension.startswith("context.") and not declared)
    order = [(-row.figures.searches, row.value) for row in answer.rows]
    assert order == sorted(order)


def test_rows_of_other_rules_are_not_read() -> None:
    """R25: while rows are made anew by other rules, only the new ones count, and nothing is said to be exact."""
    dao = MemoryDao()
    searches = write_log(dao, 41, JUDGED)
    before, after = roll_ups_of(dao), roll_ups_of(dao, Segments(("other",), ("third",)))
    make_all(before, dao)
    dao.analytics.take_lease("me", START, START + DAY)
    dao.analytics.set_state(RollUpState("token", START, before.digest), "me")
    window = Window(START - timedelta(hours=22), START + timedelta(hours=98), ZoneInfo("UTC"))
    for roll_ups, expected, exact in ((before, len(searches), START), (after, 0, None)):
        for dimension in ("context.other", "meta.third", ""):
            population = Population(include_irrelevant=True)
            engine = FiguresEngine(dao, roll_ups)
            answer = engine.figures(window, Bucket.WHOLE, dimension, Question({}, population), 20)
            assert answer.coverage.exact_until == exact
            assert answer.total.searches == expected or dimension
    [key, *_] = dao.analytics.all_ranges()
    after.make_range(key)
    answer = FiguresEngine(dao, after).figures(window, Bucket.WHOLE, "context.other", Question(), 20)
    assert 0 < answer.total.searches < len(searches)
