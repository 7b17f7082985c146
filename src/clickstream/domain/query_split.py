"""Which queries train, which stop the training and which measure (R17)."""

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

# Of the training queries, where training stops early.
VALIDATION_SHARE = 0.1

# Distinct queries below which nothing is trained.
MIN_TRAINING_QUERIES = 4

# Distinct held-out queries below which the gate cannot tell, and promotes nothing.
MIN_HELD_OUT_QUERIES = 10


def normalised(query: str) -> str:
    """The form under which queries count as the same: Unicode NFKC, case folded, whitespace collapsed."""
    return " ".join(unicodedata.normalize("NFKC", query).casefold().split())


def is_held_out(normalised_query: str, seed: int, share: float) -> bool:
    """Whether a query is for measuring only (R17).

    A hash decides, not a draw over the queries at hand: a later run with this seed holds out the same
    queries, so a model that starts from this run's model is again measured on queries that neither saw.
    """
    return _place(f"{seed}\n{normalised_query}") < share


def is_validation(normalised_query: str, seed: int) -> bool:
    """Whether a query that is not held out decides when training stops, instead of being learned.

    Held-out queries must not decide it: the gate would then measure on queries by which the weights were
    chosen, and take luck for improvement.
    """
    return _place(f"validation\n{seed}\n{normalised_query}") < VALIDATION_SHARE


@dataclass(frozen=True, slots=True)
class Split:
    """How many distinct queries there are to train on and to measure."""

    training: int
    held_out: int

    @classmethod
    def of(cls, normalised_queries: Iterable[str], seed: int, share: float) -> "Split":
        """Counts the distinct ones; an empty query counts as none, for it gives no input."""
        parts = [is_held_out(query, seed, share) for query in {*normalised_queries} - {""}]
        return cls(training=parts.count(False), held_out=parts.count(True))

    def shortage(self) -> str:
        """What there is too little of, in words; empty if a run can train and its gate can tell."""
        if self.training >= MIN_TRAINING_QUERIES and self.held_out >= MIN_HELD_OUT_QUERIES:
            return ""
        return (
            f"distinct queries: {self.held_out} held out and {self.training} to train on; "
            f"at least {MIN_HELD_OUT_QUERIES} and {MIN_TRAINING_QUERIES} are needed"
        )


def _place(text: str) -> float:
    """A place from 0 to 1, the same for the same text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
