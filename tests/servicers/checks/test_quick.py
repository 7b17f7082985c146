"""Quick checks: ordinary messages need no full check, and no faulty message passes."""

import math
from typing import Any

import pytest
from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import NOW, event, session

from clickstream.domain.errors import InvalidArgument
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
    """R7: free data that passes the quick check has no violation by the full check, at any depth."""
    inner: Any = content
    for level in range(depth):
        inner = {"*2": inner, "\n": "2"} if level % 2 else [2.5, inner]
    kept = event(meta=_struct({"deep": inner}))
    payload = kept.SerializeToString()
    if quick.event_passes(kept, payload, quick.span(None, NOW)):
        assert not _faults(kept.meta)


@pytest.mark.parametrize("depth", range(10, 20))
def test_r7_depth_is_never_underestimated(depth: int) -> None:
    """R7: a Struct that is one level too deep, by lists or by structs, fails the quick check."""
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
    assert not quick.session_passes(scored, scored.SerializeToString(), quick.span(None, NOW))


def test_the_ordinary_session_and_event_need_no_full_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty results with meta, scores and text that ends in digits pass without `fields`, with positions or not."""
    monkeypatch.setattr(fields, "check_session", None)
    monkeypatch.setattr(fields, "check_event", None)
    shown = session(
        score_kind=session_pb2.SCORE_KIND_SIMILARITY,
        filter=_struct({"price": {"below": 50.0}}),
        sort="price:asc",
        page=session_pb2.Page(offset=50, size=50),
        client=session_pb2.Client(name="shop-search", version="2.14.0"),
        user_agent="Mozilla/5.0 (X11; Linux x86_64)",
    )
    del shown.results[:]
    for number in range(50):
        result = shown.results.add(object_id=f"sku-{number}", score=1 / (number + 3))
        result.meta.update({"title": f"Running shoe, model 202{number % 10}", "brand": f"brand-2{number}"})
    at = admission.arrival(NOW, WINDOW)
    assert len(session_pb2.Session.FromString(admission.session(shown, at).payload).results) == 50
    for position, result in enumerate(shown.results):
        result.position = 50 + position
        result.kind = position % 3  # type: ignore[assignment]
    admission.session(shown, at)
    assert not isinstance(admission.event(event(), "events[0]", at), list)


def test_r5_the_span_lies_inside_the_window() -> None:
    """R5: a time within a second of the window's edges goes to the full check, which knows nanoseconds."""
    within = quick.span(WINDOW, NOW)
    seconds = int(NOW.timestamp())
    assert seconds - WINDOW.back < within.earliest <= within.latest < seconds + WINDOW.ahead


# Values around each limit: the longest that passes, one more, and what may not stand in it.
def _around(limit: int) -> st.SearchStrategy[str]:
    return st.one_of(TEXT, st.sampled_from(["", "x" * limit, "é" * limit, "x" * (limit + 1)]))


_RESULTS = st.lists(
    st.builds(
        session_pb2.Result,
        object_id=st.one_of(st.sampled_from("abcdefgh"), TEXT),
        position=st.one_of(st.none(), st.integers(0, 3), st.sampled_from([1_000_000, 1_000_001])),
        score=st.one_of(st.none(), st.none(), st.floats()),
        kind=st.sampled_from([0, 0, 1, 2, 3]),
    ),
    max_size=3,
)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "user_id": _around(256),
    "query": _around(4_096),
    "results": _RESULTS,
    "score_kind": st.sampled_from([0, 1, 2, 3]),
    "context": st.dictionaries(TEXT, CONTENT, max_size=2).map(_struct),
    "filter": st.dictionaries(TEXT, CONTENT, max_size=2).map(_struct),
    "sort": _around(256),
    "page": st.builds(
        session_pb2.Page,
        offset=st.sampled_from([0, 1, 1_000_000, 1_000_001]),
        size=st.sampled_from([0, 1_000, 1_001]),
    ),
    "client": st.builds(session_pb2.Client, name=_around(128), version=_around(64)),
    "user_agent": _around(512),
}
# Two or three fields each: of sessions with all of them hardly one would be without fault.
_SESSIONS = st.sets(st.sampled_from(sorted(_FIELDS)), max_size=3).flatmap(
    lambda names: st.builds(session_pb2.Session, session_id=st.just("s-1"), **{name: _FIELDS[name] for name in names})
)


@settings(max_examples=1_000)
@given(_SESSIONS)
def test_r7_no_faulty_session_passes(sent: session_pb2.Session) -> None:
    """R7: a session that passes the quick check has no violation by the full check."""
    if quick.session_passes(sent, sent.SerializeToString(), quick.span(None, NOW)):
        fields.check_session(sent, None, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"sort": "x" * 257},
        {"user_agent": "x" * 513},
        {"page": session_pb2.Page(offset=1_000_001)},
        {"page": session_pb2.Page(size=1_001)},
        {"client": session_pb2.Client(name="x" * 129)},
        {"client": session_pb2.Client(version="x" * 65)},
        {"client": session_pb2.Client(name="a\nb")},
        {"client": session_pb2.Client(version="1\x7f")},
        {"filter": _struct({"price": math.nan})},
        {"filter": _struct({"price": None})},
        {"results": [session_pb2.Result(object_id="a", kind=3)]},  # type: ignore[arg-type]
        {"results": [session_pb2.Result(object_id="a", position=0), session_pb2.Result(object_id="b")]},
        {"results": [session_pb2.Result(object_id="a"), session_pb2.Result(object_id="b", position=0)]},
        {"results": [session_pb2.Result(object_id="a"), session_pb2.Result(object_id="b", position=1)]},
        {"score_kind": 3},
    ],
    ids=str,
)
def test_r7_each_fault_alone_fails_both_checks(change: dict[str, Any]) -> None:
    """R7: a session with one faulty field passes neither the quick check nor the full check."""
    good = session_pb2.Session(session_id="s-1", results=[session_pb2.Result(object_id="a")])
    assert quick.session_passes(good, good.SerializeToString(), quick.span(None, NOW))
    faulty = session_pb2.Session(**{"session_id": "s-1", "results": good.results} | change)
    assert not quick.session_passes(faulty, faulty.SerializeToString(), quick.span(None, NOW))
    with pytest.raises(InvalidArgument):
        fields.check_session(faulty, None, NOW)
