"""The improvement queue seen from a client."""

import grpc
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch

from clickstream.client.calls import batch_stub, call


def retry(channel: grpc.Channel, session_id: str) -> bool:
    """Puts a session forward again; false if its task stayed as it was. Raises grpc.RpcError."""
    request = batch.RetryImprovementTaskRequest(session_id=session_id)
    return bool(call(batch_stub(channel).RetryImprovementTask, request).retried)
