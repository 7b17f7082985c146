"""Sessions as JSON Lines: one StoredSession per line, in protobuf's JSON with the contract's names.

What a line has beside its session and events: `irrelevant`, where the session is marked, and `omitted_events`, the
number of events that the service counts and does not list. Batch and number are another service's business, so that
they are written on request only, and passed over when they are read.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from embedding_studio.clickstream.v1 import session_pb2 as wire
from google.protobuf import json_format

from clickstream.transfer.account import DocumentOutcome, ImportAccount
from clickstream.transfer.documents import documents
from clickstream.transfer.sender import Act, Outgoing

KIND = "session"


def line_of(stored: wire.StoredSession, with_place: bool = False) -> bytes:
    """One line; the same content always gives the same bytes.

    Args:
        stored: The session with its events.
        with_place: Whether batch and session number are written.
    """
    kept = wire.StoredSession(session=stored.session, events=stored.events, irrelevant=stored.irrelevant)
    kept.omitted_events = stored.omitted_events
    if with_place:
        kept.batch_id, kept.session_number = stored.batch_id, stored.session_number
    values = json_format.MessageToDict(kept, preserving_proto_field_name=True)
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def read_sessions(paths: Sequence[Path], account: ImportAccount) -> Iterator[Outgoing]:
    """Yields the sessions of JSON Lines files, in their order; what cannot be read goes into the account.

    Each session counts as one document, and each of its events as one more.

    Raises:
        OSError: A file cannot be read.
    """
    for place, text in documents(paths):
        account.documents += 1
        stored = wire.StoredSession()
        try:
            values = json.loads(text.decode())
            json_format.ParseDict(values, stored)
        except UnicodeError:
            account.add(DocumentOutcome.REJECTED, "not valid UTF-8 text", KIND, place)
        except (json_format.ParseError, ValueError, RecursionError, TypeError, AttributeError) as error:
            account.add(DocumentOutcome.REJECTED, _why(error, text), KIND, place)
        else:
            if not stored.session.session_id:
                account.add(DocumentOutcome.REJECTED, "no session.session_id", KIND, place)
                continue
            account.documents += len(stored.events)
            yield outgoing(stored, place)


def outgoing(stored: wire.StoredSession, place: int) -> Outgoing:
    """A stored session to be sent, which begins at a place of its files."""
    acts = [Act(event, event.type, place) for event in stored.events]
    sent = Outgoing(
        place,
        stored.session.session_id,
        stored.session,
        documents=[(KIND, place)],
        acts=acts,
        irrelevant=stored.irrelevant,
    )
    if stored.omitted_events:
        sent.cut["an event that the export did not list"] = stored.omitted_events
    return sent


def _why(error: Exception, text: bytes) -> str:
    if isinstance(error, json_format.ParseError):
        return f"no session: {str(error)[:200]}"
    return "not valid JSON" if not _is_json(text) else "not a JSON object"


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
