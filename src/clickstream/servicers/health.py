"""grpc.health.v1: which services take calls."""

import asyncio
from collections.abc import AsyncIterator

from grpc_health.v1 import health_pb2, health_pb2_grpc
from typing_extensions import override

from clickstream.domain.errors import NotFound, Reason
from clickstream.servicers.boundary import Context

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # published without types
    """Answers the states that `set` gives.

    The servicer of grpcio-health-checking waits inside a lock while a watcher takes its answer: one watcher that
    reads nothing keeps every state as it is, and a drain from ending.
    """

    def __init__(self) -> None:
        self._states: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._ended = False

    def set(self, name: str, state: int) -> None:
        """Sets the state of a name. Nothing changes after `end`."""
        if not self._ended:
            self._states[name] = state
            self._announce()

    def end(self) -> None:
        """Makes every name NOT_SERVING for good: the process shuts down."""
        self._ended = True
        self._states = dict.fromkeys(self._states, NOT_SERVING)
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @override
    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """Answers the state of a name. Raises NotFound if there is none."""
        state = self._states.get(request.service)
        if state is None:
            raise NotFound(Reason.HEALTH_NAME_NOT_FOUND, "no service has this name here")
        return health_pb2.HealthCheckResponse(status=state)

    @override
    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Answers the state of a name, and again whenever it changes."""
        last = None
        while True:
            changed, state = self._changed, self._states.get(request.service, _UNKNOWN)
            if state != last:
                last = state
                yield health_pb2.HealthCheckResponse(status=state)
            else:
                await changed.wait()
