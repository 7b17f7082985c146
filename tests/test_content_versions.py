"""Fields that came after the first released contract: a retry of an older session is compared without them (R1)."""

from pathlib import Path

import pytest
from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from clickstream.contract.same_content import LATER_FIELDS
from clickstream.domain.sessions import CONTENT_VERSION

FIRST = Path(__file__).parent.parent / "protos" / "released" / "0.2.0.binpb"
MESSAGES = (
    session_pb2.Session.DESCRIPTOR,
    session_pb2.Result.DESCRIPTOR,
    session_pb2.Page.DESCRIPTOR,
    session_pb2.Client.DESCRIPTOR,
    session_pb2.Event.DESCRIPTOR,
)


def first_fields() -> dict[str, set[str]]:
    """Message name → its fields in the first released contract."""
    image = FileDescriptorSet.FromString(FIRST.read_bytes())
    [file] = [each for each in image.file if each.name == session_pb2.DESCRIPTOR.name]
    return {message.name: {field.name for field in message.field} for message in file.message_type}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_r1_every_later_field_has_its_content_version(message: Descriptor) -> None:
    """R1: a field that 0.2.0 does not have stands in LATER_FIELDS, with a content version that this code stores."""
    later = set(message.fields_by_name) - first_fields().get(message.name, set())
    versions = LATER_FIELDS.get(message.name, {})
    assert later == set(versions)
    assert all(1 < version <= CONTENT_VERSION for version in versions.values())
