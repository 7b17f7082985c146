"""A model service in memory that a test can slow down: what `download` and `embed` are tried against."""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from embedding_studio.clickstream.v1 import model_service_pb2 as pb
from embedding_studio.clickstream.v1 import model_service_pb2_grpc, training_service_pb2, training_service_pb2_grpc
from embedding_studio.clickstream.v1.model_version_pb2 import ModelVersion
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

CHUNK = 64 * 1024
DIMENSIONS = 8


class ScriptedModels(model_service_pb2_grpc.ModelServiceServicer, training_service_pb2_grpc.TrainingServiceServicer):
    """Serves one version, `version-1`: its files, its vectors, and the template of its run.

    Attributes:
        files: Name → content, in the order of the download.
        asked: (file name, offset) at which each download began.
        texts: The texts of each Embed call, in the order of arrival.
        damaged: Chunks that are sent with a wrong first byte.
        breaks: Downloads that end with UNAVAILABLE behind their first chunk.
        full: Embed calls that are refused with EMBED_QUEUE_FULL.
        answers: Chunks or Embed calls that are answered; the next one sets `stopped` and waits for `go_on`.
    """

    def __init__(self) -> None:
        self.files: Mapping[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []
        self.texts: list[list[str]] = []
        self.damaged = self.breaks = self.full = 0
        self.answers = 10**9
        self.stopped = threading.Event()
        self.released = threading.Event()
        self._lock = threading.Lock()

    def _answer(self) -> None:
        with self._lock:
            self.answers -= 1
            waits = self.answers < 0
        if waits:
            self.stopped.set()
            self.released.wait(30)

    def go_on(self) -> None:
        """Answers everything from now on."""
        self.answers = 10**9
        self.released.set()

    def GetModelVersion(self, request, context):
        if request.model_version_id not in ("", "version-1"):
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no such model version")
        version = ModelVersion(model_version_id="version-1", run_id="run-1", serving=True)
        return pb.GetModelVersionResponse(model_version=version)

    def GetTrainingRun(self, request, context):
        response = training_service_pb2.GetTrainingRunResponse()
        response.run.run_id = request.run_id
        response.run.settings.item_template = "{title} by {brand}"
        return response

    def DownloadModel(self, request, context):
        self.asked.append((request.file_name, request.offset))
        yield pb.DownloadModelResponse(files=self._listed())
        names = list(self.files)
        offset = request.offset
        for name in names[names.index(request.file_name) if request.file_name else 0 :]:
            while offset < len(self.files[name]):
                data = self.files[name][offset : offset + CHUNK]
                if request.file_name:  # a stream for the list of files may send chunks until it is canceled
                    self._answer()
                if self.damaged:
                    self.damaged -= 1
                    data = b"x" + data[1:]
                yield pb.DownloadModelResponse(chunk=pb.ModelChunk(file_name=name, offset=offset, data=data))
                offset += len(data)
                if self.breaks:
                    self.breaks -= 1
                    context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            offset = 0

    def _listed(self) -> pb.ModelFiles:
        listed = pb.ModelFiles(model_version_id="version-1", total_bytes=sum(map(len, self.files.values())))
        for name, content in self.files.items():
            listed.files.add(name=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        return listed

    def Embed(self, request, context):
        with self._lock:
            self.texts.append(list(request.texts))
            if self.full:
                self.full -= 1
                context.abort_with_status(_embed_queue_full())
        self._answer()
        vectors = [pb.Embedding(values=vector_of(text)) for text in request.texts]
        return pb.EmbedResponse(embeddings=vectors, model_version_id=request.model_version_id)


def _embed_queue_full() -> grpc.Status:
    status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="full")
    status.details.add().Pack(ErrorInfo(reason="ERROR_REASON_EMBED_QUEUE_FULL"))
    return rpc_status.to_status(status)


def vector_of(text: str) -> list[float]:
    """The vector that the service makes of a text: a function of its letters."""
    return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:DIMENSIONS]]


@contextmanager
def serving_models(service: ScriptedModels) -> Iterator[str]:
    """Serves on loopback; yields the address."""
    server = grpc.server(ThreadPoolExecutor(16))
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    training_service_pb2_grpc.add_TrainingServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        service.go_on()
        server.stop(None).wait()
