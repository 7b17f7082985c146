"""Lists of queries and items."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import polars as pl

from clickstream.analytics.asked import Asked
from clickstream.analytics.figures import FiguresEngine
from clickstream.analytics.sums import figures_of
from clickstream.domain.figures import Coverage, Question, TopRow
from clickstream.domain.windows import Bucket, Window

# Below this number of searches, a low rate says little.
ENOUGH_SEARCHES = 20


class TopList(StrEnum):
    """What to list, as the contract explains it."""

    QUERIES = "QUERIES"
    QUERIES_WITHOUT_RESULTS = "QUERIES_WITHOUT_RESULTS"
    QUERIES_WITHOUT_CLICKS = "QUERIES_WITHOUT_CLICKS"
    LOWEST_CLICK_THROUGH = "LOWEST_CLICK_THROUGH"
    ITEMS = "ITEMS"
    ITEMS_WITHOUT_CLICKS = "ITEMS_WITHOUT_CLICKS"
    RISING = "RISING"
    FALLING = "FALLING"


ITEM_LISTS = frozenset({TopList.ITEMS, TopList.ITEMS_WITHOUT_CLICKS})
COMPARING = frozenset({TopList.RISING, TopList.FALLING})
_WITH_CLICK, _CLICKS = "with.click", "clickable_clicks"
_RATE = pl.col(_WITH_CLICK) / pl.col("clickable")
# List → what a value must have beside enough searches, and by what the list is in order; the highest first.
_CHOICES: dict[TopList, tuple[pl.Expr, pl.Expr]] = {
    TopList.QUERIES: (pl.lit(value=True), pl.col("searches")),
    TopList.QUERIES_WITHOUT_RESULTS: (pl.col("no_results") > 0, pl.col("no_results")),
    TopList.QUERIES_WITHOUT_CLICKS: ((pl.col("clickable") > 0) & (pl.col(_WITH_CLICK) == 0), pl.col("searches")),
    TopList.LOWEST_CLICK_THROUGH: (pl.col("clickable") > 0, -_RATE),
    TopList.ITEMS: (pl.col(_CLICKS) > 0, pl.col(_CLICKS)),
    TopList.ITEMS_WITHOUT_CLICKS: (pl.col(_CLICKS) == 0, pl.col("shown")),
    TopList.RISING: (pl.col("searches") > pl.col("before"), pl.col("searches") - pl.col("before")),
    TopList.FALLING: (pl.col("searches") < pl.col("before"), pl.col("before") - pl.col("searches")),
}


def top(
    engine: FiguresEngine,
    wanted: TopList,
    window: Window,
    question: Question,
    min_searches: int,
    offset: int,
    limit: int,
    exact_until: datetime | None,
) -> tuple[Sequence[TopRow], Coverage]:
    """A part of a list, in its order; equal values by name.

    Args:
        engine: Computes the figures.
        wanted: The list.
        window: The time to look at; a comparing list also looks at the window of the same length before it.
        question: What is kept, and which searches count.
        min_searches: Values with fewer searches are left out; 0: the list's own default.
        offset: How many values to leave out at the beginning.
        limit: How many values to answer.
        exact_until: Until when the roll-ups are exact.

    Raises:
        InvalidArgument: The roll-ups do not hold it, and the window is too long to compute it otherwise.
    """
    dimension = "object" if wanted in ITEM_LISTS else "query"
    asked = _asked(engine, window, dimension, question)
    values = asked.values().filter(pl.col("value") != "")
    if wanted in COMPARING:
        earlier = Window(window.start - (window.end - window.start), window.start, window.zone)
        before = _asked(engine, earlier, dimension, question).values().filter(pl.col("value") != "")
        counted = before.select("value", pl.col("searches").alias("before"))
        values = values.join(counted, on="value", how="full", coalesce=True)
    needed = ("searches", "clickable", "shown", "no_results", "before", _WITH_CLICK, _CLICKS)
    values = values.with_columns(pl.lit(0).alias(name) for name in needed if name not in values.columns)
    values = values.with_columns(pl.exclude("value").fill_null(0))
    condition, order = _CHOICES[wanted]
    enough = pl.col("searches") + pl.col("before") >= (min_searches or _default_searches(wanted))
    rows = values.filter(condition & enough).with_columns(order.alias("order"))
    rows = rows.sort(["order", "value"], descending=[True, False]).slice(offset, limit)
    found = [
        TopRow(
            row["value"],
            figures_of(row, {}, of_results=wanted in ITEM_LISTS, whole_days=False),
            row["before"] if wanted in COMPARING else None,
        )
        for row in rows.iter_rows(named=True)
    ]
    return found, engine.coverage(asked.cover, exact_until)


def _asked(engine: FiguresEngine, window: Window, dimension: str, question: Question) -> Asked:
    cover = engine.cover(window, {dimension, *question.filters})
    return Asked(cover, dimension, question, window.edges(Bucket.WHOLE))


def _default_searches(wanted: TopList) -> int:
    return ENOUGH_SEARCHES if wanted in (TopList.LOWEST_CLICK_THROUGH, TopList.ITEMS_WITHOUT_CLICKS) else 1
