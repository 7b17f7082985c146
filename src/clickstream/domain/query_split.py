"""The split of queries into those that train, those that stop the training early and those that measure (R17)."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

# The share of the training queries that decide when training stops early.
VALIDATION_SHARE = 0.1

# Below this number of distinct training queries, nothing is trained.
MIN_TRAINING_QUERIES = 4

# Below this number of distinct held-out queries, the gate cannot distinguish a gain from noise, and passes no version.
MIN_HELD_OUT_QUERIES = 10


# The folds of a run that may choose: enough that a fold's model learns from most queries, and no more time than three
# times that of one training.
AUTO_FOLDS = 3

# The most folds that a run can have.
MOST_FOLDS = 5

# Beyond this number of distinct queries, one split has enough held-out queries, and folds would only take time.
ONE_SPLIT_ABOVE = 2_000

# The characters without any appearance (Default_Ignorable_Code_Point, Unicode 15): soft hyphen, zero-width space and
# joiners, direction marks, variation selectors and so on.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)


def normalised(query: str) -> str:
    """The form in which equal queries are equal text; empty if nothing of the query can be seen.

    Unicode's NFKC_Casefold (UAX #31, and section 3.13 of the standard) without its last normalisation: NFKC, case
    folded, characters without any appearance removed. Then white space is collapsed.
    """
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFKC", query).casefold()).split())


def query_number(normalised_query: str) -> int:
    """A number of 64 bits that stands for a query: a model folder lists the queries that its model was trained on."""
    return int.from_bytes(hashlib.sha256(normalised_query.encode()).digest()[8:16], "big")


def is_held_out(normalised_query: str, seed: int, share: float) -> bool:
    """Whether a query is for measuring only (R17).

    A hash of the query decides, not a draw among the queries at hand. A later run with the same seed holds out
    the same queries, so a model that continues this run's model is measured on queries that neither has seen.
    """
    return _fraction(f"{seed}\n{normalised_query}") < share


def is_validation(normalised_query: str, seed: int) -> bool:
    """Whether a query that is not held out decides when training stops, instead of training.

    Held-out queries must not decide this: the gate would then measure on queries by which the weights were
    chosen, and mistake luck for improvement.
    """
    return _fraction(f"validation\n{seed}\n{normalised_query}") < VALIDATION_SHARE


def fold_count(folds: int, distinct_queries: int) -> int:
    """The number of folds of a run: `folds` itself, or by the number of queries if it is 0."""
    return folds or (AUTO_FOLDS if distinct_queries <= ONE_SPLIT_ABOVE else 1)


def fold_of(normalised_query: str, seed: int, folds: int) -> int:
    """The fold, from 0, that holds a query out: the same for the same query, seed and number of folds."""
    return int(_fraction(f"{seed}\n{normalised_query}") * folds)


@dataclass(frozen=True, slots=True)
class Split:
    """The numbers of distinct queries to train on (in the fold with the fewest) and to measure on."""

    training: int
    held_out: int

    @classmethod
    def of(cls, normalised_queries: Iterable[str], seed: int, share: float, folds: int) -> "Split":
        """Counts the distinct queries; an empty query does not count, because it gives no input.

        Args:
            normalised_queries: The queries of the sessions.
            seed: The run's setting, like `share` and `folds`.
            share: `held_out_share`.
            folds: `folds`; 0 decides by the number of queries.
        """
        queries = {*normalised_queries} - {""}
        count = fold_count(folds, len(queries))
        if count == 1:
            parts = [is_held_out(query, seed, share) for query in queries]
            return cls(training=parts.count(False), held_out=parts.count(True))
        sizes = Counter(fold_of(query, seed, count) for query in queries)
        return cls(training=len(queries) - max(sizes.values(), default=0), held_out=len(queries))

    def shortage(self) -> str:
        """What is missing, in words; empty if there are enough queries for a run and its gate."""
        if self.training >= MIN_TRAINING_QUERIES and self.held_out >= MIN_HELD_OUT_QUERIES:
            return ""
        return (
            f"distinct queries: {self.held_out} held out and {self.training} to train on; "
            f"at least {MIN_HELD_OUT_QUERIES} and {MIN_TRAINING_QUERIES} are needed"
        )


def _fraction(text: str) -> float:
    """A number from 0 to 1, uniformly distributed over texts and always the same for one text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
