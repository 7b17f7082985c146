"""Sums over groups of searches, from which figures are made: additive over days, ranges and groups."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from clickstream.analytics import columns
from clickstream.domain.analytics import CLICK_RANGES
from clickstream.domain.figures import EventFigures, Figures, Population, Rate

# The columns of a group: the index of the part of time, and the value.
GROUP = ("part", "value")
# What sums need of `searches`.
NEEDED = (
    *("irrelevant", "shown", "clickable", "click_place_sum", "clicks.*", "events.*", "unshown.*", "user", "graded"),
    "first_click_ms",
)


def counts(population: Population) -> pl.Expr:
    """Whether a search counts."""
    every = pl.col("irrelevant").is_not_null()  # a literal would count as one row, whatever the number of rows
    relevant = every if population.include_irrelevant else ~pl.col("irrelevant")
    human = every if population.include_robots else ~pl.col("robot")
    return relevant & human & (~pl.col("typing") if population.collapse_typing else every)


def search_sums(frame: pl.DataFrame, population: Population) -> pl.DataFrame:
    """The sums of every group of searches."""
    counted = counts(population)
    clickable = counted & pl.col("clickable")
    known = pl.col("user") != 0
    active = clickable & known

    def total(name: str, condition: pl.Expr) -> pl.Expr:
        return pl.col(name).cast(pl.Int64).filter(condition).sum().alias(name)

    events = [name for name in frame.columns if name.startswith(columns.EVENTS)]
    click = columns.EVENTS + columns.CLICK
    return frame.group_by(GROUP).agg(
        counted.sum().cast(pl.Int64).alias("searches"),
        clickable.sum().cast(pl.Int64).alias("clickable"),
        pl.col("irrelevant").sum().cast(pl.Int64).alias("irrelevant"),
        (pl.col("typing") & ~pl.col("irrelevant") & ~pl.col("robot")).sum().cast(pl.Int64).alias("typing"),
        (pl.col("robot") & ~pl.col("irrelevant")).sum().cast(pl.Int64).alias("robot"),
        total("shown", counted),
        total("shown", clickable).alias("clickable_shown"),
        total("click_place_sum", clickable),
        (counted & (pl.col("shown") == 0)).sum().cast(pl.Int64).alias("no_results"),
        (active & ~pl.col("graded") & ~pl.col("refined")).sum().cast(pl.Int64).alias("abandoned"),
        active.sum().cast(pl.Int64).alias("known_clickable"),
        (counted & known & pl.col("refined")).sum().cast(pl.Int64).alias("refined"),
        (counted & known).sum().cast(pl.Int64).alias("known"),
        *(total(name, clickable) for name in frame.columns if name.startswith(columns.CLICKS)),
        *(total(name, counted) for name in frame.columns if name.startswith((columns.EVENTS, columns.UNSHOWN))),
        *(
            (clickable & (pl.col(name) > 0))
            .sum()
            .cast(pl.Int64)
            .alias(columns.WITH + name.removeprefix(columns.EVENTS))
            for name in events
        ),
        *([total(click, clickable).alias("clickable_clicks")] if click in events else []),
    )


def showing_sums(frame: pl.DataFrame, population: Population) -> pl.DataFrame:
    """The sums of every group of showings by value, all of clickable searches."""
    counted = counts(population)
    names = [name for name in frame.columns if name.startswith((columns.EVENTS, columns.WITH))]
    click = columns.EVENTS + columns.CLICK

    def total(name: str, condition: pl.Expr = counted) -> pl.Expr:
        return pl.col(name).cast(pl.Int64).filter(condition).sum()

    return frame.group_by(GROUP).agg(
        total("searches").alias("searches"),
        total("searches").alias("clickable"),
        total("searches", pl.col("irrelevant")).alias("irrelevant"),
        total("searches", pl.col("typing") & ~pl.col("irrelevant") & ~pl.col("robot")).alias("typing"),
        total("searches", pl.col("robot") & ~pl.col("irrelevant")).alias("robot"),
        total("showings").alias("shown"),
        total("showings").alias("clickable_shown"),
        *(total(name).alias(name) for name in names),
        *([total(click).alias("clickable_clicks")] if click in names else []),
    )


def summed(frames: Sequence[pl.DataFrame], by: Sequence[str] = GROUP) -> pl.DataFrame:
    """The sums of groups over several frames of sums; columns that a frame lacks count as 0."""
    frame = pl.concat(frames, how="diagonal_relaxed")
    values = [name for name in frame.columns if name not in GROUP]
    return (
        frame.group_by(by).agg(pl.col(values).fill_null(0).sum())
        if by
        else frame.select(pl.col(values).fill_null(0).sum())
    )


def figures_of(sums: Mapping[str, Any], beside: Mapping[str, Any], *, of_results: bool, whole_days: bool) -> Figures:
    """The figures of a group.

    Args:
        sums: Its sums.
        beside: Its `users`, `median` and `p90` of the time to the first click in milliseconds, as far as known.
        of_results: Whether the sums are of showings.
        whole_days: Whether the time is whole UTC days.
    """
    types = sorted({name.split(".", 1)[1] for name in sums if name.startswith((columns.EVENTS, columns.UNSHOWN))})
    events = [
        EventFigures(
            name,
            sums.get(columns.EVENTS + name, 0),
            sums.get(columns.UNSHOWN + name, 0),
            sums.get(columns.WITH + name, 0),
        )
        for name in types
    ]
    found = [each for each in events if each.count or each.unshown_count]
    people = whole_days and not of_results
    return Figures(
        searches=sums.get("searches", 0),
        clickable_searches=sums.get("clickable", 0),
        irrelevant_searches=sums.get("irrelevant", 0),
        typing_searches=sums.get("typing", 0),
        robot_searches=sums.get("robot", 0),
        users=(beside.get("users") or 0) if people else None,
        showings=sums.get("shown", 0),
        events=sorted(found, key=lambda each: (-each.count, -each.unshown_count, each.type)),
        clickable_clicks=sums.get("clickable_clicks", 0),
        clickable_showings=sums.get("clickable_shown", 0),
        no_results_searches=None if of_results else sums.get("no_results", 0),
        click_place_sum=sums.get("click_place_sum", 0),
        click_places=[sums.get(f"{columns.CLICKS}{first}", 0) for first, _ in CLICK_RANGES],
        median_first_click_seconds=_seconds(beside.get("median")),
        p90_first_click_seconds=_seconds(beside.get("p90")),
        abandoned=_rate(sums, "abandoned", "known_clickable") if people else None,
        refinement=_rate(sums, "refined", "known") if people else None,
    )


def _rate(sums: Mapping[str, Any], numerator: str, denominator: str) -> Rate | None:
    return Rate(sums.get(numerator, 0), sums[denominator]) if sums.get(denominator) else None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
