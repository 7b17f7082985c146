"""BatchService: schedulers read batches and release them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from embedding_studio.clickstream.v1 import batch_service_pb2 as pb
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceServicer
from typing_extensions import override

from clickstream.contract.batches import batch_message
from clickstream.contract.encoding import message_field
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.batches import Batch, BatchStatus, no_batch, sequence_of
from clickstream.domain.errors import FieldViolation
from clickstream.servicers.batch_pages import BatchReader
from clickstream.servicers.boundary import Context
from clickstream.servicers.checks import fields, page_tokens
from clickstream.servicers.slow_reads import slow_read

ReadingRequest = pb.GetBatchSessionsRequest | pb.StreamBatchSessionsRequest


class BatchServicer(BatchServiceServicer):
    """Answers from the store, without a cache."""

    def __init__(self, dao: ClickstreamDao, clock: Callable[[], datetime]) -> None:
        self._dao = dao
        self._clock = clock

    @override
    async def GetBatchSessions(self, request: pb.GetBatchSessionsRequest, context: Context) -> bytes:
        violations = fields.Violations()
        page_size = fields.check_page_size(request.page_size, violations)
        if request.page_token and request.after_number:
            violations.append(FieldViolation("page_token", "must not be given together with after_number"))
        _check_reading(request, violations)
        sequence, after = _page_start(request)
        batch = await asyncio.to_thread(self._batch, request.batch_id, sequence)
        page = await slow_read(self._reader(batch, request).page, after, page_size)
        token = page_tokens.encode_token("GetBatchSessions", batch.sequence, page.last, request.include_irrelevant)
        rest = pb.GetBatchSessionsResponse(
            batch_id=batch.batch_id, next_page_token="" if page.complete else token, next_after_number=page.last
        )
        field = pb.GetBatchSessionsResponse.SESSIONS_FIELD_NUMBER
        return b"".join(message_field(field, session) for session in page.sessions) + rest.SerializeToString()

    @override
    async def StreamBatchSessions(
        self, request: pb.StreamBatchSessionsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        _check_reading(request, fields.Violations())
        batch = await asyncio.to_thread(self._batch, request.batch_id)
        async for page in self._reader(batch, request).pages(request.after_number):
            for session in page.sessions:
                yield message_field(pb.StreamBatchSessionsResponse.STORED_SESSION_FIELD_NUMBER, session)

    def _reader(self, batch: Batch, request: ReadingRequest) -> BatchReader:
        events_limit = request.events_limit if request.HasField("events_limit") else None
        return BatchReader(
            self._dao, batch.sequence, include_irrelevant=request.include_irrelevant, events_limit=events_limit
        )

    def _batch(self, batch_id: str, sequence: int | None = None) -> Batch:
        """The batch that a request means: the named one, the one of its page token, or the collecting one.

        Args:
            batch_id: The batch that the request names; empty for none.
            sequence: The batch of the request's page token; None without a token.

        Raises:
            NotFound: There is no such batch.
            InvalidArgument: The page token was issued for another batch.
        """
        if batch_id:
            named = sequence_of(batch_id)
            if sequence is not None and sequence != named:
                raise page_tokens.foreign_token()
            sequence = named or 0
        if sequence is None:
            return self._dao.batches.collecting()
        batch = self._dao.batches.get(sequence) if sequence else None
        if batch is None:
            raise no_batch(batch_id)
        return batch

    @override
    async def ReleaseBatch(self, request: pb.ReleaseBatchRequest, context: Context) -> pb.ReleaseBatchResponse:
        release_id = fields.checked_id(request.release_id, "release_id")
        sequence = sequence_of(request.batch_id) if request.batch_id else None
        if request.batch_id and sequence is None:
            raise no_batch(request.batch_id)
        batch = await asyncio.to_thread(self._dao.batches.release, release_id, sequence, self._clock())
        return pb.ReleaseBatchResponse(batch=batch_message(batch))

    @override
    async def GetBatch(self, request: pb.GetBatchRequest, context: Context) -> pb.GetBatchResponse:
        batch = await asyncio.to_thread(self._batch, request.batch_id)
        return pb.GetBatchResponse(batch=batch_message(batch))

    @override
    async def ListBatches(self, request: pb.ListBatchesRequest, context: Context) -> pb.ListBatchesResponse:
        page_size = fields.checked_page_size(request.page_size)
        statuses = page_tokens.enum_filter(request.statuses, pb.BatchStatus, "BATCH_STATUS_", BatchStatus, "statuses")
        filtered = ",".join(sorted(statuses))
        before = None
        if request.page_token:
            before, named = page_tokens.decode_token(request.page_token, "ListBatches", (int, str))
            if named != filtered:
                raise page_tokens.foreign_token()
        batches = await asyncio.to_thread(self._dao.batches.list, before, page_size, statuses)
        page, last = page_tokens.cut_page(batches, batch_message, page_size)
        token = page_tokens.encode_token("ListBatches", last.sequence, filtered) if last else ""
        return pb.ListBatchesResponse(batches=page, next_page_token=token)


def _check_reading(request: ReadingRequest, violations: fields.Violations) -> None:
    """Checks what both ways of reading sessions take. Raises InvalidArgument, also with the violations so far."""
    fields.check_after_number(request.after_number, violations)
    if request.after_number and not request.batch_id:
        violations.append(FieldViolation("batch_id", "is required together with after_number"))
    if request.events_limit < 0:
        violations.append(FieldViolation("events_limit", "must not be negative"))
    fields.require(violations)


def _page_start(request: pb.GetBatchSessionsRequest) -> tuple[int | None, int]:
    """The batch of the request's page token (None without a token), and the session number to read after."""
    if not request.page_token:
        return None, request.after_number
    kinds = (int, int, bool)
    sequence, after, irrelevant = page_tokens.decode_token(request.page_token, "GetBatchSessions", kinds)
    if irrelevant != request.include_irrelevant:
        raise page_tokens.foreign_token()
    return sequence, after
