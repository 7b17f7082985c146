"""Click logs whose truth is known: people look down a list and act on what attracts them."""

import random
from collections.abc import Callable

from clickstream.training.clicks.click_log import ClickLog, HeldOutSample, LoggedSession, Showing

# The attraction of each item, by query and item.
Truth = dict[str, dict[int, float]]

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
) -> tuple[list[LoggedSession], Truth]:
    """Simulates sessions in which better items tend to stand higher.

    Args:
        examined: The probability that a place, counted from 0, is examined.
        queries: The number of distinct queries.
        per_query: Sessions per query, those without an act included.
        shuffled: Shuffle the list in every session; otherwise a query always shows the same list.
        with_act: Leave out sessions without an act, as the service does.
        seed: Seeds everything.

    Returns:
        The sessions, and the true attraction of each item.
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
            session = LoggedSession(query, shown)
            if has_act(session) or not with_act:
                made.append(session)
    return made, truth


def has_act(session: LoggedSession) -> bool:
    """Whether a session has an act."""
    return any(showing.grade > 0 for showing in session.shown)


def counted(of: list[LoggedSession]) -> ClickLog:
    """Counts all sessions in one log."""
    log = ClickLog()
    for session in of:
        log.add(session)
    return log


def split_log(of: list[LoggedSession]) -> tuple[ClickLog, list[LoggedSession]]:
    """Splits sessions into the log to learn from and the held-out sessions to score by."""
    log, held_out_sample = ClickLog(), HeldOutSample()
    for number, session in enumerate(of):
        if learned := held_out_sample.offer(f"s-{number}", session):
            log.add(learned)
    return log, held_out_sample.sessions
