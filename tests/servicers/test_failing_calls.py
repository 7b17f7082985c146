"""Calls that fail cost a connection nothing (R23): it may go on failing, and its other calls are served."""

import gc
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2, clickstream_service_pb2
from support.servers import InProcessServer, refused


@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_r23_failing_calls_leave_no_stream_open(server: InProcessServer, kind: str) -> None:
    """R23: 16 callers on one connection fail 600 times, more often than it may have streams open."""
    session = clickstream_service_pb2.GetSessionRequest(session_id="unknown")
    batch = batch_service_pb2.StreamBatchSessionsRequest(batch_id="batch-7")

    def fail(_: int) -> grpc.StatusCode:
        if kind == "unary":
            return refused(server.clickstream.GetSession, session).code()
        return refused(server.batch.StreamBatchSessions, batch).code()

    gc.disable()  # what lives until the collector looks would end with it
    try:
        with ThreadPoolExecutor(16) as threads:
            assert set(threads.map(fail, range(600))) == {grpc.StatusCode.NOT_FOUND}
    finally:
        gc.enable()
