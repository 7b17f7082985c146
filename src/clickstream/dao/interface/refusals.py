"""Counts of what was refused: it left no document."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from clickstream.domain.quality import Refused


class RefusalKey(NamedTuple):
    """What is counted together: the UTC hour, the reason, and the name of the client, "" if it is not known."""

    hour: datetime
    reason: str
    client: str


class RefusalDao(Protocol):
    """Counts of refusals by hour. They are approximate: what a killed process had not added yet is lost."""

    def add(self, counts: Mapping[RefusalKey, int]) -> None:
        """Adds to the counts."""
        ...

    def of(self, start: datetime, end: datetime) -> list[Refused]:
        """The refusals of the hours from that of `start` to before `end`, by reason and client, most first."""
        ...
