import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from support.builders import create_request
from support.scripted import InMemoryService, refuse
from support.servers import refused

from clickstream.client.calls import call, clickstream_stub, pause_before_retry, violations
from clickstream.contract.details import reason_of


@pytest.fixture
def unavailable(scripted: InMemoryService, scripted_address: str) -> grpc.RpcError:
    """The error of a call whose server asks for a pause of three seconds."""
    scripted.faults.append(lambda _, context: refuse(context, code_pb2.UNAVAILABLE, "STORE_UNAVAILABLE", delay=3))
    with grpc.insecure_channel(scripted_address) as channel:
        return refused(clickstream_stub(channel).CreateSession, create_request())


def test_a_retry_waits_as_long_as_the_server_asks_for(unavailable: grpc.RpcError) -> None:
    """The pause is the whole delay of RetryInfo and the backoff."""
    assert 3.1 <= pause_before_retry(1, unavailable) <= 3.2


@pytest.mark.parametrize("attempt", [20, 10_000])
def test_the_backoff_is_bounded(attempt: int, unavailable: grpc.RpcError) -> None:
    """However many attempts failed, the pause is at most five seconds more than the server asks for."""
    assert 5.5 <= pause_before_retry(attempt, unavailable) <= 8


@pytest.mark.parametrize(
    "details",
    [b"no protobuf", status_pb2.Status(code=code_pb2.INTERNAL, message="another").SerializeToString()],
    ids=["garbage", "of another status"],
)
def test_unusable_details_count_as_absent(details: bytes, scripted: InMemoryService, scripted_address: str) -> None:
    """An UNAVAILABLE whose details a proxy has broken, or which belong to another status, is retried all the same."""

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
