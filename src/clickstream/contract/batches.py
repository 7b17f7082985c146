"""Batches: domain objects to contract messages."""

from embedding_studio.clickstream.v1 import batch_service_pb2

from clickstream.contract.encoding import timestamp
from clickstream.domain.batches import Batch


def batch_message(found: Batch) -> batch_service_pb2.Batch:
    """A batch for the contract."""
    return batch_service_pb2.Batch(
        batch_id=found.batch_id,
        status=f"BATCH_STATUS_{found.status.name}",
        session_count=found.session_count,
        opened_at=timestamp(found.opened_at),
        released_at=timestamp(found.released_at),
        release_id=found.release_id,
        run_id=found.run_id,
        history=[
            batch_service_pb2.BatchStatusChange(
                status=f"BATCH_STATUS_{change.status.name}", at=timestamp(change.at), reason=change.reason
            )
            for change in found.history
        ],
    )
