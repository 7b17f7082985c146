"""Training inputs: domain objects to contract messages and back; conversion summaries to messages."""

from embedding_studio.clickstream.v1 import training_input_pb2
from google.protobuf.struct_pb2 import Struct, Value

from clickstream.contract.encoding import timestamp, utc
from clickstream.domain.training_inputs import ConversionSummary, GradedResult, TrainingInput


def training_input_message(converted: TrainingInput) -> training_input_pb2.TrainingInput:
    """An input for the contract."""
    return training_input_pb2.TrainingInput(
        session_id=converted.session_id,
        batch_id=converted.batch_id,
        session_number=converted.number,
        query=converted.query,
        results=[
            training_input_pb2.GradedResult(
                object_id=result.object_id,
                position=result.position,
                grade=result.grade,
                event_ids=result.event_ids,
                meta=result.meta,  # a Struct, as the session had it
            )
            for result in converted.results
        ],
        policy_version=converted.policy_version,
        searched_at=timestamp(converted.searched_at),
    )


def training_input_from(message: training_input_pb2.TrainingInput) -> TrainingInput:
    """An input as a domain object; each `meta` becomes a plain dict."""
    return TrainingInput(
        session_id=message.session_id,
        batch_id=message.batch_id,
        number=message.session_number,
        query=message.query,
        results=tuple(
            GradedResult(result.object_id, result.position, result.grade, tuple(result.event_ids), _plain(result.meta))
            for result in message.results
        ),
        policy_version=message.policy_version,
        searched_at=utc(message.searched_at) if message.HasField("searched_at") else None,
    )


def _plain(struct: Struct) -> dict[str, object]:
    """A Struct as plain data. protobuf's own json_format takes any message, and takes twice the time."""
    return {key: _value(value) for key, value in struct.fields.items()}


def _value(value: Value) -> object:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain(value.struct_value)
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)


def conversion_summary_message(summary: ConversionSummary) -> training_input_pb2.ConversionSummary:
    """A summary for the contract."""
    return training_input_pb2.ConversionSummary(**summary.plain())
