"""What the service answers to a list of events, as buckets of the account."""

import re

from embedding_studio.clickstream.v1 import clickstream_service_pb2 as service

from clickstream.transfer.account import Bucket, DocumentOutcome

_OUTCOMES = {
    service.EventOutcome.CODE_ACCEPTED: DocumentOutcome.ACCEPTED,
    service.EventOutcome.CODE_DUPLICATE: DocumentOutcome.DUPLICATE,
    service.EventOutcome.CODE_CONFLICT: DocumentOutcome.CONFLICT,
    service.EventOutcome.CODE_REJECTED: DocumentOutcome.REJECTED,
}
_INDEX = re.compile(r"(?:events\.)?events\[(\d+)\]\.?(.*)")
_REFUSED = "the event is refused: "


def events_outcomes(response: service.IngestResponse, count: int) -> list[Bucket]:
    """One bucket per event of a list of `count`; its reason is empty if the service has the event."""
    if not response.HasField("failure"):
        outcomes = response.events.outcomes
        if not outcomes:
            return [Bucket(DocumentOutcome.ACCEPTED, "")] * count
        return [_bucket(outcome) for outcome in outcomes]
    failure = response.failure
    match = _INDEX.match(failure.field)
    general = with_field(match[2] if match else failure.field, failure.description)
    buckets = [Bucket(DocumentOutcome.REJECTED, _REFUSED + general)] * count
    for violation in failure.violations:
        if (match := _INDEX.match(violation.field)) and int(match[1]) < count:
            why = with_field(match[2], violation.description)
            buckets[int(match[1])] = Bucket(DocumentOutcome.REJECTED, _REFUSED + why)
    return buckets


def with_field(field_name: str, description: str) -> str:
    """A description behind the name of its field, if it has one."""
    return f"{field_name}: {description}" if field_name else description


def _bucket(outcome: service.EventOutcome) -> Bucket:
    known = _OUTCOMES.get(outcome.code)
    if known is None:  # of a newer contract
        return Bucket(DocumentOutcome.UNACKNOWLEDGED, "an unknown outcome")
    if known is DocumentOutcome.CONFLICT:
        return Bucket(known, "the event id is taken by other content")
    if known is DocumentOutcome.REJECTED:
        match = _INDEX.match(outcome.field)
        return Bucket(known, _REFUSED + with_field(match[2] if match else outcome.field, outcome.description))
    return Bucket(known, "")
