"""A batch reader as one would first write it: one query per session, and every message parsed and built.

    python benchmarks/naive_reads.py MONGODB_URI

The baseline of read.py, on the same server stack.
"""

import asyncio
import sys
from typing import Any

import uvloop
from embedding_studio.clickstream.v1 import batch_service_pb2 as pb
from embedding_studio.clickstream.v1 import session_pb2
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceServicer
from pymongo.database import Database
from typing_extensions import override

from clickstream.dao.mongo.connection import Document, connect
from clickstream.servicers.server import Server


class NaiveBatchServicer(BatchServiceServicer):
    """GetBatchSessions by `after_number` alone."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database

    @override
    async def GetBatchSessions(self, request: pb.GetBatchSessionsRequest, context: Any) -> pb.GetBatchSessionsResponse:
        return await asyncio.to_thread(self._page, request)

    def _page(self, request: pb.GetBatchSessionsRequest) -> pb.GetBatchSessionsResponse:
        query = {"batch": 1, "number": {"$gt": request.after_number}, "seal": None, "irrelevant_at": None}
        found = self._database["sessions"].find(query, sort=[("number", 1)], limit=request.page_size)
        sessions = [self._session(document) for document in found]
        return pb.GetBatchSessionsResponse(
            sessions=sessions,
            batch_id="batch-1",
            next_after_number=sessions[-1].session_number if sessions else request.after_number,
        )

    def _session(self, document: Document) -> session_pb2.StoredSession:
        first = {"batch": 1, "number": document["number"]}
        behind = {"batch": 1, "number": document["number"] + 1}
        events = self._database["session_events"].find({"_id": {"$gte": first, "$lt": behind}}, sort=[("_id", 1)])
        return session_pb2.StoredSession(
            session=session_pb2.Session.FromString(document["payload"]),
            batch_id="batch-1",
            session_number=document["number"],
            events=[session_pb2.Event.FromString(event["payload"]) for event in events],
        )


async def serve(uri: str) -> None:
    """Serves until it is killed."""
    with connect(uri, timeout=20) as client:
        server = Server([NaiveBatchServicer(client["clickstream"])])
        port = server.bind("127.0.0.1:0")
        await server.start()
        print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
