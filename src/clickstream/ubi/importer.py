"""Sends the searches and acts of a file through the RPCs, and accounts for every document."""

import re
import time
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service
from embedding_studio.clickstream.v1 import session_pb2 as wire
from google.protobuf.message import Message
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from clickstream.client.calls import call, clickstream_stub, is_passing, violations
from clickstream.domain import limits
from clickstream.ubi.account import NEVER_SHOWN, NO_QUERY_TEXT, SAME_SEARCH, SEARCH, SHOWN, Account, Outcome
from clickstream.ubi.records import QUERY, read
from clickstream.ubi.searches import Act, RebuiltSession, rebuild

# Sessions in flight: enough to fill the server's group commits.
IN_FLIGHT = 16

_OUTCOMES = {
    service.EventOutcome.CODE_ACCEPTED: Outcome.ACCEPTED,
    service.EventOutcome.CODE_DUPLICATE: Outcome.DUPLICATE,
    service.EventOutcome.CODE_CONFLICT: Outcome.CONFLICT,
    service.EventOutcome.CODE_REJECTED: Outcome.REJECTED,
}
# The contract's bound on a call, with room for its other fields.
_CALL_BYTES = limits.REQUEST_BYTES - 64 * 1024
_UNSENT = "not sent: the import stopped before it"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one document, or of a whole session's registration."""

    outcome: Outcome
    reason: str


@dataclass(slots=True)
class Sent:
    """What became of one session: its registration, and each of its acts in order."""

    session: RebuiltSession
    registration: Verdict
    acts: list[Verdict] = field(default_factory=list)


def import_ubi(
    path: Path, channel: grpc.Channel, console: Console, sleep: Callable[[float], None] = time.sleep
) -> Account:
    """Imports an OpenSearch UBI file, shows a progress bar, and returns the account.

    Importing the same file again changes nothing: ids and content come from the file alone.
    A server that stays away or refuses the caller ends the import early; then
    `account.stopped` says why, and the documents without an answer are unacknowledged.

    Args:
        path: The file: `_bulk` form or plain ndjson, UTF-8.
        channel: A channel to the server's client port.
        console: Where the progress bar goes.
        sleep: For tests: waits between attempts.

    Raises:
        OSError: The file cannot be read.
    """
    account = Account()
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress, path.open("rb") as file:
        reading = progress.add_task("reading", total=path.stat().st_size)
        sessions = list(rebuild(read(_lines(file, progress, reading)), account))
        sender = Sender(channel, sleep)
        sending = progress.add_task("searches", total=len(sessions))
        for sent in sender.send_all(sessions):
            enter(sent, account)
            progress.advance(sending)
    account.stopped, account.may_repeat = sender.stopped, sender.may_repeat
    return account


class Sender:
    """Sends sessions with their acts, several at a time; each session's calls follow each other."""

    def __init__(self, channel: grpc.Channel, sleep: Callable[[float], None] = time.sleep) -> None:
        self._stub = clickstream_stub(channel)
        self._sleep = sleep
        # Why nothing more is sent, and whether that may pass; empty while all is well.
        self.stopped = ""
        self.may_repeat = False

    def send_all(self, sessions: Sequence[RebuiltSession]) -> Iterator[Sent]:
        """Yields what became of each session, in their order."""
        waiting = iter(sessions)
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            # A window, so that a failing server is noticed before everything is queued.
            while window := list(islice(waiting, IN_FLIGHT * 4)):
                yield from pool.map(self.send, window)

    def send(self, session: RebuiltSession) -> Sent:
        """Registers one session and pushes its acts; never raises for an answer of the server."""
        message = _session_message(session)
        if self.stopped:
            return _all(session, Verdict(Outcome.UNACKNOWLEDGED, _UNSENT))
        if message.ByteSize() > limits.SESSION_BYTES:
            return _all(
                session, Verdict(Outcome.REJECTED, f"the search is larger than {limits.SESSION_BYTES // 2**20} MiB")
            )
        shown, query = {item.object_id for item in session.shown}, session.query
        try:
            response = self._call(
                self._stub.CreateSession, service.CreateSessionRequest(session=message, historical=True)
            )
            sent = Sent(session, Verdict(Outcome.ACCEPTED if response.created else Outcome.DUPLICATE, SEARCH))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                return _all(session, self._judge(error, "search"))
            sent = Sent(session, Verdict(Outcome.CONFLICT, "the search is registered with other content"))
            try:
                stored = self._call(self._stub.GetSession, service.GetSessionRequest(session_id=session.session_id))
            except grpc.RpcError as error_again:
                sent.acts = [self._judge(error_again, "search")] * len(session.acts)
                return sent
            kept = stored.stored_session.session
            shown, query = {result.object_id for result in kept.results}, kept.query
        sent.acts = [
            Verdict(verdict.outcome, verdict.reason or _worth(act, shown, query))
            for act, verdict in zip(session.acts, self._push(session), strict=True)
        ]
        return sent

    def _push(self, session: RebuiltSession) -> list[Verdict]:
        """One verdict per act; without a reason where the server kept it."""
        verdicts: dict[int, Verdict] = {}
        for chunk in _chunks(session.acts, verdicts):
            request = service.PushEventsRequest(
                session_id=session.session_id, events=[message for _, message in chunk], historical=True
            )
            places = [place for place, _ in chunk]
            if self.stopped:
                verdicts |= dict.fromkeys(places, Verdict(Outcome.UNACKNOWLEDGED, _UNSENT))
                continue
            try:
                outcomes = self._call(self._stub.PushEvents, request).outcomes
                verdicts |= {place: _verdict(outcome) for place, outcome in zip(places, outcomes, strict=True)}
            except grpc.RpcError as error:
                general = self._judge(error, "event")
                verdicts |= dict.fromkeys(places, general)
                for path, description in violations(error):
                    if match := re.match(r"events\[(\d+)\]\.?(.*)", path):
                        verdicts[places[int(match[1])]] = Verdict(
                            general.outcome, f"the event is refused: {_because(match[2], description)}"
                        )
        return [verdicts[place] for place in range(len(session.acts))]

    def _call(self, method: Callable[..., Any], request: Message) -> Any:
        return call(method, request, sleep=self._sleep)

    def _judge(self, error: grpc.RpcError, what: str) -> Verdict:
        """Refusals of the content cost this content; anything else ends the import."""
        if error.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED} and not is_passing(
            error
        ):
            fields = violations(error)
            said = _because(*fields[0]) if fields else error.details()
            return Verdict(Outcome.REJECTED, f"the {what} is refused: {said}")
        self.stopped, self.may_repeat = f"{error.code().name}: {error.details()}", is_passing(error)
        return Verdict(Outcome.UNACKNOWLEDGED, f"no acknowledgement: {error.code().name}")


def enter(sent: Sent, account: Account) -> None:
    """Puts every document of a session into the account."""
    registration, session = sent.registration, sent.session
    account.sessions[registration.outcome] += 1
    kept = registration.outcome in {Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.CONFLICT}
    for number, line in enumerate(session.query_lines):
        if number and kept:
            account.add(Outcome.MERGED, SAME_SEARCH, QUERY, line)
        else:
            account.add(registration.outcome, registration.reason, QUERY, line)
    for act, verdict in zip(session.acts, sent.acts, strict=True):
        account.add(verdict.outcome, verdict.reason, act.kind, act.line)


def _lines(file: BinaryIO, progress: Progress, task: TaskID) -> Iterator[bytes]:
    for line in file:
        progress.advance(task, len(line))
        yield line


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


def _chunks(acts: Sequence[Act], verdicts: dict[int, Verdict]) -> Iterator[list[tuple[int, wire.Event]]]:
    """Splits acts into calls within the limits; what fits in no call gets its verdict here."""
    chunk: list[tuple[int, wire.Event]] = []
    size = 0
    for place, act in enumerate(acts):
        message = _event_message(act)
        length = message.ByteSize()
        if length > limits.EVENT_BYTES:
            verdicts[place] = Verdict(Outcome.REJECTED, f"the event is larger than {limits.EVENT_BYTES // 2**10} KiB")
            continue
        if len(chunk) == limits.EVENTS_PER_CALL or size + length > _CALL_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append((place, message))
        size += length
    if chunk:
        yield chunk


def _all(session: RebuiltSession, verdict: Verdict) -> Sent:
    """The session's fate is that of its acts."""
    return Sent(session, verdict, [verdict] * len(session.acts))


def _verdict(outcome: service.EventOutcome) -> Verdict:
    field_name = re.sub(r"^events\[\d+\]\.?", "", outcome.field)
    reasons = {
        Outcome.CONFLICT: "the event id is taken by other content",
        Outcome.REJECTED: "the event is refused: " + _because(field_name, outcome.description),
    }
    code = _OUTCOMES.get(outcome.code, Outcome.UNACKNOWLEDGED)
    return Verdict(code, reasons.get(code, "" if code is not Outcome.UNACKNOWLEDGED else "an unknown outcome"))


def _because(field_name: str, description: str) -> str:
    return f"{field_name}: {description}" if field_name else description


def _worth(act: Act, shown: Set[str], query: str) -> str:
    if act.object_id not in shown:
        return NEVER_SHOWN
    return SHOWN if query.strip() else NO_QUERY_TEXT
