"""Calls of the service: stubs, the content of errors, and retries where a retry can help."""

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import grpc
from embedding_studio.clickstream.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.improvement_service_pb2_grpc import ImprovementServiceStub
from embedding_studio.clickstream.v1.model_service_pb2_grpc import ModelServiceStub
from embedding_studio.clickstream.v1.training_service_pb2_grpc import TrainingServiceStub

from clickstream.contract.details import BadRequest, RetryInfo, detail_of, reason_of
from clickstream.domain.errors import Reason

Request = TypeVar("Request", contravariant=True)
Response = TypeVar("Response", covariant=True)

# The generated classes carry no annotations.
clickstream_stub: Callable[[grpc.Channel], Any] = ClickstreamServiceStub
batch_stub: Callable[[grpc.Channel], Any] = BatchServiceStub
improvement_stub: Callable[[grpc.Channel], Any] = ImprovementServiceStub
training_stub: Callable[[grpc.Channel], Any] = TrainingServiceStub
model_stub: Callable[[grpc.Channel], Any] = ModelServiceStub
analytics_stub: Callable[[grpc.Channel], Any] = AnalyticsServiceStub

# Attempts of `call`, the first included.
ATTEMPTS = 6
# Seconds before the second attempt. The pause doubles with each attempt, up to the longest.
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0


# A call that its caller did not cancel is CANCELLED if its server was stopped before it accepted the call.
_PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


class Method(Protocol[Request, Response]):
    """A unary method of a blocking stub."""

    def __call__(self, request: Request, /, *, timeout: float | None = None) -> Response:
        """Calls the server; `timeout` in seconds."""
        ...


def call(
    method: Method[Request, Response],
    request: Request,
    timeout: float = 30.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Response:
    """Calls a unary method, up to `ATTEMPTS` times: every call of the contract may be repeated.

    Args:
        method: The stub's method.
        request: Its request.
        timeout: Deadline of one attempt, in seconds.
        sleep: Waits between attempts; for tests.

    Raises:
        grpc.RpcError: The last attempt's error, or the first that a retry cannot help.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            if attempt == ATTEMPTS or not is_passing(error):
                raise
            sleep(pause_before_retry(attempt, error))
    raise AssertionError("the last attempt returns or raises")


def pause_before_retry(attempt: int, error: grpc.RpcError) -> float:
    """Seconds to wait after the failed attempt number `attempt`, which counts from 1.

    It is the pause that the server asks for and a backoff on top. The backoff doubles up to 5 s and is random within
    50 to 100 %, so that many clients do not come back at once.
    """
    # The exponent is bounded because retries may go on for days, and 2.0 ** 1024 overflows.
    backoff: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt - 1, 10))
    info = detail_of(error, RetryInfo)
    asked: timedelta = info.retry_delay.ToTimedelta() if info else timedelta()
    return asked.total_seconds() + backoff * random.uniform(0.5, 1.0)


def is_passing(error: grpc.RpcError) -> bool:
    """Whether the same call may succeed later."""
    code = error.code()
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # A message that is too large is refused under the same status, for ever: by gRPC itself without a reason, and
        # by servers before 0.3 with this one.
        return reason_of(error) not in {"", Reason.LIMIT_EXCEEDED}
    return code in _PASSING


def violations(error: grpc.RpcError) -> list[tuple[str, str]]:
    """The (field, description) pairs of a failed call's `BadRequest`."""
    bad = detail_of(error, BadRequest)
    return [(violation.field, violation.description) for violation in bad.field_violations] if bad else []
