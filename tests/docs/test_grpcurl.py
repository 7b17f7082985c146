"""The calls that pages show, made with the real grpcurl and buf: each answers what the page says."""

import base64
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from embedding_studio.clickstream.v1 import (
    analytics_service_pb2,
    batch_service_pb2,
    clickstream_service_pb2,
    improvement_service_pb2,
    model_service_pb2,
    training_service_pb2,
)
from support.builders import NOW, create_request, training_run
from support.cookbook import (
    AND_MORE,
    an_hour_later,
    cookbook_server,
    differences,
    documents,
    run_block,
    train,
    train_and_promote_an_older_one,
)
from support.pages import Block, blocks
from support.servers import InProcessServer, ServeProcess

COOKBOOK = "docs/grpcurl.md"
FILES = (
    clickstream_service_pb2,
    batch_service_pb2,
    improvement_service_pb2,
    training_service_pb2,
    model_service_pb2,
    analytics_service_pb2,
)
METHODS = {
    f"{service.name}/{method.name}"
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
Run = Callable[[str, str], subprocess.CompletedProcess[str]]


def calls() -> Iterator[tuple[Block, Block]]:
    """The calls of the cookbook, each with the block of its answer."""
    page = [block for block in blocks(COOKBOOK) if not block.code.startswith("S=")]
    for call, answer in zip(page[::2], page[1::2], strict=True):
        assert (call.language, answer.language in ("json", "text")) == ("sh", True), f"line {call.line}"
        yield call, answer


def method_of(call: Block) -> str:
    """The method that a block calls, as `Service/Method`; empty for `list`, `describe` and health."""
    found = re.search(r"\$P\.(\w+/\w+)", call.code)
    return found[1] if found else ""


class Story:
    """What happens between the calls of the cookbook: a worker trains the run, and an hour passes before figures."""

    def __init__(self, server: InProcessServer) -> None:
        self._server = server
        self._hour = False

    def before(self, method: str) -> None:
        """Goes on to the moment before a call."""
        if method == "TrainingService/WatchTrainingRun":
            train(self._server.dao, self._server.models, "r-2")
            train_and_promote_an_older_one(self._server, "r-1")
        if method.startswith("AnalyticsService/") and not self._hour:
            self._hour = True
            an_hour_later(self._server)


def make_all_calls(models: Path, run: Run) -> list[str]:
    """Makes the calls of the cookbook in their order; returns where an answer differs from the page."""
    found = []
    with cookbook_server(models) as server:
        story = Story(server)
        for call, answer in calls():
            story.before(method_of(call))
            ran = run(call.code, server.address)
            found += [f"line {answer.line}: {each}" for each in compared(answer, ran)]
    return found


def compared(answer: Block, ran: subprocess.CompletedProcess[str]) -> list[str]:
    """Where the output of a call differs from the block of its answer."""
    if answer.language == "json":
        if ran.returncode:
            return [ran.stderr]
        return differences(documents(answer.code), documents(ran.stdout))
    # grpcurl prints the two keys of a map in any order; pages show one key at most.
    output = (ran.stdout + ran.stderr).strip()
    return [] if output == answer.code.strip() else [f"{answer.code.strip()!r} is written, {output!r} is answered"]


def test_grpcurl_answers_what_the_cookbook_says(tmp_path: Path) -> None:
    """Every call of docs/grpcurl.md, made in order, has the answer below it, refused ones included."""
    assert make_all_calls(tmp_path, run_block) == []


def test_the_cookbook_has_every_method() -> None:
    """Every method of the public services can be copied from docs/grpcurl.md, with its answer."""
    assert METHODS - {method_of(call) for call, _ in calls()} == set()
    assert len(METHODS) > 30


def with_buf(code: str, address: str) -> subprocess.CompletedProcess[str]:
    """Makes the call of a block with `buf curl`, from its JSON, method and address."""
    words = shlex.split(code.replace("$S", address).replace("$P", "embedding_studio.clickstream.v1"), comments=True)
    data = words[words.index("-d") + 1] if "-d" in words else "{}"
    command = ["buf", "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", data]
    return run_block(shlex.join([*command, f"http://{address}/{words[-1]}"]), address)


@pytest.mark.full
def test_buf_curl_answers_what_the_cookbook_says(tmp_path: Path) -> None:
    """`buf curl` takes the same JSON as grpcurl, for every method, and answers the same; it refuses the same calls."""

    def run(code: str, address: str) -> subprocess.CompletedProcess[str]:
        if "Service/" not in code and "Health/" not in code:
            return run_block(code, address)
        ran = with_buf(code, address)
        if not ran.returncode:
            return ran
        refused, error = run_block(code, address), json.loads(ran.stderr)
        assert f"Message: {error['message']}\n" in refused.stderr
        details = b"".join(base64.b64decode(f"{detail['value']}===") for detail in error["details"])
        assert {reason.encode() for reason in re.findall(r"ERROR_REASON_\w+", refused.stderr)} == set(
            re.findall(rb"ERROR_REASON_[A-Z_]+", details)
        )
        return refused

    assert make_all_calls(tmp_path, run) == []


def test_grpcurl_makes_the_calls_of_the_page_of_models(tmp_path: Path) -> None:
    """Each command of docs/models.md, run in order where two versions exist, ends well."""
    with cookbook_server(tmp_path) as server:
        train_and_promote_an_older_one(server, "run-6")
        server.dao.runs.create(training_run("run-7", at=NOW))
        train(server.dao, tmp_path, "run-7")
        server.clickstream.CreateSession(create_request("s-1"))
        commands = [block for block in blocks("docs/models.md") if block.language == "sh"]
        assert len(commands) == 3
        for block in commands:
            ran = run_block(f"set -e\n{block.code}", server.address)
            assert ran.returncode == 0, ran.stderr


@pytest.mark.full
@pytest.mark.usefixtures("torch_installed")
def test_grpcurl_makes_the_calls_of_the_readme(serve: Callable[..., ServeProcess]) -> None:
    """The README's commands against `serve`: a new place, the same again, and a run that says why it fails."""
    [block] = [block for block in blocks("README.md") if "grpcurl" in block.code]
    address = serve().address
    ran = run_block(f"set -e\n{block.code}", address)
    assert ran.returncode == 0, ran.stderr
    names, _, answers = ran.stdout.partition("\n{")
    assert "embedding_studio.clickstream.v1.ClickstreamService" in names.splitlines()
    place, pushed, kept, released, *inputs, _, ended = documents("{" + answers)
    assert place == {"batch_id": "batch-1", "session_number": "1", "created_at": place["created_at"], "created": True}
    assert pushed["accepted_count"] == 1
    assert kept["stored_session"]["events"][0]["object_id"] == "a"
    assert released["batch"]["status"] == "BATCH_STATUS_RELEASED"
    assert inputs[0]["input"]["results"][0]["grade"] == 1
    assert ended["run"]["state"] == "TRAINING_RUN_STATE_FAILED"
    assert "quer" in ended["run"]["reason"]
    first = block.code[block.code.index("grpcurl -plaintext -d") :].partition("\ngrpcurl")[0]
    again = run_block(f"P=embedding_studio.clickstream.v1\n{first}", address)
    assert documents(again.stdout) == [{key: value for key, value in place.items() if key != "created"}]


@pytest.mark.parametrize(
    ("written", "answered", "count"),
    [
        ({"a": 1}, {"a": 1}, 0),
        ({"a": 1}, {"a": 2}, 1),
        ({"a": 1}, {"a": 1, "b": 2}, 1),
        ({"a": 1, "b": 2}, {"a": 1}, 1),
        ({"a": 1, AND_MORE: AND_MORE}, {"a": 1, "b": 2}, 0),
        ({"a": 1, AND_MORE: AND_MORE}, {"b": 2}, 1),
        ({"a": AND_MORE}, {"a": [1, 2]}, 0),
        ([1, AND_MORE], [1, 2, 3], 0),
        ([1, AND_MORE], [2, 2, 3], 1),
        ([1], [1, 2], 1),
        ([1, 2], [1], 1),
        ({"a": [{"b": 1}]}, {"a": [{"b": "1"}]}, 1),
    ],
)
def test_a_difference_is_found(written: Any, answered: Any, count: int) -> None:
    """Answers differ if any value, field or row does that the page does not leave out."""
    assert len(differences(written, answered)) == count
