"""The calls that pages show are calls of the contract: the method exists, and takes that JSON."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedding_studio.clickstream.v1 import (
    analytics_service_pb2,
    batch_service_pb2,
    clickstream_service_pb2,
    improvement_service_pb2,
    model_service_pb2,
    training_service_pb2,
)
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

ROOT = Path(__file__).parents[2]
PACKAGE = "embedding_studio.clickstream.v1"
FILES = (
    clickstream_service_pb2,
    batch_service_pb2,
    improvement_service_pb2,
    training_service_pb2,
    model_service_pb2,
    analytics_service_pb2,
)
METHODS = {
    f"{service.name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
CODE_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"grpcurl -plaintext(?: -d '([^']*)')?[\s\\]+\S+[\s\\]+\S*?(\w+Service/\w+)")
PAGES = ("README.md", "docs/grpcurl.md", "docs/models.md")


def calls(page: str) -> list[tuple[str, str]]:
    """The calls of a page: its method as `Service/Method`, and the JSON of its requests."""
    blocks = "\n".join(CODE_BLOCK.findall((ROOT / page).read_text("utf-8")))
    return [(method, data) for data, method in CALL.findall(blocks)]


def requests(data: str) -> Iterator[object]:
    """The requests of a call: a stream has several, one after another."""
    rest = data.strip()
    while rest:
        request, end = json.JSONDecoder().raw_decode(rest)
        yield request
        rest = rest[end:].strip()


@pytest.mark.parametrize("page", PAGES)
def test_every_call_on_a_page_is_one_of_the_contract(page: str) -> None:
    """Each method exists, and takes the fields and values of the example."""
    shown = calls(page)
    assert shown
    for method, data in shown:
        for request in requests(data):
            ParseDict(request, GetMessageClass(METHODS[method].input_type)())


def test_the_cookbook_has_every_method() -> None:
    """Every method of the public services can be copied from docs/grpcurl.md."""
    assert set(METHODS) - {method for method, _ in calls("docs/grpcurl.md")} == set()
    assert len(METHODS) > 30
