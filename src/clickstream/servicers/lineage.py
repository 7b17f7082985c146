"""Lineage: from a model version to the inputs and events behind it, and from a session to its runs and versions."""

from collections.abc import Iterator, Sequence

from embedding_studio.clickstream.v1 import model_service_pb2 as pb

from clickstream.conversion.reader import InputReader
from clickstream.dao.interface.list_cursor import ListCursor
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.batches import Batch, batch_id_of, sequence_of
from clickstream.domain.errors import FieldViolation
from clickstream.domain.improvement import ImprovementState
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.limits import IMPROVEMENT_GROUP
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import TrainingRun
from clickstream.domain.sessions import StoredSession
from clickstream.domain.training_inputs import TrainingInput
from clickstream.servicers.checks import fields, page_tokens
from clickstream.servicers.lookups import existing_session

# States of the tasks that a version was trained on. A task may still be PROCESSING although its run has ended: the
# worker died before it wrote the end of its tasks.
TRAINED = frozenset({ImprovementState.DONE, ImprovementState.PROCESSING})


class ModelLineage:
    """Reads the frozen training pages that a version was trained on. Every method blocks."""

    def __init__(self, dao: ClickstreamDao, inputs: InputReader, version: ModelVersion) -> None:
        self._dao = dao
        self._inputs = inputs
        self._version = version
        self._run = dao.runs.get(version.run_id)
        self._summary = inputs.new_summary(self._run.robot_verdict_number if self._run else 0)

    def origin(self) -> pb.ModelOrigin:
        """What the inputs were graded and filtered by; without the version itself."""
        summary = self._summary
        return pb.ModelOrigin(policy_version=summary.policy_version, robot_verdict_number=summary.robot_verdict_number)

    def batches(self, from_batch_id: str, after_number: int) -> list[Batch]:
        """The version's batches in their order, from `from_batch_id` on; all of them if it is empty.

        Raises:
            InvalidArgument: `from_batch_id` is no batch of the version, or `after_number` makes no sense with it.
        """
        violations = fields.Violations()
        fields.check_after_number(after_number, violations)
        if after_number and not from_batch_id:
            violations.append(FieldViolation("batch_id", "is required together with after_number"))
        if from_batch_id and from_batch_id not in self._version.batch_ids:
            violations.append(FieldViolation("batch_id", "is not a batch of this model version"))
        fields.require(violations)
        sequences = sorted(sequence for each in self._version.batch_ids if (sequence := sequence_of(each)))
        first = sequence_of(from_batch_id) or 0
        found = (self._dao.batches.get(sequence) for sequence in sequences if sequence >= first)
        return [batch for batch in found if batch is not None]

    def pages(self, batches: Sequence[Batch], after_number: int) -> Iterator[list[pb.InputOrigin]]:
        """Yields the version's inputs in these batches; in the first batch only those above `after_number`."""
        run = self._run
        if run is not None and run.from_improvement_queue:
            # The run read single sessions. Reading whole pages would freeze them, and a batch may still collect.
            yield from self._of_queue_run(run, batches, after_number)
            return
        for batch in batches:
            for page in self._inputs.pages(batch.sequence, batch.session_count, after_number, self._summary):
                yield [_origin(converted) for converted in page]
            after_number = 0

    def _of_queue_run(
        self, run: TrainingRun, batches: Sequence[Batch], after_number: int
    ) -> Iterator[list[pb.InputOrigin]]:
        template = ItemTemplate(run.settings.item_template)
        start = (batches[0].sequence, after_number) if batches else (0, 0)
        tasks = self._dao.improvement.list(None, IMPROVEMENT_GROUP, TRAINED, run.run_id)
        for task in sorted(tasks, key=lambda task: (task.batch, task.number)):
            if (task.batch, task.number) > start:
                converted = self._inputs.of_session(task.session_id, run.run_id, self._summary, template)
                if converted is not None:
                    yield [_origin(converted)]


def session_lineage(
    dao: ClickstreamDao, inputs: InputReader, session_id: str, before: ListCursor | None, limit: int
) -> pb.GetSessionLineageResponse:
    """A session's batch, its input, and a page of the runs over its batch, the newest first. Blocks.

    Args:
        dao: The store.
        inputs: Reads the session's input.
        session_id: The session.
        before: Where the page begins; None for the newest run.
        limit: Most runs of the page.

    Raises:
        NotFound: There is no such session.
    """
    session = existing_session(dao.sessions.get(session_id))
    runs = dao.runs.of_batch(session.batch, before, limit)
    token = ""
    if len(runs) == limit:
        token = page_tokens.encode_position("GetSessionLineage", runs[-1].queued_at, runs[-1].run_id, ())
    return pb.GetSessionLineageResponse(
        batch_id=batch_id_of(session.batch),
        session_number=session.number,
        input=_input_of(dao, inputs, session, runs),
        runs=[_run_of_session(run) for run in runs],
        next_page_token=token,
        improvement=_improvement(dao, session_id),
    )


def _improvement(dao: ClickstreamDao, session_id: str) -> pb.RunOfSession | None:
    task = dao.improvement.get(session_id)
    run = dao.runs.get(task.run_id) if task and task.state is not ImprovementState.REFUSED else None
    return _run_of_session(run) if run else None


def _run_of_session(run: TrainingRun) -> pb.RunOfSession:
    return pb.RunOfSession(
        run_id=run.run_id,
        state=f"TRAINING_RUN_STATE_{run.state.name}",
        model_version_id=run.model_version.model_version_id if run.model_version else "",
        robot_verdict_number=run.robot_verdict_number,
    )


def _input_of(
    dao: ClickstreamDao, inputs: InputReader, session: StoredSession, runs: Sequence[TrainingRun]
) -> pb.InputOrigin | None:
    # Reading freezes the pages of a batch. Only a training run may do that, so there is no input before the first.
    batch = dao.batches.get(session.batch) if any(run.conversion for run in runs) else None
    if batch is None:
        return None
    # As the newest of these runs read it: another may have applied other robot verdicts.
    newest = next(run for run in runs if run.conversion)
    summary = inputs.new_summary(newest.robot_verdict_number)
    for page in inputs.pages(session.batch, batch.session_count, session.number - 1, summary):
        for converted in page:
            if converted.number >= session.number:
                return _origin(converted) if converted.number == session.number else None
        return None
    return None


def _origin(converted: TrainingInput) -> pb.InputOrigin:
    event_ids = dict.fromkeys(event_id for result in converted.results for event_id in result.event_ids)
    return pb.InputOrigin(
        batch_id=converted.batch_id,
        session_number=converted.number,
        session_id=converted.session_id,
        event_ids=event_ids,
    )
