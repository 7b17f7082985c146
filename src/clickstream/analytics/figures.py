"""Figures of a window: in parts of time, by the values of a dimension, or both."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from clickstream.analytics.asked import Asked
from clickstream.analytics.cover import Cover
from clickstream.analytics.rollups import RollUps
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import CONTEXT, EVENT_TYPE, META, Segments, is_of_results
from clickstream.domain.figures import Coverage, Figures, FiguresAnswer, FiguresRow, Question
from clickstream.domain.windows import Bucket, Window


class FiguresEngine:
    """Computes figures from roll-ups. Blocks."""

    def __init__(self, dao: ClickstreamDao, roll_ups: RollUps) -> None:
        self._dao = dao
        self._roll_ups = roll_ups

    def figures(
        self, window: Window, bucket: Bucket, dimension: str, question: Question, value_limit: int
    ) -> FiguresAnswer:
        """The figures of every part of the window and value of the dimension, and of all together.

        Args:
            window: The time to look at.
            bucket: The length of its parts.
            dimension: What to break down by; "": nothing.
            question: What is kept, and which searches count.
            value_limit: The number of values to answer: those with the most searches.

        Raises:
            InvalidArgument: The roll-ups do not hold it, and the window is too long to compute it otherwise.
        """
        exact_until = self._roll_ups.exact_until()  # before the rows: they can only be newer
        edges = window.edges(bucket)
        by = "" if dimension == EVENT_TYPE else dimension
        asked = Asked(self.cover(window, {by, *question.filters}), by, question, edges)
        if dimension == EVENT_TYPE:
            rows, values = _by_type(asked.rows(value_limit=1), value_limit)
        else:
            rows, values = asked.rows(value_limit), asked.value_count()
        total = self._total(asked) if is_of_results(dimension) else asked.total()
        return FiguresAnswer(rows, total, values, self.coverage(asked.cover, exact_until))

    def _total(self, asked: Asked) -> Figures:
        """The figures of all values of a dimension of results: each search counts once."""
        edges = [asked.cover.window.start, asked.cover.window.end]
        return Asked(asked.cover, "", asked.question, edges, clickable_only=True).total()

    def cover(self, window: Window, dimensions: set[str]) -> Cover:
        """What the window is computed from, if these dimensions are asked about."""
        declared = self._roll_ups.rules.segments
        context = [each.removeprefix(CONTEXT) for each in dimensions if each.startswith(CONTEXT)]
        meta = [each.removeprefix(META) for each in dimensions if each.startswith(META)]
        if {*context} <= {*declared.context} and {*meta} <= {*declared.meta}:
            return Cover(self._dao.analytics, self._roll_ups, window, Segments())
        return Cover(self._dao.analytics, self._roll_ups, window, Segments(tuple(context), tuple(meta)))

    def coverage(self, cover: Cover, exact_until: datetime | None) -> Coverage:
        """What an answer from this cover covers."""
        return Coverage(
            cover.window.start,
            cover.window.end,
            cover.window.zone.key,
            exact_until,
            cover.from_sessions,
            self._roll_ups.rules.policy.version,
            cover.robot_verdict_number,
        )


def _by_type(rows: Sequence[FiguresRow], value_limit: int) -> tuple[list[FiguresRow], int]:
    """The rows of a window by event type, each with the events of one type alone; and the number of types."""
    totals: dict[str, int] = {}
    for row in rows:
        for each in row.figures.events:
            totals[each.type] = totals.get(each.type, 0) + each.count
    most = sorted(totals, key=lambda name: (-totals[name], name))[:value_limit]
    found = [
        FiguresRow(row.start, row.end, name, replace(row.figures, events=[each]))
        for row in rows
        for name in most
        for each in row.figures.events
        if each.type == name
    ]
    return found, len(totals)
