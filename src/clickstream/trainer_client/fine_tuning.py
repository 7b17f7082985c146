"""The client of FineTuningService."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from embedding_studio.clickstream.internal.v1 import fine_tuning_service_pb2 as pb
from embedding_studio.clickstream.internal.v1.fine_tuning_service_pb2_grpc import FineTuningServiceStub

from clickstream.contract.evaluations import judged_query_messages
from clickstream.contract.models import model_version_from
from clickstream.contract.runs import report_from, settings_message
from clickstream.contract.training_inputs import training_input_message
from clickstream.domain.errors import FailedPrecondition, Reason, Unavailable
from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings, TrainingProgress
from clickstream.domain.training_inputs import TrainingInput
from clickstream.trainer_client.channel import TrainerAddress, TrainerChannel


class FineTuningClient:
    """Calls the fine-tuning module, in this process or another. Make it inside the event loop that uses it."""

    def __init__(self, trainer: TrainerAddress) -> None:
        """Raises ValueError if the address or its credentials cannot be used."""
        self.channel = TrainerChannel(trainer)

    async def fine_tune(
        self,
        run_id: str,
        settings: FineTuningSettings,
        inputs: AsyncIterator[TrainingInput],
        judged: Sequence[JudgedQuery],
        earlier_runs: int,
    ) -> AsyncIterator[TrainingProgress | ModelVersion]:
        """Trains one model version. Yields progress, and last the version.

        Args:
            run_id: The run that the version belongs to.
            settings: How to train.
            inputs: What to train on. An error that it raises ends the training, and is raised.
            judged: Queries with judgements to measure on; may be empty.
            earlier_runs: Model versions that were measured on the same last batch.

        Raises:
            FailedPrecondition: Nothing can be trained from these settings and inputs.
            Unavailable: The module cannot be reached or went away. The same call continues from the last checkpoint.
        """
        failure: list[Exception] = []
        told: FailedPrecondition | Unavailable | None = None

        async def requests() -> AsyncIterator[pb.FineTuneRequest]:
            start = pb.FineTuneStart(run_id=run_id, settings=settings_message(settings), earlier_runs=earlier_runs)
            start.judged_queries.extend(await asyncio.to_thread(judged_query_messages, judged))
            yield pb.FineTuneRequest(start=start)
            try:
                async for converted in inputs:
                    if told:
                        return
                    yield pb.FineTuneRequest(input=training_input_message(converted))
            except Exception as error:
                # Without the cancel, gRPC would end the stream as if all inputs had been sent.
                failure.append(error)
                call.cancel()

        with self.channel.connection() as connection:
            call: Any = FineTuningServiceStub(connection.channel).FineTune(requests(), metadata=connection.metadata)
            try:
                async for response in call:
                    match response.WhichOneof("message"):
                        case "model_version":
                            yield model_version_from(response.model_version)
                        case "failure":
                            told = _told(response.failure)
                        case _:
                            yield report_from(response)
                if told:
                    raise told
            except grpc.aio.AioRpcError as error:
                raise (failure[0] if failure else told or _domain_error(error)) from error
            except asyncio.CancelledError:
                if failure:
                    raise failure[0] from None
                raise
            finally:
                call.cancel()

    async def close(self) -> None:
        """Closes the channel."""
        await self.channel.close()


def _told(failure: pb.FineTuneFailure) -> FailedPrecondition | Unavailable:
    if failure.may_be_repeated:
        return Unavailable(Reason.TRAINER_UNAVAILABLE, f"the trainer: {failure.message}")
    return FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, failure.message)


def _domain_error(error: grpc.aio.AioRpcError) -> FailedPrecondition | Unavailable:
    if error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT):
        return FailedPrecondition(Reason.TRAINING_IMPOSSIBLE, error.details() or "")
    return Unavailable(Reason.TRAINER_UNAVAILABLE, f"the trainer: {error.details()}")
