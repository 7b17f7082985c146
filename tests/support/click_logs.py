"""Random click logs for the tests of figures: written to a store, and kept in plain Python beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from embedding_studio.clickstream.v1 import session_pb2

from clickstream.conversion.importance import ImportancePolicy
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import day_of
from clickstream.domain.query_split import normalised
from clickstream.domain.robots import POLICY as POLICY_JUDGE
from clickstream.domain.robots import RobotVerdict
from clickstream.domain.sessions import EventDraft, EventPush
from clickstream.servicers.checks import admission
from support.plain_figures import PlainSearch

GRADES = {"impression": 0.0, "view": 0.5, "click": 1.0, "add_to_cart": 2.0, "purchase": 3.0, "save": 0.75}
POLICY = ImportancePolicy("figures-1", GRADES, 0.0, "max", {"item_click": "click", "AddToCart": "add_to_cart"})
TYPES = (
    *("impression", "click", "click", "click", "item_click", "add_to_cart", "AddToCart", "purchase", "save"),
    "odd",
)
QUERIES = ("", "red", "red shoes", "Red  Shoes", "zebra", "ze", "zebra\u200bcrossing", "blue")
# Around the change of clocks in Berlin, and in Lord Howe a week before.
START = datetime(2026, 10, 23, 22, tzinfo=UTC)


@dataclass(frozen=True)
class LogShape:
    """How large a random log is, over how many days it goes, and whether some users are judged to be robots."""

    sessions: int = 40
    days: int = 4
    batches: int = 2
    judged: bool = False


def write_log(dao: ClickstreamDao, seed: int, shape: LogShape = LogShape()) -> list[PlainSearch]:
    """Writes a random log to a store, with retries, late events, marks and restores; returns what it contains."""
    random = Random(seed)
    written: list[PlainSearch] = []
    for batch in range(1, shape.batches + 1):
        sessions = [_session(random, f"s-{batch}-{number}", shape) for number in range(shape.sessions)]
        drafts = [admission.session(each, admission.arrival(START, None)) for each in sessions]
        for session, appended in zip(sessions, dao.sessions.append(drafts), strict=True):
            place = appended.session
            written.append(PlainSearch(session, place.batch, place.number, query=normalised(session.query)))
        if batch < shape.batches:
            dao.batches.release(f"release-{batch}", batch, START)
    for search in random.sample(written, len(written)):
        add_events(dao, search, _events(random, search))
        if random.random() < 0.15:
            mark(dao, search, irrelevant=True)
            if random.random() < 0.3:
                mark(dao, search, irrelevant=False)
    if shape.judged:
        judge(dao, written, random)
    return written


JUDGED = LogShape(judged=True)


def judge(dao: ClickstreamDao, searches: Sequence[PlainSearch], random: Random) -> None:
    """Adds random verdicts to the store, some of them overruled and some undone, and keeps what they mean beside it."""
    known = sorted({(each.session.user_id, day_of(each.at)) for each in searches if each.session.user_id})
    force: dict[tuple[str, int], bool] = {}
    for number in range(random.choice((0, 6, 20)) if known else 0):
        user_id, day = random.choice(known)
        robot, by = random.random() < 0.7, random.choice((POLICY_JUDGE, "ann"))
        verdict = RobotVerdict(user_id, day, robot, by, START, "robots-1", request_id=f"r-{number}")
        if random.random() < 0.1:
            verdict = RobotVerdict("", 0, False, "ann", START, undoes_all=True, request_id=f"r-{number}")
            force.clear()
        else:
            force[user_id, day] = robot
        if verdict.by == POLICY_JUDGE:
            assert dao.robots.append([replace(verdict, request_id="")], dao.robots.newest())
        else:
            dao.robots.order(verdict)
    for search in searches:
        search.robot = force.get((search.session.user_id, day_of(search.at)), False)


def add_events(dao: ClickstreamDao, search: PlainSearch, events: Sequence[session_pb2.Event]) -> None:
    """Pushes events to the store, and to the search in plain Python."""
    if events:
        drafts = [admission.event(each, "event", admission.arrival(START, None)) for each in events]
        assert all(isinstance(each, EventDraft) for each in drafts), drafts
        dao.events.append([EventPush(search.session.session_id, drafts)])  # type: ignore[arg-type]
        search.events.extend(events)


def mark(dao: ClickstreamDao, search: PlainSearch, *, irrelevant: bool) -> None:
    """Marks a session as irrelevant or restores it, in both."""
    search.irrelevant = irrelevant
    if irrelevant:
        dao.sessions.mark_irrelevant(search.session.session_id, START)
    else:
        dao.sessions.restore(search.session.session_id)


def _session(random: Random, session_id: str, shape: LogShape) -> session_pb2.Session:
    # Many times are equal or near each other, so that rules on the next search matter.
    seconds = random.choice((0, 15, 30, 31, 300, 301, 3600, random.randrange(86_400 * shape.days)))
    at = START + timedelta(days=random.randrange(shape.days), seconds=seconds, milliseconds=random.choice((0, 1, 999)))
    session = session_pb2.Session(session_id=session_id, query=random.choice(QUERIES))
    session.created_at.FromDatetime(min(at, START + timedelta(days=shape.days) - timedelta(milliseconds=1)))
    session.user_id = random.choice(("", "u-1", "u-2", "u-3", "ü"))
    session.payload_search = random.random() < 0.1
    session.client.name = random.choice(("", "web", "app"))
    session.sort = random.choice(("", "", "price:asc"))
    if random.random() < 0.3:
        session.filter.update({"color": "red"})
    if random.random() < 0.8:
        session.context.update(
            {"locale": random.choice(("de", "en")), "where": {"page": random.choice(("home", "list"))}}
        )
    first = random.choice((None, 0, 10, 40))
    objects = random.sample("abcdefghij", random.choice((0, 1, 3, 10)))
    for index, object_id in enumerate(objects):
        result = session.results.add(object_id=object_id)
        if first is not None:
            result.position = first + 2 * index
        if random.random() < 0.8:
            result.meta.update({"brand": random.choice(("acme", "bolt"))})
    return session


def _events(random: Random, search: PlainSearch) -> list[session_pb2.Event]:
    events = []
    for number in range(random.choice((0, 0, 1, 2, 5, 12))):
        shown = [each.object_id for each in search.session.results]
        object_id = random.choice(shown) if shown and random.random() < 0.8 else random.choice("axyz")
        event = session_pb2.Event(event_id=f"e-{number}", object_id=object_id, type=random.choice(TYPES))
        delay = random.choice((-5, 0, 1, 29, 30, 31, 60, 90, 4_000, 90_000))
        event.created_at.FromDatetime(search.at + timedelta(seconds=delay, milliseconds=random.choice((0, 500))))
        events.append(event)
    return events
