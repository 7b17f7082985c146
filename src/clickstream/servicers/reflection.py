"""Reflection, which tools such as grpcurl ask for the contract: one servicer under the names of v1 and of v1alpha."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

ALPHA = "grpc.reflection.v1alpha"
V1 = "grpc.reflection.v1"
NAMES = tuple(f"{package}.ServerReflection" for package in (V1, ALPHA))
"""The full names of the service. Tools ask for v1 first; grpcurl before 1.8.8 knows v1alpha only."""


def add_reflection(described: list[str], server: Any) -> None:
    """Registers reflection over the services with these full names, and over itself, under both of its names."""
    _describe_v1()
    servicer = ReflectionServicer([*described, *NAMES])
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, _UnderV1(server))


class _UnderV1:
    """Stands in for the server: registers the handlers of v1alpha as those of v1. The messages are the same bytes."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Does nothing: generated code also calls `add_registered_method_handlers`, with the same handlers."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Registers the methods of v1alpha's service as those of v1's."""
        self._server.add_registered_method_handlers(service.replace(ALPHA, V1), handlers)


def _describe_v1() -> None:
    """Adds v1's own description to the pool, which is v1alpha's under other names: grpcio-reflection has no v1."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    renamed = text_format.Parse(
        text_format.MessageToString(file).replace("v1alpha", "v1"), descriptor_pb2.FileDescriptorProto()
    )
    pool: Any = descriptor_pool.Default()  # type: ignore[no-untyped-call]
    pool.AddSerializedFile(renamed.SerializeToString())
