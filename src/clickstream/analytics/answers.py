"""The answers of AnalyticsService."""

from collections.abc import Sequence

from clickstream.analytics.comparison import compare
from clickstream.analytics.figures import FiguresEngine
from clickstream.analytics.range_frames import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.analytics.top_lists import TopList, top
from clickstream.conversion.importance import ImportancePolicy
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import Segments
from clickstream.domain.figures import Comparison, Coverage, FiguresAnswer, Question, TopRow
from clickstream.domain.windows import Bucket, Window


class Answers:
    """Answers from one store, by one importance policy and these declared segments. Blocks.

    Every method raises InvalidArgument if the roll-ups do not hold what was asked for, and the window is too long to
    compute it otherwise.
    """

    def __init__(self, dao: ClickstreamDao, policy: ImportancePolicy, segments: Segments) -> None:
        self._roll_ups = RollUps(dao, FrameRules(policy, segments))
        self._engine = FiguresEngine(dao, self._roll_ups)

    def figures(
        self, window: Window, bucket: Bucket, dimension: str, question: Question, value_limit: int
    ) -> FiguresAnswer:
        """As `FiguresEngine.figures`."""
        return self._engine.figures(window, bucket, dimension, question, value_limit)

    def top(
        self, wanted: str, window: Window, question: Question, min_searches: int, offset: int, limit: int
    ) -> tuple[Sequence[TopRow], Coverage]:
        """As `analytics.top_lists.top`."""
        exact_until = self._roll_ups.exact_until()
        return top(self._engine, TopList(wanted), window, question, min_searches, offset, limit, exact_until)

    def compare(self, first: tuple[Window, Question], second: tuple[Window, Question]) -> Comparison:
        """As `analytics.comparison.compare`."""
        exact_until = self._roll_ups.exact_until()
        return compare(self._engine, first, second, exact_until)
