"""The traffic of the two-server test: writers, a releaser, and two kinds of readers, all on grpc.aio."""

import asyncio
import itertools
from collections import defaultdict
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2, clickstream_service_pb2, session_pb2
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub

RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
Read = dict[str, list[tuple[int, str]]]
"""Batch id → (session number, session id) in the order in which a reader saw them."""


class Traffic:
    """Clients of several servers, a connection to each; a call goes to the next server that answers."""

    def __init__(self, addresses: list[str]) -> None:
        own_connection = [("grpc.use_local_subchannel_pool", 1)]
        self.channels = [grpc.aio.insecure_channel(address, options=own_connection) for address in addresses]
        self.written: dict[str, tuple[str, int]] = {}
        self.released: list[batch_service_pb2.Batch] = []
        self.paged: Read = defaultdict(list)
        self.streamed: Read = defaultdict(list)
        self.writing = True

    async def call(self, first: int, stub: type[Any], method: str, request: Any) -> Any:
        """Sends until a server answers, starting with the `first`; bounded, so that a defect ends the test."""
        for attempt in range(400):
            channel = self.channels[(first + attempt) % len(self.channels)]
            try:
                return await getattr(stub(channel), method)(request, timeout=20)
            except grpc.aio.AioRpcError as error:
                if error.code() not in RETRIED:
                    raise
                await asyncio.sleep(0.05)
        raise AssertionError("no server answered in 20 seconds")

    async def write(self, server: int, ids: "itertools.count[int]", total: int) -> None:
        """Registers sessions through one server (and the others when it is gone), sending some of them twice."""
        while (number := next(ids)) < total:
            session = session_pb2.Session(
                session_id=f"session-{number}", query=f"query {number}", results=[session_pb2.Result(object_id="a")]
            )
            request = clickstream_service_pb2.CreateSessionRequest(session=session)
            for _ in range(2 if number % 10 == 0 else 1):
                answer = await self.call(server, ClickstreamServiceStub, "CreateSession", request)
                place = (answer.batch_id, answer.session_number)
                assert self.written.setdefault(session.session_id, place) == place, "a session moved"

    async def release(self, pause: float) -> None:
        """Releases the collecting batch again and again while there are writers, each release sent twice."""
        for index in itertools.count():
            await asyncio.sleep(pause)
            over = not self.writing  # before the call: what is written during it may belong to the next batch
            request = batch_service_pb2.ReleaseBatchRequest(release_id=f"release-{index}")
            try:
                first, second = [
                    await self.call(index + retry, BatchServiceStub, "ReleaseBatch", request) for retry in range(2)
                ]
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                if over:
                    return
                continue  # nothing was written during the pause; on a slow machine that happens
            assert first == second, "a repeated release gave another answer"
            self.released.append(first.batch)
            if over:
                return

    async def read_pages(self) -> None:
        """Follows the batches page by page, by number, one batch after the other."""
        for sequence in itertools.count(1):
            if not await self._read_batch_by_pages(f"batch-{sequence}"):
                return

    async def _read_batch_by_pages(self, batch_id: str) -> bool:
        after = 0
        while True:
            closed = await self._closed(batch_id)
            if closed is None:
                return False
            request = batch_service_pb2.GetBatchSessionsRequest(batch_id=batch_id, after_number=after, page_size=300)
            page = await self.call(after, BatchServiceStub, "GetBatchSessions", request)
            self.paged[batch_id] += [(each.session_number, each.session.session_id) for each in page.sessions]
            after = page.next_after_number
            if closed and not page.next_page_token:
                return True

    async def read_streams(self) -> None:
        """Follows the batches by streams, going on after the last number when one ends or breaks."""
        for sequence in itertools.count(1):
            batch_id, after = f"batch-{sequence}", 0
            for attempt in itertools.count():
                closed = await self._closed(batch_id)
                if closed is None:
                    return
                channel = self.channels[attempt % len(self.channels)]
                complete, after = await self._read_stream(channel, batch_id, after)
                if closed and complete:
                    break

    async def _read_stream(self, channel: grpc.aio.Channel, batch_id: str, after: int) -> tuple[bool, int]:
        request = batch_service_pb2.StreamBatchSessionsRequest(batch_id=batch_id, after_number=after)
        try:
            async for response in BatchServiceStub(channel).StreamBatchSessions(request, timeout=60):
                stored = response.stored_session
                self.streamed[batch_id].append((stored.session_number, stored.session.session_id))
                after = stored.session_number
        except grpc.aio.AioRpcError as error:
            if error.code() not in RETRIED:
                raise
            await asyncio.sleep(0.05)
            return False, after
        return True, after

    async def _closed(self, batch_id: str) -> bool | None:
        """Whether the batch is released; None once all is over and there is no such batch, or it stays empty."""
        request = batch_service_pb2.GetBatchRequest(batch_id=batch_id)
        while True:
            over = not self.writing
            try:
                found = await self.call(0, BatchServiceStub, "GetBatch", request)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.NOT_FOUND:
                    raise
                if over:
                    return None
                await asyncio.sleep(0.05)
                continue
            collecting = found.batch.status == batch_service_pb2.BATCH_STATUS_COLLECTING
            if collecting and over and not found.batch.session_count:
                return None
            return not collecting

    async def close(self) -> None:
        """Closes the channels."""
        for channel in self.channels:
            await channel.close()
