"""Lists of queries and items, against plain counts."""

from collections import Counter
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from support.click_logs import JUDGED, POLICY, START, write_log
from support.memory_store import MemoryDao
from support.plain_figures import PlainSearch, acts
from support.rollup_making import make_all, roll_ups_of

from clickstream.analytics.figures import FiguresEngine
from clickstream.analytics.top_lists import TopList, top
from clickstream.domain.figures import Question
from clickstream.domain.windows import Window

WINDOW = Window(START + timedelta(hours=26), START + timedelta(hours=98), ZoneInfo("UTC"))
BEFORE = Window(START - timedelta(hours=46), START + timedelta(hours=26), ZoneInfo("UTC"))


@pytest.fixture(scope="module")
def log() -> tuple[FiguresEngine, list[PlainSearch]]:
    """A log of a few hundred searches, and its roll-ups."""
    dao = MemoryDao()
    searches = write_log(dao, 21, JUDGED)
    roll_ups = roll_ups_of(dao)
    make_all(roll_ups, dao)
    return FiguresEngine(dao, roll_ups), searches


def listed(engine: FiguresEngine, wanted: TopList, *, offset: int = 0, limit: int = 100, least: int = 1):
    """The rows of a list."""
    return top(engine, wanted, WINDOW, Question(), least, offset, limit, None)[0]


def inside(searches: list[PlainSearch], window: Window) -> list[PlainSearch]:
    """The searches with a query that count in a window."""
    return [
        each for each in searches if window.start <= each.at < window.end and not each.irrelevant and not each.robot
    ]


def clicked(search: PlainSearch) -> set[str]:
    """The shown objects with a click, of a search that could be clicked."""
    kinds = acts(search, POLICY.aliases)
    return {each for kind, each in kinds if kind == "click" and each in search.places} if search.clickable else set()


def in_order(counts: Counter[str]) -> list[tuple[str, int]]:
    """Most first, equal ones by name."""
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def test_r25_queries_are_listed_by_their_searches(log: tuple[FiguresEngine, list[PlainSearch]]) -> None:
    """R25: the most searched queries first; searches without a query are in no list of queries."""
    engine, searches = log
    expected = in_order(Counter(each.query for each in inside(searches, WINDOW) if each.query))
    rows = listed(engine, TopList.QUERIES)
    assert [(row.value, row.figures.searches) for row in rows] == expected
    pages = [*listed(engine, TopList.QUERIES, limit=2), *listed(engine, TopList.QUERIES, offset=2)]
    assert pages == rows


def test_r25_queries_without_results_are_listed(log: tuple[FiguresEngine, list[PlainSearch]]) -> None:
    """R25: by the number of their searches that showed nothing."""
    engine, searches = log
    expected = Counter(each.query for each in inside(searches, WINDOW) if each.query and not each.session.results)
    rows = listed(engine, TopList.QUERIES_WITHOUT_RESULTS)
    assert [(row.value, row.figures.no_results_searches) for row in rows] == in_order(expected)


def test_r25_queries_by_their_clicks(log: tuple[FiguresEngine, list[PlainSearch]]) -> None:
    """R25: those without any click are one list, and the lowest rates come first in another."""
    engine, searches = log
    clickable, with_click = Counter[str](), Counter[str]()
    for search in inside(searches, WINDOW):
        if search.query and search.clickable:
            clickable[search.query] += 1
            with_click[search.query] += bool(clicked(search))
    never = {query for query in clickable if not with_click[query]}
    assert {row.value for row in listed(engine, TopList.QUERIES_WITHOUT_CLICKS)} == never
    rates = sorted(clickable, key=lambda query: (with_click[query] / clickable[query], query))
    assert [row.value for row in listed(engine, TopList.LOWEST_CLICK_THROUGH)] == rates
    assert not listed(engine, TopList.LOWEST_CLICK_THROUGH, least=0)  # none has 20 searches


def test_r25_items_by_their_clicks(log: tuple[FiguresEngine, list[PlainSearch]]) -> None:
    """R25: items by clicks, and items that were shown and never clicked by showings."""
    engine, searches = log
    shown, with_click = Counter[str](), Counter[str]()
    for search in inside(searches, WINDOW):
        if search.clickable:
            shown.update({*search.places})
            with_click.update(clicked(search))
    rows = listed(engine, TopList.ITEMS)
    assert {row.value: row.figures.searches_with("click") for row in rows} == with_click
    clicks = [row.figures.clickable_clicks for row in rows]
    assert clicks == sorted(clicks, reverse=True)
    never = Counter({each: count for each, count in shown.items() if not with_click[each]})
    rows = listed(engine, TopList.ITEMS_WITHOUT_CLICKS)
    assert [(row.value, row.figures.showings) for row in rows] == in_order(never)


@pytest.mark.parametrize(("wanted", "sign"), [(TopList.RISING, 1), (TopList.FALLING, -1)])
def test_r25_queries_that_changed(log: tuple[FiguresEngine, list[PlainSearch]], wanted: TopList, sign: int) -> None:
    """R25: by how many searches more, or fewer, than in the window before; also those that only one window has."""
    engine, searches = log
    now, before = (
        Counter(each.query for each in inside(searches, window) if each.query) for window in (WINDOW, BEFORE)
    )
    changed = Counter({each: sign * (now[each] - before[each]) for each in now | before})
    expected = in_order(Counter({each: count for each, count in changed.items() if count > 0}))
    rows = listed(engine, wanted)
    assert [row.value for row in rows] == [query for query, _ in expected]
    assert [(row.figures.searches, row.searches_before) for row in rows] == [
        (now[query], before[query]) for query, _ in expected
    ]
