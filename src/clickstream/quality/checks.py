"""The checks of data quality over a window, or over one batch."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from clickstream.analytics import columns
from clickstream.analytics.asked import together
from clickstream.analytics.cover import Cover
from clickstream.analytics.figures import FiguresEngine
from clickstream.analytics.rollups import RollUps
from clickstream.analytics.sums import counts
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain import quality, quality_checks
from clickstream.domain.batches import Batch
from clickstream.domain.errors import FailedPrecondition
from clickstream.domain.figures import Coverage, Population, Question
from clickstream.domain.intervals import Z
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.quality import Check, Quality, QualityCheck, QualityGroup, Refused, measured, valued
from clickstream.domain.query_split import Split
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.windows import Bucket, Window
from clickstream.quality import batch_reading
from clickstream.quality.check_sums import NEEDED, added, quality_sums, seen_in

EXAMPLES, GROUPS, UNNAMED_TYPES, REFUSALS = 5, 100, 20, 100
WEEKS = 4
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
CONFLICT, OUT_OF_WINDOW = "CONTENT_CONFLICT", "CREATED_AT_OUT_OF_WINDOW"


class QualityChecks:
    """The checks of one question. Blocks.

    Args:
        dao: The store.
        engine: Answers figures.
        roll_ups: Reads frames.
        defaults: The settings of training: the share and the seed of held-out queries.
        population: Which searches count.
    """

    def __init__(
        self,
        dao: ClickstreamDao,
        engine: FiguresEngine,
        roll_ups: RollUps,
        defaults: FineTuningSettings,
        population: Population,
    ) -> None:
        self._dao = dao
        self._engine = engine
        self._roll_ups = roll_ups
        self._defaults = defaults
        self._population = population
        self._named = frozenset(roll_ups.rules.policy.grades)

    def of_window(self, window: Window, group_by: str) -> Quality:
        """The checks of a window.

        Raises:
            InvalidArgument: The window is too long to compute them.
        """
        exact_until = self._roll_ups.exact_until()
        cover = self._engine.cover(window, set())
        found = _Found(cover, self._population, self._named, None, self._group(group_by, window))
        refused = self._dao.refusals.of(window.start, window.end)
        total = found.total | self._arrivals(found.total, refused)
        special = [
            measured(quality_checks.CONFLICTS, total),
            measured(quality_checks.CLOCKS, total),
            valued(quality_checks.VOLUME, self._volume(window)),
        ]
        coverage = self._engine.coverage(cover, exact_until)
        return replace(self._quality(found, special, coverage), refusals=refused[:REFUSALS])

    def of_batch(self, batch: Batch, group_by: str) -> Quality:
        """The checks of a batch, with those that only a batch has."""
        exact_until = self._roll_ups.exact_until()
        heads = self._roll_ups.batch_heads(batch.sequence)
        window = _around([head.totals for head in heads if head.days])
        cover = self._engine.cover(window, set())
        found = _Found(cover, self._population, self._named, batch.sequence, self._group(group_by, window))
        pairs, groups = batch_reading.positions(self._roll_ups, heads)
        repeated = batch_reading.repeated_queries(self._roll_ups, batch.sequence, found.queries)
        special = [
            measured(quality_checks.SWAPPED_PAIRS, pairs),
            valued(quality_checks.POSITION_GROUPS, groups),
            measured(quality_checks.DUPLICATE_TEXTS, self._duplicates(batch.sequence)),
            measured(quality_checks.REPEATED_QUERIES, found.total | {"repeated": repeated}),
        ]
        return self._quality(found, special, self._engine.coverage(cover, exact_until))

    def _quality(self, found: "_Found", special: Sequence[QualityCheck], coverage: Coverage) -> Quality:
        clicked = found.queries.filter(pl.col("clicked") > 0)["query"].to_list()
        checks = [
            *(measured(check, found.total, self._ids(found, check)) for check in quality_checks.OF_SEARCHES),
            valued(quality_checks.USERS_PER_TYPE, found.fewest_users()),
            *special,
            valued(quality_checks.SMALLEST_GAIN, self._smallest_gain(clicked)),
        ]
        groups = [
            QualityGroup(value, sums["searches"], [measured(check, sums) for check in quality_checks.OF_SEARCHES])
            for value, sums in sorted(found.groups.items())
            if value and sums["searches"]
        ]
        unnamed = [(name, count) for name, count in found.types.items() if count and name not in self._named]
        return Quality(
            checks=checks,
            steps=quality.steps(checks, len(clicked)),
            groups=groups[-GROUPS:],
            unnamed_types=sorted(unnamed, key=lambda each: (-each[1], each[0]))[:UNNAMED_TYPES],
            refusals=(),
            coverage=coverage,
        )

    def _group(self, group_by: str, window: Window) -> pl.Expr | None:
        if group_by == "day":
            return pl.col("at").dt.convert_time_zone(window.zone.key).dt.strftime("%Y-%m-%d")
        if group_by == "batch":
            return pl.concat_str(pl.lit("batch-"), pl.col("batch"))
        if group_by == "client":
            return pl.when(pl.col("client") == "").then(pl.lit("(none)")).otherwise(pl.col("client"))
        return None

    def _ids(self, found: "_Found", check: Check) -> list[str]:
        """The ids of sessions in which the fault of a check is seen."""
        places = found.examples.get(check.id, ())
        pages = (self._dao.sessions.page(batch, number - 1, 1, include_irrelevant=True) for batch, number in places)
        return [session.session_id for page in pages for session in page.sessions]

    def _arrivals(self, total: Mapping[str, int], refused: Sequence[Refused]) -> dict[str, int]:
        of = {reason: sum(each.count for each in refused if each.reason == reason) for reason in REFUSED_ITEMS}
        arrivals = total.get("relevant", 0) + total.get("stored_events", 0) + sum(of.values())
        return {"conflicts": of[CONFLICT], "refused_times": of[OUT_OF_WINDOW], "arrivals": arrivals}

    def _volume(self, window: Window) -> float | None:
        """The last whole day's searches, by the median of the same weekday before; None if that is 0 or unknown."""
        end = window.end.astimezone(window.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        days = []
        for weeks in range(WEEKS + 1):
            start = (end - DAY - weeks * WEEK).replace(tzinfo=window.zone)
            around = Window.around(start, (end - weeks * WEEK).replace(tzinfo=window.zone), window.zone)
            answer = self._engine.figures(around, Bucket.WHOLE, "", Question({}, self._population), 1)
            days.append(answer.total.searches)
        usual = statistics.median(days[1:])
        return days[0] / usual if usual else None

    def _duplicates(self, sequence: int) -> Mapping[str, int]:
        try:
            template = ItemTemplate(self._roll_ups.rules.item_template)
        except FailedPrecondition:
            return {}
        return batch_reading.duplicate_texts(self._dao, sequence, template)

    def _smallest_gain(self, clicked: Sequence[str]) -> float | None:
        """What the held-out queries with a click can show; None if there are none."""
        settings = self._defaults
        held_out = Split.of(clicked, settings.seed, settings.held_out_share, settings.folds).held_out
        return quality.POWER * self._deviation() / math.sqrt(held_out) if held_out else None

    def _deviation(self) -> float:
        """The SD of a query's difference in nDCG@10, as the newest model version measured it."""
        for version in self._dao.runs.model_versions(None, 1, gate_passed_only=False):
            gain, queries = version.evaluation.ndcg_gain, version.data.held_out_queries
            if queries > 1 and gain.upper > gain.lower:
                return (gain.upper - gain.lower) / (2 * Z) * math.sqrt(queries)
        return quality.DEFAULT_SD


REFUSED_ITEMS = (CONFLICT, OUT_OF_WINDOW)


class _Found:
    """What the searches of a window, or those of a batch, have: sums, examples, users by type, and queries.

    `queries` has `query`, `searches` and `clicked` (searches with a click that could be clicked), a row per query.
    """

    def __init__(
        self, cover: Cover, population: Population, named: frozenset[str], batch: int | None, by: pl.Expr | None
    ) -> None:
        self.cover = cover
        self.total: dict[str, int] = {}
        self.groups: dict[str, dict[str, int]] = {}
        self.examples: dict[str, list[tuple[int, int]]] = {}
        self.types: dict[str, int] = {}
        self._named = named
        self._users: dict[str, pl.Series] = {}
        queries = [pl.DataFrame(schema={"query": pl.String, "searches": pl.Int64, "clicked": pl.Int64})]
        for frame in self._frames(batch):
            everything: dict[str, dict[str, int]] = {"": self.total}
            added(everything, quality_sums(frame, population, named, pl.lit("")))
            if by is not None:
                added(self.groups, quality_sums(frame, population, named, by))
            self._add_examples(frame, population)
            counted = frame.filter(counts(population))
            self._add_types(counted)
            queries = [_summed([*queries, _queries(counted)])]
        self.queries = queries[0]

    def _frames(self, batch: int | None) -> Iterator[pl.DataFrame]:
        frames = (self.cover.searches(day, NEEDED) for day in self.cover.days)
        wanted = pl.lit(value=True) if batch is None else pl.col("batch") == batch
        return (frame for frame in together(frame.filter(wanted) for frame in frames) if frame.height)

    def _add_examples(self, frame: pl.DataFrame, population: Population) -> None:
        for name, seen in seen_in(frame, population, self._named).items():
            known = self.examples.setdefault(name, [])
            if len(known) < EXAMPLES:
                rows = frame.filter(seen).select("batch", "number").sort("batch", "number").head(EXAMPLES - len(known))
                known += rows.rows()

    def _add_types(self, frame: pl.DataFrame) -> None:
        for name in frame.columns:
            if name.startswith((columns.EVENTS, columns.UNSHOWN)):
                kind = name.split(".", 1)[1]
                self.types[kind] = self.types.get(kind, 0) + int(frame[name].sum())
                if name.startswith(columns.EVENTS) and kind in self._named:
                    users = frame.filter((pl.col(name) > 0) & (pl.col("user") != 0))["user"]
                    self._users[kind] = pl.concat([self._users.get(kind, users.clear()), users]).unique()

    def fewest_users(self) -> int | None:
        """The distinct users of the named event type that the fewest users have; None if no such event came."""
        return min((len(users) for kind, users in self._users.items() if self.types[kind]), default=None)


def _queries(frame: pl.DataFrame) -> pl.DataFrame:
    click = columns.EVENTS + columns.CLICK
    clicked = pl.col("clickable") & (pl.col(click) > 0) if click in frame.columns else pl.col("batch") < 0
    of_query = frame.filter(pl.col("query") != "").group_by("query")
    return of_query.agg(pl.len().cast(pl.Int64).alias("searches"), clicked.sum().cast(pl.Int64).alias("clicked"))


def _summed(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).group_by("query").agg(pl.col("searches", "clicked").sum())


def _around(totals: Sequence[Mapping[str, int]]) -> Window:
    """The window in which all sessions of a batch lie; one of a quarter of an hour, if it has none."""
    first = min((each["first_ms"] for each in totals), default=0)
    last = max((each["last_ms"] for each in totals), default=0)
    epoch, millisecond = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
    return Window.around(epoch + first * millisecond, epoch + (last + 1) * millisecond, ZoneInfo("UTC"))
