"""Responses that are put together from stored payloads parse as if they were built field by field."""

from datetime import datetime

from embedding_studio.clickstream.v1 import batch_service_pb2, clickstream_service_pb2, session_pb2
from hypothesis import given
from hypothesis import strategies as st
from support.builders import NOW, SECOND, event, session

from clickstream.contract.batches import batch_message
from clickstream.contract.encoding import message_field, timestamp
from clickstream.contract.sessions import stored_session_bytes
from clickstream.domain.batches import Batch, BatchStatus, StatusChange
from clickstream.domain.sessions import SessionEvents, StoredEvent, StoredSession

# Field 999, which no message has: a string of one character.
UNKNOWN = b"\xba\x3e\x01x"

texts = st.text(max_size=300)
unknown = st.sampled_from([b"", UNKNOWN])
session_payloads = st.builds(
    lambda objects, tail, **fields: session(objects=objects, **fields).SerializeToString() + tail,
    st.lists(texts, max_size=3),
    unknown,
    session_id=texts,
    query=texts,
    user_id=texts,
    payload_search=st.booleans(),
)
event_payloads = st.builds(
    lambda event_id, kind, tail: event(event_id, type=kind).SerializeToString() + tail, texts, texts, unknown
)


def built(stored: StoredSession, events: SessionEvents) -> session_pb2.StoredSession:
    """The message, built field by field."""
    return session_pb2.StoredSession(
        session=session_pb2.Session.FromString(stored.payload),
        batch_id=f"batch-{stored.batch}",
        session_number=stored.number,
        irrelevant=stored.irrelevant_at is not None,
        irrelevant_at=timestamp(stored.irrelevant_at),
        events=[session_pb2.Event.FromString(each.payload) for each in events.events],
        omitted_events=events.omitted,
    )


@given(
    payload=st.one_of(st.just(b""), session_payloads),
    payloads=st.lists(st.one_of(st.just(b""), event_payloads), max_size=5),
    number=st.integers(1, 2**40),
    omitted=st.integers(0, 2**40),
    irrelevant_at=st.sampled_from([None, NOW]),
)
def test_composed_bytes_mean_the_built_message(
    payload: bytes, payloads: list[bytes], number: int, omitted: int, irrelevant_at: datetime | None
) -> None:
    """R7: any stored payload, also with unknown fields and empty values, reads as if it had been built."""
    stored = StoredSession("s", 1, number, NOW, False, "", payload, irrelevant_at)
    events = SessionEvents([StoredEvent(number, "e", False, each) for each in payloads], omitted)
    expected = built(stored, events)
    composed = stored_session_bytes(stored, events)
    parsed = session_pb2.StoredSession.FromString(composed)
    # Equality alone would not see unknown fields.
    assert parsed == expected
    assert parsed.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)
    for kind in (clickstream_service_pb2.GetSessionResponse, batch_service_pb2.StreamBatchSessionsResponse):
        response = kind.FromString(message_field(kind.STORED_SESSION_FIELD_NUMBER, composed))
        assert response.stored_session == expected


def test_lengths_of_every_size_are_encoded() -> None:
    """R7: the encoded length of a payload is right around each size at which it takes one byte more."""
    for size in (0, 1, 127, 128, 16_383, 16_384, 2**21 - 1, 2**21):
        content = session_pb2.Session(query="x" * size).SerializeToString()
        field = message_field(session_pb2.StoredSession.SESSION_FIELD_NUMBER, content)
        assert len(session_pb2.StoredSession.FromString(field).session.query) == size


def test_a_batch_shows_each_of_its_facts_in_its_own_field() -> None:
    """R10: each time, id and count of a batch is in its own field; what a batch does not have is absent."""
    change = StatusChange(BatchStatus.TRAINING, NOW + 2 * SECOND, "run run-1")
    whole = Batch(3, BatchStatus.TRAINING, 7, NOW, NOW + SECOND, "release", "run-1", [change])
    shown = batch_service_pb2.BatchStatusChange(
        status=batch_service_pb2.BATCH_STATUS_TRAINING, at=timestamp(NOW + 2 * SECOND), reason="run run-1"
    )
    assert batch_message(whole) == batch_service_pb2.Batch(
        batch_id="batch-3",
        status=batch_service_pb2.BATCH_STATUS_TRAINING,
        session_count=7,
        opened_at=timestamp(NOW),
        released_at=timestamp(NOW + SECOND),
        release_id="release",
        run_id="run-1",
        history=[shown],
    )
    first = batch_service_pb2.Batch(batch_id="batch-1", status=batch_service_pb2.BATCH_STATUS_COLLECTING)
    assert batch_message(Batch(1, BatchStatus.COLLECTING, 0)) == first
