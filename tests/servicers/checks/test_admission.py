"""Admission: several events together get the outcome that each gets alone."""

import pytest
from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from support.builders import NOW, event, push_request, struct

from clickstream.domain.errors import InvalidArgument
from clickstream.servicers.checks import admission, quick
from clickstream.servicers.checks.fields import Window

AT = admission.arrival(NOW, Window(back=3600, ahead=60))
FAULTS = {
    "event_id": event(""),
    "object_id": event(object_id="a\nb"),
    "object_id too long": event(object_id="x" * 1_000),
    "type": event(type="no type!"),
    "created_at": event(created_at=Timestamp(seconds=1)),
    "meta": event(meta=struct(text="x" * 100_000)),
}


def copies(*events: session_pb2.Event) -> list[session_pb2.Event]:
    """Copies of the events: admission changes what it is given."""
    return [session_pb2.Event.FromString(each.SerializeToString()) for each in events]


@pytest.mark.parametrize("odd", FAULTS.values(), ids=FAULTS.keys())
def test_r2_one_bad_event_among_good_ones_is_rejected_alone(odd: session_pb2.Event) -> None:
    """R2: any fault of one of three events is named by its index, and the others are admitted."""
    drafts, rejected = admission.events(push_request("s-1", event("e-1"), odd, event("e-3")), AT)
    assert [draft.event_id for draft in drafts] == ["e-1", "e-3"]
    assert list(rejected) == [1]
    assert rejected[1].field.startswith("events[1].")


@pytest.mark.parametrize(
    "odd", [event("e-2", meta=struct(price=1.5)), event("e-2", created_at=Timestamp(seconds=int(NOW.timestamp()) - 60))]
)
def test_events_together_become_the_drafts_that_each_becomes_alone(odd: session_pb2.Event) -> None:
    """Events give the same drafts together and alone, also if some have meta or a time of their own."""
    for sent in ([event("e-1"), event("e-2"), event("e-1")], [event("e-1"), odd]):
        alone = [admission.event(each, "event", AT) for each in copies(*sent)]
        assert admission.events(push_request("s-1", *sent), AT) == (alone, {})


def test_ordinary_events_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand clicks without meta are checked together, not one by one."""
    monkeypatch.setattr(quick, "event_passes", None)
    drafts, rejected = admission.events(push_request("s-1", *(event(f"e-{number}") for number in range(1_000))), AT)
    assert (len(drafts), rejected) == (1_000, {})


def test_r2_a_call_of_bad_events_only_is_refused() -> None:
    """R2: a call without a good event is refused, with the fields of all its events."""
    with pytest.raises(InvalidArgument) as refused:
        admission.events(push_request("s-1", event(""), event(type="")), AT)
    assert [violation.field for violation in refused.value.violations] == ["events[0].event_id", "events[1].type"]
