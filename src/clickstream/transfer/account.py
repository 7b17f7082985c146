"""The account of an import: it puts every document of the files into exactly one bucket."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# UBI actions that are expected to give a grade.
ACTS = ("click", "add_to_cart", "purchase")
# Types of UBI documents that every importance policy is expected to know.
EXPECTED = frozenset({"query", "impression", *ACTS})

# Number of line numbers that a bucket remembers.
LINES_KEPT = 5
# A place is a number that rises from document to document: (file, from 0; line, 1-based; document within its line).
_LINES, _IN_LINE = 2**34, 2**20


def place_of(file: int, line: int, number: int = 0) -> int:
    """The place of a document that starts at the 1-based `line` of a file."""
    return (file * _LINES + line) * _IN_LINE + number


class DocumentOutcome(StrEnum):
    """What became of a document."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    MERGED = "merged"
    LEFT_OUT = "left out"
    REJECTED = "rejected"
    # The server did not acknowledge it: import the file again.
    UNACKNOWLEDGED = "unacknowledged"


# Reasons of ACCEPTED and DUPLICATE.
SEARCH = "search"
SHOWN = "act on a shown result"
NO_QUERY_TEXT = "act on a shown result of a search without query text: never trains"
NEVER_SHOWN = "act on an object that was never shown: never trains"
# The reasons of acts that the server has.
SENT = frozenset({SHOWN, NO_QUERY_TEXT, NEVER_SHOWN})
# Reason of REJECTED, where a search has neither a query document nor results, here or in the service.
NO_SEARCH = "an act of a search that is neither in these files nor in the service"
# Reason of MERGED.
SAME_SEARCH = "further line of a search"


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """What became of a document: the outcome, and the reason in words."""

    outcome: DocumentOutcome
    reason: str


@dataclass(slots=True)
class ImportAccount:
    """The count of documents per bucket.

    Attributes:
        documents: Documents read; the sum over all buckets must equal it.
        counts: Documents per bucket, and within it per kind: `query`, or the UBI action name.
        lines: The first line numbers per bucket, 1-based, within their file.
        sessions: Searches per outcome, those without a query document included.
        cut: Parts of searches that were left out because they do not fit the contract, by reason.
        marks: Sessions that were marked irrelevant.
    """

    documents: int = 0
    counts: dict[Bucket, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    lines: dict[Bucket, list[int]] = field(default_factory=lambda: defaultdict(list))
    sessions: Counter[DocumentOutcome] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    marks: int = 0
    # Why the import stopped early; empty if it went through.
    stopped: str = ""
    # Whether the same import may go through later: the server was away or busy.
    may_repeat: bool = False

    def add(self, outcome: DocumentOutcome, reason: str, kind: str, place: int) -> None:
        """Counts the document at `place` (see `place_of`) in the bucket of its outcome and reason."""
        bucket = Bucket(outcome, reason)
        self.counts[bucket][kind] += 1
        if len(self.lines[bucket]) < LINES_KEPT:
            self.lines[bucket].append(place // _IN_LINE % _LINES)

    @property
    def accounted(self) -> int:
        """The sum over all buckets."""
        return sum(counts.total() for counts in self.counts.values())

    @property
    def balanced(self) -> bool:
        """Whether the buckets add up to the documents read; if not, the import has a defect."""
        return self.accounted == self.documents

    @property
    def changed(self) -> bool:
        """Whether the server stored anything new."""
        return bool(self.total(DocumentOutcome.ACCEPTED)) or bool(self.sessions[DocumentOutcome.ACCEPTED])

    @property
    def usable(self) -> int:
        """Documents that the server has now."""
        return sum(map(self.total, (DocumentOutcome.ACCEPTED, DocumentOutcome.DUPLICATE, DocumentOutcome.MERGED)))

    @property
    def unusable(self) -> int:
        """Documents that the server refused or does not have; those without an act on a result do not count."""
        return sum(
            map(self.total, (DocumentOutcome.CONFLICT, DocumentOutcome.REJECTED, DocumentOutcome.UNACKNOWLEDGED))
        )

    def total(self, outcome: DocumentOutcome) -> int:
        """The number of documents with this outcome, over all reasons."""
        return sum(counts.total() for bucket, counts in self.counts.items() if bucket.outcome is outcome)

    def other_types(self) -> Counter[str]:
        """The number of sent acts of every further type: the service's importance policy may not name it."""
        sent = (bucket for bucket in self.counts if bucket.reason in SENT)
        counts = sum((self.counts[bucket] for bucket in sent), Counter[str]())
        return Counter({kind: count for kind, count in counts.items() if kind not in EXPECTED})

    def acts(self) -> Mapping[Bucket, int]:
        """The number of clicks, carts and purchases per bucket; buckets without any are left out."""
        acts = {bucket: sum(counts[act] for act in ACTS) for bucket, counts in sorted(self.counts.items())}
        return {bucket: count for bucket, count in acts.items() if count}

    def as_state(self) -> dict[str, Any]:
        """The counts as plain data, for `from_state`."""
        return {
            "documents": self.documents,
            "buckets": [
                [bucket.outcome, bucket.reason, dict(counts), self.lines[bucket]]
                for bucket, counts in self.counts.items()
            ],
            "sessions": dict(self.sessions),
            "cut": dict(self.cut),
            "marks": self.marks,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "ImportAccount":
        """An account that goes on counting where another import was cut off."""
        account = cls(documents=state["documents"], cut=Counter(state["cut"]), marks=state["marks"])
        account.sessions = Counter({DocumentOutcome(name): count for name, count in state["sessions"].items()})
        for outcome, reason, counts, lines in state["buckets"]:
            bucket = Bucket(DocumentOutcome(outcome), reason)
            account.counts[bucket], account.lines[bucket] = Counter(counts), list(lines)
        return account
