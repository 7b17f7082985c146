"""What every store promises about counts of refusals."""

from support.builders import NOW, SECOND

from clickstream.dao.interface.refusals import RefusalKey
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.quality import Refused

HOUR = 3_600 * SECOND
START = NOW.replace(minute=0, second=0, microsecond=0)


def test_refusals_are_summed_by_reason_and_client(dao: ClickstreamDao) -> None:
    """Counts of several processes and hours are added, and a window has the hours that it touches."""
    dao.refusals.add({})
    dao.refusals.add({RefusalKey(START, "INVALID_FIELD", "web"): 2, RefusalKey(START, "INVALID_FIELD", ""): 1})
    dao.refusals.add(
        {RefusalKey(START, "INVALID_FIELD", "web"): 3, RefusalKey(START + HOUR, "CONTENT_CONFLICT", "web"): 7}
    )
    assert dao.refusals.of(START + HOUR / 2, START + 2 * HOUR) == [
        Refused("CONTENT_CONFLICT", "web", 7),
        Refused("INVALID_FIELD", "web", 5),
        Refused("INVALID_FIELD", "", 1),
    ]
    assert dao.refusals.of(START + HOUR, START + 2 * HOUR) == [Refused("CONTENT_CONFLICT", "web", 7)]
    assert dao.refusals.of(START + 2 * HOUR, START + 3 * HOUR) == []
