"""The Python code of docs/models.md, extracted from the page and run."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import model_service_pb2 as pb
from google.protobuf.json_format import Parse
from google.protobuf.message_factory import GetMessageClass
from support.builders import NOW, SECOND, model_version, training_run
from support.memory_store import MemoryDao
from support.servers import Clock, InProcessServer

from clickstream.domain.runs import RunState

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
FILES = {"model_version.json": b"{}", "modules.json": b"[]", "1/weights": bytes(range(256)) * 10_000, "empty": b""}


class StreamBroken(grpc.RpcError):
    """The status of a stream that ended too early."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


class BreakingStub:
    """Breaks the first `breaks` downloads off after two messages; passes all later messages on."""

    def __init__(self, stub: Any, breaks: int) -> None:
        self._stub = stub
        self._breaks = breaks
        self.requested: list[tuple[str, int]] = []

    def DownloadModel(self, request: pb.DownloadModelRequest) -> Iterator[pb.DownloadModelResponse]:
        self.requested.append((request.file_name, request.offset))
        breaks = len(self.requested) <= self._breaks
        for number, response in enumerate(self._stub.DownloadModel(request)):
            if breaks and number == 2:
                raise StreamBroken
            yield response


@pytest.fixture
def download() -> Callable[..., None]:
    """The function `download` of the page."""
    [code] = re.findall(r"```python\n(.*?)\n\n\nwith ", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    function: Callable[..., None] = names["download"]
    return function


@pytest.fixture
def server(memory_dao: MemoryDao, clock: Clock, tmp_path: Path) -> Iterator[InProcessServer]:
    """A server with one model version and its files."""
    version = model_version("run-1")
    for name, content in FILES.items():
        path = tmp_path / "models" / version.model_version_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    memory_dao.runs.create(training_run("run-1"))
    memory_dao.runs.claim("me", NOW, NOW + 60 * SECOND)
    memory_dao.runs.finish("run-1", "me", RunState.SUCCEEDED, "", version, NOW)
    server = InProcessServer(memory_dao, clock)
    server.models = tmp_path / "models"
    with server:
        yield server


@pytest.fixture(autouse=True)
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each pause that the page's code makes; none of them takes time."""
    pauses: list[float] = []
    sleep, own = time.sleep, threading.get_ident()

    def pause(seconds: float) -> None:
        if threading.get_ident() == own:
            pauses.append(seconds)
        else:  # another thread, such as a monitor of pymongo
            sleep(seconds)

    monkeypatch.setattr(time, "sleep", pause)
    return pauses


@pytest.mark.parametrize("breaks", [0, 3])
def test_the_download_gets_all_files(
    server: InProcessServer, download: Callable[..., None], tmp_path: Path, paused: list[float], breaks: int
) -> None:
    """A broken download continues after the last received byte and a pause, and the files are complete."""
    stub, folder = BreakingStub(server.model, breaks), tmp_path / "got"
    folder.mkdir()
    download(stub, "model-run-1", folder)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert len(stub.requested) == breaks + 1
    assert len(set(stub.requested)) == breaks + 1
    assert len(paused) == breaks


def test_a_folder_may_contain_an_older_download(
    server: InProcessServer, download: Callable[..., None], tmp_path: Path
) -> None:
    """A download replaces a longer file of the same name as a whole."""
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / "modules.json").write_bytes(b"x" * 1_000)
    download(BreakingStub(server.model, 0), "model-run-1", tmp_path / "got")
    assert (tmp_path / "got" / "modules.json").read_bytes() == FILES["modules.json"]


def test_the_calls_of_the_page_are_calls_of_the_contract() -> None:
    """Every method that the page names exists and takes the JSON beside it."""
    text = PAGE.read_text("utf-8").replace("\\\n", " ")
    calls = re.findall(r"^(?:grpcurl|buf curl) .*-d '(.*?)'.*v1\.ModelService/(\w+)$", text, re.MULTILINE)
    assert len(calls) == len(re.findall("^(?:grpcurl|buf curl) ", text, re.MULTILINE))
    methods = pb.DESCRIPTOR.services_by_name["ModelService"].methods_by_name
    for body, method in calls:
        Parse(body, GetMessageClass(methods[method].input_type)())


def test_a_damaged_file_is_found(server: InProcessServer, download: Callable[..., None], tmp_path: Path) -> None:
    """A byte that differs from the server's fails the check of the SHA-256."""
    folder = tmp_path / "got"
    folder.mkdir()

    class Damaging(BreakingStub):
        def DownloadModel(self, request: pb.DownloadModelRequest) -> Iterator[pb.DownloadModelResponse]:
            for response in super().DownloadModel(request):
                if response.HasField("chunk") and response.chunk.data:
                    response.chunk.data = b"x" + response.chunk.data[1:]
                yield response

    with pytest.raises(AssertionError):
        download(Damaging(server.model, 0), "model-run-1", folder)
