"""The improvement queue's worker: groups waiting sessions into training runs, and settles their tasks afterwards.

The tasks are the source of truth. A group's tasks are taken first, and its run is created afterwards. A
worker that dies in between leaves tasks of a run that does not exist; they go back to the queue when their
lease ends. A run that exists keeps its tasks until it has ended; the next worker that finds it ended settles
them. Every step is a compare-and-set on the task, and may be repeated by any worker at any time.

One run follows another, each from the version that the one before it made, if that was promoted: of two runs
from the same model, only one could be promoted. The store admits one run, and the tasks of another go back.
"""

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from clickstream.conversion.reader import InputReader
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain import limits
from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.improvement import ImprovementState, ImprovementTask, QueueRules, TaskOutcome, group_of
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.query_split import Split, is_held_out, normalised
from clickstream.domain.runs import ENDED, FineTuningSettings, RunState, TrainingRun
from clickstream.domain.training_inputs import NO_TEXT, ConversionSummary, TrainingInput
from clickstream.workers.run_source import RunSource

# Runs with expired leases that one pass handles; the rest waits for the next pass.
LOOKS = 100
REASON_CHARACTERS = 500

# After finding too few distinct queries, wait this long before counting again: every queued session wakes the
# worker.
MEASURE_PAUSE = timedelta(seconds=10)

logger = logging.getLogger(__name__)


class ImprovementQueue(RunSource):
    """One worker's view of the queue, and the `RunSource` of its runs. Every method blocks and may be repeated.

    Args:
        dao: The store.
        inputs: Converts the sessions.
        rules: When waiting sessions become a run, and how often each is tried.
        settings: The settings for a run that begins now.
        clock: The current time, in UTC.
        lease: How long tasks stay in a run that shows no sign of life.
    """

    def __init__(
        self,
        dao: ClickstreamDao,
        inputs: InputReader,
        rules: QueueRules,
        settings: Callable[[], FineTuningSettings],
        clock: Callable[[], datetime],
        lease: timedelta,
    ) -> None:
        self._dao = dao
        self._inputs = inputs
        self._rules = rules
        self._settings = settings
        self._clock = clock
        self._lease = lease
        self._measure_at = datetime.min.replace(tzinfo=UTC)
        self._has_logged_shortage = False  # since the last run began

    def run_once(self) -> None:
        """Handles the tasks whose lease has expired, and queues a run if enough sessions wait."""
        for _ in range(LOOKS):
            now = self._clock()
            run_id = self._dao.improvement.expired_run(now)
            if run_id is None:
                break
            self._handle_expired(run_id, now)
        self._begin_run()

    def _handle_expired(self, run_id: str, now: datetime) -> None:
        run = self._dao.runs.get(run_id)
        if run is None:
            logger.warning("run %s was never created: its sessions go back into the queue", run_id)
            self._dao.improvement.put_back(run_id, now, now)
        elif run.state in ENDED:
            self.settle(run_id)
        else:
            self._dao.improvement.renew_lease(run_id, now + self._lease)

    def _begin_run(self) -> None:
        now = self._clock()
        if now < self._measure_at or self._dao.runs.open_improvement_run() is not None:
            return
        if not self._rules.is_due(*self._dao.improvement.waiting(now, self._rules.least), now):
            return
        settings = self._settings()
        session_ids = self._measurable(now, settings)
        # Checked after the sessions were read: if another worker has just taken the first, it takes the rest, too.
        if self._dao.improvement.list(None, 1, {ImprovementState.PROCESSING}):
            return
        run_id = f"improve-{uuid.uuid4().hex}"
        taken = self._dao.improvement.take(session_ids, run_id, now, now + self._lease)
        if not taken:
            return
        self._has_logged_shortage = False
        run = TrainingRun(
            run_id=run_id,
            batches=(),
            settings=settings,
            request=b"",
            state=RunState.QUEUED,
            queued_at=now,
            from_improvement_queue=True,
            robot_verdict_number=self._dao.robots.newest(),
        )
        try:
            self._dao.runs.create(run)
        except FailedPrecondition as error:
            logger.info("run %s is not queued, its %d sessions go back into the queue: %s", run_id, taken, error)
            self._dao.improvement.put_back(run_id, now + self._lease, now)
            return
        logger.info("run %s is queued with %d sessions of the improvement queue", run_id, taken)

    def _measurable(self, now: datetime, settings: FineTuningSettings) -> Sequence[str]:
        """The sessions for a run; none if they have too few distinct queries for a gate to pass."""
        due = group_of(self._dao.improvement.due(now, limits.IMPROVEMENT_LOOK))
        shortage = _split(due.values(), settings).shortage()
        if not shortage:
            return list(due)
        self._measure_at = now + MEASURE_PAUSE
        if not self._has_logged_shortage:
            logger.info("%d sessions of the improvement queue keep waiting: %s", len(due), shortage)
            self._has_logged_shortage = True
        return ()

    @override
    def new_summary(self, run: TrainingRun) -> ConversionSummary:
        return self._inputs.new_summary(run.robot_verdict_number)

    @override
    def begin(self, run: TrainingRun) -> None:
        # A renewed lease secures the tasks: a worker that took the run for missing can no longer put them back.
        if not self._dao.improvement.renew_lease(run.run_id, self._clock() + self._lease):
            raise FailedPrecondition(
                Reason.TRAINING_IMPOSSIBLE, "its sessions went back into the queue before it began"
            )

    @override
    def pages(self, run: TrainingRun, summary: ConversionSummary) -> Iterator[list[TrainingInput]]:
        tasks = self._dao.improvement.renew_lease(run.run_id, self._clock() + self._lease)
        queries, template = [], _template(run)
        for task in tasks:
            converted = self._inputs.of_session(task.session_id, run.run_id, summary, template)
            if converted is not None:
                if any(result.grade > 0 for result in converted.results):
                    queries.append(normalised(converted.query))
                yield [converted]
        if not summary.input_count and summary.skipped_sessions[NO_TEXT]:
            template_text = run.settings.item_template
            raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, f"no item has text by the template {template_text!r}")
        # Without the refused sessions the queries may be too few: no model is made, and the other sessions wait again.
        if shortage := _split(queries, run.settings).shortage():
            raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, shortage)

    @override
    def end(self, run: TrainingRun, state: RunState, reason: str) -> None:
        pass  # a task is settled by its run's stored end

    @override
    def settle(self, run_id: str) -> None:
        run = self._dao.runs.get(run_id)
        if run is None or run.state not in ENDED:
            return
        now = self._clock()
        tasks = self._dao.improvement.renew_lease(run_id, now + self._lease)
        grouped: dict[TaskOutcome, list[str]] = defaultdict(list)
        for task, (query, refusal) in zip(tasks, self._queries(tasks, run), strict=True):
            grouped[self._outcome(task, query, refusal, run, now)].append(task.session_id)
        for outcome, session_ids in grouped.items():
            self._dao.improvement.settle(run_id, session_ids, outcome, now)

    def _queries(self, tasks: Sequence[ImprovementTask], run: TrainingRun) -> list[tuple[str, str]]:
        """Per task: its session's normalised query, and the reason why it gives no input ("" if it gives one)."""
        read: list[tuple[str, str]] = []
        template = _template(run)
        for task in tasks:
            summary = self._inputs.new_summary(run.robot_verdict_number)
            converted = self._inputs.of_session(task.session_id, run.run_id, summary, template)
            read.append((normalised(converted.query), "") if converted else ("", next(iter(summary.skipped_sessions))))
        if run.state is RunState.FAILED and not any(query for query, _ in read):
            # No session had text: the template is at fault, not the sessions.
            read = [(query, "" if refusal == NO_TEXT else refusal) for query, refusal in read]
        return read

    def _outcome(self, task: ImprovementTask, query: str, refusal: str, run: TrainingRun, now: datetime) -> TaskOutcome:
        reason = run.reason[:REASON_CHARACTERS]
        if run.state is RunState.CANCELED:
            return TaskOutcome(ImprovementState.CANCELED, reason)
        if refusal:
            return TaskOutcome(ImprovementState.REFUSED, refusal)
        if run.state is RunState.FAILED or run.model_version is None:
            return self._rules.after_failure(task.attempts, reason, now)
        settings, folds = run.settings, run.model_version.evaluation.folds
        if folds == 1 and is_held_out(query, settings.seed, settings.held_out_share):
            reason = f"measured, its query is held out: {reason}"
        return TaskOutcome(ImprovementState.DONE, reason, run.model_version.model_version_id)


def _split(queries: Iterable[str], settings: FineTuningSettings) -> Split:
    return Split.of(queries, settings.seed, settings.held_out_share, settings.folds)


def _template(run: TrainingRun) -> ItemTemplate | None:
    """The run's item template. None if it is malformed: no run can train with it, whatever its sessions are."""
    try:
        return ItemTemplate(run.settings.item_template)
    except FailedPrecondition:
        return None
