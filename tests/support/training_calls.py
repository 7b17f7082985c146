"""Releases and training runs over them, for tests of TrainingService."""

from embedding_studio.clickstream.v1 import training_service_pb2 as pb

from support.builders import (
    NOW,
    push,
    session_drafts,
)
from support.servers import InProcessServer


def release(server: InProcessServer, sessions: int = 3) -> None:
    """Releases a batch whose first two sessions have a click."""
    server.dao.sessions.append(session_drafts(sessions))
    server.dao.events.append([push("s-1", "e-1"), push("s-2", "e-1", object_id="b")])
    server.dao.batches.release("r-1", None, NOW)


def start(run_id: str = "run-1", *batch_ids: str, **settings: object) -> pb.StartTrainingRequest:
    """Queues a run, over the first batch by default."""
    request = pb.StartTrainingRequest(run_id=run_id, batch_ids=batch_ids or ["batch-1"])
    for name, value in settings.items():
        setattr(request.settings, name, value)
    return request
