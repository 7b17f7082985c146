"""The gRPC server: our services, their health, and reflection."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from embedding_studio.clickstream.internal.v1 import (
    fine_tuning_service_pb2,
    fine_tuning_service_pb2_grpc,
    model_host_service_pb2,
    model_host_service_pb2_grpc,
)
from embedding_studio.clickstream.v1 import (
    analytics_service_pb2,
    analytics_service_pb2_grpc,
    batch_service_pb2,
    batch_service_pb2_grpc,
    clickstream_service_pb2,
    clickstream_service_pb2_grpc,
    improvement_service_pb2,
    improvement_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    training_service_pb2,
    training_service_pb2_grpc,
)
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from clickstream.domain import limits
from clickstream.domain.errors import StartError
from clickstream.servicers.boundary import Boundary

OPTIONS = [
    # Beyond these gRPC itself refuses a message, without details. The boundary refuses earlier, and names the limit.
    ("grpc.max_receive_message_length", limits.TRANSPORT_BYTES),
    ("grpc.max_send_message_length", limits.TRANSPORT_BYTES),
    # Clients behind load balancers keep idle connections alive with pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]

# Every service: the generated servicer, the module of its file, its name, and how generated code registers it.
SERVICES: tuple[tuple[type[Any], Any, str, Callable[[Any, Any], None]], ...] = (
    (
        clickstream_service_pb2_grpc.ClickstreamServiceServicer,
        clickstream_service_pb2,
        "ClickstreamService",
        clickstream_service_pb2_grpc.add_ClickstreamServiceServicer_to_server,
    ),
    (
        batch_service_pb2_grpc.BatchServiceServicer,
        batch_service_pb2,
        "BatchService",
        batch_service_pb2_grpc.add_BatchServiceServicer_to_server,
    ),
    (
        improvement_service_pb2_grpc.ImprovementServiceServicer,
        improvement_service_pb2,
        "ImprovementService",
        improvement_service_pb2_grpc.add_ImprovementServiceServicer_to_server,
    ),
    (
        training_service_pb2_grpc.TrainingServiceServicer,
        training_service_pb2,
        "TrainingService",
        training_service_pb2_grpc.add_TrainingServiceServicer_to_server,
    ),
    (
        model_service_pb2_grpc.ModelServiceServicer,
        model_service_pb2,
        "ModelService",
        model_service_pb2_grpc.add_ModelServiceServicer_to_server,
    ),
    (
        analytics_service_pb2_grpc.AnalyticsServiceServicer,
        analytics_service_pb2,
        "AnalyticsService",
        analytics_service_pb2_grpc.add_AnalyticsServiceServicer_to_server,
    ),
    (
        fine_tuning_service_pb2_grpc.FineTuningServiceServicer,
        fine_tuning_service_pb2,
        "FineTuningService",
        fine_tuning_service_pb2_grpc.add_FineTuningServiceServicer_to_server,
    ),
    (
        model_host_service_pb2_grpc.ModelHostServiceServicer,
        model_host_service_pb2,
        "ModelHostService",
        model_host_service_pb2_grpc.add_ModelHostServiceServicer_to_server,
    ),
)

# The health name that says whether calls can succeed. The empty name says that the process lives.
READINESS = "readiness"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class _Registry:
    """Stands in for the server when generated code registers a service, and puts every method behind the boundary."""

    def __init__(self, server: grpc.aio.Server, boundary: Boundary) -> None:
        self._server = server
        self._boundary = boundary

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Does nothing: generated code also calls `add_registered_method_handlers`, with the same handlers."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Registers the methods of a service."""
        short = service.rpartition(".")[2]
        wrapped = {name: self._boundary.wrap(handler, f"{short}/{name}") for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))


class Server:
    """An asyncio gRPC server over the given services. Make it inside its event loop."""

    def __init__(self, servicers: Sequence[Any], *, reuse_port: bool = False) -> None:
        """Registers the servicers.

        Args:
            servicers: One for each service to offer; each is of a class in `SERVICES`.
            reuse_port: Whether several servers share the connections to one port. If not, a second server cannot
                open the port; otherwise a server started by mistake would silently take half of the calls.
        """
        self._boundary = Boundary()
        self._server = grpc.aio.server(options=[*OPTIONS, ("grpc.so_reuseport", int(reuse_port))])
        self._health = health.aio.HealthServicer()
        self._names = []
        for servicer in servicers:
            _, module, name, register = next(row for row in SERVICES if isinstance(servicer, row[0]))
            self._names.append(module.DESCRIPTOR.services_by_name[name].full_name)
            register(servicer, _Registry(self._server, self._boundary))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        named = [*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(named, self._server)

    def bind(self, address: str) -> int:
        """Opens the port `host:port` and returns its number; port 0 is any free one. Raises StartError."""
        try:
            port: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise StartError(f"cannot listen on {address}: is the port taken? ({error})") from error
        return port

    async def start(self) -> None:
        """Starts serving. Health answers SERVING for the process (the empty name) and for each service.

        The name `readiness` is NOT_SERVING until `set_ready` says otherwise.
        """
        await self._health.set(READINESS, _NOT_SERVING)
        await self._server.start()
        for name in ["", *self._names]:
            await self._health.set(name, _SERVING)

    async def set_ready(self, ready: bool) -> None:
        """Publishes whether the store answers, under the health name `readiness`."""
        await self._health.set(READINESS, _SERVING if ready else _NOT_SERVING)

    async def drain(self, grace: float) -> None:
        """Stops serving (R20).

        Health answers NOT_SERVING, streams and new calls end with UNAVAILABLE, and accepted calls have `grace`
        seconds to finish.
        """
        await self._health.enter_graceful_shutdown()
        await self._boundary.stop()
        await self._server.stop(grace)
