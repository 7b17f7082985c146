"""One question about a window: its sums, day by day, and the figures made of them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from clickstream.analytics import columns
from clickstream.analytics.cover import Cover
from clickstream.analytics.day_frames import FLAGS, by_value, joined, shown_in
from clickstream.analytics.sums import GROUP, NEEDED, counts, figures_of, search_sums, showing_sums, summed
from clickstream.domain import limits
from clickstream.domain.analytics import EVENT_TYPE, is_of_results
from clickstream.domain.batches import sequence_of
from clickstream.domain.errors import FieldViolation, InvalidArgument, Reason
from clickstream.domain.figures import Figures, FiguresRow, Question
from clickstream.domain.query_split import normalised
from clickstream.domain.windows import is_whole_days

# Searches that are summed together: some tens of megabytes.
ROWS_AT_ONCE = 500_000
_FRAMES = {"object": columns.OBJECTS, "position": columns.PLACES}


class Asked:
    """One question about a window, computed some days at a time: only their sums are kept.

    Args:
        cover: What the window is computed from.
        dimension: What to break down by; "": nothing.
        question: What is kept, and which searches count.
        edges: The moments at which the parts of time begin, and the end of the last.
        clickable_only: Whether searches that could not be clicked are left out, as of results they always are.
        without_users: The searches of these users, by `user_key`, are left out.
    """

    def __init__(
        self,
        cover: Cover,
        dimension: str,
        question: Question,
        edges: Sequence[datetime],
        *,
        clickable_only: bool = False,
        without_users: Sequence[int] = (),
    ) -> None:
        self.cover = cover
        self.question = question
        self._dimension = dimension
        self._edges = edges
        of_results = any(map(is_of_results, (dimension, *question.filters)))
        self._of_results = of_results or clickable_only
        self._whole_days = is_whole_days([*edges])
        self._clickable_only = clickable_only
        self._without_users = without_users
        # Values are numbers while they are grouped, which takes half of the time. The table of their names ends with
        # this question: a shared one would keep every query that was ever asked about.
        self._names = pl.Categorical(pl.Categories.random())
        group: dict[str, Any] = {"part": pl.Int64, "value": self._names}
        sums, users, clicks = (
            [pl.DataFrame(schema={**group, name: pl.Int64})] for name in ("searches", "user", "first_click_ms")
        )
        if of_results:
            shown = together(frame for day in cover.days for frame in self._showings(day))
            sums += (showing_sums(self._grouped(frame), question.population) for frame in shown)
        for searches in () if of_results else self._many_searches():
            frame = self._grouped(searches)
            sums.append(search_sums(frame, question.population))
            counted = frame.filter(counts(question.population))
            users.append(counted.filter(pl.col("user") != 0).select(*GROUP, "user").unique())
            clicks.append(counted.filter("clickable").select(*GROUP, "first_click_ms").drop_nulls("first_click_ms"))
        self._sums = summed(sums).with_columns(pl.col("value").cast(pl.String))
        self._users, self._clicks = pl.concat(users).unique(), pl.concat(clicks)

    def total(self) -> Figures:
        """The figures of the whole window, over all values."""
        [beside] = self._beside([]).to_dicts()
        [sums] = summed([self._sums], []).to_dicts()
        days = is_whole_days([self._edges[0], self._edges[-1]])
        return figures_of(sums, beside, of_results=self._of_results, whole_days=days)

    def value_count(self) -> int:
        """The number of distinct values that have a search which counts."""
        return self._sums.filter(pl.col("searches") > 0)["value"].n_unique() if self._dimension else 0

    def _many_searches(self) -> Iterator[pl.DataFrame]:
        """The searches that the filters keep, of some days together: a sum costs some milliseconds however small."""
        return together(self._searches(day) for day in self.cover.days)

    def searches_per_user(self) -> pl.DataFrame:
        """The number of searches that count, of every known user: the columns `user` and `searches`."""
        counted = [_NO_SEARCHES]
        for searches in self._many_searches():
            frame = searches.filter(counts(self.question.population) & (pl.col("user") != 0))
            counted.append(frame.group_by("user").agg(pl.len().cast(pl.Int64).alias("searches")))
        return pl.concat(counted).group_by("user").agg(pl.col("searches").sum())

    def values(self) -> pl.DataFrame:
        """The sums of every value over the whole window, one row each."""
        return summed([self._sums], ["value"])

    def rows(self, value_limit: int) -> list[FiguresRow]:
        """The figures by part of time and value; without a dimension, every part has a row."""
        sums, beside = self._sums, self._beside(GROUP)
        if self._dimension:
            most = summed([sums], ["value"]).filter(pl.col("searches") > 0)
            most = most.sort(["searches", "value"], descending=[True, False]).head(value_limit)
            order = {value: index for index, value in enumerate(most["value"])}
            sums = sums.filter(pl.col("value").is_in(list(order)) & (pl.col("searches") > 0))
        else:
            order = {"": 0}
        others = {(row["part"], row["value"]): row for row in beside.iter_rows(named=True)}
        found = {(row["part"], row["value"]): row for row in sums.iter_rows(named=True)}
        if not self._dimension:
            found = {(part, ""): found.get((part, ""), {}) for part in range(len(self._edges) - 1)}
        return [
            FiguresRow(
                self._edges[part],
                self._edges[part + 1],
                value,
                figures_of(
                    found[part, value],
                    others.get((part, value), {}),
                    of_results=self._of_results,
                    whole_days=self._whole_days,
                ),
            )
            for part, value in sorted(found, key=lambda each: (each[0], order[each[1]]))
        ]

    def _beside(self, by: Sequence[str]) -> pl.DataFrame:
        """Distinct users and the quantiles of the time to the first click, which are no sums."""
        delay = pl.col("first_click_ms")
        quantiles = [
            delay.quantile(0.5, "linear").alias("median"),
            delay.quantile(0.9, "linear").alias("p90"),
        ]
        if not by:
            return self._clicks.select(quantiles).with_columns(users=pl.lit(self._users["user"].n_unique()))
        users = self._users.group_by(by).agg(pl.len().alias("users"))  # each of them once
        found = users.join(self._clicks.group_by(by).agg(quantiles), on=list(by), how="full", coalesce=True)
        return found.with_columns(pl.col("value").cast(pl.String))

    def _grouped(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with its group: the index of the part of time, and the value as text."""
        part = pl.Series(self._edges[:-1], dtype=_AT).search_sorted(frame["at"], side="right").cast(pl.Int64) - 1
        value = pl.col("value") if "value" in frame.columns else self._value(self._dimension)
        return frame.with_columns(
            part.alias("part"), value.cast(pl.String).fill_null("").cast(self._names).alias("value")
        )

    def _value(self, dimension: str) -> pl.Expr:
        if not dimension:
            return pl.lit("")
        if dimension == "batch":
            return pl.concat_str(pl.lit("batch-"), pl.col("batch"))
        if dimension == "filtered":
            return pl.when("filtered").then(pl.lit("true")).otherwise(pl.lit("false"))
        return pl.col(dimension)

    def _searches(self, day: int) -> pl.DataFrame:
        """The searches of a day that the filters on searches keep."""
        filters = [each for each in self.question.filters if not is_of_results(each)]
        dimensions = [each for each in (self._dimension, *filters) if each and not is_of_results(each)]
        frame = self.cover.searches(day, [*NEEDED, "batch", "number", *dimensions])
        kept = pl.col("clickable") if self._clickable_only else pl.lit(value=True)
        if self._without_users:
            frame = frame.filter(~pl.col("user").is_in(self._without_users))
        return frame.filter(kept, *(self._keeps(each, frame) for each in filters))

    def _keeps(self, dimension: str, frame: pl.DataFrame) -> pl.Expr:
        values = self.question.filters[dimension]
        if dimension == EVENT_TYPE:
            names = [name for name in (columns.EVENTS + value for value in values) if name in frame.columns]
            return pl.any_horizontal(*((pl.col(name) > 0) for name in names), pl.lit(value=False))
        if dimension == "query":
            return pl.col("query").is_in([normalised(value) for value in values])
        if dimension == "batch":
            return pl.col("batch").is_in([sequence_of(value) or 0 for value in values])
        if dimension == "position":
            return pl.col("place").is_in([int(value) for value in values])
        return self._value(dimension).fill_null("").is_in(list(values))

    def _showings(self, day: int) -> Iterator[pl.DataFrame]:
        """The showings of a day by value, that the filters keep."""
        if (name := self._kept_by_day()) is not None:
            frame = self.cover.values(day, name)
            [wanted] = self.question.filters.values() or [()]
            if wanted:
                value = pl.col("value").cast(pl.String).fill_null("")
                yield frame.filter(value.is_in(list(wanted))).with_columns(value=pl.lit(""))
            else:
                yield frame
            return
        if (count := self.cover.showing_count()) > limits.FIGURE_SHOWINGS:
            description = f"has about {count:,} shown results; {limits.FIGURE_SHOWINGS:,} are allowed"
            why = "no roll-up has their sums for this combination, so they are counted one by one"
            raise InvalidArgument([FieldViolation("window", f"{description}: {why}", Reason.LIMIT_EXCEEDED)])
        searches = self._searches(day).filter("clickable")
        of_results = [each for each in self.question.filters if is_of_results(each)]
        for each in self.cover.parts(day):
            shown = shown_in(searches.select("batch", "number", "at", *FLAGS, *self._of_search()), each)
            shown = shown.filter(pl.lit(value=True), *(self._keeps(name, shown) for name in of_results))
            column = {"object": "object", "position": "place"}.get(self._dimension)
            value = pl.col(column) if column else self._value(self._dimension)
            part = pl.Series(self._edges[:-1], dtype=_AT).search_sorted(shown["at"], side="right").cast(pl.Int64) - 1
            begins = pl.Series("at", [*self._edges[:-1]], dtype=_AT)
            shown = shown.with_columns(begins.gather(part).alias("at"), value.cast(pl.String).alias("value"))
            yield by_value(shown, [pl.col("at"), *map(pl.col, FLAGS), pl.col("value")])

    def _of_search(self) -> list[str]:
        """The column of the dimension, if it is one of searches, for results that are broken down by it."""
        return (
            [self._dimension]
            if self._dimension and not is_of_results(self._dimension) and self._dimension != "batch"
            else []
        )

    def _kept_by_day(self) -> str | None:
        """The frame by value that rows of days have for this question; None if none answers it."""
        filters = self.question.filters
        [dimension, *others] = [each for each in (self._dimension, *filters) if each]
        if others or (filters and len(filters[dimension]) > 1):
            return None
        name = _FRAMES.get(dimension, dimension)
        return None if name == columns.OBJECTS and not is_whole_days([*self._edges]) else name


def together(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows in fewer frames, of at least `ROWS_AT_ONCE` rows each but the last."""
    found: list[pl.DataFrame] = []
    for frame in frames:
        found.append(frame)
        if sum(each.height for each in found) >= ROWS_AT_ONCE:
            yield joined(found)
            found = []
    if found:
        yield joined(found)


_AT = pl.Datetime("ms", "UTC")
_NO_SEARCHES = pl.DataFrame(schema={"user": pl.Int64, "searches": pl.Int64})
