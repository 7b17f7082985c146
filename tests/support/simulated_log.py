"""Click logs whose truth is known: people look down a list and act on what attracts them."""

import random
from collections.abc import Callable

from clickstream.training.clicks.click_log import ClickLog, Sampler, Session, Showing

Truth = dict[str, dict[int, float]]
"""The attraction of each item, by query and item."""

PLACES = 10
LEVELS = (0.05, 0.05, 0.05, 0.3, 0.9)


def sessions(
    examined: Callable[[int], float],
    *,
    queries: int = 60,
    per_query: int = 50,
    shuffled: bool = False,
    with_act: bool = True,
    seed: int = 5,
) -> tuple[list[Session], Truth]:
    """Sessions, of those without an act none, and the truth; better items tend to stand higher, as they should.

    Without `shuffled`, a query shows the same list every time.
    """
    source = random.Random(seed)
    truth: Truth = {}
    made = []
    for number in range(queries):
        query = f"q{number}"
        drawn = [source.choice(LEVELS) for _ in range(PLACES)]
        order = sorted(range(PLACES), key=lambda item: -drawn[item] + source.gauss(0, 0.4))
        truth[query] = dict(enumerate(drawn))
        for _ in range(per_query):
            if shuffled:
                source.shuffle(order)
            shown = [
                Showing(item, place, float(source.random() < examined(place) * drawn[item]))
                for place, item in enumerate(order)
            ]
            session = Session(query, shown)
            if has_act(session) or not with_act:
                made.append(session)
    return made, truth


def has_act(session: Session) -> bool:
    """Whether something was done in it."""
    return any(showing.grade > 0 for showing in session.shown)


def counted(of: list[Session]) -> ClickLog:
    """All sessions in one log."""
    log = ClickLog()
    for session in of:
        log.add(session)
    return log


def held_apart(of: list[Session]) -> tuple[ClickLog, list[Session]]:
    """The log to learn from, and the sessions to compare by."""
    log, sampler = ClickLog(), Sampler()
    for number, session in enumerate(of):
        if learned := sampler.offer(f"s-{number}", session):
            log.add(learned)
    return log, sampler.sessions
