"""FineTuningService: the fine-tuning module behind a stream, and the client that the worker calls it with."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Protocol

import grpc
from embedding_studio.clickstream.v1 import fine_tuning_service_pb2 as pb
from embedding_studio.clickstream.v1.fine_tuning_service_pb2_grpc import (
    FineTuningServiceServicer,
    FineTuningServiceStub,
)

from clickstream.converter import TrainingInput
from clickstream.errors import FailedPrecondition, FieldViolation, InvalidArgument, Unavailable
from clickstream.judgements import JudgedQuery
from clickstream.runs import FineTuningSettings, ModelVersion, TrainingProgress
from clickstream.servicers import evaluation_wire, training_wire, validation
from clickstream.servicers.boundary import TRANSPORT_BYTES, Context

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
        run_id = validation.checked_run_id(first.start.run_id)
        settings = training_wire.settings(first.start.settings, self._defaults)
        judged = await asyncio.to_thread(evaluation_wire.judged_queries, first.start.judged_queries)
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
            self._answer(pb.FineTuneResponse(model_version=training_wire.model_version_message(version)))
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
        self._answer(pb.FineTuneResponse(progress=training_wire.progress_message(progress)))

    def _answer(self, response: pb.FineTuneResponse | Exception | None) -> None:
        self._loop.call_soon_threadsafe(self._responses.put_nowait, response)

    async def receive(self, requests: AsyncIterator[pb.FineTuneRequest]) -> None:
        """Hands the inputs of the stream to the thread, never more than fit the queue."""
        end: Exception | None = None
        try:
            async for request in requests:
                if request.WhichOneof("message") != "input":
                    raise InvalidArgument([FieldViolation("input", "is required after the first message")])
                await self._hand_over(training_wire.training_input_from(request.input))
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


class FineTuningClient:
    """Calls the fine-tuning module, wherever it runs."""

    def __init__(self, address: str) -> None:
        options = [
            ("grpc.max_send_message_length", TRANSPORT_BYTES),
            # A trainer that went away without a word is noticed, also while it is silent.
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
        ]
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._stub = FineTuningServiceStub(self._channel)

    async def fine_tune(
        self,
        run_id: str,
        settings: FineTuningSettings,
        inputs: AsyncIterator[TrainingInput],
        judged: Sequence[JudgedQuery],
    ) -> AsyncIterator[TrainingProgress | ModelVersion]:
        """Streams inputs in, and progress and last the model version out.

        Raises:
            FailedPrecondition: nothing can be trained from these settings and inputs.
            Unavailable: the module cannot be reached or went away; call again to go on.
        """
        failure: list[Exception] = []

        async def requests() -> AsyncIterator[pb.FineTuneRequest]:
            start = pb.FineTuneStart(run_id=run_id, settings=training_wire.settings_message(settings))
            start.judged_queries.extend(await asyncio.to_thread(evaluation_wire.judged_query_messages, judged))
            yield pb.FineTuneRequest(start=start)
            try:
                async for converted in inputs:
                    yield pb.FineTuneRequest(input=training_wire.training_input(converted))
            except Exception as error:
                # gRPC would end the stream as if it were complete.
                failure.append(error)
                call.cancel()

        call: Any = self._stub.FineTune(requests())
        try:
            async for response in call:
                if response.WhichOneof("message") == "model_version":
                    yield training_wire.model_version_from(response.model_version)
                else:
                    yield training_wire.progress_from(response.progress)
        except grpc.aio.AioRpcError as error:
            if failure:
                raise failure[0] from error
            if error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT):
                raise FailedPrecondition("TRAINING_IMPOSSIBLE", error.details() or "") from error
            raise Unavailable("STORE_UNAVAILABLE", f"the fine-tuning module: {error.details()}") from error
        except asyncio.CancelledError:
            if failure:
                raise failure[0] from None
            raise
        finally:
            call.cancel()

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()
