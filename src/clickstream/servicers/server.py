"""The gRPC server: our services, health per service, and reflection."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import (
    batch_service_pb2,
    batch_service_pb2_grpc,
    clickstream_service_pb2,
    clickstream_service_pb2_grpc,
    fine_tuning_service_pb2,
    fine_tuning_service_pb2_grpc,
    model_host_service_pb2,
    model_host_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    training_service_pb2,
    training_service_pb2_grpc,
)
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from clickstream.servicers.boundary import TRANSPORT_BYTES, Boundary

OPTIONS = [
    ("grpc.max_receive_message_length", TRANSPORT_BYTES),
    ("grpc.max_send_message_length", TRANSPORT_BYTES),
    # Clients behind load balancers keep idle connections alive with pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class ListenError(Exception):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Service:
    """A servicer with how to register it."""

    name: str
    register: Callable[[Any, Any], None]
    servicer: Any


def clickstream_service(servicer: Any) -> Service:
    """ClickstreamService."""
    name = clickstream_service_pb2.DESCRIPTOR.services_by_name["ClickstreamService"].full_name
    return Service(name, clickstream_service_pb2_grpc.add_ClickstreamServiceServicer_to_server, servicer)


def batch_service(servicer: Any) -> Service:
    """BatchService."""
    name = batch_service_pb2.DESCRIPTOR.services_by_name["BatchService"].full_name
    return Service(name, batch_service_pb2_grpc.add_BatchServiceServicer_to_server, servicer)


def training_service(servicer: Any) -> Service:
    """TrainingService."""
    name = training_service_pb2.DESCRIPTOR.services_by_name["TrainingService"].full_name
    return Service(name, training_service_pb2_grpc.add_TrainingServiceServicer_to_server, servicer)


def fine_tuning_service(servicer: Any) -> Service:
    """FineTuningService."""
    name = fine_tuning_service_pb2.DESCRIPTOR.services_by_name["FineTuningService"].full_name
    return Service(name, fine_tuning_service_pb2_grpc.add_FineTuningServiceServicer_to_server, servicer)


def model_service(servicer: Any) -> Service:
    """ModelService."""
    name = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
    return Service(name, model_service_pb2_grpc.add_ModelServiceServicer_to_server, servicer)


def model_host_service(servicer: Any) -> Service:
    """ModelHostService."""
    name = model_host_service_pb2.DESCRIPTOR.services_by_name["ModelHostService"].full_name
    return Service(name, model_host_service_pb2_grpc.add_ModelHostServiceServicer_to_server, servicer)


class _Registry:
    """A server as generated code sees it, which puts every method behind the boundary."""

    def __init__(self, server: grpc.aio.Server, boundary: Boundary) -> None:
        self._server = server
        self._boundary = boundary

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: the same handlers come by method as well."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Registers the methods of a service."""
        short = service.rpartition(".")[2]
        wrapped = {name: self._boundary.wrap(handler, f"{short}/{name}") for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))


class Server:
    """An asyncio gRPC server over the given services. To be made inside its event loop.

    With `reuse_port` several such servers take shares of the connections to one port. Without it, a
    second server is refused: it would take half of the calls without a word.
    """

    def __init__(self, services: list[Service], *, reuse_port: bool = False) -> None:
        self._boundary = Boundary()
        self._server = grpc.aio.server(options=[*OPTIONS, ("grpc.so_reuseport", int(reuse_port))])
        self._health = health.aio.HealthServicer()
        self._names = [service.name for service in services]
        for service in services:
            service.register(service.servicer, _Registry(self._server, self._boundary))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        named = [*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(named, self._server)

    def bind(self, address: str) -> int:
        """Opens the port; returns its number. Raises ListenError."""
        try:
            port: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ListenError(f"cannot listen on {address}: is the port taken? ({error})") from error
        return port

    async def start(self) -> None:
        """Serves from now on, and says so in the health service."""
        await self._server.start()
        for name in ["", *self._names]:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def drain(self, grace: float) -> None:
        """Stops by R20: NOT_SERVING, streams and new calls end with UNAVAILABLE.

        Accepted calls finish within `grace` seconds.
        """
        await self._health.enter_graceful_shutdown()
        await self._boundary.stop()
        await self._server.stop(grace)
