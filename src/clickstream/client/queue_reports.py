"""What the background queue reports to its user: counters, failures, and that it is full."""

from collections.abc import Mapping
from dataclasses import dataclass

from embedding_studio.clickstream.v1.session_pb2 import Event, Session


class QueueFullError(Exception):
    """The queue is full: it has `QueueSettings.max_bytes`. The new item was not queued."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of everything queued, sessions and events alike, at one moment.

    `queued == accepted + duplicate + sum(failed.values()) + dropped + waiting`, always.

    Attributes:
        queued: Given to `register` and `push`, unless QueueFullError was raised.
        sent: Sent in a call at least once.
        accepted: Stored by this client.
        duplicate: Already stored with the same content, as after a retry whose first answer was lost.
        failed: Not stored and not retried, by reason: a name of `error_reason.proto` without its
            prefix, a gRPC status name, the name of a Python exception after a defect of the client, or CLIENT_CLOSED
            for an item that had no outcome when the client closed.
        dropped: Refused by a full queue with `overflow="drop"`.
        retries: Calls sent again.
        waiting: Queued or in flight.
        waiting_bytes: The bytes of the waiting items, as `QueueSettings.max_bytes` counts them.
    """

    queued: int
    sent: int
    accepted: int
    duplicate: int
    failed: Mapping[str, int]
    dropped: int
    retries: int
    waiting: int
    waiting_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A queued item that this client will not store.

    Attributes:
        session_id: The session, or the session of the event.
        message: The item as it was queued, with the id and time that were filled in.
        reason: As in `Stats.failed`.
        description: What is wrong, in words.
    """

    session_id: str
    message: Session | Event
    reason: str
    description: str
