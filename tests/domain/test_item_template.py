"""Item text from item data."""

import pytest
from support.builders import struct

from clickstream.domain.errors import FailedPrecondition
from clickstream.domain.item_template import ItemTemplate


@pytest.mark.parametrize(
    ("template", "meta", "text"),
    [
        ("{title}. {description}", {"title": "Red shoe", "description": "For rain"}, "Red shoe. For rain"),
        ("{title}. {description}", {"title": "Red shoe"}, "Red shoe"),
        ("{title}. {description}", {"title": "", "description": "For rain"}, "For rain"),
        ("{title}. {description}", {"price": 3.0}, ""),
        ("Product: {title}!", {"title": "Lamp"}, "Product: Lamp!"),
        ("Product: {title}!", {}, ""),
        ("{a}, {b}, {c}", {"a": "one", "c": "three"}, "one three"),
        ("{brand.name} {brand.made.in}", {"brand": {"name": "Acme", "made": {"in": "Rome"}}}, "Acme Rome"),
        ("{brand.name}", {"brand": "Acme"}, ""),
        ("{title}", {"title": "  two \n words "}, "two words"),
        ("{size}", {"size": 42.0}, "42"),
        ("{size}", {"size": 42.5}, "42.5"),
        ("{tags}", {"tags": ["red", "", None, "warm"]}, "red, warm"),
        ("{title}", {"title": True}, ""),
        ("{title}", {"title": {"nested": "text"}}, ""),
        ("{{{title}}}", {"title": "x"}, "{x}"),
    ],
)
def test_renders_what_there_is(template: str, meta: dict[str, object], text: str) -> None:
    """Parts are put in place; a missing part takes the words beside it along; no part, no text."""
    assert ItemTemplate(template).render(meta) == text


def test_data_of_the_contract_reads_like_plain_data() -> None:
    """A session's meta is a protobuf Struct: its parts and lists give the same text as dicts and lists."""
    meta = struct(brand={"made": {"in": "Rome"}}, tags=["red", None, 2.0], size=42.0, sold=True)
    assert ItemTemplate("{brand.made.in}: {tags}, {size} {sold} {brand.made.on}").render(meta) == "Rome: red, 2, 42"


@pytest.mark.parametrize("template", ["", "no part", "{", "{}", "{0[a]}", "{a!r}", "{a:>3}", "{a..b}", "{ a }", "{a}}"])
def test_a_malformed_template_is_refused(template: str) -> None:
    """A template that could not mean anything is refused with its own words in the message."""
    with pytest.raises(FailedPrecondition) as caught:
        ItemTemplate(template)
    assert caught.value.reason == "TRAINING_IMPOSSIBLE"
    assert repr(template) in caught.value.message
