"""The improvement queue's worker: groups waiting sessions into training runs, and settles what became of them.

The tasks are the source of truth. A group is taken first, task by task, and its run is created after, so a
worker that dies in between leaves tasks of a run that does not exist: once their lease has expired they go
back. A run that exists keeps its tasks until it has ended; whoever finds it ended settles them. Every step
is a compare-and-set on the task, and may be repeated by any worker at any time.

Runs are one after another, each from what the one before was promoted to: of two that began from the same
model one would have learned in vain. The store lets one in, and the sessions of another go back at once.
"""

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from clickstream.conversion.reader import InputReader
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain import limits
from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.improvement import ImprovementState, ImprovementTask, Outcome, QueueRules, group_of
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.query_split import Split, is_held_out, normalised
from clickstream.domain.runs import ENDED, FineTuningSettings, RunState, TrainingRun
from clickstream.domain.training_inputs import NO_TEXT, ConversionSummary, TrainingInput

# Runs looked after in one go; what is left waits for the next.
LOOKS = 100
REASON_CHARACTERS = 500

MEASURE_PAUSE = timedelta(seconds=10)
"""Queries that were too few are not read again before: thousands may wait, and each new one wakes the worker."""

logger = logging.getLogger(__name__)


class ImprovementQueue:
    """Looks after the queue for one worker. Every method blocks and can be repeated."""

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
        self._settings = settings  # of a run that begins now
        self._clock = clock
        self._lease = lease
        self._measure_at = datetime.min.replace(tzinfo=UTC)
        self._has_told = False  # since the last run, why none begins

    def look_after(self) -> None:
        """Attends to tasks whose lease has expired, and begins a run if enough sessions wait."""
        for _ in range(LOOKS):
            now = self._clock()
            run_id = self._dao.improvement.unattended(now)
            if run_id is None:
                break
            self._attend(run_id, now)
        self._begin_run()

    def _attend(self, run_id: str, now: datetime) -> None:
        run = self._dao.runs.get(run_id)
        if run is None:
            logger.warning("run %s was never created: its sessions go back", run_id)
            self._dao.improvement.put_back(run_id, now, now)
        elif run.state in ENDED:
            self.settle(run_id)
        else:
            self._dao.improvement.hold(run_id, now + self._lease)

    def _begin_run(self) -> None:
        now = self._clock()
        if now < self._measure_at or self._dao.runs.open_improvement_run() is not None:
            return
        if not self._rules.is_due(*self._dao.improvement.waiting(now, self._rules.least), now):
            return
        settings = self._settings()
        session_ids = self._measurable(now, settings)
        # After they were read: where another worker has just taken the first of them, the rest is its own, too.
        if self._dao.improvement.list(None, 1, {ImprovementState.PROCESSING}):
            return
        run_id = f"improve-{uuid.uuid4().hex}"
        taken = self._dao.improvement.take(session_ids, run_id, now, now + self._lease)
        if not taken:
            return
        self._has_told = False
        run = TrainingRun(
            run_id=run_id,
            batches=(),
            settings=settings,
            request=b"",
            state=RunState.QUEUED,
            queued_at=now,
            from_improvement_queue=True,
        )
        try:
            self._dao.runs.create(run)
        except FailedPrecondition as error:
            logger.info("run %s does not begin, its %d sessions go back: %s", run_id, taken, error)
            self._dao.improvement.put_back(run_id, now + self._lease, now)
            return
        logger.info("run %s begins with %d sessions of the queue", run_id, taken)

    def _measurable(self, now: datetime, settings: FineTuningSettings) -> Sequence[str]:
        """The sessions that a run would take, or none: over too few queries no run could ever be promoted."""
        due = group_of(self._dao.improvement.due(now, limits.IMPROVEMENT_LOOK))
        lack = Split.of(due.values(), settings.seed, settings.held_out_share).shortage()
        if not lack:
            return list(due)
        self._measure_at = now + MEASURE_PAUSE
        if not self._has_told:
            logger.info("%d sessions of the queue keep waiting: %s", len(due), lack)
            self._has_told = True
        return ()

    def pages(self, run: TrainingRun, summary: ConversionSummary) -> Iterator[list[TrainingInput]]:
        """The inputs of a run, by place; counts in `summary` as it goes. The same whenever it is read (R14).

        Raises:
            FailedPrecondition: The run has no session, or after the last one: they have too few queries.
        """
        # Renewing the lease makes them the run's: nobody who took the run for missing can put them back.
        tasks = self._dao.improvement.hold(run.run_id, self._clock() + self._lease)
        if not tasks:
            raise FailedPrecondition(
                Reason.TRAINING_IMPOSSIBLE, "its sessions went back into the queue before it began"
            )
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
        # Without those that were refused they may be too few after all: the others wait again, and no model is made.
        if lack := Split.of(queries, run.settings.seed, run.settings.held_out_share).shortage():
            raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, lack)

    def settle(self, run_id: str) -> None:
        """Writes what a run that has ended means for each of its sessions; does nothing while it goes on."""
        run = self._dao.runs.get(run_id)
        if run is None or run.state not in ENDED:
            return
        now = self._clock()
        tasks = self._dao.improvement.hold(run_id, now + self._lease)
        grouped: dict[Outcome, list[str]] = defaultdict(list)
        for task, (query, lack) in zip(tasks, self._queries(tasks, run), strict=True):
            grouped[self._outcome(task, query, lack, run, now)].append(task.session_id)
        for outcome, session_ids in grouped.items():
            self._dao.improvement.settle(run_id, session_ids, outcome, now)

    def _queries(self, tasks: Sequence[ImprovementTask], run: TrainingRun) -> list[tuple[str, str]]:
        """The normalised query of each session in its run and, if it gives no input, why."""
        read: list[tuple[str, str]] = []
        template = _template(run)
        for task in tasks:
            summary = self._inputs.new_summary()
            converted = self._inputs.of_session(task.session_id, run.run_id, summary, template)
            read.append((normalised(converted.query), "") if converted else ("", next(iter(summary.skipped_sessions))))
        if run.state is RunState.FAILED and not any(query for query, _ in read):
            # No session had text: that is the template's fault, and none of theirs.
            read = [(query, "" if lack == NO_TEXT else lack) for query, lack in read]
        return read

    def _outcome(self, task: ImprovementTask, query: str, lack: str, run: TrainingRun, now: datetime) -> Outcome:
        reason = run.reason[:REASON_CHARACTERS]
        if run.state is RunState.CANCELED:
            return Outcome(ImprovementState.CANCELED, reason)
        if lack:
            return Outcome(ImprovementState.REFUSED, lack)
        if run.state is RunState.FAILED or run.model_version is None:
            return self._rules.after_failure(task.attempts, reason, now)
        if is_held_out(query, run.settings.seed, run.settings.held_out_share):
            reason = f"measured, its query is held out: {reason}"
        return Outcome(ImprovementState.DONE, reason, run.model_version.model_version_id)


def _template(run: TrainingRun) -> ItemTemplate | None:
    """None if it is malformed: no run can train with it, which says nothing of its sessions."""
    try:
        return ItemTemplate(run.settings.item_template)
    except FailedPrecondition:
        return None
