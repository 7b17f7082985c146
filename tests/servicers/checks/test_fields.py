"""The cost of a refusal: violations and their paths are bounded, whatever the request."""

import tracemalloc
from datetime import UTC, datetime

import pytest
from embedding_studio.clickstream.v1 import session_pb2
from support.builders import push_request

from clickstream.domain import limits
from clickstream.domain.errors import InvalidArgument
from clickstream.servicers.checks import admission, fields

NOW = datetime(2026, 11, 26, tzinfo=UTC)
AT = admission.arrival(NOW, fields.Window(back=3600, ahead=300))


def event_of_empty_values(number: int) -> session_pb2.Event:
    """An event whose `meta` of 16 kB holds 4,000 values without content below a key of 8,000 characters."""
    event = session_pb2.Event(event_id=f"e-{number}", object_id="a", type="click")
    values = event.meta.fields["k" * 8_000].list_value.values
    for _ in range(4_000):
        values.add()
    return event


def test_r7_a_refusal_costs_about_the_size_of_its_request() -> None:
    """R7: refusing 100 events with 400,000 bad values and long paths takes a few times the memory of the request."""
    sent = push_request("s-1", *map(event_of_empty_values, range(100)))
    size = sent.ByteSize()
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument) as refused:
            admission.events(sent, AT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * size
    assert len(refused.value.violations) == limits.NAMED_VIOLATIONS


def test_r7_a_path_is_cut_where_it_grows() -> None:
    """R7: the path of a violation below a long key is cut."""
    violations = fields.Violations()
    fields.check_struct(event_of_empty_values(1).meta, "events[0].meta", violations)
    assert violations
    assert all(len(each.field.encode()) < limits.PATH_BYTES + 16 for each in violations)


def test_r7_a_session_of_bad_results_names_the_first_twenty() -> None:
    """R7: collecting stops at the limit, and the message says that there may be more."""
    session = session_pb2.Session(session_id="s-1", results=[session_pb2.Result() for _ in range(1_000)])
    with pytest.raises(InvalidArgument, match=r"and at least 19 more") as refused:
        fields.check_session(session, None, NOW)
    assert len(refused.value.violations) == limits.NAMED_VIOLATIONS
    assert refused.value.violations[0].field == "session.results[0].object_id"
