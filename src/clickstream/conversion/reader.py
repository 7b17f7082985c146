"""Reads sessions with their events and converts them: a released batch page by page, or single sessions."""

from collections.abc import Iterable, Iterator, Set

from clickstream.contract.sessions import search_session
from clickstream.conversion.convert import convert
from clickstream.conversion.importance import ImportancePolicy
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import day_of
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.sessions import NO_EVENTS, SessionEvents, StoredSession
from clickstream.domain.training_inputs import ERASED, GONE, UNREADABLE, ConversionSummary, TrainingInput

# Pages begin at fixed session numbers, so that every reader freezes and reads the same pages, wherever it
# starts. The number is part of the stored pages' keys: changing it needs a migration.
PAGE_SESSIONS = 100


class InputReader:
    """Reads and converts sessions by one policy. Blocks.

    The same batch or run gives the same inputs, as long as the number of robot verdicts is the same (R14).
    """

    def __init__(self, dao: ClickstreamDao, policy: ImportancePolicy) -> None:
        self._dao = dao
        self._policy = policy

    def new_summary(self, robot_verdict_number: int) -> ConversionSummary:
        """An empty count, for one reading that applies the robot verdicts up to this number; 0: none."""
        return ConversionSummary(self._policy.version, robot_verdict_number)

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
                # A frozen page holds no verdicts: they apply after it, as of one number of their list.
                robots = self._robots(page.sessions, summary)
                inputs = (
                    self._input(
                        session,
                        events.get(session.number, NO_EVENTS),
                        summary,
                        irrelevant=session.number in irrelevant,
                        robot=session.number in robots,
                    )
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
        robot = number in self._robots([session], summary)
        found = events.get(number, NO_EVENTS)
        return self._input(session, found, summary, irrelevant=number in irrelevant, robot=robot, template=template)

    def _robots(self, sessions: Iterable[StoredSession], summary: ConversionSummary) -> Set[int]:
        """The numbers of those of these sessions that are a robot's."""
        users = {session.user_id for session in sessions if session.user_id} if summary.robot_verdict_number else set()
        if not users:
            return frozenset()
        verdicts = self._dao.robots.of_users(users, summary.robot_verdict_number)
        robots = {(each.user_id, each.day) for each in verdicts if each.robot}
        return {session.number for session in sessions if (session.user_id, day_of(session.created_at)) in robots}

    def _input(
        self,
        session: StoredSession,
        events: SessionEvents,
        summary: ConversionSummary,
        *,
        irrelevant: bool,
        robot: bool,
        template: ItemTemplate | None = None,
    ) -> TrainingInput | None:
        if session.erased:
            summary.skip(ERASED)
            return None
        try:
            decoded = search_session(session, events, irrelevant=irrelevant, robot=robot)
        except ValueError:
            summary.skip(UNREADABLE)
            return None
        return convert(decoded, self._policy, summary, template)
