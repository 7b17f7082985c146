"""Reads sessions with their events and converts them: a released batch page by page, or single sessions."""

from collections.abc import Iterator

from clickstream.contract.sessions import search_session
from clickstream.conversion.convert import convert
from clickstream.conversion.importance import ImportancePolicy
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.sessions import NO_EVENTS, SessionEvents, StoredSession
from clickstream.domain.training_inputs import ERASED, GONE, UNREADABLE, ConversionSummary, TrainingInput

# Pages begin at fixed session numbers, so that every reader freezes and reads the same pages, wherever it
# starts. The number is part of the stored pages' keys: changing it needs a migration.
PAGE_SESSIONS = 100


class InputReader:
    """Reads and converts sessions by one policy. Blocks; the same batch or run always gives the same inputs (R14)."""

    def __init__(self, dao: ClickstreamDao, policy: ImportancePolicy) -> None:
        self._dao = dao
        self._policy = policy

    def new_summary(self) -> ConversionSummary:
        """An empty count, for one reading."""
        return ConversionSummary(self._policy.version)

    def pages(
        self, batch: int, session_count: int, after: int, summary: ConversionSummary
    ) -> Iterator[list[TrainingInput]]:
        """The inputs of the sessions numbered above `after`, in order, counted in `summary` as they are read."""
        for first in range(after // PAGE_SESSIONS * PAGE_SESSIONS + 1, session_count + 1, PAGE_SESSIONS):
            last = min(first + PAGE_SESSIONS - 1, session_count)
            events, irrelevant = self._dao.events.frozen(batch, first, last)
            read = max(after, first - 1)
            while read < last:
                page = self._dao.sessions.page(batch, read, last - read, include_irrelevant=True)
                inputs = (
                    self._input(session, events.get(session.number, NO_EVENTS), session.number in irrelevant, summary)
                    for session in page.sessions
                )
                yield [converted for converted in inputs if converted is not None]
                read = last if page.complete else page.sessions[-1].number

    def of_session(
        self, session_id: str, run_id: str, summary: ConversionSummary, template: ItemTemplate | None
    ) -> TrainingInput | None:
        """The input of one session in one run; None if it gives none, with the reason counted in `summary`.

        The first reading fixes for this run which events count, also while the session's batch still collects.
        Given the run's item template, a session without a usable item text gives no input.
        """
        session = self._dao.sessions.get(session_id)
        if session is None:
            summary.skip(GONE)
            return None
        number = session.number
        events, irrelevant = self._dao.events.frozen(session.batch, number, number, run_id)
        return self._input(session, events.get(number, NO_EVENTS), number in irrelevant, summary, template)

    def _input(
        self,
        session: StoredSession,
        events: SessionEvents,
        irrelevant: bool,
        summary: ConversionSummary,
        template: ItemTemplate | None = None,
    ) -> TrainingInput | None:
        if session.erased:
            summary.skip(ERASED)
            return None
        try:
            decoded = search_session(session, events, irrelevant)
        except ValueError:
            summary.skip(UNREADABLE)
            return None
        return convert(decoded, self._policy, summary, template)
