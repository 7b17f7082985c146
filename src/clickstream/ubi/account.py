"""The account of an import: every document of the file in exactly one bucket."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# The acts that a grade is expected of.
ACTS = ("click", "add_to_cart", "purchase")

# Line numbers remembered per bucket.
LINES_KEPT = 5


class Outcome(StrEnum):
    """What became of a document."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    MERGED = "merged"
    LEFT_OUT = "left out"
    REJECTED = "rejected"
    # The server did not acknowledge it: import again.
    UNACKNOWLEDGED = "unacknowledged"


# Reasons of ACCEPTED and DUPLICATE.
SEARCH = "search"
SHOWN = "act on a shown result"
NO_QUERY_TEXT = "act on a shown result of a search without query text: never trains"
NEVER_SHOWN = "act on an object that was never shown: never trains"
# Reason of MERGED.
SAME_SEARCH = "further line of a search"


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """An outcome and its reason in words."""

    outcome: Outcome
    reason: str


@dataclass(slots=True)
class Account:
    """Counts of documents: per bucket, and within it per kind (`query`, or the UBI action name).

    `documents` counts what was read, so that the sum over the buckets can be held against it.
    `sessions` counts what became of the searches, also of those that only events tell of.
    """

    documents: int = 0
    counts: dict[Bucket, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    lines: dict[Bucket, list[int]] = field(default_factory=lambda: defaultdict(list))
    sessions: Counter[Outcome] = field(default_factory=Counter)
    # Why the import stopped early; empty if it went through. Then, whether the same import may go through later.
    stopped: str = ""
    may_repeat: bool = False

    def add(self, outcome: Outcome, reason: str, kind: str, line: int) -> None:
        """Puts the document that starts at the 1-based `line` into a bucket."""
        bucket = Bucket(outcome, reason)
        self.counts[bucket][kind] += 1
        if len(self.lines[bucket]) < LINES_KEPT:
            self.lines[bucket].append(line)

    @property
    def accounted(self) -> int:
        """The sum over all buckets."""
        return sum(counts.total() for counts in self.counts.values())

    @property
    def balanced(self) -> bool:
        """Whether every document that was read is in exactly one bucket."""
        return self.accounted == self.documents

    @property
    def changed(self) -> bool:
        """Whether the server stored anything new."""
        return bool(self.total(Outcome.ACCEPTED)) or bool(self.sessions[Outcome.ACCEPTED])

    @property
    def usable(self) -> int:
        """Documents that the server has now."""
        return sum(map(self.total, (Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.MERGED)))

    @property
    def unusable(self) -> int:
        """Documents that the server refused or does not have; those without an act on a result do not count."""
        return sum(map(self.total, (Outcome.CONFLICT, Outcome.REJECTED, Outcome.UNACKNOWLEDGED)))

    def total(self, outcome: Outcome) -> int:
        """Documents with this outcome, whatever the reason."""
        return sum(counts.total() for bucket, counts in self.counts.items() if bucket.outcome is outcome)

    def acts(self) -> Mapping[Bucket, int]:
        """Clicks, carts and purchases per bucket; empty buckets left out."""
        acts = {bucket: sum(counts[act] for act in ACTS) for bucket, counts in sorted(self.counts.items())}
        return {bucket: count for bucket, count in acts.items() if count}
