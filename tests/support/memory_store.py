"""The store in memory: the second implementation of `ClickstreamDao`, for tests that need no database."""

from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from datetime import datetime
from typing import Any

from clickstream.dao.interface.list_cursor import ListCursor
from clickstream.domain import limits
from clickstream.domain.batches import ALLOWED_CHANGES, Batch, BatchStatus, StatusChange, check_releasable
from clickstream.domain.errors import AlreadyExists, FailedPrecondition, NotFound, Reason
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.promotions import Promotion, PromotionOrder, next_entry
from clickstream.domain.runs import CURVE_POINTS, ENDED, CurvePoint, RunState, TrainingProgress, TrainingRun
from clickstream.domain.sessions import (
    Appended,
    EventPage,
    EventPush,
    SessionDraft,
    SessionEvents,
    SessionPage,
    StoredEvent,
    StoredSession,
)
from clickstream.domain.training_inputs import ConversionSummary
from support.memory_analytics import MemoryAnalytics
from support.memory_improvement import MemoryImprovement
from support.memory_refusals import MemoryRefusals
from support.memory_robots import MemoryRobots
from support.memory_state import Listed, Part, State, fitting_page, locked


class MemorySessions(Part):
    @locked
    def append(self, drafts: Sequence[SessionDraft]) -> list[Appended | Exception]:
        return [self._append(draft) for draft in drafts]

    def _append(self, draft: SessionDraft) -> Appended:
        if stored := self._stored(draft.session_id):
            return Appended(stored, False)
        batch = self._collecting()
        number = len(self._state.log[batch]) + 1
        values = {name: getattr(draft, name) for name in SessionDraft.__slots__}
        stored = StoredSession(batch=batch, number=number, **values)
        self._state.log[batch].append(stored)
        self._state.places[draft.session_id] = (batch, number)
        return Appended(stored, True)

    @locked
    def get(self, session_id: str) -> StoredSession | None:
        return self._stored(session_id)

    @locked
    def page(self, batch: int, after: int, limit: int, *, include_irrelevant: bool) -> SessionPage:
        found = self._state.log.get(batch, [])[after:]
        wanted = [each for each in found if include_irrelevant or each.irrelevant_at is None]
        fitting = fitting_page([len(each.payload) for each in wanted])
        return SessionPage(wanted[: min(limit, fitting)], complete=len(wanted) < limit and len(wanted) == fitting)

    @locked
    def mark_irrelevant(self, session_id: str, at: datetime) -> StoredSession | None:
        stored = self._stored(session_id)
        return self._mark(session_id, stored.irrelevant_at or at) if stored else None

    @locked
    def restore(self, session_id: str) -> StoredSession | None:
        return self._mark(session_id, None)

    def _mark(self, session_id: str, at: datetime | None) -> StoredSession | None:
        if stored := self._stored(session_id):
            self._state.log[stored.batch][stored.number - 1] = replace(stored, irrelevant_at=at)
        return self._stored(session_id)


class MemoryEvents(Part):
    @locked
    def append(self, pushes: Sequence[EventPush]) -> list[list[StoredEvent | None] | Exception]:
        return [self._append(push) for push in pushes]

    def _append(self, push: EventPush) -> list[StoredEvent | None] | Exception:
        place = self._state.places.get(push.session_id)
        if place is None:
            return NotFound(Reason.SESSION_NOT_FOUND, "no session has this id; nothing was stored")
        events = self._state.events.setdefault(place, {})
        earlier: list[StoredEvent | None] = []
        for event in push.events:
            earlier.append(events.get(event.event_id))
            events.setdefault(event.event_id, StoredEvent(place[1], event.event_id, event.server_time, event.payload))
        return earlier

    @locked
    def of_sessions(self, batch: int, first: int, last: int, limit: int | None = None) -> EventPage:
        listed = self._listed(batch, first, last, limits.LISTED_EVENTS if limit is None else limit)
        numbers = list(listed)
        fitting = fitting_page([sum(len(event.payload) for event in of.events) for of in listed.values()])
        read_up_to = last if fitting == len(numbers) else numbers[fitting] - 1
        return EventPage({number: listed[number] for number in numbers[:fitting]}, read_up_to)

    @locked
    def has_any(self, batch: int, number: int) -> bool:
        return bool(self._state.events.get((batch, number)))

    def _listed(self, batch: int, first: int, last: int, limit: int) -> Listed:
        listed = {}
        for number in range(first, last + 1):
            if events := self._state.events.get((batch, number)):
                kept, size = [], 0
                for _, event in sorted(events.items()):
                    size += len(event.payload)
                    if len(kept) < min(limit, limits.LISTED_EVENTS) and size <= limits.LISTED_EVENT_BYTES:
                        kept.append(event)
                listed[number] = SessionEvents(kept, len(events) - len(kept))
        return listed

    @locked
    def frozen(self, batch: int, first: int, last: int, run_id: str = "") -> tuple[Listed, frozenset[int]]:
        now = self._listed(batch, first, last, limits.LISTED_EVENTS)
        marked = frozenset(
            each.number for each in self._state.log.get(batch, [])[first - 1 : last] if each.irrelevant_at is not None
        )
        then, irrelevant = self._state.frozen.setdefault((batch, first, last, run_id), (now, marked))
        counting = {}
        for number in now:
            before = then.get(number, SessionEvents())
            late = len(self._state.events[batch, number]) - len(before.events) - before.omitted
            counting[number] = replace(before, late=late)
        return counting, irrelevant


class MemoryBatches(Part):
    @locked
    def collecting(self) -> Batch:
        sequence = self._collecting()
        before = self._state.released.get(sequence - 1)
        opened_at = before.released_at if before else None
        return Batch(sequence, BatchStatus.COLLECTING, len(self._state.log[sequence]), opened_at)

    @locked
    def get(self, sequence: int) -> Batch | None:
        return self.collecting() if sequence == self._collecting() else self._state.released.get(sequence)

    @locked
    def list(self, before: int | None, limit: int, statuses: Set[BatchStatus]) -> Any:
        newest = [self.collecting(), *reversed(self._state.released.values())]
        return [
            batch
            for batch in newest
            if (before is None or batch.sequence < before) and (not statuses or batch.status in statuses)
        ][:limit]

    @locked
    def release(self, release_id: str, sequence: int | None, at: datetime) -> Batch:
        for batch in self._state.released.values():
            if batch.release_id == release_id:
                if sequence not in (None, batch.sequence):
                    raise AlreadyExists(Reason.CONTENT_CONFLICT, "release_id: taken by the release of another batch")
                return batch
        open_batch = self.collecting()
        check_releasable(sequence, open_batch.sequence, open_batch.session_count)
        history = [StatusChange.release(release_id, at)]
        batch = replace(open_batch, status=BatchStatus.RELEASED, released_at=at, release_id=release_id, history=history)
        self._state.released[batch.sequence] = batch
        self._state.log[batch.sequence + 1] = []
        return batch

    @locked
    def change_status(
        self, sequence: int, expected: Set[BatchStatus], to: BatchStatus, *, run_id: str, reason: str, at: datetime
    ) -> Batch | None:
        if any(to not in ALLOWED_CHANGES[status] for status in expected):
            raise ValueError(f"never to {to}")
        batch = self._state.released.get(sequence)
        if (
            batch is None
            or batch.status not in expected
            or (batch.status is BatchStatus.TRAINING and batch.run_id != run_id)
        ):
            return batch if batch and (batch.status, batch.run_id) == (to, run_id) else None
        history = [*batch.history, StatusChange(to, at, reason)][-limits.STATUS_CHANGES_KEPT :]
        self._state.released[sequence] = replace(batch, status=to, run_id=run_id, history=history)
        return self._state.released[sequence]

    @locked
    def archive(self, before: datetime, reason: str, at: datetime, *, leaving: Set[int]) -> Batch | None:
        ended = [
            (batch.history[-1].at, batch.sequence)
            for batch in self._state.released.values()
            if batch.status in (BatchStatus.TRAINED, BatchStatus.FAILED)
            and batch.history[-1].at < before
            and batch.sequence not in leaving
        ]
        if not ended:
            return None
        batch = self._state.released[min(ended)[1]]
        return self.change_status(
            batch.sequence, {batch.status}, BatchStatus.ARCHIVED, run_id=batch.run_id, reason=reason, at=at
        )


class MemoryRuns(Part):
    @locked
    def create(self, run: TrainingRun) -> tuple[TrainingRun, bool]:
        if run.from_improvement_queue and run.run_id not in self._state.runs and self.open_improvement_run():
            raise FailedPrecondition(Reason.STATE_CONFLICT, "another run of the improvement queue is not over")
        kept = self._state.runs.setdefault(run.run_id, run)
        if kept is run:
            self._state.leases[run.run_id] = (run.queued_at, "")
        return kept, kept is run

    @locked
    def get(self, run_id: str) -> TrainingRun | None:
        return self._state.runs.get(run_id)

    @locked
    def list(self, before: ListCursor | None, limit: int, states: Set[RunState]) -> Any:
        rows = sorted((((run.queued_at, run.run_id), run) for run in self._state.runs.values()), reverse=True)
        return [run for at, run in rows if (before is None or at < before) and (not states or run.state in states)][
            :limit
        ]

    @locked
    def counts(self) -> dict[RunState, int]:
        return Counter(run.state for run in self._state.runs.values())

    @locked
    def claim(self, owner: str, now: datetime, lease_until: datetime) -> TrainingRun | None:
        free = sorted((until, run_id) for run_id, (until, _) in self._state.leases.items() if until <= now)
        if not free:
            return None
        run_id = free[0][1]
        self._state.leases[run_id] = (lease_until, owner)
        run = self._state.runs[run_id]
        changes = {"state": RunState.RUNNING, "reason": "", "started_at": run.started_at or now}
        return self._set(run_id, attempts=run.attempts + 1, **changes)

    @locked
    def renew(
        self, run_id: str, owner: str, lease_until: datetime, progress: TrainingProgress | None
    ) -> TrainingRun | None:
        if not self._holds(run_id, owner):
            return None
        self._state.leases[run_id] = (lease_until, owner)
        if progress is None:
            return self._state.runs[run_id]
        if progress.points:
            self._log(run_id, progress)
        return self._set(run_id, progress=replace(progress, points=()))

    def _log(self, run_id: str, progress: TrainingProgress) -> None:
        curve = self._state.curves.get(run_id, {})
        curve = {step: point for step, point in curve.items() if step <= progress.step}
        for point in progress.points:
            curve[point.step] = curve[point.step].merged(point) if point.step in curve else point
        self._state.curves[run_id] = curve

    @locked
    def lease(self, run_id: str) -> tuple[str, datetime] | None:
        until, owner = self._state.leases.get(run_id, (None, ""))
        return (owner, until) if owner and until else None

    @locked
    def curve(self, run_id: str) -> Sequence[CurvePoint]:
        curve = self._state.curves.get(run_id, {})
        return [curve[step] for step in sorted(curve)][: 2 * CURVE_POINTS]

    @locked
    def set_conversion(self, run_id: str, owner: str, conversion: ConversionSummary) -> None:
        if self._holds(run_id, owner):
            self._set(run_id, conversion=conversion)

    @locked
    def give_back(
        self, run_id: str, owner: str, state: RunState, reason: str, available_at: datetime, attempts: int
    ) -> None:
        if self._holds(run_id, owner):
            run = self._state.runs[run_id]
            self._state.leases[run_id] = (run.queued_at if run.cancel_requested else available_at, "")
            self._set(run_id, state=state, reason=reason, attempts=attempts)

    @locked
    def finish(
        self, run_id: str, owner: str, state: RunState, reason: str, model_version: ModelVersion | None, at: datetime
    ) -> bool:
        if not self._holds(run_id, owner):
            return False
        del self._state.leases[run_id]
        self._set(run_id, state=state, reason=reason, model_version=model_version, ended_at=at)
        if model_version is not None and model_version.gate_passed:
            self._state.promotions_due.add(run_id)
        return True

    @locked
    def of_batch(self, batch: int, before: ListCursor | None, limit: int) -> Any:
        return [run for run in self.list(before, len(self._state.runs), frozenset()) if batch in run.batches][:limit]

    @locked
    def batches_in_use(self) -> Set[int]:
        return {batch for run in self._state.runs.values() if run.state not in ENDED for batch in run.batches}

    @locked
    def model_version(self, model_version_id: str) -> ModelVersion | None:
        versions = (run.model_version for run in self._state.runs.values())
        return next((each for each in versions if each and each.model_version_id == model_version_id), None)

    @locked
    def model_versions(self, before: ListCursor | None, limit: int, *, gate_passed_only: bool) -> Any:
        made = [run.model_version for run in self._state.runs.values() if run.model_version]
        rows = sorted((((each.created_at, each.run_id), each) for each in made), key=lambda row: row[0], reverse=True)
        return [
            each for at, each in rows if (before is None or at < before) and (each.gate_passed or not gate_passed_only)
        ][:limit]

    @locked
    def promotion_due(self) -> ModelVersion | None:
        due = sorted(self._state.promotions_due)
        return self._state.runs[due[0]].model_version if due else None

    @locked
    def promotion_decided(self, run_id: str) -> None:
        self._state.promotions_due.discard(run_id)

    @locked
    def open_improvement_run(self) -> str | None:
        open_runs = {*self._state.leases, *self._state.promotions_due}
        return next((run_id for run_id in open_runs if self._state.runs[run_id].from_improvement_queue), None)

    @locked
    def request_cancel(self, run_id: str, at: datetime) -> TrainingRun | None:
        run = self._state.runs.get(run_id)
        if run is None or run_id not in self._state.leases:
            return run
        run = self._set(run_id, cancel_requested=True)
        if self._state.leases[run_id][1]:
            return run
        del self._state.leases[run_id]
        return self._set(run_id, state=RunState.CANCELED, reason="canceled by request", ended_at=at)

    def _holds(self, run_id: str, owner: str) -> bool:
        return self._state.leases.get(run_id, (None, ""))[1] == owner

    def _set(self, run_id: str, **changes: Any) -> TrainingRun:
        self._state.runs[run_id] = replace(self._state.runs[run_id], **changes)
        return self._state.runs[run_id]


class MemoryJudgements(Part):
    @locked
    def keep(self, sha256: str, content: bytes) -> None:
        self._state.judgements.setdefault(sha256, content)

    @locked
    def get(self, sha256: str) -> bytes | None:
        return self._state.judgements.get(sha256)


class MemoryPromotions(Part):
    @locked
    def current(self) -> Promotion | None:
        return self._state.promotions[-1] if self._state.promotions else None

    @locked
    def list(self, before: int | None, limit: int) -> Any:
        return [each for each in reversed(self._state.promotions) if before is None or each.sequence < before][:limit]

    @locked
    def knows(self, request_id: str) -> bool:
        return any(each.request_id == request_id for each in self._state.promotions)

    @locked
    def append(self, order: PromotionOrder, at: datetime) -> tuple[Promotion, bool]:
        for each in self._state.promotions:
            if each.request_id == order.request_id:
                each.check_same(order)
                return each, False
        current = self.current()
        previous = self._state.promotions[current.previous - 1] if current and current.previous else None
        self._state.promotions.append(next_entry(order, current, previous, at))
        return self._state.promotions[-1], True


class MemoryChanges(Part):
    """`ChangeDao` of a store that reports no changes, like a MongoDB that is no replica set."""

    def follow(self, _on_change: Callable[[], None], _is_stopped: Callable[[], bool]) -> bool:
        return False

    @locked
    def next_due(self, after: datetime) -> datetime | None:
        ends = [end for end, _ in self._state.leases.values()]
        ends += [task.lease_ends_at for task in self._state.tasks.values() if task.lease_ends_at]
        return min((end for end in ends if end > after), default=None)


class MemoryDao:
    """`ClickstreamDao` in memory."""

    def __init__(self) -> None:
        self._state = State()
        self.sessions = MemorySessions(self._state)
        self.events = MemoryEvents(self._state)
        self.batches = MemoryBatches(self._state)
        self.improvement = MemoryImprovement(self._state)
        self.runs = MemoryRuns(self._state)
        self.judgements = MemoryJudgements(self._state)
        self.promotions = MemoryPromotions(self._state)
        self.changes = MemoryChanges(self._state)
        self.analytics = MemoryAnalytics(self._state)
        self.robots = MemoryRobots(self._state)
        self.refusals = MemoryRefusals(self._state)

    def erase(self, session_id: str) -> None:
        """Takes a session's content away; its place stays."""
        batch, number = self._state.places[session_id]
        stored = self._state.log[batch][number - 1]
        self._state.log[batch][number - 1] = replace(stored, payload=b"", user_id="", erased=True)

    @property
    def down(self) -> bool:
        """Whether every operation raises Unavailable."""
        return self._state.down

    @down.setter
    def down(self, down: bool) -> None:
        self._state.down = down

    @property
    def outage_count(self) -> int:
        """The number of operations that failed because the store was down."""
        return self._state.outage_count

    @locked
    def ping(self) -> None: ...
