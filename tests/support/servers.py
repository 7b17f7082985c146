"""Servers for tests: in this process over any store, and `clickstream serve` as a process."""

import asyncio
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import grpc
from embedding_studio.clickstream.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.improvement_service_pb2_grpc import ImprovementServiceStub
from embedding_studio.clickstream.v1.model_service_pb2_grpc import ModelServiceStub
from embedding_studio.clickstream.v1.training_service_pb2_grpc import TrainingServiceStub
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from clickstream.contract.details import detail_of, reason_of
from clickstream.conversion.importance import ImportancePolicy
from clickstream.conversion.reader import InputReader
from clickstream.dao.group_commit import GroupCommit
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.analytics import Segments
from clickstream.domain.call_limits import CallLimits
from clickstream.domain.errors import FailedPrecondition, NotFound, Reason
from clickstream.domain.runs import FineTuningSettings
from clickstream.models.embedding_queue import Embedder, EmbeddingQueue, LoadEmbedder
from clickstream.quality.robot_policy import PACKAGED_ROBOT_POLICY, load_robot_policy
from clickstream.servicers import boundary
from clickstream.servicers.access.audit import AuditLog
from clickstream.servicers.analytics import AnalyticsServicer
from clickstream.servicers.batches import BatchServicer
from clickstream.servicers.checks.fields import Window
from clickstream.servicers.clickstream import ClickstreamServicer
from clickstream.servicers.fine_tuning import FineTuningServicer
from clickstream.servicers.improvement import ImprovementServicer
from clickstream.servicers.model_host import ModelHostServicer
from clickstream.servicers.models import ModelServicer
from clickstream.servicers.refusal_counts import RefusalCounts
from clickstream.servicers.server import Listening, Server
from clickstream.servicers.telemetry import Telemetry
from clickstream.servicers.training import TrainingServicer
from clickstream.trainer_client.channel import TrainerAddress
from clickstream.trainer_client.model_host import ModelHostClient
from support.builders import NOW

POLICY = ImportancePolicy("test-1", {"view": 0.5, "click": 1.0, "purchase": 3.0}, default_grade=0.0)
WINDOW = Window(back=12 * 3600, ahead=5 * 60)
DEFAULTS = FineTuningSettings(base_model="tiny", item_template="{title}")
PATIENCE = 20.0
T = TypeVar("T")
D = TypeVar("D", bound=Message)


class Clock:
    """The server's time, which moves only by `forward`."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        """Moves the time forward."""
        self.now += timedelta(seconds=seconds)


ROBOT_POLICY = load_robot_policy(PACKAGED_ROBOT_POLICY)


class InProcessServer:
    """The real server and servicers in an event loop of their own, with blocking stubs for the tests."""

    def __init__(
        self,
        dao: ClickstreamDao,
        clock: Callable[[], datetime],
        queue_bytes: int = 64 * 2**20,
        listenings: Sequence[Listening] = (Listening("127.0.0.1:0"),),
        call_limits: CallLimits | None = None,
        audit: AuditLog | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.dao = dao
        self._listenings = listenings
        self._call_limits = call_limits
        self._audit = audit
        self._telemetry = telemetry
        self._clock = clock
        self._queue_bytes = queue_bytes
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.woken = 0
        self.models = Path("no-models")
        self.load_embedder: LoadEmbedder = _no_model

    def __enter__(self) -> "InProcessServer":
        self._thread.start()
        self.addresses = self.run(self._start())
        self.address = self.addresses[0]
        options = [("grpc.max_send_message_length", 64 * 2**20)]
        self.channel = grpc.insecure_channel(self.address, options=options)
        self.clickstream: Any = ClickstreamServiceStub(self.channel)
        self.batch: Any = BatchServiceStub(self.channel)
        self.improvement: Any = ImprovementServiceStub(self.channel)
        self.training: Any = TrainingServiceStub(self.channel)
        self.model: Any = ModelServiceStub(self.channel)
        self.analytics: Any = AnalyticsServiceStub(self.channel)
        return self

    async def _start(self) -> list[str]:
        def wake() -> None:
            self.woken += 1

        self.commit = GroupCommit(self.dao, max_waiting_bytes=self._queue_bytes)
        inputs = InputReader(self.dao, POLICY)
        self.refusals = RefusalCounts(self.dao.refusals, self._clock)
        self.host = ModelHostClient()
        self.embedding = EmbeddingQueue(lambda model_version_id: self.load_embedder(model_version_id))
        self._server = Server(
            [
                ModelServicer(self.dao, inputs, self.host, self._clock),
                ModelHostServicer(self.models, self.embedding),
                ClickstreamServicer(self.dao, self.commit, WINDOW, self.refusals, self._clock),
                BatchServicer(self.dao, self._clock),
                ImprovementServicer(self.dao, self._clock, DEFAULTS),
                TrainingServicer(self.dao, inputs, DEFAULTS, self._clock, wake),
                AnalyticsServicer(lambda: _answers(self.dao, self._clock), self.dao, ROBOT_POLICY.version, self._clock),
                FineTuningServicer(_no_training, DEFAULTS),
            ],
            self._call_limits,
            self._audit,
            self._telemetry,
        )
        addresses = [self._server.listen(listening) for listening in self._listenings]
        self.host.connect(TrainerAddress(addresses[0]))
        await self._server.start()
        return addresses

    def run(self, coroutine: Any) -> Any:
        """Runs a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def drain(self, grace: float = 5) -> Any:
        """Begins the server's drain; `.result()` waits for its end."""
        return asyncio.run_coroutine_threadsafe(self._server.drain(grace), self._loop)

    def call(self, method: str, request: bytes) -> bytes:
        """Calls the unary method `Service/Method` with an encoded request; returns the encoded answer."""
        path = f"/embedding_studio.clickstream.v1.{method}"
        answer: bytes = self.channel.unary_unary(path, None, None)(request, timeout=PATIENCE)
        return answer

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        try:
            self.run(self._stop())
        finally:  # a loop that still runs would keep the tests' process from ending
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._loop.close()

    async def _stop(self) -> None:
        # No call is on its way any more: there is nothing to wait for.
        quiet, boundary.QUIET_SECONDS = boundary.QUIET_SECONDS, 0.0
        try:
            await self._server.drain(0)
        finally:
            boundary.QUIET_SECONDS = quiet
        await self.host.close()
        await self.embedding.close()
        await self.commit.close()


def _answers(dao: ClickstreamDao, clock: Callable[[], datetime]) -> Any:
    from clickstream.analytics.frame_rules import FrameRules
    from clickstream.servicers.answers import Answers

    return Answers(dao, FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}"), ROBOT_POLICY, DEFAULTS, clock)


def _no_training(*_: Any, **__: Any) -> Any:
    raise FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, "no training here")


def _no_model(model_version_id: str) -> Embedder:
    raise NotFound(Reason.MODEL_VERSION_NOT_FOUND, f"no {model_version_id} here")


class ServeProcess:
    """`python -m clickstream serve`, `trainer` or `worker`; by default on a free port, a worker on none."""

    def __init__(
        self,
        data_dir: Path,
        environment: dict[str, str],
        command: str = "serve",
        listen: str | None = "127.0.0.1:0",
        options: Sequence[str] = (),
    ) -> None:
        began = time.monotonic()
        address = ["--listen", listen] if listen else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "clickstream", command, *address, "--data-dir", str(data_dir), *options],
            stderr=subprocess.PIPE,
            env=os.environ | environment,
        )
        self.pid = self._process.pid
        self.log = b""
        up = b"listening on " if listen else b"working"
        wait_for(lambda: up in self.read_log() and self.log.endswith(b"\n"))
        self.start_seconds = time.monotonic() - began
        self.address = self.log.split(up)[1].split()[0].decode() if listen else ""

    def read_log(self) -> bytes:
        """Reads what stderr has now, and returns all of it so far."""
        assert self._process.stderr is not None
        if select.select([self._process.stderr], [], [], 0.05)[0]:
            more = os.read(self._process.stderr.fileno(), 65536)
            assert more, f"serve ended: {self.log.decode()}"
            self.log += more
        return self.log

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self._process.terminate()

    def wait(self) -> int:
        """Waits until the process has ended; returns its exit code."""
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        """Sends SIGKILL and waits for the end."""
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()


def wait_for(condition: Callable[[], T], patience: float = PATIENCE) -> T:
    """Polls until the condition is true, and returns its value."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
    return found


async def until(condition: Callable[[], T], patience: float = PATIENCE) -> T:
    """Polls inside an event loop until the condition is true, and returns its value."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        await asyncio.sleep(0.005)
    return found


async def listed(items: list[T]) -> AsyncIterator[T]:
    """The items as a stream."""
    for item in items:
        yield item


def refused(call: Callable[..., Any], *args: Any, **kwargs: Any) -> grpc.RpcError:
    """Makes a call that must fail, or reads a stream that must break; returns the error."""
    try:
        answer = call(*args, **kwargs)
        if not isinstance(answer, Message | bytes):
            list(answer)
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"must fail, but answered {answer}")


def detail(error: grpc.RpcError, kind: type[D]) -> D:
    """The error's `google.rpc` detail of this kind; an empty one if it carries none."""
    return detail_of(error, kind) or kind()


def reason(error: grpc.RpcError) -> str:
    """The reason of a failed call without the enum's prefix."""
    return reason_of(error)


def fields(error: grpc.RpcError) -> list[str]:
    """The paths of the fields that a failed call names."""
    return [violation.field for violation in detail(error, error_details_pb2.BadRequest).field_violations]
