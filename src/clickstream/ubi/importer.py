"""Sends the searches and acts of a UBI file through the RPCs, and accounts for every document."""

import re
import time
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1 import session_pb2 as wire
from google.protobuf.message import Message
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from clickstream.client.calls import call, clickstream_stub, is_passing, violations
from clickstream.domain import limits
from clickstream.ubi.account import (
    NEVER_SHOWN,
    NO_QUERY_TEXT,
    SAME_SEARCH,
    SEARCH,
    SHOWN,
    Bucket,
    DocumentOutcome,
    ImportAccount,
)
from clickstream.ubi.file_forms import lines_of
from clickstream.ubi.records import QUERY, read
from clickstream.ubi.searches import Act, RebuiltSession, rebuild

# Number of sessions in flight: enough to fill the server's group commits.
IN_FLIGHT = 16

_OUTCOMES = {
    service.EventOutcome.CODE_ACCEPTED: DocumentOutcome.ACCEPTED,
    service.EventOutcome.CODE_DUPLICATE: DocumentOutcome.DUPLICATE,
    service.EventOutcome.CODE_CONFLICT: DocumentOutcome.CONFLICT,
    service.EventOutcome.CODE_REJECTED: DocumentOutcome.REJECTED,
}
# The contract's bound on a call, with room for its other fields.
_CALL_BYTES = limits.REQUEST_BYTES - 64 * 1024
_UNSENT = "not sent: the import stopped before it"


@dataclass(slots=True)
class Sent:
    """What became of one session: the bucket of its registration, and of each of its acts in order."""

    session: RebuiltSession
    registration: Bucket
    acts: list[Bucket] = field(default_factory=list)


def import_ubi(
    path: Path, channel: grpc.Channel, console: Console, sleep: Callable[[float], None] = time.sleep
) -> ImportAccount:
    """Imports an OpenSearch UBI file, shows a progress bar, and returns the account.

    Importing the same file again changes nothing: ids and content come from the file alone.
    The import ends early if the server stays away or refuses the caller. Then `stopped` of the account is the reason,
    and the documents without an answer are unacknowledged.

    Args:
        path: The file, in any form of `records` and `file_forms`, UTF-8.
        channel: A channel to the server's client port.
        console: The console that shows the progress bar.
        sleep: Waits between attempts; for tests.

    Raises:
        OSError: The file cannot be read.
    """
    account = ImportAccount()
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        reading = progress.add_task("reading", total=path.stat().st_size)
        sessions = list(rebuild(read(lines_of(path, partial(progress.advance, reading))), account))
        sender = Sender(channel, sleep)
        sending = progress.add_task("searches", total=len(sessions))
        for sent in sender.send_all(sessions):
            record(sent, account)
            progress.advance(sending)
    account.stopped, account.may_repeat = sender.stopped, sender.may_repeat
    return account


class Sender:
    """Sends sessions with their acts: several sessions at a time, and the calls of one session one after another."""

    def __init__(self, channel: grpc.Channel, sleep: Callable[[float], None] = time.sleep) -> None:
        self._stub = clickstream_stub(channel)
        self._sleep = sleep
        # Why nothing more is sent, and whether that may pass; empty while all is well.
        self.stopped = ""
        self.may_repeat = False

    def send_all(self, sessions: Sequence[RebuiltSession]) -> Iterator[Sent]:
        """Sends the sessions; yields what became of each, in their order."""
        waiting = iter(sessions)
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            # A window at a time, so that a failing server is noticed before all sessions are queued.
            while window := list(islice(waiting, IN_FLIGHT * 4)):
                yield from pool.map(self.send, window)

    def send(self, session: RebuiltSession) -> Sent:
        """Registers one session and pushes its acts. An error of the server becomes a bucket and is never raised."""
        message = _session_message(session)
        if self.stopped:
            return _same_for_all(session, Bucket(DocumentOutcome.UNACKNOWLEDGED, _UNSENT))
        if message.ByteSize() > limits.SESSION_BYTES:
            larger = f"the search is larger than {limits.SESSION_BYTES // 2**20} MiB"
            return _same_for_all(session, Bucket(DocumentOutcome.REJECTED, larger))
        shown, query = {item.object_id for item in session.shown}, session.query
        try:
            response = self._call(
                self._stub.CreateSession, service.CreateSessionRequest(session=message, historical=True)
            )
            sent = Sent(
                session, Bucket(DocumentOutcome.ACCEPTED if response.created else DocumentOutcome.DUPLICATE, SEARCH)
            )
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                return _same_for_all(session, self._bucket_of_error(error, "search"))
            sent = Sent(session, Bucket(DocumentOutcome.CONFLICT, "the search is registered with other content"))
            try:
                stored = self._call(self._stub.GetSession, service.GetSessionRequest(session_id=session.session_id))
            except grpc.RpcError as error_again:
                sent.acts = [self._bucket_of_error(error_again, "search")] * len(session.acts)
                return sent
            registered = stored.stored_session.session
            shown, query = {result.object_id for result in registered.results}, registered.query
        sent.acts = [
            Bucket(bucket.outcome, bucket.reason or _training_value(act, shown, query))
            for act, bucket in zip(session.acts, self._push(session), strict=True)
        ]
        return sent

    def _push(self, session: RebuiltSession) -> list[Bucket]:
        """Pushes the acts of one session; one bucket per act, whose reason is empty if the server has the act."""
        buckets: dict[int, Bucket] = {}
        for chunk in _chunks(session.acts, buckets):
            request = service.PushEventsRequest(
                session_id=session.session_id, events=[message for _, message in chunk], historical=True
            )
            indexes = [index for index, _ in chunk]
            if self.stopped:
                buckets |= dict.fromkeys(indexes, Bucket(DocumentOutcome.UNACKNOWLEDGED, _UNSENT))
                continue
            try:
                outcomes = self._call(self._stub.PushEvents, request).outcomes
                buckets |= {index: _event_bucket(outcome) for index, outcome in zip(indexes, outcomes, strict=True)}
            except grpc.RpcError as error:
                general = self._bucket_of_error(error, "event")
                buckets |= dict.fromkeys(indexes, general)
                for path, description in violations(error):
                    if match := re.match(r"events\[(\d+)\]\.?(.*)", path):
                        buckets[indexes[int(match[1])]] = Bucket(
                            general.outcome, f"the event is refused: {_with_field(match[2], description)}"
                        )
        return [buckets[index] for index in range(len(session.acts))]

    def _call(self, method: Callable[..., Any], request: Message) -> Any:
        return call(method, request, sleep=self._sleep)

    def _bucket_of_error(self, error: grpc.RpcError, what: str) -> Bucket:
        """A refusal of the content costs this content only; any other error stops the import."""
        if error.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED} and not is_passing(
            error
        ):
            fields = violations(error)
            why = _with_field(*fields[0]) if fields else error.details()
            return Bucket(DocumentOutcome.REJECTED, f"the {what} is refused: {why}")
        self.stopped, self.may_repeat = f"{error.code().name}: {error.details()}", is_passing(error)
        return Bucket(DocumentOutcome.UNACKNOWLEDGED, f"no acknowledgement: {error.code().name}")


def record(sent: Sent, account: ImportAccount) -> None:
    """Counts every document of a session in the account."""
    registration, session = sent.registration, sent.session
    account.sessions[registration.outcome] += 1
    is_stored = registration.outcome in {DocumentOutcome.ACCEPTED, DocumentOutcome.DUPLICATE, DocumentOutcome.CONFLICT}
    for number, line in enumerate(session.query_lines):
        if number and is_stored:
            account.add(DocumentOutcome.MERGED, SAME_SEARCH, QUERY, line)
        else:
            account.add(registration.outcome, registration.reason, QUERY, line)
    for act, bucket in zip(session.acts, sent.acts, strict=True):
        account.add(bucket.outcome, bucket.reason, act.kind, act.line)


def _session_message(session: RebuiltSession) -> wire.Session:
    message = wire.Session(session_id=session.session_id, query=session.query, user_id=session.user_id)
    message.created_at.FromDatetime(session.created_at)
    message.context.update(session.context)
    for item in session.shown:
        result = message.results.add(object_id=item.object_id, position=item.position)
        if item.meta:
            result.meta.update(item.meta)
    return message


def _event_message(act: Act) -> wire.Event:
    message = wire.Event(event_id=act.event_id, object_id=act.object_id, type=act.type)
    message.created_at.FromDatetime(act.created_at)
    if act.ordinal is not None:
        message.meta.update({"ordinal": act.ordinal})
    return message


def _chunks(acts: Sequence[Act], buckets: dict[int, Bucket]) -> Iterator[list[tuple[int, wire.Event]]]:
    """Splits acts, with their indexes, into calls within the limits; an act that is too large gets its bucket here."""
    chunk: list[tuple[int, wire.Event]] = []
    size = 0
    for index, act in enumerate(acts):
        message = _event_message(act)
        length = message.ByteSize()
        if length > limits.EVENT_BYTES:
            larger = f"the event is larger than {limits.EVENT_BYTES // 2**10} KiB"
            buckets[index] = Bucket(DocumentOutcome.REJECTED, larger)
            continue
        if len(chunk) == limits.EVENTS_PER_CALL or size + length > _CALL_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append((index, message))
        size += length
    if chunk:
        yield chunk


def _same_for_all(session: RebuiltSession, bucket: Bucket) -> Sent:
    """Puts a session and all of its acts into one bucket."""
    return Sent(session, bucket, [bucket] * len(session.acts))


def _event_bucket(outcome: service.EventOutcome) -> Bucket:
    field_name = re.sub(r"^events\[\d+\]\.?", "", outcome.field)
    reasons = {
        DocumentOutcome.CONFLICT: "the event id is taken by other content",
        DocumentOutcome.REJECTED: "the event is refused: " + _with_field(field_name, outcome.description),
    }
    known = _OUTCOMES.get(outcome.code)
    if known is None:  # of a newer contract
        return Bucket(DocumentOutcome.UNACKNOWLEDGED, "an unknown outcome")
    return Bucket(known, reasons.get(known, ""))


def _with_field(field_name: str, description: str) -> str:
    return f"{field_name}: {description}" if field_name else description


def _training_value(act: Act, shown: Set[str], query: str) -> str:
    if act.object_id not in shown:
        return NEVER_SHOWN
    return SHOWN if query.strip() else NO_QUERY_TEXT
