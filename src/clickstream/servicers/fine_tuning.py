"""FineTuningService: the fine-tuning module behind a stream, and the client that the worker calls it with."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Protocol

from embedding_studio.clickstream.internal.v1 import fine_tuning_service_pb2 as pb
from embedding_studio.clickstream.internal.v1.fine_tuning_service_pb2_grpc import FineTuningServiceServicer

from clickstream.contract.models import model_version_message
from clickstream.contract.runs import report_message
from clickstream.contract.training_inputs import training_input_from
from clickstream.domain.errors import FieldViolation, InvalidArgument
from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings, TrainingProgress
from clickstream.domain.training_inputs import TrainingInput
from clickstream.servicers.boundary import Context
from clickstream.servicers.checks import fields
from clickstream.servicers.checks.judgements import checked_judged_queries
from clickstream.servicers.checks.training_settings import checked_settings

# Inputs that wait between the stream and the trainer; beyond it the stream stands still.
WAITING_INPUTS = 256
POLL_SECONDS = 0.2


class Train(Protocol):
    """The fine-tuning module's entry; blocks until the model is made."""

    def __call__(
        self,
        run_id: str,
        settings: FineTuningSettings,
        inputs: Iterator[TrainingInput],
        judged: Sequence[JudgedQuery],
        *,
        report: Callable[[TrainingProgress], None],
        is_canceled: Callable[[], bool],
    ) -> ModelVersion:
        """Trains; raises FailedPrecondition if it cannot, `InputsEnded` if the inputs broke off."""
        ...


class InputsEnded(Exception):
    """The caller went away before all inputs were sent."""


class FineTuningServicer(FineTuningServiceServicer):
    """Runs one training at a time, in a thread; a second call waits for the first to end."""

    def __init__(self, train: Train, defaults: FineTuningSettings) -> None:
        self._train = train
        self._defaults = defaults
        self._one_at_a_time = asyncio.Lock()

    async def FineTune(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.FineTuneRequest], context: Context
    ) -> AsyncIterator[pb.FineTuneResponse]:
        """See the contract."""
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("message") != "start":
            raise InvalidArgument([FieldViolation("start", "must be the first message")])
        run_id = fields.checked_run_id(first.start.run_id)
        settings = checked_settings(first.start.settings, self._defaults)
        judged = await asyncio.to_thread(checked_judged_queries, first.start.judged_queries)
        async with self._one_at_a_time:
            training = _Training(self._train, run_id, settings, judged)
            receiving = asyncio.create_task(training.receive(request_iterator))
            try:
                async for response in training.responses():
                    yield response
            finally:
                receiving.cancel()
                await training.stop()


class _Training:
    """One training in its thread, with a queue each way."""

    def __init__(self, train: Train, run_id: str, settings: FineTuningSettings, judged: Sequence[JudgedQuery]) -> None:
        self._inputs: queue.Queue[TrainingInput | Exception | None] = queue.Queue(WAITING_INPUTS)
        self._responses: asyncio.Queue[pb.FineTuneResponse | Exception | None] = asyncio.Queue()
        self._canceled = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.run_in_executor(None, self._run, train, run_id, settings, judged)

    def _run(self, train: Train, run_id: str, settings: FineTuningSettings, judged: Sequence[JudgedQuery]) -> None:
        canceled = self._canceled.is_set
        try:
            version = train(run_id, settings, self._received(), judged, report=self._report, is_canceled=canceled)
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

    async def receive(self, requests: AsyncIterator[pb.FineTuneRequest]) -> None:
        """Hands the inputs of the stream to the thread, never more than fit the queue."""
        end: Exception | None = None
        try:
            async for request in requests:
                if request.WhichOneof("message") != "input":
                    raise InvalidArgument([FieldViolation("input", "is required after the first message")])
                await self._hand_over(training_input_from(request.input))
        except Exception as error:
            end = error
        await self._hand_over(end)

    async def _hand_over(self, item: TrainingInput | Exception | None) -> None:
        while True:
            try:
                return self._inputs.put_nowait(item)
            except queue.Full:
                await asyncio.sleep(POLL_SECONDS / 10)

    async def responses(self) -> AsyncIterator[pb.FineTuneResponse]:
        """What the thread reports, up to the model version. Raises what training raised."""
        while (response := await self._responses.get()) is not None:
            if isinstance(response, Exception):
                raise response
            yield response

    async def stop(self) -> None:
        """Ends the training within one step and waits for it; does nothing to one that is done."""
        self._canceled.set()
        await asyncio.shield(self._done)
