"""Page tokens and filters of the listing methods."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message

from clickstream.dao.interface.list_cursor import ListCursor
from clickstream.domain import limits
from clickstream.domain.errors import FieldViolation, InvalidArgument, Reason

E = TypeVar("E", bound=StrEnum)
M = TypeVar("M", bound=Message)
T = TypeVar("T")
# Positions in time are whole milliseconds, as MongoDB stores them.
MILLISECONDS_PER_SECOND = 1_000


def encode_token(method: str, *values: str | int | bool) -> str:
    """A token of a method's values; only the same method accepts it again."""
    return base64.urlsafe_b64encode(json.dumps([method, *values]).encode()).decode().rstrip("=")


def decode_token(token: str, method: str, kinds: Sequence[type]) -> list[Any]:
    """The values of a token, of these types. Raises InvalidArgument if this method did not issue it."""
    try:
        found, *values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        "".join(value for value in values if isinstance(value, str)).encode()  # raises for half of a surrogate pair
    except (binascii.Error, UnicodeError, ValueError, TypeError, RecursionError) as error:
        raise foreign_token() from error
    if found != method or [type(value) for value in values] != list(kinds):
        raise foreign_token()
    if not all(0 <= value < 2**53 for value in values if isinstance(value, int)):
        raise foreign_token()
    return list(values)


def foreign_token() -> InvalidArgument:
    """The error for a page token that this method did not issue for this request."""
    return InvalidArgument([FieldViolation("page_token", "was not issued for this request", Reason.INVALID_PAGE_TOKEN)])


def encode_position(method: str, at: datetime, row_id: str, filters: Iterable[str]) -> str:
    """A token for a listing in order of time: it continues behind the row of this time and id, with these filters."""
    return encode_token(method, round(at.timestamp() * MILLISECONDS_PER_SECOND), row_id, ",".join(sorted(filters)))


def decode_position(token: str, method: str, filters: Iterable[str]) -> ListCursor | None:
    """Where a listing in order of time continues; None at its start.

    Raises InvalidArgument if the token was not issued for this method and these filters.
    """
    if not token:
        return None
    at, row_id, filtered = decode_token(token, method, (int, str, str))
    if filtered != ",".join(sorted(filters)) or not 0 <= at < 2**47:
        raise foreign_token()
    return datetime.fromtimestamp(at / MILLISECONDS_PER_SECOND, UTC), row_id


def cut_page(found: Sequence[T], message: Callable[[T], M], page_size: int) -> tuple[list[M], T] | tuple[list[M], None]:
    """Cuts the rows of a listing to what fits one response (at least one row).

    Args:
        found: The rows that the store returned, at most `page_size`.
        message: Makes the message of a row.
        page_size: The number of rows that were asked for.

    Returns:
        The messages, and the row of the last one if there may be more rows after it, otherwise None.
    """
    page: list[M] = []
    size = 0
    for row in found:
        one = message(row)
        size += one.ByteSize()
        if page and size > limits.PAGE_BYTES:
            break
        page.append(one)
    if page and (len(page) < len(found) or len(found) == page_size):
        return page, found[len(page) - 1]
    return page, None


def enum_filter(values: Iterable[int], wire: EnumTypeWrapper, prefix: str, kind: type[E], field: str) -> frozenset[E]:
    """The domain values of a repeated enum field. Raises InvalidArgument for an unknown value.

    Args:
        values: The numbers of the field.
        wire: The enum in the contract.
        prefix: Begins every name of `wire`; without it they are the names of `kind`.
        kind: The enum of the domain.
        field: The name of the field.
    """
    wanted = set()
    for index, value in enumerate(values):
        name = wire.Name(value) if value in wire.values() else ""
        if name.removeprefix(prefix) not in kind.__members__:
            raise InvalidArgument([FieldViolation(f"{field}[{index}]", "is not a known value")])
        wanted.add(kind[name.removeprefix(prefix)])
    return frozenset(wanted)
