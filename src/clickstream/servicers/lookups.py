"""Lookups that several servicers share."""

from clickstream.domain.errors import NotFound, Reason
from clickstream.domain.sessions import StoredSession


def known(session: StoredSession | None) -> StoredSession:
    """The session, if there is one. Raises NotFound."""
    if session is None:
        raise NotFound(Reason.SESSION_NOT_FOUND, "session_id: no session has this id")
    return session
