"""Reads of what the service keeps: the sessions and inputs of batches, curves, promotions, and lineage."""

from collections.abc import Iterator
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch_pb
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import model_service_pb2 as model_pb
from embedding_studio.clickstream.v1 import training_service_pb2 as training_pb
from embedding_studio.clickstream.v1.session_pb2 import StoredSession
from embedding_studio.clickstream.v1.training_progress_pb2 import CurvePoint

from clickstream.client.calls import batch_stub, call, improvement_stub, model_stub, training_stub
from clickstream.client.streams import StreamRetry

# Rows per page of a listing.
PAGE = 100


class StoredReads:
    """The reads of `AdminClient`. Each raises grpc.RpcError as its other methods do."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._batches = batch_stub(channel)
        self._improvement = improvement_stub(channel)
        self._training = training_stub(channel)
        self._models = model_stub(channel)

    def batch_sessions(
        self,
        batch_id: str,
        after_number: int = 0,
        *,
        include_irrelevant: bool = False,
        events_limit: int | None = None,
    ) -> Iterator[StoredSession]:
        """Yields the sessions of a batch in rising order of their numbers. A stream that breaks is opened again.

        Args:
            batch_id: The batch. One that collects ends with its newest session so far.
            after_number: Only sessions with a higher number.
            include_irrelevant: Whether sessions that are marked irrelevant are read, too.
            events_limit: The number of events listed per session at most; `omitted_events` counts the others. None:
                up to the limits of a listing.

        Raises:
            grpc.RpcError: The service refused, or sent nothing for ten minutes.
        """
        request = batch_pb.StreamBatchSessionsRequest(
            batch_id=batch_id,
            after_number=after_number,
            include_irrelevant=include_irrelevant,
            events_limit=events_limit,
        )

        def read() -> Iterator[StoredSession]:
            for response in self._batches.StreamBatchSessions(request):
                request.after_number = response.stored_session.session_number
                yield response.stored_session

        return _reopened(read)

    def training_inputs(
        self, batch_id: str, after_number: int = 0, robot_verdict_number: int | None = None
    ) -> Iterator[training_pb.StreamTrainingInputsResponse]:
        """Yields the graded inputs of a released batch and last the summary. A stream that breaks is opened again.

        It is a training read: which events and marks count is fixed for ever by the first one. After a break the
        summary counts from the place on at which the stream was opened again.

        Args:
            batch_id: A released batch.
            after_number: Only inputs of sessions with a higher number.
            robot_verdict_number: The newest robot verdict that applies; 0: none. None: all so far.

        Raises:
            grpc.RpcError: The service refused, or sent nothing for ten minutes.
        """
        request = training_pb.StreamTrainingInputsRequest(
            batch_id=batch_id, after_number=after_number, robot_verdict_number=robot_verdict_number
        )

        def read() -> Iterator[training_pb.StreamTrainingInputsResponse]:
            for response in self._training.StreamTrainingInputs(request):
                request.robot_verdict_number = response.robot_verdict_number
                if response.HasField("input"):
                    request.after_number = response.input.session_number
                yield response

        return _reopened(read)

    def improvement_task(self, session_id: str) -> improvement_pb.ImprovementTask:
        """The task of a session in the improvement queue."""
        request = improvement_pb.GetImprovementTaskRequest(session_id=session_id)
        task: improvement_pb.ImprovementTask = call(self._improvement.GetImprovementTask, request).task
        return task

    def training_curve(self, run_id: str) -> list[CurvePoint]:
        """Loss and metrics of a run, one point per logged step, in the order of the steps."""
        request = training_pb.GetTrainingCurveRequest(run_id=run_id)
        return list(call(self._training.GetTrainingCurve, request).points)

    def promotions(self) -> Iterator[model_pb.Promotion]:
        """The log of promotions and rollbacks, the newest first, read page by page."""
        return listed(self._models.ListPromotions, model_pb.ListPromotionsRequest(), "promotions")

    def model_lineage(self, model_version_id: str) -> Iterator[model_pb.StreamModelLineageResponse]:
        """Yields what a version came from: first its origin, then its inputs with their sessions and events.

        A stream that breaks is opened again, and its origin is not repeated.

        Raises:
            grpc.RpcError: The service refused, or sent nothing for ten minutes.
        """
        request = model_pb.StreamModelLineageRequest(model_version_id=model_version_id)
        has_origin = False

        def read() -> Iterator[model_pb.StreamModelLineageResponse]:
            nonlocal has_origin
            for response in self._models.StreamModelLineage(request):
                if response.HasField("input"):
                    request.batch_id, request.after_number = response.input.batch_id, response.input.session_number
                elif has_origin:
                    continue
                has_origin = True
                yield response

        return _reopened(read)

    def session_lineage(self, session_id: str) -> model_pb.GetSessionLineageResponse:
        """What a session was used for: its input, and all runs over its batch with their versions, the newest first."""
        request = model_pb.GetSessionLineageRequest(session_id=session_id, page_size=PAGE)
        found: model_pb.GetSessionLineageResponse = call(self._models.GetSessionLineage, request)
        while found.next_page_token:
            request.page_token = found.next_page_token
            page = call(self._models.GetSessionLineage, request)
            found.runs.extend(page.runs)
            found.next_page_token = page.next_page_token
        return found


def listed(method: Any, request: Any, field: str) -> Iterator[Any]:
    """The rows of all pages of a listing."""
    request.page_size = PAGE
    while True:
        response = call(method, request)
        yield from getattr(response, field)
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token


def _reopened(read: Any) -> Iterator[Any]:
    """The messages of a stream; `read` opens it where it broke off."""
    retry = StreamRetry()
    while True:
        try:
            for message in read():
                retry.received()
                yield message
            return
        except grpc.RpcError as error:
            retry.wait_after(error)
