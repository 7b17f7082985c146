"""What the rules of a robot policy measure: one row per known user of a UTC day."""

import polars as pl

# Windows and pauses of the rules, in milliseconds. They belong to what a rule means; a policy sets only its marks.
BURST_MS = 10_000
FAST_CHANGE_MS = 1_000
PAUSE_MS = 1_800_000
# Intervals are equal if their standard deviation is below this share of their mean.
EQUAL_VARIATION = 0.05
# What `user_measures` needs of `searches`.
NEEDED = ("batch", "number", "at", "user", "query", "clicked_all", "declared_agent")


def user_measures(searches: pl.DataFrame) -> pl.DataFrame:
    """The values of all rules for every known user, by user, with the place of up to 5 searches as `examples`.

    Every search counts, those that are marked irrelevant as well.

    Args:
        searches: The searches of one UTC day.
    """
    frame = searches.filter(pl.col("user") != 0).sort("user", "at", "batch", "number")
    gap = (pl.col("at") - pl.col("at").shift(1)).dt.total_milliseconds().over("user")
    changed = pl.col("query") != pl.col("query").shift(1).over("user")
    frame = frame.with_columns(gap.alias("gap"), (changed & (gap < FAST_CHANGE_MS)).alias("fast_change"))
    frame = frame.with_columns(pl.col("gap").ge(PAUSE_MS).fill_null(value=True).cum_sum().alias("activity"))
    found = frame.group_by("user").agg(
        pl.len().cast(pl.Float64).alias("searches"),
        pl.col("fast_change").sum().cast(pl.Float64).alias("fast_changes"),
        pl.col("clicked_all").sum().cast(pl.Float64),
        pl.col("declared_agent").sum().cast(pl.Float64),
        _equal_intervals().alias("equal_intervals"),
        pl.struct("batch", "number").head(5).alias("examples"),
    )
    length = (pl.col("at").max() - pl.col("at").min()).dt.total_milliseconds() / 3_600_000
    activities = frame.group_by("user", "activity").agg(length.alias("hours"))
    hours = activities.group_by("user").agg(pl.col("hours").max().alias("continuous_hours"))
    queries = frame.filter(pl.col("query") != "").group_by("user", "query").agg(pl.len().alias("count"))
    same = queries.group_by("user").agg(pl.col("count").max().cast(pl.Float64).alias("same_query"))
    for other in (hours, same, _bursts(frame)):
        found = found.join(other, on="user", how="left")
    return found.with_columns(pl.col("same_query").fill_null(0.0)).sort("user")


def _equal_intervals() -> pl.Expr:
    """The number of searches if their intervals are all but equal; otherwise 0. Two intervals are too few to say."""
    gaps = pl.col("gap").drop_nulls()
    equal = (pl.len() > 3) & (gaps.mean() > 0) & (gaps.std(ddof=0) < EQUAL_VARIATION * gaps.mean())
    return pl.when(equal).then(pl.len()).otherwise(0).cast(pl.Float64)


def _bursts(frame: pl.DataFrame) -> pl.DataFrame:
    """The most searches of every user within 10 s."""
    window = (
        frame.sort("at")
        .rolling("at", period=f"{BURST_MS}ms", closed="both", group_by="user")
        .agg(pl.len().alias("count"))
    )
    return window.group_by("user").agg(pl.col("count").max().cast(pl.Float64).alias("burst"))
