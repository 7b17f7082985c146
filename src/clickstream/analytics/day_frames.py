"""Makes the frames of a UTC day from the frames of all ranges with a session on that day."""

from collections.abc import Iterable, Sequence, Set
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl

from clickstream.analytics import columns
from clickstream.domain.analytics import META

FLAGS = ("irrelevant", "typing", "robot")


class RangeParts(NamedTuple):
    """The frames of one range."""

    searches: pl.DataFrame
    showings: pl.DataFrame


def of_day(day: int) -> pl.Expr:
    """Whether a row's `at` lies on this UTC day."""
    begin = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return pl.col("at").is_between(begin, begin + timedelta(days=1), closed="left")


def joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One frame of several whose columns `events.`, `unshown.` and `with.` may differ; absent counts are 0."""
    frame = pl.concat(frames, how="diagonal_relaxed")
    counted = (columns.EVENTS, columns.UNSHOWN, columns.WITH)
    return frame.with_columns(pl.col(name).fill_null(0) for name in frame.columns if name.startswith(counted))


def day_searches(day: int, frames: Iterable[pl.DataFrame], robots: Set[int]) -> pl.DataFrame:
    """The searches of a UTC day with `typing`, `refined` and `robot`.

    A search is `refined` if the same user's next search of that day followed within 5 minutes. It is `typing` if it has
    no event, and the next one followed within 30 s for a longer query that begins with its own. Searches that are
    marked irrelevant, and those without a user, are neither, and are no next search. Of equal times, the order is that
    of batches and numbers.

    Args:
        day: The UTC day.
        frames: The frame `searches` of every range with a session on that day.
        robots: The users, by `user_key`, who count as robots on that day.
    """
    searches = joined([frame.filter(of_day(day)) for frame in frames]).sort("user", "at", "batch", "number")
    counted = [name for name in searches.columns if name.startswith((columns.EVENTS, columns.UNSHOWN))]
    gap = (pl.col("at").shift(-1) - pl.col("at")).dt.total_milliseconds().over("user")
    following = pl.col("query").shift(-1).over("user")
    known = searches.filter(~pl.col("irrelevant") & (pl.col("user") != 0)).select(
        "batch",
        "number",
        refined=(gap <= columns.REFINED_MS).fill_null(value=False),
        typing=(
            (gap <= columns.TYPING_MS)
            & (pl.col("query") != "")
            & following.str.starts_with(pl.col("query"))
            & (following != pl.col("query"))
            & (pl.sum_horizontal(*counted, pl.lit(0)) == 0)
        ).fill_null(value=False),
    )
    found = searches.join(known, on=["batch", "number"], how="left")
    is_robot = pl.col("user").is_in(sorted(robots))
    return found.with_columns(pl.col("refined", "typing").fill_null(value=False), is_robot.alias("robot"))


def day_values(searches: pl.DataFrame, ranges: Iterable[RangeParts], meta: Sequence[str]) -> dict[str, pl.DataFrame]:
    """The showings of a UTC day by place, object and declared path: the frames of these names.

    Args:
        searches: What `day_searches` made.
        ranges: The frames of the same ranges.
        meta: The declared paths of results.
    """
    names = {columns.PLACES: "place", columns.OBJECTS: "object"} | {META + path: META + path for path in meta}
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in names}
    flagged = searches.filter("clickable").select("batch", "number", "at", *FLAGS)
    for each in ranges:
        shown = shown_in(flagged, each)
        for name, column in names.items():
            every = "1d" if name == columns.OBJECTS else "15m"
            by = [pl.col("at").dt.truncate(every), *map(pl.col, FLAGS), pl.col(column).alias("value")]
            parts[name].append(by_value(shown, by))
    return {name: _summed(frames) for name, frames in parts.items()}


def shown_in(searches: pl.DataFrame, each: RangeParts) -> pl.DataFrame:
    """The showings of a range that belong to these searches, with the columns of their search."""
    batch = each.searches["batch"][:1]
    of_batch = searches.filter(pl.col("batch").is_in(batch.implode()))
    return each.showings.join(of_batch, on="number", how="inner", suffix="_of_search")


def by_value(shown: pl.DataFrame, by: Sequence[pl.Expr]) -> pl.DataFrame:
    """Showings by value: distinct searches, showings, events, and distinct searches with an event."""
    events = [name for name in shown.columns if name.startswith(columns.EVENTS)]
    of_search = shown.group_by(*by, "batch", "number").agg(pl.len().alias("showings"), pl.col(events).sum())
    keys = [expression.meta.output_name() for expression in by]
    return of_search.group_by(keys).agg(
        pl.len().alias("searches"),
        pl.col("showings").sum(),
        pl.col(events).sum(),
        *((pl.col(name) > 0).sum().alias(columns.WITH + name.removeprefix(columns.EVENTS)) for name in events),
    )


def _summed(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    keys = ["at", *FLAGS, "value"]
    frame = joined(frames)
    return frame.group_by(keys).agg(pl.exclude(keys).sum()).sort(keys)
