"""Whether two messages have the same content: the one place that decides what a retry may differ in (R1)."""

from collections.abc import Iterable
from typing import TypeVar

from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value

from clickstream.contract.encoding import discard_unknown_fields
from clickstream.domain.sessions import CONTENT_VERSION, EventDraft, SessionDraft, StoredEvent, StoredSession

M = TypeVar("M", session_pb2.Session, session_pb2.Event)

# Fields that came after content version 1: message name → field name → the content version that brought it.
# Events are stored without a version, which is enough while no row of `Event` or its parts stands here: the first one
# also needs a stored version.
LATER_FIELDS: dict[str, dict[str, int]] = {}


def same_session(draft: SessionDraft, stored: StoredSession) -> bool:
    """Whether the client sent the content of the stored session (R1).

    An erased session has no content to compare with, so every retry of it counts as the same.
    """
    return stored.erased or _same(session_pb2.Session, draft, stored, stored.version)


def same_event(draft: EventDraft, stored: StoredEvent) -> bool:
    """Whether the client sent the content of the stored event (R2)."""
    return _same(session_pb2.Event, draft, stored, CONTENT_VERSION)


def _same(
    kind: type[M], draft: SessionDraft | EventDraft, stored: StoredSession | StoredEvent, stored_version: int
) -> bool:
    if draft.payload == stored.payload:
        return True
    sent, kept = kind.FromString(draft.payload), kind.FromString(stored.payload)
    return same_content(sent, kept, stored_version, with_time=not (draft.server_time or stored.server_time))


def same_content(sent: M, stored: M, stored_version: int, *, with_time: bool) -> bool:
    """Whether a retry has the content of a stored message (R1); brings both into one form on the way.

    They have the same content if they are equal after: unknown fields discarded; an absent Struct = an empty one;
    -0.0 = 0.0; any order of map entries; positions absent = 0, 1, 2 … as listed. `created_at` is compared only
    `with_time`: if the client gave it both times. A field that is later than `stored_version`, the content version
    of the code that stored the message, is compared only if the stored message has it.
    """
    for message in (sent, stored):
        discard_unknown_fields(message)
        if not with_time:
            message.ClearField("created_at")
        _normalise(message)
    _clear_later_fields(sent, stored, stored_version)
    return bool(sent == stored)


def _normalise(message: Message) -> None:
    for field, value in message.ListFields():
        if isinstance(value, Struct) and not value.fields:
            message.ClearField(field.name)
        elif isinstance(value, Struct):
            _normalise_values(value.fields.values())
        elif isinstance(value, float):
            setattr(message, field.name, value + 0.0)  # -0.0 + 0.0 is 0.0
        elif field.message_type and field.is_repeated:
            for each in value:
                _normalise(each)
        elif field.message_type:
            _normalise(value)
    if isinstance(message, session_pb2.Session):
        results = list(message.results)
        if all(result.HasField("position") and result.position == index for index, result in enumerate(results)):
            for result in results:
                result.ClearField("position")


def _normalise_values(values: Iterable[Value]) -> None:
    for value in values:
        kind = value.WhichOneof("kind")
        if kind == "number_value":
            value.number_value += 0.0
        elif kind == "struct_value":
            _normalise_values(value.struct_value.fields.values())
        elif kind == "list_value":
            _normalise_values(value.list_value.values)


def _clear_later_fields(sent: Message, stored: Message, stored_version: int) -> None:
    """Clears fields that only `sent` has and that the version that stored `stored` did not know."""
    kept = {field.name: value for field, value in stored.ListFields()}
    for name, version in LATER_FIELDS.get(sent.DESCRIPTOR.name, {}).items():
        if version > stored_version and name not in kept:
            sent.ClearField(name)
    for field, value in sent.ListFields():
        part_of_ours = field.message_type and field.message_type.file.package == sent.DESCRIPTOR.file.package
        if not part_of_ours or field.name not in kept:
            continue
        parts = zip(value, kept[field.name], strict=False) if field.is_repeated else [(value, kept[field.name])]
        for part, stored_part in parts:
            _clear_later_fields(part, stored_part, stored_version)
