"""What several servicers do with an object that they looked up."""

from clickstream.domain.errors import NotFound, Reason
from clickstream.domain.sessions import StoredSession


def existing_session(session: StoredSession | None) -> StoredSession:
    """Returns the session that a lookup found. Raises NotFound if it found none."""
    if session is None:
        raise NotFound(Reason.SESSION_NOT_FOUND, "session_id: no session has this id")
    return session
