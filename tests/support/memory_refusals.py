"""Counts of refusals in the store in memory."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from clickstream.dao.interface.refusals import RefusalKey
from clickstream.domain.quality import Refused
from support.memory_state import Part, State, locked


class MemoryRefusals(Part):
    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._counts = Counter[RefusalKey]()

    @locked
    def add(self, counts: Mapping[RefusalKey, int]) -> None:
        self._counts.update(counts)

    @locked
    def of(self, start: datetime, end: datetime) -> list[Refused]:
        first = start.replace(minute=0, second=0, microsecond=0)
        totals = Counter[tuple[str, str]]()
        for key, count in self._counts.items():
            if first <= key.hour < end:
                totals[key.reason, key.client] += count
        found = [Refused(*key, count) for key, count in totals.items()]
        return sorted(found, key=lambda each: (-each.count, each.reason, each.client))
