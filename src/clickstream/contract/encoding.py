"""The wire format's small parts: times, tags, lengths and unknown fields."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import overload

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@overload
def timestamp(at: datetime) -> Timestamp: ...
@overload
def timestamp(at: datetime | None) -> Timestamp | None: ...
def timestamp(at: datetime | None) -> Timestamp | None:
    """A time for the contract; None stays absent."""
    if at is None:
        return None
    converted = Timestamp()
    converted.FromDatetime(at.astimezone(UTC))
    return converted


def utc(value: Timestamp) -> datetime:
    """A timestamp as a datetime, cut to microseconds. Raises OverflowError if it is not a valid one."""
    return EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000)


def discard_unknown_fields(message: Message) -> None:
    """Drops what a newer client sent, at any depth, from a message that is to be stored or compared.

    A message that keeps them can be written, and then no client can read it: an unknown field may be nested as
    deep as any parser allows.
    """
    message.DiscardUnknownFields()  # type: ignore[attr-defined]  # its published types lack it


def message_field(number: int, encoded: bytes) -> bytes:
    """An encoded message as the field with this number of another message."""
    return tag_and_length(number, len(encoded)) + encoded


_LENGTH_DELIMITED = 2


@lru_cache(maxsize=4096)
def tag_and_length(number: int, length: int) -> bytes:
    """What comes before the bytes of a length-delimited field: its tag and the length in bytes."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(length)


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
