"""Random messages of any type: by the fields that it has, with values at and beyond their bounds, and as raw bytes."""

import random
from collections.abc import Sequence
from typing import Any

from embedding_studio.clickstream.v1 import (
    analytics_service_pb2,
    batch_service_pb2,
    clickstream_service_pb2,
    improvement_service_pb2,
    model_service_pb2,
    training_service_pb2,
)
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

MODULES = (
    *(clickstream_service_pb2, batch_service_pb2, improvement_service_pb2),
    *(training_service_pb2, model_service_pb2, analytics_service_pb2),
)
# Words that requests share, so that they name what earlier ones made.
NAMES = (*(f"s-{one}" for one in range(20)), *(f"e-{one}" for one in range(5)), "batch-1", "batch-2", "run-1")
TEXTS = (
    "",
    "red shoe",
    "click",
    "é\u200b\u202e",
    "\x00",
    "a" * 257,
    "x" * 5_000,
    "{title}",
    "\ud7ff",
    "🙂" * 40,
    "batch-0",
)
WHOLE = (0, 1, -1, 2, 100, 10_001, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 1_700_000_000)
FRACTIONS = (0.0, -0.0, 1.0, -1.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"))
DEPTH = 6


def methods() -> list[MethodDescriptor]:
    """Every method of the contract."""
    services = (service for module in MODULES for service in module.DESCRIPTOR.services_by_name.values())
    return [method for service in services for method in service.methods]


def request_bytes(method: MethodDescriptor, chance: random.Random) -> bytes:
    """A request of a method: structured, or structured and damaged, or raw."""
    kind = chance.random()
    if kind < 0.1:
        return chance.randbytes(chance.randrange(60))
    encoded = message_of(method.input_type, chance).SerializeToString()
    return damaged(encoded, chance) if kind < 0.3 else encoded


def message_of(descriptor: Descriptor, chance: random.Random, depth: int = 0) -> Message:
    """A message of this type, of which each field is set or not."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if chance.random() < (0.35 if depth > 2 else 0.15):
            continue
        if field.message_type is not None and depth > DEPTH:
            continue
        _fill(message, field, chance, depth)
    return message


def _fill(message: Message, field: FieldDescriptor, chance: random.Random, depth: int) -> None:
    value: Any = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name["value"]
        for _ in range(chance.randrange(3)):
            key = chance.choice(TEXTS)
            if entry.message_type is not None:
                value[key].CopyFrom(message_of(entry.message_type, chance, depth + 1))
            else:
                value[key] = _scalar(entry, chance)
    elif field.is_repeated:
        inner = field.message_type
        for _ in range(chance.choice((0, 1, 1, 2, 3))):
            value.append(_scalar(field, chance) if inner is None else message_of(inner, chance, depth + 1))
    elif field.message_type is not None:
        value.CopyFrom(message_of(field.message_type, chance, depth + 1))
    else:
        setattr(message, field.name, _scalar(field, chance))


def _scalar(field: FieldDescriptor, chance: random.Random) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return chance.randbytes(chance.randrange(40))
        return chance.choice(NAMES) if chance.random() < 0.7 else chance.choice(TEXTS)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return chance.choice(FRACTIONS)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return chance.choice([value.number for value in field.enum_type.values] + [99])
    bits = 32 if kind in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32) else 64
    lowest = 0 if kind in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64) else -(2 ** (bits - 1))
    highest = 2**bits - 1 if lowest == 0 else 2 ** (bits - 1) - 1
    return min(max(chance.choice(WHOLE), lowest), highest)


def damaged(encoded: bytes, chance: random.Random) -> bytes:
    """The bytes with some changed, cut, doubled or inserted."""
    payload = bytearray(encoded)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(payload) + 1)
        act = chance.randrange(4)
        if act == 0:
            payload[at : at + 1] = bytes([chance.randrange(256)])
        elif act == 1:
            del payload[at : at + chance.randrange(1, 5)]
        elif act == 2:
            payload[at:at] = chance.randbytes(chance.randrange(1, 9))
        else:
            payload[at:at] = payload[at : at + chance.randrange(1, 30)]
    return bytes(payload)


def good_beginning() -> Sequence[bytes]:
    """Sessions with the names that the random requests use, so that these reach deep."""
    made = []
    for number in range(20):
        request = clickstream_service_pb2.CreateSessionRequest()
        request.session.session_id, request.session.query = f"s-{number}", f"red shoe {number}"
        for item in range(5):
            request.session.results.add(object_id=f"e-{item}")
        made.append(request.SerializeToString())
    return made
