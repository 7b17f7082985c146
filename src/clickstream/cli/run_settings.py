"""A training run's settings from `name=value`."""

import json
from collections.abc import Sequence
from typing import Any

from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2 as settings_pb
from google.protobuf.json_format import ParseDict, ParseError

_FIELDS = settings_pb.FineTuningSettings.DESCRIPTOR.fields_by_name


def parse_settings(assignments: Sequence[str]) -> settings_pb.FineTuningSettings:
    """Settings from `name=value`. Names are the contract's; a value is JSON unless its field is text.

    Raises:
        ValueError: An assignment has an unknown name or a value of the wrong type; the message quotes it.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in _FIELDS:
            raise ValueError(f"{assignment!r} is not name=value with one of {', '.join(_FIELDS)}")
        try:
            values[name] = text if _FIELDS[name].type == _FIELDS[name].TYPE_STRING else json.loads(text)
            ParseDict({name: values[name]}, settings_pb.FineTuningSettings())
        except (ValueError, ParseError) as error:
            raise ValueError(f"{assignment!r}: {error}") from error
    return ParseDict(values, settings_pb.FineTuningSettings())
