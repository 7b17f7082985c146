"""The `google.rpc` details of a failed call, read with grpcio and protobuf alone: the client needs no other package."""

from typing import Any, TypeVar

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory, text_format
from google.protobuf.message import DecodeError, Message

# Begins every name in `error_reason.proto`.
PREFIX = "ERROR_REASON_"
# The trailing metadata that carries a google.rpc.Status.
_KEY = "grpc-status-details-bin"

# Of google/rpc/status.proto and google/rpc/error_details.proto. They stand in a pool of their own, so that a process
# may import googleapis-common-protos in any version beside them.
_FILE = """
name: "clickstream/details.proto" package: "google.rpc" syntax: "proto3"
dependency: ["google/protobuf/any.proto", "google/protobuf/duration.proto"]
message_type { name: "Status"
  field { name: "code" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field { name: "message" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "details" number: 3 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".google.protobuf.Any" } }
message_type { name: "ErrorInfo"
  field { name: "reason" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "domain" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING } }
message_type { name: "RetryInfo"
  field { name: "retry_delay" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
    type_name: ".google.protobuf.Duration" } }
message_type { name: "FieldViolation"
  field { name: "field" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "description" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING } }
message_type { name: "BadRequest"
  field { name: "field_violations" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE
    type_name: ".google.rpc.FieldViolation" } }
"""

D = TypeVar("D", bound=Message)


def _kinds() -> dict[str, type[Any]]:
    """The messages of `_FILE` by name."""
    pool: Any = descriptor_pool.DescriptorPool()
    for known in (any_pb2, duration_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    file = text_format.Parse(_FILE, descriptor_pb2.FileDescriptorProto())
    pool.AddSerializedFile(file.SerializeToString())
    names = [message.name for message in file.message_type]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"google.rpc.{name}")) for name in names}


_KINDS = _kinds()
_Status = _KINDS["Status"]
ErrorInfo = _KINDS["ErrorInfo"]
RetryInfo = _KINDS["RetryInfo"]
BadRequest = _KINDS["BadRequest"]


def detail_of(error: grpc.RpcError, kind: type[D]) -> D | None:
    """The `google.rpc` detail of this kind that a failed call carries.

    None if there is no such detail or it cannot be read: a proxy may have damaged the details, or changed the status
    that they explain. The error itself still counts.

    Args:
        error: A failed call.
        kind: A message of this module, or of googleapis-common-protos.
    """
    name = kind.DESCRIPTOR.full_name
    try:
        for packed in _details_of(error):
            if packed.type_url.rpartition("/")[2] == name:
                return kind.FromString(packed.value)
    except DecodeError:
        return None
    return None


def _details_of(error: Any) -> Any:
    """The packed details of a failed call; none if the status in them is not the one of the call."""
    for key, value in error.trailing_metadata() or ():
        if key == _KEY:
            status = _Status.FromString(value)
            if (status.code, status.message) == (error.code().value[0], error.details() or ""):
                return status.details
    return ()


def reason_of(error: grpc.RpcError) -> str:
    """The reason of a failed call, without the enum's prefix; empty if it carries none.

    The reason may be one that this version does not know, if the server is newer.
    """
    info = detail_of(error, ErrorInfo)
    return info.reason.removeprefix(PREFIX) if info else ""
