"""Comparison of two sides: the difference of every rate, and what may mislead."""

from collections.abc import Iterator
from datetime import datetime

import polars as pl

from clickstream.analytics.asked import Asked
from clickstream.analytics.figures import FiguresEngine
from clickstream.domain.figures import Comparison, Difference, Question
from clickstream.domain.intervals import newcombe
from clickstream.domain.windows import Bucket, Window

# Users with more searches than the mean and this many standard deviations are outliers, as in Algolia's A/B tests.
OUTLIER_DEVIATIONS = 7
HEAVY_SHARE = 0.05
FEW_SEARCHES = 100


def compare(
    engine: FiguresEngine,
    first: tuple[Window, Question],
    second: tuple[Window, Question],
    exact_until: datetime | None,
) -> Comparison:
    """Compares two sides, without the searches of their outliers."""
    sides = [_Side(engine, *side, name) for side, name in ((first, "first"), (second, "second"))]
    one, other = (side.figures for side in sides)
    warnings = [warning for side in sides for warning in side.warnings()]
    if first[0].start < second[0].end and second[0].start < first[0].end and first[1].filters == second[1].filters:
        warnings.append("both sides have searches in common")
    rates, others = one.rates(), other.rates()
    return Comparison(
        one,
        other,
        [_difference(name, rates[name], others[name]) for name in rates if name in others],
        warnings,
        (sides[0].outlier_searches, sides[1].outlier_searches),
        (engine.coverage(sides[0].cover, exact_until), engine.coverage(sides[1].cover, exact_until)),
    )


def _difference(name: str, first: tuple[int, int], second: tuple[int, int]) -> Difference:
    value = second[0] / second[1] - first[0] / first[1]
    bounded = all(numerator <= denominator for numerator, denominator in (first, second))
    return Difference(name, value, newcombe(first, second) if bounded else None)


class _Side:
    """The figures of one side without its outliers, and what is odd about it."""

    def __init__(self, engine: FiguresEngine, window: Window, question: Question, name: str) -> None:
        self._name = name
        self.cover = engine.cover(window, {*question.filters})
        edges = window.edges(Bucket.WHOLE)
        self._per_user = Asked(self.cover, "", question, edges).searches_per_user()
        outliers = self._outliers()
        self.outlier_searches = int(self._per_user.filter(pl.col("user").is_in(outliers))["searches"].sum())
        self.figures = Asked(self.cover, "", question, edges, without_users=outliers).total()

    def _outliers(self) -> list[int]:
        searches = pl.col("searches")
        most = searches.mean() + OUTLIER_DEVIATIONS * searches.std(ddof=0)
        return self._per_user.filter(searches > most)["user"].to_list()

    def warnings(self) -> Iterator[str]:
        """One sentence each."""
        searches = self.figures.searches
        if searches < FEW_SEARCHES:
            yield f"the {self._name} side has {searches:,} searches only"
        most = max(self._per_user["searches"].to_list(), default=0)
        if searches and most > HEAVY_SHARE * (searches + self.outlier_searches):
            share = most / (searches + self.outlier_searches)
            yield f"one user makes {share:.1%} of the {self._name} side's searches"
