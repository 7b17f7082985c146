"""Sums over searches from which the checks of data quality are made."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import polars as pl

from clickstream.analytics import columns
from clickstream.analytics.sums import counts
from clickstream.domain.figures import Population

# What the sums need of `searches`.
NEEDED = (
    *("batch", "number", "user", "query", "irrelevant", "payload", "client", "shown", "clickable", "server_time"),
    *("clicks.*", "events.*", "unshown.*", "stored_events", "events_early", "events_1h", "events_24h"),
    *("purchases", "purchases_alone", "texts", "texts_empty", "texts_word"),
)
_SUMMED = (
    *("stored_events", "events_early", "events_1h", "events_24h", "purchases", "purchases_alone"),
    *("texts", "texts_empty", "texts_word"),
)


def quality_sums(frame: pl.DataFrame, population: Population, named: Set[str], by: pl.Expr) -> pl.DataFrame:
    """The sums of every group of searches; the column `value` names the group.

    Args:
        frame: Searches of a day.
        population: Which of them count.
        named: The event types that the importance policy names.
        by: The group of a search.
    """
    counted = counts(population)
    shown = [name for name in frame.columns if name.startswith(columns.EVENTS)]
    unshown = [name for name in frame.columns if name.startswith(columns.UNSHOWN)]
    unnamed = [name for name in (*shown, *unshown) if name.split(".", 1)[1] not in named]
    click = columns.EVENTS + columns.CLICK
    places = [name for name in frame.columns if name.startswith(columns.CLICKS)]

    first_place = f"{columns.CLICKS}1"
    zero = pl.col("number").cast(pl.Int64) * 0  # a literal would be one row, whatever the number of rows

    def total(names: Sequence[str], condition: pl.Expr = counted) -> pl.Expr:
        summed = pl.sum_horizontal(zero, *(pl.col(name).cast(pl.Int64) for name in names))
        return summed.filter(condition).sum()

    conditions = _conditions(click if click in shown else None)
    return frame.group_by(by.alias("value")).agg(
        counted.sum().cast(pl.Int64).alias("searches"),
        total(shown + unshown).alias("events"),
        total(unshown).alias("unshown"),
        total(unnamed).alias("unnamed"),
        total(places, counted & pl.col("clickable")).alias("clicks"),
        total([first_place], counted & pl.col("clickable")).alias("first_place"),
        *(total([name]).alias(name) for name in _SUMMED),
        *((counted & condition).sum().cast(pl.Int64).alias(name) for name, condition in conditions.items()),
        (pl.col("robot") & ~pl.col("irrelevant")).sum().cast(pl.Int64).alias("robot"),
        (~pl.col("irrelevant")).sum().cast(pl.Int64).alias("relevant"),
    )


def _conditions(click: str | None) -> dict[str, pl.Expr]:
    never = pl.col("batch") < 0
    return {
        "clickable": pl.col("clickable"),
        "clicked": pl.col("clickable") & (pl.col(click) > 0) if click else never,
        "no_user": pl.col("user") == 0,
        "no_query": (pl.col("query") == "") & ~pl.col("payload"),
        "no_results": (pl.col("shown") == 0) & ~pl.col("payload"),
        "payload": pl.col("payload"),
        "server_time": pl.col("server_time"),
        "with_query": pl.col("query") != "",
    }


def seen_in(frame: pl.DataFrame, population: Population, named: Set[str]) -> Mapping[str, pl.Expr]:
    """In which searches the fault of a check is seen: the check's id → a condition."""
    counted = counts(population)
    unshown = [pl.col(name) > 0 for name in frame.columns if name.startswith(columns.UNSHOWN)]
    unnamed = [
        pl.col(name) > 0
        for name in frame.columns
        if name.startswith((columns.EVENTS, columns.UNSHOWN)) and name.split(".", 1)[1] not in named
    ]
    found = {
        "unshown_events": pl.any_horizontal(*unshown) if unshown else None,
        "unnamed_types": pl.any_horizontal(*unnamed) if unnamed else None,
        "early_events": pl.col("events_early") > 0,
        "events_after_1h": pl.col("events_1h") > 0,
        "events_after_24h": pl.col("events_24h") > 0,
        "purchases_alone": pl.col("purchases_alone") > 0,
        "searches_without_user": pl.col("user") == 0,
        "items_without_text": pl.col("texts_empty") > 0,
        "items_of_one_word": pl.col("texts_word") > 0,
        "searches_without_query": (pl.col("query") == "") & ~pl.col("payload"),
        "searches_without_results": (pl.col("shown") == 0) & ~pl.col("payload"),
        "payload_searches": pl.col("payload"),
        "server_times": pl.col("server_time"),
    }
    of_robots = {"robots": pl.col("robot") & ~pl.col("irrelevant")}
    return {name: counted & seen for name, seen in found.items() if seen is not None} | of_robots


def added(total: dict[str, dict[str, int]], sums: pl.DataFrame) -> None:
    """Adds the sums of a day to those of the days before, by group."""
    for row in sums.iter_rows(named=True):
        group: dict[str, Any] = total.setdefault(row.pop("value") or "", {})
        for name, count in row.items():
            group[name] = group.get(name, 0) + count
