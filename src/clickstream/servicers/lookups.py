"""What several servicers do with an object that they looked up."""

from clickstream.dao.interface.batches import BatchDao
from clickstream.domain.batches import Batch, no_batch, sequence_of
from clickstream.domain.errors import NotFound, Reason
from clickstream.domain.sessions import StoredSession


def existing_session(session: StoredSession | None) -> StoredSession:
    """Returns the session that a lookup found. Raises NotFound if it found none."""
    if session is None:
        raise NotFound(Reason.SESSION_NOT_FOUND, "session_id: no session has this id")
    return session


def existing_batch(batches: BatchDao, batch_id: str) -> Batch:
    """The batch with this id. Blocks. Raises NotFound if there is none."""
    sequence = sequence_of(batch_id)
    batch = batches.get(sequence) if sequence else None
    if batch is None:
        raise no_batch(batch_id)
    return batch
