"""Roll-ups in the store in memory."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from embedding_studio.clickstream.v1 import session_pb2

from clickstream.dao.interface.analytics import Changes, DayHead, RangeHead, RawEvent, RollUpState
from clickstream.domain.analytics import RangeKey
from support.memory_state import Part, State, locked

# Between two looks for what changed.
LOOK_SECONDS = 0.01


class MemoryAnalytics(Part):
    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._ranges: dict[RangeKey, tuple[RangeHead, Mapping[str, bytes]]] = {}
        self._days: dict[int, tuple[DayHead, Mapping[str, bytes]]] = {}
        self._progress = RollUpState()
        self._lease: tuple[str, datetime] | None = None

    @locked
    def range_heads(self, days: tuple[int, int] | None = None) -> list[RangeHead]:
        heads = [head for _, (head, _) in sorted(self._ranges.items())]
        return [head for head in heads if days is None or any(days[0] <= day <= days[1] for day in head.days)]

    @locked
    def range_head(self, key: RangeKey) -> RangeHead | None:
        return self._ranges[key][0] if key in self._ranges else None

    @locked
    def batch_heads(self, batch: int) -> list[RangeHead]:
        return [head for key, (head, _) in sorted(self._ranges.items()) if key.batch == batch]

    @locked
    def replace_range(self, head: RangeHead, frames: Mapping[str, bytes]) -> bool:
        before = self._ranges[head.key][0].version if head.key in self._ranges else 0
        if before == head.version - 1:
            self._ranges[head.key] = head, frames
        return before == head.version - 1

    @locked
    def range_frames(self, heads: Sequence[RangeHead], name: str) -> Iterator[tuple[RangeKey, bytes]]:
        return iter([(head.key, self._ranges[head.key][1][name]) for head in heads])

    @locked
    def day_heads(self, days: tuple[int, int] | None = None) -> list[DayHead]:
        found = [head for _, (head, _) in sorted(self._days.items())]
        return [head for head in found if days is None or days[0] <= head.day <= days[1]]

    @locked
    def replace_day(self, head: DayHead, frames: Mapping[str, bytes]) -> bool:
        before = self._days[head.day][0].version if head.day in self._days else 0
        if before == head.version - 1:
            self._days[head.day] = head, frames
        return before == head.version - 1

    @locked
    def day_frame(self, head: DayHead, name: str) -> bytes | None:
        present, frames = self._days[head.day]
        return frames[name] if present.version == head.version else None

    @locked
    def state(self) -> RollUpState:
        return self._progress

    @locked
    def set_state(self, state: RollUpState, owner: str) -> bool:
        if self._lease is None or self._lease[0] != owner:
            return False
        self._progress = state
        return True

    @locked
    def take_lease(self, owner: str, now: datetime, until: datetime) -> bool:
        if self._lease and self._lease[0] != owner and self._lease[1] > now:
            return False
        self._lease = owner, until
        return True

    @locked
    def free_since(self) -> datetime | None:
        return self._lease[1] if self._lease else None

    @locked
    def release_lease(self, owner: str, now: datetime) -> None:
        if self._lease and self._lease[0] == owner:
            self._lease = owner, now

    def follow_writes(
        self, resume_token: Any, on_changes: Callable[[Changes], bool], is_stopped: Callable[[], bool]
    ) -> bool:
        seen = resume_token if resume_token is not None else self._signatures()
        while not is_stopped():
            began = datetime.now(UTC)
            now = self._signatures()
            changed = frozenset(key for key, signature in now.items() if seen.get(key) != signature)
            seen = now
            if not on_changes(Changes(changed, now, began)):
                break
            time.sleep(LOOK_SECONDS)
        return True

    @locked
    def _signatures(self) -> dict[RangeKey, Any]:
        """Another value for each range that changed."""
        signatures: dict[RangeKey, list[Any]] = {}
        for batch, log in self._state.log.items():
            for stored in log:
                events = len(self._state.events.get((batch, stored.number), ()))
                sign = (stored.irrelevant_at, stored.erased, events)
                signatures.setdefault(RangeKey.of(batch, stored.number), []).append(sign)
        return dict(signatures)

    @locked
    def all_ranges(self) -> list[RangeKey]:
        return sorted({RangeKey.of(batch, each.number) for batch, log in self._state.log.items() for each in log})

    @locked
    def events(self, key: RangeKey) -> Iterator[RawEvent]:
        found = []
        for number in range(key.first, key.last + 1):
            for _, stored in sorted(self._state.events.get((key.batch, number), {}).items()):
                event = session_pb2.Event.FromString(stored.payload)
                found.append(RawEvent(number, event.type, event.created_at.ToMilliseconds(), stored.payload))
        return iter(found)
