"""BatchService: schedulers read and release batches."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from embedding_studio.clickstream.v1 import batch_service_pb2 as pb
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceServicer

from clickstream.contract.batches import batch_message
from clickstream.contract.encoding import message_field
from clickstream.dao.interface.store import ClickstreamDao
from clickstream.domain.batches import Batch, BatchStatus, no_batch, sequence_of
from clickstream.domain.errors import FieldViolation
from clickstream.servicers.batch_pages import BatchReader
from clickstream.servicers.boundary import Context
from clickstream.servicers.checks import fields, page_tokens


class BatchServicer(BatchServiceServicer):
    """Reads straight from the store: two range reads per page, whatever its size (R11)."""

    def __init__(self, dao: ClickstreamDao, clock: Callable[[], datetime]) -> None:
        self._dao = dao
        self._clock = clock

    async def GetBatchSessions(  # noqa: N802
        self, request: pb.GetBatchSessionsRequest, context: Context
    ) -> bytes:
        """See the contract."""
        violations = fields.Violations()
        page_size = fields.check_page_size(request.page_size, violations)
        _check_start(request.batch_id, request.after_number, violations)
        if request.page_token and request.after_number:
            violations.append(FieldViolation("page_token", "must not be given together with after_number"))
        fields.require(violations)
        after, sequence = request.after_number, None
        if request.page_token:
            kinds = (int, int, bool)
            sequence, after, irrelevant = page_tokens.decode_token(request.page_token, "GetBatchSessions", kinds)
            if irrelevant != request.include_irrelevant:
                raise page_tokens.foreign_token()
        batch = await asyncio.to_thread(self._batch, request.batch_id, sequence)
        reader = BatchReader(self._dao, batch.sequence, include_irrelevant=request.include_irrelevant)
        page = await asyncio.to_thread(reader.page, after, page_size)
        token = page_tokens.encode_token("GetBatchSessions", batch.sequence, page.last, request.include_irrelevant)
        rest = pb.GetBatchSessionsResponse(
            batch_id=batch.batch_id, next_page_token="" if page.complete else token, next_after_number=page.last
        )
        field = pb.GetBatchSessionsResponse.SESSIONS_FIELD_NUMBER
        return b"".join(message_field(field, session) for session in page.sessions) + rest.SerializeToString()

    async def StreamBatchSessions(  # noqa: N802
        self, request: pb.StreamBatchSessionsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """See the contract."""
        violations = fields.Violations()
        _check_start(request.batch_id, request.after_number, violations)
        fields.require(violations)
        batch = await asyncio.to_thread(self._batch, request.batch_id, None)
        reader = BatchReader(self._dao, batch.sequence, include_irrelevant=request.include_irrelevant)
        async for page in reader.pages(request.after_number):
            for session in page.sessions:
                yield message_field(pb.StreamBatchSessionsResponse.STORED_SESSION_FIELD_NUMBER, session)

    def _batch(self, batch_id: str, sequence: int | None) -> Batch:
        """The batch that a request means; the collecting one if it names none."""
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

    async def ReleaseBatch(self, request: pb.ReleaseBatchRequest, context: Context) -> pb.ReleaseBatchResponse:  # noqa: N802
        """See the contract."""
        release_id = fields.checked_id(request.release_id, "release_id")
        sequence = sequence_of(request.batch_id) if request.batch_id else None
        if request.batch_id and sequence is None:
            raise no_batch(request.batch_id)
        batch = await asyncio.to_thread(self._dao.batches.release, release_id, sequence, self._clock())
        return pb.ReleaseBatchResponse(batch=batch_message(batch))

    async def GetBatch(self, request: pb.GetBatchRequest, context: Context) -> pb.GetBatchResponse:  # noqa: N802
        """See the contract."""
        batch = await asyncio.to_thread(self._batch, request.batch_id, None)
        return pb.GetBatchResponse(batch=batch_message(batch))

    async def ListBatches(self, request: pb.ListBatchesRequest, context: Context) -> pb.ListBatchesResponse:  # noqa: N802
        """See the contract."""
        violations = fields.Violations()
        page_size = fields.check_page_size(request.page_size, violations)
        fields.require(violations)
        statuses = page_tokens.enum_filter(request.statuses, pb.BatchStatus, "BATCH_STATUS_", BatchStatus, "statuses")
        filtered = ",".join(sorted(statuses))
        before = None
        if request.page_token:
            before, named = page_tokens.decode_token(request.page_token, "ListBatches", (int, str))
            if named != filtered:
                raise page_tokens.foreign_token()
        batches = await asyncio.to_thread(self._dao.batches.list, before, page_size, statuses)
        page, more = page_tokens.fitting(batches, batch_message, page_size)
        token = page_tokens.encode_token("ListBatches", batches[len(page) - 1].sequence, filtered) if more else ""
        return pb.ListBatchesResponse(batches=page, next_page_token=token)


def _check_start(batch_id: str, after_number: int, violations: fields.Violations) -> None:
    fields.check_after_number(after_number, violations)
    if after_number and not batch_id:
        violations.append(FieldViolation("batch_id", "is required together with after_number"))
