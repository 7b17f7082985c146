"""Values of UBI documents in all the forms in which they are found: ids, ordinals, times."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Numbers from these on are in milliseconds, microseconds and nanoseconds; below, in seconds.
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
# 8 or 14 digits are a date, where they can be one: the numbers would be days of 1970, or the year 2611.
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])?(?:[0-5]\d){0,2}")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
# The keys under which an object of one value has it.
_ID_KEYS = ("object_id", "id", "_id", "value", "$oid", "$numberLong")
_ORDINAL_KEYS = ("index", "ordinal", "value")
# A number of more digits is no place, and Python refuses to read one of 4,300.
_DIGITS = 18


def id_of(value: object) -> str:
    """Text as it is, a whole number in digits, an object by the one id that it has; otherwise empty."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_DIGITS else f"{value:x}"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, Mapping):
        return next((text for key in _ID_KEYS if key in value and (text := id_of(value[key]))), "")
    return ""


def ordinal_of(value: object) -> int | None:
    """A place of 0 or more: a whole number, its digits, or an object with one of them; None for anything else."""
    if isinstance(value, Mapping):
        return next((ordinal_of(value[key]) for key in _ORDINAL_KEYS if key in value), None)
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) and value.is_integer() else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**_DIGITS:
        return None
    return value


def time_of(value: object) -> datetime | None:
    """Reads ISO 8601, also without dashes, or a number since 1970 in seconds up to nanoseconds.

    A time without a zone is UTC. None for anything else.
    """
    try:
        if isinstance(value, str):
            text = value.strip()
            if not _NUMBER.fullmatch(text):
                at = datetime.fromisoformat(text)
                return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            return None
        else:
            text = str(value) if isinstance(value, int) and value < 10**_DIGITS else ""
        if len(text) in (8, 14) and _DATE.fullmatch(text):
            return datetime.strptime(text.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        number = float(value)
        divisor = next((unit for least, unit in _UNITS if number >= least), 1.0)
        return _EPOCH + timedelta(seconds=number / divisor)
    except (ValueError, OverflowError):
        return None
