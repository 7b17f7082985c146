"""The answers of AnalyticsService."""

from collections.abc import Callable, Sequence
from datetime import datetime

from clickstream.analytics.batch_progress import batch_progress
from clickstream.analytics.comparison import compare
from clickstream.analytics.figures import FiguresEngine
from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.analytics.top_lists import TopList, top
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.batches import Batch
from clickstream.domain.errors import FieldViolation, InvalidArgument
from clickstream.domain.figures import Comparison, Coverage, FiguresAnswer, Population, Question, TopRow
from clickstream.domain.progress import BatchProgress
from clickstream.domain.quality import Quality
from clickstream.domain.robots import Preview
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.windows import Bucket, Window
from clickstream.quality.checks import QualityChecks
from clickstream.quality.robot_judging import RobotJudging
from clickstream.quality.robot_policy import RobotPolicy, parse_robot_policy


class Answers:
    """Answers from one store. Blocks.

    Args:
        dao: The store.
        rules: The importance policy, the declared segments and the item template.
        robot_policy: Judges users where a dry run names no other policy.
        defaults: The settings of training, by which queries are held out.
        clock: The current time, in UTC.

    Every method raises InvalidArgument if the roll-ups do not hold what was asked for, and the window is too long to
    compute it otherwise.
    """

    def __init__(
        self,
        dao: ClickstreamDao,
        rules: FrameRules,
        robot_policy: RobotPolicy,
        defaults: FineTuningSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._dao = dao
        self._defaults = defaults
        self._roll_ups = RollUps(dao, rules)
        self._engine = FiguresEngine(dao, self._roll_ups)
        self._robot_policy = robot_policy
        self._judging = RobotJudging(dao, self._roll_ups, robot_policy, clock)

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

    def preview_robots(self, days: Sequence[int], policy: str, *, include_unsure: bool) -> Preview:
        """As `RobotJudging.preview`, by a policy that is given as TOML; "": the service's own."""
        try:
            chosen = parse_robot_policy(policy) if policy else self._robot_policy
        except ValueError as error:
            raise InvalidArgument([FieldViolation("policy", str(error))]) from error
        return self._judging.preview(days, chosen, include_unsure=include_unsure)

    def quality_of_window(self, window: Window, population: Population, group_by: str) -> Quality:
        """The checks of a window, by "day", "batch", "client" or "" as well."""
        return self._checks(population).of_window(window, group_by)

    def quality_of_batch(self, batch: Batch, population: Population, group_by: str) -> Quality:
        """The checks of a batch, likewise."""
        return self._checks(population).of_batch(batch, group_by)

    def _checks(self, population: Population) -> QualityChecks:
        return QualityChecks(self._dao, self._engine, self._roll_ups, self._defaults, population)

    def progress(self, batches: Sequence[Batch]) -> list[BatchProgress]:
        """What became of these batches."""
        return [batch_progress(self._dao, self._roll_ups, batch) for batch in batches]

    def coverage(self) -> Coverage:
        """What an answer without a window covers."""
        policy, number = self._roll_ups.rules.policy.version, self._dao.robots.newest()
        return Coverage(None, None, "", self._roll_ups.exact_until(), False, policy, number)
