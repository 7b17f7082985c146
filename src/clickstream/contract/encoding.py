"""Parts of protobuf's encoding: times, tags, lengths and unknown fields."""

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
    """A time for the contract; None stays None, which leaves a field absent."""
    if at is None:
        return None
    converted = Timestamp()
    converted.FromDatetime(at.astimezone(UTC))
    return converted


def utc(value: Timestamp) -> datetime:
    """A timestamp as a datetime in UTC, cut to microseconds. Raises OverflowError if it is beyond datetime's range."""
    return EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000)


def discard_unknown_fields(message: Message) -> None:
    """Drops the fields that this version does not know, at any depth, from a message to store or compare.

    Otherwise a stored message could be unreadable for every client: an unknown field may be nested as deeply as a
    parser allows, and an answer puts the message one level deeper.
    """
    message.DiscardUnknownFields()  # type: ignore[attr-defined]  # its published types lack it


def message_field(number: int, encoded: bytes) -> bytes:
    """Encodes an encoded message as the field `number` of another message."""
    return tag_and_length(number, len(encoded)) + encoded


# The wire type of strings, bytes and messages: https://protobuf.dev/programming-guides/encoding
_LENGTH_DELIMITED = 2


@lru_cache(maxsize=4096)
def tag_and_length(number: int, length: int) -> bytes:
    """The tag of a length-delimited field and its length in bytes, which come before its content."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(length)


def varint(value: int) -> bytes:
    """Encodes a number of 0 or more, seven bits per byte, the lowest first; the eighth bit says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
