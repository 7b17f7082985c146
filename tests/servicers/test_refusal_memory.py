"""What a refused request costs (R7)."""

import gc
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from grpc import StatusCode
from support.servers import InProcessServer, refused

from clickstream.contract.encoding import message_field

REQUESTS = 16
# Two bytes a result or event, of which a parsed one takes fifty.
EMPTY_PARTS = 500_000
# A parsed request of these takes 25 MiB or more: piled up they would take 400.
MOST_MEBIBYTES = 200


@pytest.fixture
def no_collection() -> Iterator[None]:
    """The garbage collector does not run, as on a server whose calls make few objects that it watches."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def mebibytes() -> int:
    """The memory of this process."""
    pages = int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 2**20


def test_r7_refused_requests_do_not_pile_up(server: InProcessServer, no_collection: None) -> None:
    """R7: a refused request is gone once it is answered: many of them take the memory of one."""
    empty = message_field(3, b"") * EMPTY_PARTS
    request = message_field(1, message_field(1, b"s-1") + empty)
    before = mebibytes()
    for _ in range(REQUESTS):
        error = refused(server.call, "ClickstreamService/CreateSession", request)
        assert error.code() is StatusCode.INVALID_ARGUMENT
    assert mebibytes() - before < MOST_MEBIBYTES


def test_r7_refused_messages_of_a_stream_do_not_pile_up(server: InProcessServer, no_collection: None) -> None:
    """R7: a refused message of an Ingest stream is gone once it is acknowledged."""
    events = pb.EventList.FromString(message_field(1, b"s-1") + message_field(2, b"") * EMPTY_PARTS)
    before = mebibytes()
    sent = (pb.IngestRequest(sequence=number, events=events) for number in range(1, REQUESTS + 1))
    answers = list(server.clickstream.Ingest(sent))
    assert [answer.failure.field for answer in answers] == ["events.events"] * REQUESTS
    assert mebibytes() - before < MOST_MEBIBYTES
