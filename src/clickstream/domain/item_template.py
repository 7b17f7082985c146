"""Item text from item data: `{title}. {description}`."""

import string
from collections.abc import Mapping, Sequence
from typing import Any

from clickstream.domain.errors import FailedPrecondition, Reason


class ItemTemplate:
    """Makes an item's text from its meta.

    `{name}` is a part; dots reach into nested data (`{brand.name}`); `{{` and `}}` are plain braces. A part that
    is missing or empty is left out together with the words between it and its neighbours, so that
    `{title} by {brand}` never ends in "by". If all parts are empty, the text is empty.

    Raises:
        FailedPrecondition: TRAINING_IMPOSSIBLE, if the template is malformed or names no part.
    """

    def __init__(self, template: str) -> None:
        try:
            pieces = list(string.Formatter().parse(template))
        except ValueError as error:
            raise _bad_template(template, str(error)) from error
        self._literals: list[str] = []
        self._paths: list[tuple[str, ...]] = []
        literal = ""
        for text, name, spec, conversion in pieces:
            literal += text
            if name is None:
                continue
            path = tuple(name.split("."))
            if spec or conversion or not all(part and part.strip() == part for part in path) or set(name) & set("[]{}"):
                raise _bad_template(template, "a part is written `{name}` or `{outer.inner}`, nothing else")
            self._literals.append(literal)
            self._paths.append(path)
            literal = ""
        self._literals.append(literal)
        if not self._paths:
            raise _bad_template(template, "it names no part such as `{title}`")

    @property
    def plain_names(self) -> tuple[str, ...]:
        """The names of the parts, if none reaches into nested data; then the text depends on their values only."""
        return tuple(path[0] for path in self._paths) if all(len(path) == 1 for path in self._paths) else ()

    def render(self, meta: Mapping[str, Any]) -> str:
        """The item's text with whitespace collapsed; empty if no part has text."""
        parts = ["", *(_text(_reach(meta, path)) for path in self._paths), ""]
        if not any(parts):
            return ""
        pieces = []
        for place, literal in enumerate(self._literals):
            first, last = place == 0, place == len(self._paths)
            kept = (first or parts[place]) and (last or parts[place + 1])
            pieces.append(literal if kept else " ")
            pieces.append(parts[place + 1])
        return " ".join("".join(pieces).split())


def _reach(meta: Mapping[str, Any], path: tuple[str, ...]) -> object:
    value: object = meta
    for name in path:
        value = value[name] if isinstance(value, Mapping) and name in value else None
    return value


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or value is None:
        return ""  # a flag or a missing value describes nothing
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # numbers of a protobuf Struct are all floats
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Sequence):  # also protobuf's ListValue, which is not a list
        return ", ".join(filter(None, map(_text, value)))
    return ""


def _bad_template(template: str, why: str) -> FailedPrecondition:
    return FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, f"item template {template!r}: {why}")
