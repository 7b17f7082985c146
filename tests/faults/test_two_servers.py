"""Two servers on one database under load; one is killed meanwhile."""

import asyncio
import itertools
from collections.abc import Callable

from support.servers import ServeProcess, until
from support.two_servers import Traffic

from clickstream.dao.embedded_mongod import EmbeddedMongo

SESSIONS = 20_000
WRITERS = 64
RELEASE_SECONDS = 0.7


async def traffic_with_a_kill(survivor: ServeProcess, victim: ServeProcess) -> Traffic:
    """Writes everything through both servers while two readers follow, and kills one server half-way."""
    traffic = Traffic([survivor.address, victim.address])
    ids = itertools.count()
    writers = [asyncio.create_task(traffic.write(index % 2, ids, SESSIONS)) for index in range(WRITERS)]
    others = [
        asyncio.create_task(work)
        for work in (traffic.release(RELEASE_SECONDS), traffic.read_pages(), traffic.read_streams())
    ]
    await until(lambda: len(traffic.written) > SESSIONS / 2, patience=120)
    victim.kill()
    await asyncio.gather(*writers)
    traffic.writing = False
    await asyncio.gather(*others)
    await traffic.close()
    return traffic


def test_r9_readers_see_every_session_exactly_once_whatever_is_killed(
    mongod: EmbeddedMongo, serve: Callable[..., ServeProcess]
) -> None:
    """R8, R9, R10: with two writing servers, releases and a kill -9, both kinds of readers see each session once."""
    environment = {"MONGODB_URI": mongod.uri, "CLICKSTREAM_DATABASE": "two_servers"}
    traffic = asyncio.run(traffic_with_a_kill(serve(**environment), serve(**environment)))

    assert len(traffic.written) == SESSIONS
    assert sum(batch.session_count for batch in traffic.released) == SESSIONS
    assert len(traffic.released) > 5, "too few releases to prove anything"
    for batch in traffic.released:
        members = sorted(
            (number, session_id) for session_id, (of, number) in traffic.written.items() if of == batch.batch_id
        )
        assert [number for number, _ in members] == list(range(1, batch.session_count + 1))
        assert traffic.paged[batch.batch_id] == members
        assert traffic.streamed[batch.batch_id] == members
