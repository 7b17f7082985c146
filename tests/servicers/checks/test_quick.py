"""Quick checks spare the ordinary message the full one, and never let a faulty one pass."""

import math
from typing import Any

import pytest
from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given
from hypothesis import strategies as st
from support.builders import NOW, event, session

from clickstream.servicers.checks import admission, fields, quick
from clickstream.servicers.checks.fields import Window

WINDOW = Window(back=3600, ahead=60)
# Bytes that look like tags and lengths, so that text is mistaken for structure as often as can be.
TEXT = st.text(alphabet="*2\n\x12\x1a\x11\x00aé", max_size=8)


def _value(content: Any) -> Value:
    value = Value()
    if content is None:
        return value  # an empty value, which JSON cannot write
    if isinstance(content, dict):
        value.struct_value.SetInParent()
        for key, inner in content.items():
            value.struct_value.fields[key].CopyFrom(_value(inner))
    elif isinstance(content, list):
        value.list_value.SetInParent()
        value.list_value.values.extend(_value(inner) for inner in content)
    elif isinstance(content, str):
        value.string_value = content
    else:
        value.number_value = content
    return value


def _struct(content: dict[str, Any]) -> Struct:
    return _value(content).struct_value


def _faults(struct: Struct) -> fields.Violations:
    violations = fields.Violations()
    fields.check_struct(struct, "meta", violations)
    return violations


CONTENT = st.recursive(
    st.one_of(st.none(), TEXT, st.floats()),
    lambda inner: st.one_of(st.dictionaries(TEXT, inner, max_size=3), st.lists(inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, CONTENT, max_size=3), st.integers(0, 20))
def test_r7_no_faulty_meta_passes(content: dict[str, Any], depth: int) -> None:
    """R7: whatever passes the quick check has no violation by the full one, at any depth of nesting."""
    inner: Any = content
    for level in range(depth):
        inner = {"*2": inner, "\n": "2"} if level % 2 else [2.5, inner]
    kept = event(meta=_struct({"deep": inner}))
    payload = kept.SerializeToString()
    if quick.event_passes(kept, payload, quick.span(None, NOW)):
        assert not _faults(kept.meta)


@pytest.mark.parametrize("depth", range(10, 20))
def test_r7_depth_is_never_underestimated(depth: int) -> None:
    """R7: a Struct that is one level too deep fails the quick check, of lists as of structs."""
    for wrap in (lambda inner: {"k": inner}, lambda inner: [inner], lambda inner: ["2*", {"2": inner}]):
        content: Any = {}
        while not _faults(_struct({"k": content})):
            content = wrap(content)
        kept = event(meta=_struct({"k": content}))
        assert not quick.event_passes(kept, kept.SerializeToString(), quick.span(None, NOW))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_r7_numbers_that_are_not_finite_fail(bad: float) -> None:
    """R7: NaN and infinities fail, in meta and as a score."""
    kept = event(meta=_struct({"price": bad}))
    assert not quick.event_passes(kept, kept.SerializeToString(), quick.span(None, NOW))
    scored = session(score_kind=session_pb2.SCORE_KIND_SIMILARITY)
    scored.results[0].score = bad
    ids = [result.object_id for result in scored.results]
    assert not quick.session_passes(scored, ids, scored.SerializeToString(), quick.span(None, NOW))


def test_the_ordinary_session_and_event_need_no_full_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty results with meta, scores and text that ends in digits pass; `validation` is not asked."""
    monkeypatch.setattr(fields, "check_session", None)
    monkeypatch.setattr(fields, "check_event", None)
    shown = session(score_kind=session_pb2.SCORE_KIND_SIMILARITY)
    del shown.results[:]
    for number in range(50):
        result = shown.results.add(object_id=f"sku-{number}", score=1 / (number + 3))
        result.meta.update({"title": f"Running shoe, model 202{number % 10}", "brand": f"brand-2{number}"})
    at = admission.arrival(NOW, WINDOW)
    assert [result.position for result in _kept(admission.session(shown, at).payload).results] == list(range(50))
    assert not isinstance(admission.event(event(), "events[0]", at), list)


def test_r5_the_span_lies_inside_the_window() -> None:
    """R5: a time at the very edge of the window is left to the full check, which knows it to the nanosecond."""
    within = quick.span(WINDOW, NOW)
    seconds = int(NOW.timestamp())
    assert seconds - WINDOW.back < within.earliest <= within.latest < seconds + WINDOW.ahead


def _kept(payload: bytes) -> session_pb2.Session:
    return session_pb2.Session.FromString(payload)
