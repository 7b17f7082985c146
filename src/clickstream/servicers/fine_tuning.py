"""FineTuningService: the fine-tuning module behind a stream, on the machine that trains."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from embedding_studio.clickstream.internal.v1 import fine_tuning_service_pb2 as pb
from embedding_studio.clickstream.internal.v1.fine_tuning_service_pb2_grpc import FineTuningServiceServicer
from typing_extensions import override

from clickstream.contract.models import model_version_message
from clickstream.contract.runs import report_message
from clickstream.domain.call_limits import TRAINER_SILENCE_SECONDS
from clickstream.domain.errors import ClickstreamError, FieldViolation, InvalidArgument, Reason, Unavailable
from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings, Phase, TrainingProgress
from clickstream.domain.training_inputs import TrainingInput
from clickstream.servicers.boundary import Context
from clickstream.servicers.checks import fields
from clickstream.servicers.checks.judgements import checked_judged_queries
from clickstream.servicers.checks.training_inputs import checked_input
from clickstream.servicers.checks.training_settings import checked_settings

# Inputs that wait between the stream and the training thread; while they do, the stream is not read.
WAITING_INPUTS = 256
# Interval at which the training thread checks whether it was canceled while it waits for inputs.
POLL_SECONDS = 0.2
# Interval at which the stream checks whether the training thread has taken an input.
FULL_QUEUE_SECONDS = 0.02
# Interval at which a call that waits for the place looks who has it.
PLACE_SECONDS = 1.0
# How long a caller may take to stop sending inputs once it got to know that the training failed.
LISTEN_SECONDS = 5.0


class Train(Protocol):
    """The entry of the fine-tuning module; blocks until the model version is written."""

    def __call__(
        self,
        run_id: str,
        settings: FineTuningSettings,
        inputs: Iterator[TrainingInput],
        judged: Sequence[JudgedQuery],
        earlier_runs: int,
        *,
        report: Callable[[TrainingProgress], None],
        is_canceled: Callable[[], bool],
    ) -> ModelVersion:
        """Trains a model version.

        Args:
            run_id: The run that the version belongs to.
            settings: How to train.
            inputs: What to train on; raises `InputsEnded` if the caller went away.
            judged: Queries with judgements to measure on; may be empty.
            earlier_runs: Model versions that were measured on the same last batch.
            report: Called with the progress, from the training thread.
            is_canceled: Training ends within one step once this returns True.

        Raises:
            FailedPrecondition: Nothing can be trained from these settings and inputs.
            InputsEnded: As `inputs` raised it.
        """
        ...


class InputsEnded(Exception):
    """The caller went away before it had sent all inputs."""


class FineTuningServicer(FineTuningServiceServicer):
    """Runs one training at a time, in a thread; a second call waits for the first to end."""

    def __init__(self, train: Train, defaults: FineTuningSettings) -> None:
        self._train = train
        self._defaults = defaults
        self._place = asyncio.Lock()
        self._at_place = ""

    @override
    async def FineTune(
        self, request_iterator: AsyncIterator[pb.FineTuneRequest], context: Context
    ) -> AsyncIterator[pb.FineTuneResponse]:
        first = await _next(request_iterator)
        if first is None or first.WhichOneof("message") != "start":
            raise InvalidArgument([FieldViolation("start", "must be the first message")])
        run_id = fields.checked_run_id(first.start.run_id)
        settings = checked_settings(first.start.settings, self._defaults)
        judged = await asyncio.to_thread(checked_judged_queries, first.start.judged_queries)
        if first.start.earlier_runs < 0:
            raise InvalidArgument([FieldViolation("start.earlier_runs", "must be at least 0")])
        start = partial(self._train, run_id, settings, judged=judged, earlier_runs=first.start.earlier_runs)
        waiting = asyncio.ensure_future(self._place.acquire())
        try:
            async for response in self._reports_of_waiting(waiting):
                yield response
            self._at_place = run_id
            async with _Training(start, request_iterator) as training:
                async for response in training.responses():
                    yield response
        finally:
            if not waiting.cancel() and not waiting.cancelled():
                self._place.release()

    async def _reports_of_waiting(self, waiting: "asyncio.Future[Any]") -> AsyncIterator[pb.FineTuneResponse]:
        """Reports which run has the place, and each change of it, until this call has it."""
        reported = ""
        await asyncio.sleep(0)
        while not waiting.done():
            if self._at_place != reported:
                reported = self._at_place
                waits_for = f"the trainer, which is at run {reported}"
                yield report_message(TrainingProgress(Phase.WAITING, waits_for=waits_for))
            await asyncio.wait({waiting}, timeout=PLACE_SECONDS)


class _Training:
    """One training in a thread of its own, with one queue for its inputs and one for its responses.

    A context manager: it starts the thread, and on exit ends the training within one step and waits for it.
    """

    def __init__(self, start: Callable[..., ModelVersion], requests: AsyncIterator[pb.FineTuneRequest]) -> None:
        self._inputs: queue.Queue[TrainingInput | Exception | None] = queue.Queue(WAITING_INPUTS)
        self._responses: asyncio.Queue[pb.FineTuneResponse | Exception | None] = asyncio.Queue()
        self._canceled = threading.Event()
        self._start = start
        self._requests = requests
        self._failed = False

    async def __aenter__(self) -> "_Training":
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.run_in_executor(None, self._run)
        self._receiving = asyncio.create_task(self._receive())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._receiving.cancel()
        self._canceled.set()
        await asyncio.shield(self._done)

    def _run(self) -> None:
        try:
            version = self._start(inputs=self._received(), report=self._report, is_canceled=self._canceled.is_set)
            self._answer(pb.FineTuneResponse(model_version=model_version_message(version)))
            self._answer(None)
        except Exception as error:
            self._answer(error)

    def _received(self) -> Iterator[TrainingInput]:
        while not self._canceled.is_set():
            try:
                item = self._inputs.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
        raise InputsEnded

    def _report(self, progress: TrainingProgress) -> None:
        self._answer(report_message(progress))

    def _answer(self, response: pb.FineTuneResponse | Exception | None) -> None:
        self._loop.call_soon_threadsafe(self._responses.put_nowait, response)

    async def _receive(self) -> None:
        """Hands the inputs of the stream to the thread, at most WAITING_INPUTS ahead of it."""
        end: Exception | None = None
        try:
            while (request := await _next(self._requests)) is not None:
                await self._hand_over(_checked(request))
        except Exception as error:
            end = error
        await self._hand_over(end)

    async def _hand_over(self, item: TrainingInput | Exception | None) -> None:
        while not self._failed:
            try:
                self._inputs.put_nowait(item)
            except queue.Full:
                await asyncio.sleep(FULL_QUEUE_SECONDS)
            else:
                return

    async def responses(self) -> AsyncIterator[pb.FineTuneResponse]:
        """Yields the progress that the thread reports, and last the model version. Raises what training raised."""
        while (response := await self._responses.get()) is not None:
            if not isinstance(response, Exception):
                yield response
                continue
            self._failed = True
            if isinstance(response, ClickstreamError):
                may_be_repeated = isinstance(response, Unavailable)
                failure = pb.FineTuneFailure(message=response.message, may_be_repeated=may_be_repeated)
                yield pb.FineTuneResponse(failure=failure)
                await self._listen_to_the_end()
            raise response

    async def _listen_to_the_end(self) -> None:
        """Takes the inputs that are on their way: gRPC hides the status of a call from a client that still sends."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LISTEN_SECONDS):
                await asyncio.shield(self._receiving)
                while await anext(self._requests, None) is not None:
                    pass


def _checked(request: pb.FineTuneRequest) -> TrainingInput:
    if request.WhichOneof("message") != "input":
        raise InvalidArgument([FieldViolation("input", "is required after the first message")])
    return checked_input(request.input)


async def _next(requests: AsyncIterator[pb.FineTuneRequest]) -> pb.FineTuneRequest | None:
    """The next message; None at the end. Raises Unavailable if the caller is silent for too long."""
    try:
        async with asyncio.timeout(TRAINER_SILENCE_SECONDS):
            return await anext(requests, None)
    except TimeoutError:
        message = f"the caller sent nothing for {TRAINER_SILENCE_SECONDS:.0f} s before it had sent all inputs"
        raise Unavailable(Reason.TRAINER_UNAVAILABLE, message) from None
