"""The state of the store in memory, and the lock around it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any

from clickstream.domain import limits
from clickstream.domain.batches import Batch
from clickstream.domain.errors import Reason, Unavailable
from clickstream.domain.improvement import ImprovementTask
from clickstream.domain.promotions import Promotion
from clickstream.domain.runs import CurvePoint, TrainingRun
from clickstream.domain.sessions import SessionEvents, StoredEvent, StoredSession

Place = tuple[int, int]
Listed = dict[int, SessionEvents]


@dataclass
class State:
    """All data, under one lock. While `down` is set, every operation raises Unavailable."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    down: bool = False
    outage_count: int = 0
    places: dict[str, Place] = field(default_factory=dict)
    log: dict[int, list[StoredSession]] = field(default_factory=lambda: {1: []})
    events: dict[Place, dict[str, StoredEvent]] = field(default_factory=dict)
    frozen: dict[tuple[int, int, int, str], tuple[Listed, frozenset[int]]] = field(default_factory=dict)
    released: dict[int, Batch] = field(default_factory=dict)
    tasks: dict[str, ImprovementTask] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    runs: dict[str, TrainingRun] = field(default_factory=dict)
    # Run id → (available at, owner), until the run ends.
    leases: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    curves: dict[str, dict[int, CurvePoint]] = field(default_factory=dict)
    judgements: dict[str, bytes] = field(default_factory=dict)
    promotions_due: set[str] = field(default_factory=set)
    promotions: list[Promotion] = field(default_factory=list)


def locked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Runs one operation at a time, and none while the store is down."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._state.lock:
            if self._state.down:
                self._state.outage_count += 1
                raise Unavailable(Reason.STORE_UNAVAILABLE, "the store is down")
            return method(self, *args, **kwargs)

    return call


def fitting_page(sizes: Sequence[int]) -> int:
    """The number of rows with these sizes that fit one page; at least one, if there are any."""
    total = 0
    for index, size in enumerate(sizes):
        total += size
        if index and total > limits.PAGE_BYTES:
            return index
    return len(sizes)


class Part:
    def __init__(self, state: State) -> None:
        self._state = state

    def _stored(self, session_id: str) -> StoredSession | None:
        place = self._state.places.get(session_id)
        return self._state.log[place[0]][place[1] - 1] if place else None

    def _collecting(self) -> int:
        return len(self._state.released) + 1
