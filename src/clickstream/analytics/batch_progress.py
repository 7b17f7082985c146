"""What became of batches, from the totals of their ranges."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from clickstream.analytics.columns import DAY_MS
from clickstream.analytics.range_making import DAY, SKIP
from clickstream.analytics.rollups import RollUps
from clickstream.dao.interface.analytics import RangeHead
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.batches import Batch
from clickstream.domain.progress import BatchProgress
from clickstream.domain.training_inputs import ROBOT

DAYS, RUNS = 100, 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def batch_progress(dao: ClickstreamDao, roll_ups: RollUps, batch: Batch) -> BatchProgress:
    """The progress of one batch. Blocks."""
    heads = roll_ups.batch_heads(batch.sequence)
    totals = Counter[str]()
    for head in heads:
        totals.update({name: count for name, count in head.totals.items() if not name.endswith("_ms")})
    robots = _robots(roll_ups, heads)
    skipped = {name.removeprefix(SKIP): count for name, count in totals.items() if name.startswith(SKIP)}
    if robots:
        skipped[ROBOT] = robots
    days = sorted(int(name.removeprefix(DAY)) for name in totals if name.startswith(DAY))[-DAYS:]
    return BatchProgress(
        batch=batch,
        first_session_at=_moment(min((head.totals["first_ms"] for head in heads if head.days), default=None)),
        last_session_at=_moment(max((head.totals["last_ms"] for head in heads if head.days), default=None)),
        sessions_by_day={day: totals[f"{DAY}{day}"] for day in days},
        converts=totals["converts"] - robots,
        skipped=skipped,
        runs=dao.runs.of_batch(batch.sequence, None, RUNS),
    )


def _robots(roll_ups: RollUps, heads: Sequence[RangeHead]) -> int:
    """The number of sessions that would give an input, were their users no robots."""
    days = [day for head in heads for day in head.days]
    robots = roll_ups.robots((min(days), max(days))).by_day if days else {}
    concerned = [head for head in heads if not robots.keys().isdisjoint(head.days)]
    if not concerned:
        return 0
    pairs = [(day, user) for day, users in robots.items() for user in users]
    verdicts = pl.DataFrame(pairs, schema={"day": pl.Int64, "user": pl.Int64}, orient="row")
    day = (pl.col("at").dt.timestamp("ms") // DAY_MS).alias("day")
    frames = roll_ups.range_searches(concerned, ("at", "user", "converts"))
    return sum(frame.filter("converts").with_columns(day).join(verdicts, on=["day", "user"]).height for frame in frames)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _EPOCH + timedelta(milliseconds=milliseconds)
