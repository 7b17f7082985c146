"""Which share of the searches repeats an earlier one: the weight of repeated searches in the gate."""

from array import array
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from clickstream.domain.evaluations import RepeatBasis, RepeatedShare
from clickstream.domain.query_split import query_number


@dataclass(slots=True)
class RepeatedSearches:
    """The order of the searches, by query: 4 bytes for each search, and an entry for each distinct query."""

    numbers: dict[str, int] = field(default_factory=dict)
    first_places: "array[int]" = field(default_factory=lambda: array("Q"))
    searches: "array[int]" = field(default_factory=lambda: array("L"))
    batch_id: str = ""
    batches: int = 0
    batch_start: int = 0

    def add(self, query: str, batch_id: str) -> None:
        """Counts one search, in the order of their numbers.

        Args:
            query: Normalised.
            batch_id: A batch's searches follow each other.
        """
        place = len(self.searches)
        if batch_id != self.batch_id or not self.batches:
            self.batch_id, self.batch_start = batch_id, place
            self.batches += 1
        number = self.numbers.setdefault(query, len(self.numbers))
        if number == len(self.first_places):
            self.first_places.append(place)
        self.searches.append(number)

    def share(self, trained: AbstractSet[int] | None) -> RepeatedShare:
        """The share of searches whose query was searched before.

        With a base model that was trained on searches, these come before; otherwise all batches before the last one;
        otherwise the first half of the searches. 0 without a search.

        Args:
            trained: The queries that the base model was trained on, as `query_number`; None or none if it was not.
        """
        if trained:
            repeated = array("B", (query_number(query) in trained for query in self.numbers))
            return RepeatedShare(_mean(repeated[number] for number in self.searches), RepeatBasis.BASE_MODEL)
        has_earlier = self.batches > 1
        start = self.batch_start if has_earlier else len(self.searches) // 2
        share = _mean(self.first_places[number] < start for number in self.searches[start:])
        return RepeatedShare(share, RepeatBasis.EARLIER_BATCHES if has_earlier else RepeatBasis.EARLIER_HALF)


def _mean(values: Iterable[int]) -> float:
    count = total = 0
    for value in values:
        count += 1
        total += value
    return total / count if count else 0.0
