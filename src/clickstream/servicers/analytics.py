"""AnalyticsService: figures, lists, comparisons, data quality, progress of batches, and robots."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import figures_pb2
from embedding_studio.clickstream.v1.analytics_service_pb2_grpc import AnalyticsServiceServicer
from typing_extensions import override

from clickstream.contract.analytics import (
    comparison_message,
    coverage_message,
    figures_message,
    row_message,
    top_row_message,
)
from clickstream.contract.encoding import timestamp
from clickstream.contract.quality import progress_message, quality_message
from clickstream.contract.robots import judgement_message
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain import limits
from clickstream.domain.errors import FieldViolation, Reason
from clickstream.domain.figures import Question
from clickstream.domain.improvement import ImprovementState
from clickstream.domain.windows import Window
from clickstream.servicers import robot_verdicts
from clickstream.servicers.boundary import Context
from clickstream.servicers.checks import analytics as checks
from clickstream.servicers.checks import fields, page_tokens
from clickstream.servicers.lookups import existing_batch

if TYPE_CHECKING:  # the figures need polars, which `serve` loads with the first question only
    from clickstream.servicers.answers import Answers

R = TypeVar("R")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AnalyticsServicer(AnalyticsServiceServicer):
    """Answers from roll-ups.

    One question is computed at a time, in a thread of its own: it can take a second and hundreds of megabytes, and
    calls of other services must not wait for it.

    Args:
        answers: Makes what computes the answers, at the first question.
        dao: The store.
        robot_policy_version: The version of the robot policy that judges.
        clock: The current time, in UTC.
    """

    def __init__(
        self,
        answers: "Callable[[], Answers]",
        dao: ClickstreamDao,
        robot_policy_version: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._make = answers
        self._dao = dao
        self._robot_policy_version = robot_policy_version
        self._made: Answers | None = None
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "figures")

    async def _compute(self, question: "Callable[[Answers], R]") -> R:
        """Computes in the thread. A call that is canceled or expires while it waits is not computed."""

        def compute() -> R:
            self._made = self._made or self._make()
            return question(self._made)

        return await asyncio.get_running_loop().run_in_executor(self._thread, compute)

    @override
    async def QueryFigures(self, request: pb.QueryFiguresRequest, context: Context) -> pb.QueryFiguresResponse:
        violations = fields.Violations()
        window = self._window(request.window, "window", violations)
        bucket = checks.checked_bucket(request.bucket, window, violations)
        if request.dimension:
            checks.check_dimension(request.dimension, "dimension", violations)
        question = checks.checked_question(request.filters, request.population, "filters", violations)
        value_limit = checks.checked_value_limit(request.value_limit, violations)
        fields.require(violations)
        answer = await self._compute(
            lambda answers: answers.figures(window, bucket, request.dimension, question, value_limit)
        )
        return pb.QueryFiguresResponse(
            rows=map(row_message, answer.rows),
            total=figures_message(answer.total),
            value_count=answer.value_count,
            coverage=coverage_message(answer.coverage),
        )

    @override
    async def ListTop(self, request: pb.ListTopRequest, context: Context) -> pb.ListTopResponse:
        violations = fields.Violations()
        page_size = fields.check_page_size(request.page_size, violations)
        if request.list not in pb.TopList.values() or not request.list:
            violations.append(FieldViolation("list", "is required, and must be a known value"))
        if not 0 <= request.min_searches < 2**53:
            violations.append(FieldViolation("min_searches", "must be from 0 to 2^53 - 1"))
        window = self._window(request.window, "window", violations)
        question = checks.checked_question(request.filters, request.population, "filters", violations)
        fields.require(violations)
        digest = _digest(request)
        offset = 0
        if request.page_token:
            begin, end, offset, asked = page_tokens.decode_token(request.page_token, "ListTop", (int, int, int, str))
            if asked != digest or offset >= 2**31 or not checks.is_window(begin, end):
                raise page_tokens.foreign_token()
            window = Window(_moment(begin), _moment(end), window.zone)
        wanted = pb.TopList.Name(request.list).removeprefix("TOP_LIST_")
        rows, coverage = await self._compute(
            lambda answers: answers.top(wanted, window, question, request.min_searches, offset, page_size)
        )
        page, last = page_tokens.cut_page(rows, top_row_message, page_size)
        begin, end = checks.utc_milliseconds(window.start), checks.utc_milliseconds(window.end)
        token = page_tokens.encode_token("ListTop", begin, end, offset + len(page), digest) if last else ""
        return pb.ListTopResponse(rows=page, next_page_token=token, coverage=coverage_message(coverage))

    @override
    async def CompareFigures(self, request: pb.CompareFiguresRequest, context: Context) -> pb.CompareFiguresResponse:
        violations = fields.Violations()
        first = self._side(request.first, "first", request.population, violations)
        second = self._side(request.second, "second", request.population, violations)
        fields.require(violations)
        return comparison_message(await self._compute(lambda answers: answers.compare(first, second)))

    @override
    async def GetDataQuality(self, request: pb.GetDataQualityRequest, context: Context) -> pb.GetDataQualityResponse:
        violations = fields.Violations()
        window = self._window(request.window, "window", violations)
        checks.check_quality_request(request, violations)
        fields.require(violations)
        population = checks.checked_population(request.population)
        if not request.batch_id:
            found = await self._compute(lambda answers: answers.quality_of_window(window, population, request.group_by))
        else:
            batch = await asyncio.to_thread(existing_batch, self._dao.batches, request.batch_id)
            found = await self._compute(lambda answers: answers.quality_of_batch(batch, population, request.group_by))
        return quality_message(found)

    @override
    async def GetBatchProgress(
        self, request: pb.GetBatchProgressRequest, context: Context
    ) -> pb.GetBatchProgressResponse:
        violations = fields.Violations()
        fields.check_page_size(request.page_size, violations)
        fields.require(violations)
        size = min(request.page_size, limits.PROGRESS_PAGE_SIZE) or limits.DEFAULT_PROGRESS_PAGE_SIZE
        before = None
        if request.page_token:
            before, of = page_tokens.decode_token(request.page_token, "GetBatchProgress", (int, str))
            if of != request.batch_id:
                raise page_tokens.foreign_token()
        if request.batch_id:
            batches = [await asyncio.to_thread(existing_batch, self._dao.batches, request.batch_id)]
        else:
            batches = await asyncio.to_thread(self._dao.batches.list, before, size, set())
        queue = await asyncio.to_thread(self._waiting)
        # The coverage first: what is read after it can only be newer.
        coverage, found = await self._compute(lambda answers: (answers.coverage(), answers.progress(batches)))
        page, last = page_tokens.cut_page(found, progress_message, size)
        more = last is not None and not request.batch_id
        token = page_tokens.encode_token("GetBatchProgress", last.batch.sequence, "") if last and more else ""
        return pb.GetBatchProgressResponse(
            batches=page, next_page_token=token, coverage=coverage_message(coverage), **queue
        )

    def _waiting(self) -> dict[str, Any]:
        """How many sessions wait in the improvement queue, and since when. Blocks."""
        improvement = self._dao.improvement
        first = next(iter(improvement.list(None, 1, {ImprovementState.PENDING})), None)
        return {
            "pending_tasks": improvement.counts().get(ImprovementState.PENDING, 0),
            "oldest_pending_task_queued_at": timestamp(first.queued_at if first else None),
        }

    @override
    async def ListRobotVerdicts(
        self, request: pb.ListRobotVerdictsRequest, context: Context
    ) -> pb.ListRobotVerdictsResponse:
        return await asyncio.to_thread(robot_verdicts.listed, self._dao.robots, request)

    @override
    async def OverruleRobotVerdict(
        self, request: pb.OverruleRobotVerdictRequest, context: Context
    ) -> pb.OverruleRobotVerdictResponse:
        return await asyncio.to_thread(robot_verdicts.overruled, self._dao.robots, request, self._clock())

    @override
    async def UndoRobotVerdicts(
        self, request: pb.UndoRobotVerdictsRequest, context: Context
    ) -> pb.UndoRobotVerdictsResponse:
        version = self._robot_policy_version
        return await asyncio.to_thread(robot_verdicts.undone, self._dao.robots, request, version, self._clock())

    @override
    async def PreviewRobotVerdicts(
        self, request: pb.PreviewRobotVerdictsRequest, context: Context
    ) -> pb.PreviewRobotVerdictsResponse:
        violations = fields.Violations()
        days = robot_verdicts.checked_days(request, self._clock(), violations)
        if (size := len(request.policy.encode())) > limits.ROBOT_POLICY_BYTES:
            description = f"has {size} bytes; {limits.ROBOT_POLICY_BYTES} are allowed"
            violations.append(FieldViolation("policy", description, Reason.LIMIT_EXCEEDED))
        fields.require(violations)
        unsure = request.include_unsure
        preview = await self._compute(
            lambda answers: answers.preview_robots(days, request.policy, include_unsure=unsure)
        )
        return pb.PreviewRobotVerdictsResponse(
            judgements=map(judgement_message, preview.judgements),
            policy_version=preview.policy_version,
            user_days=preview.user_days,
            robot_user_days=preview.robot_user_days,
            unsure_user_days=preview.unsure_user_days,
        )

    def _side(
        self, side: pb.ComparedSide, field: str, population: figures_pb2.Population, violations: fields.Violations
    ) -> tuple[Window, Question]:
        window = self._window(side.window, f"{field}.window", violations)
        filters = f"{field}.filters"
        return window, checks.checked_question(side.filters, population, filters, violations, of_searches_only=True)

    def _window(self, message: figures_pb2.Window, field: str, violations: fields.Violations) -> Window:
        return checks.checked_window(message, field, self._clock(), violations)


def _digest(request: pb.ListTopRequest) -> str:
    """Names what a list is about: the same for all of its pages."""
    asked = pb.ListTopRequest()
    asked.CopyFrom(request)
    asked.ClearField("page_token")
    asked.ClearField("page_size")
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).hexdigest()[:16]


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
