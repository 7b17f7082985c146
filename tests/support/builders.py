"""Sessions, events, drafts, runs and model versions with plausible content, for every test."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from embedding_studio.clickstream.v1 import batch_service_pb2, clickstream_service_pb2, session_pb2
from google.protobuf.struct_pb2 import Struct

from clickstream.domain.evaluations import Comparison, Evaluation, Gain, JudgedEvaluation, Metrics, Segment, StepScale
from clickstream.domain.model_versions import DataCounts, ModelVersion
from clickstream.domain.query_split import is_held_out
from clickstream.domain.runs import FineTuningSettings, RunState, TrainingRun
from clickstream.domain.sessions import EventDraft, EventPush, SessionDraft, StoredSession
from clickstream.servicers.checks import admission

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OBJECTS = ("a", "b", "c")

_ids = itertools.count(1)


def new_id(prefix: str = "id") -> str:
    """An id that no other call returned."""
    return f"{prefix}-{next(_ids)}"


def struct(**values: Any) -> Struct:
    """Free data with these keys and values."""
    made = Struct()
    made.update(values)
    return made


def nested(depth: int) -> Struct:
    """Free data of exactly this many levels."""
    made = Struct()
    inner = made
    for _ in range(depth - 1):
        inner = inner.fields["k"].struct_value
    inner.fields["k"].null_value = 0
    return made


def session(
    session_id: str = "s-1",
    objects: Iterable[str] = OBJECTS,
    query: str = "red shoes",
    meta: Struct | None = None,
    **fields: Any,
) -> session_pb2.Session:
    """A search, by default for red shoes, that showed `objects`, each with `meta` or a title of its own."""
    made = session_pb2.Session(session_id=session_id, query=query, **fields)
    for object_id in objects:
        made.results.add(object_id=object_id, meta=meta or struct(title=f"shoe {object_id}"))
    return made


def event(event_id: str = "e-1", object_id: str = "a", type: str = "click", **fields: Any) -> session_pb2.Event:  # noqa: A002
    """An event on one result, by default a click."""
    return session_pb2.Event(event_id=event_id, object_id=object_id, type=type, **fields)


def create_request(session_id: str = "s-1", **fields: Any) -> clickstream_service_pb2.CreateSessionRequest:
    """A request that registers `session(session_id, **fields)`."""
    return clickstream_service_pb2.CreateSessionRequest(session=session(session_id, **fields))


def push_request(session_id: str, *events: session_pb2.Event) -> clickstream_service_pb2.PushEventsRequest:
    """A request that sends events of one session."""
    return clickstream_service_pb2.PushEventsRequest(session_id=session_id, events=events)


def release_request(release_id: str = "r-1", batch_id: str = "") -> batch_service_pb2.ReleaseBatchRequest:
    """A request that releases a batch, by default the collecting one."""
    return batch_service_pb2.ReleaseBatchRequest(release_id=release_id, batch_id=batch_id)


def session_draft(session_id: str = "s-1", at: datetime = NOW, **fields: Any) -> SessionDraft:
    """A checked session, registered at `at`."""
    return admission.session(session(session_id, **fields), admission.arrival(at, None))


def session_drafts(count: int, prefix: str = "s") -> list[SessionDraft]:
    """Sessions `prefix-1`, `prefix-2` and so on."""
    return [session_draft(f"{prefix}-{number}") for number in range(1, count + 1)]


def queries(held_out: int, training: int) -> list[str]:
    """Distinct queries, the last `held_out` of which a run with the default settings holds out."""
    settings = FineTuningSettings(base_model="", item_template="")
    parts: dict[bool, list[str]] = {False: [], True: []}
    for number in range(100 * (held_out + training)):
        query = f"query {number}"
        parts[is_held_out(query, settings.seed, settings.held_out_share)].append(query)
    return parts[False][:training] + parts[True][:held_out]


def stored_session(session_id: str = "s-1", batch: int = 1, number: int = 1) -> StoredSession:
    """A session with its batch and number."""
    draft = session_draft(session_id)
    values = {name: getattr(draft, name) for name in SessionDraft.__slots__}
    return StoredSession(batch=batch, number=number, **values)


def event_draft(event_id: str = "e-1", object_id: str = "a", at: datetime = NOW, **fields: Any) -> EventDraft:
    """A checked event, received at `at`."""
    draft = admission.event(event(event_id, object_id, **fields), "event", admission.arrival(at, None))
    assert isinstance(draft, EventDraft), draft
    return draft


def push(session_id: str, *event_ids: str, **fields: Any) -> EventPush:
    """Clicks of one session, by event id."""
    return EventPush(session_id, [event_draft(event_id, **fields) for event_id in event_ids])


def training_run(
    run_id: str = "run-1", batches: Sequence[int] = (1,), at: datetime = NOW, judgements_sha256: str = ""
) -> TrainingRun:
    """A run as StartTraining queues it."""
    return TrainingRun(
        run_id=run_id,
        batches=tuple(batches),
        settings=FineTuningSettings(base_model="tiny", item_template="{title}", held_out_after=at),
        request=run_id.encode(),
        state=RunState.QUEUED,
        queued_at=at,
        judgements_sha256=judgements_sha256,
    )


def comparison(query_count: int = 20) -> Comparison:
    """A comparison in which the new model ranks better."""
    gains = Gain(0.2, 0.1, 0.3), Gain(0.5, 0.4, 0.6), Gain(0.0, -0.1, 0.1), Gain(0.25, 0.125, 0.5)
    return Comparison(query_count, Metrics(0.3, 0.25, 0.5, 0.5), Metrics(0.5, 0.75, 0.5, 0.75), *gains)


def evaluation() -> Evaluation:
    """A new model that ranks better, by clicks and by judgements."""
    whole = comparison()
    return Evaluation(
        base=whole.base,
        new=whole.new,
        ndcg_gain=whole.ndcg_gain,
        mrr_gain=whole.mrr_gain,
        recall_gain=whole.recall_gain,
        recall_at_100_gain=whole.recall_at_100_gain,
        segments=(Segment("words", "2", comparison(15)), Segment("words", "3 to 4", comparison(5))),
        judged=JudgedEvaluation("f00d", comparison(30), comparison(40), 3, 17),
        repeated=comparison(25),
        weighted_gain=Gain(0.2, 0.15, 0.25),
        repeated_share=0.75,
        repeated_share_basis="earlier_half",
        folds=1,
        step_scale=0.5,
        step_scales=(StepScale(0.0, 0.3, 0.3), StepScale(0.5, 0.5, 0.5)),
    )


def model_version(run_id: str = "run-1") -> ModelVersion:
    """The version of a run that succeeded."""
    return ModelVersion(
        model_version_id=f"model-{run_id}",
        run_id=run_id,
        path=f"models/{run_id}",
        base_model="tiny",
        batch_ids=("batch-1",),
        policy_version="default-1",
        data_fingerprint="f00d",
        data=DataCounts(10, 8, 2, 30, 1, 0, 4),
        evaluation=evaluation(),
        gate_passed=True,
        gate_reason="nDCG@10 rose",
        created_at=NOW,
    )
