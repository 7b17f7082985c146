"""The wire format's small parts: times, tags and lengths."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
