import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from support.builders import create_request
from support.scripted import InMemoryService, refuse
from support.serving import refused

from clickstream.client.calls import call, clickstream_stub, pause_before_retry, violations
from clickstream.contract.statuses import reason_of


@pytest.fixture
def unavailable(scripted: InMemoryService, scripted_address: str) -> grpc.RpcError:
    """The error of a server that asks for a pause of three seconds."""
    scripted.faults.append(lambda _, context: refuse(context, code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE", delay=3))
    with grpc.insecure_channel(scripted_address) as channel:
        return refused(clickstream_stub(channel).CreateSession, create_request())


def test_a_retry_waits_as_long_as_the_server_asks_for(unavailable: grpc.RpcError) -> None:
    """RetryInfo's delay is waited in full, and the backoff comes on top."""
    assert 3.1 <= pause_before_retry(1, unavailable) <= 3.2


@pytest.mark.parametrize("attempt", [20, 10_000])
def test_the_backoff_is_bounded(attempt: int, unavailable: grpc.RpcError) -> None:
    """However long an outage lasts, a retry waits five seconds at most beyond the server's wish."""
    assert 5.5 <= pause_before_retry(attempt, unavailable) <= 8


@pytest.mark.parametrize(
    "details",
    [b"no protobuf", status_pb2.Status(code=code_pb2.INTERNAL, message="another").SerializeToString()],
    ids=["garbage", "of another status"],
)
def test_details_that_cannot_be_used_count_as_none(
    details: bytes, scripted: InMemoryService, scripted_address: str
) -> None:
    """Details that a proxy has broken, or that no longer fit the status, hide no error: a passing one is retried."""

    def fault(request: object, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata([("grpc-status-details-bin", details)])
        context.abort(grpc.StatusCode.UNAVAILABLE, "behind a proxy")

    scripted.faults.append(fault)
    pauses: list[float] = []
    with grpc.insecure_channel(scripted_address) as channel:
        error = refused(call, clickstream_stub(channel).CreateSession, create_request(), sleep=pauses.append)
    assert error.details() == "behind a proxy"
    assert len(pauses) == 5
    assert (reason_of(error), violations(error)) == ("", [])
