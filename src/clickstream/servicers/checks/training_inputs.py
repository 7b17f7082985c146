"""Checks of the inputs that a trainer is sent: what no conversion makes is refused before it reaches the training."""

import math

from embedding_studio.clickstream.v1 import training_input_pb2

from clickstream.contract.training_inputs import training_input_from
from clickstream.domain import limits
from clickstream.domain.errors import FieldViolation
from clickstream.domain.training_inputs import TrainingInput
from clickstream.servicers.checks import fields


def checked_input(message: training_input_pb2.TrainingInput) -> TrainingInput:
    """The input of a message. Raises InvalidArgument with the bad fields, `input.results[3].grade` for example."""
    violations = fields.Violations()
    fields.check_id(message.session_id, "input.session_id", violations)
    fields.check_length(message.query, limits.QUERY_CHARACTERS, "input.query", violations)
    if message.session_number < 0:
        violations.append(FieldViolation("input.session_number", "must not be negative"))
    if message.HasField("searched_at"):
        fields.check_timestamp(message.searched_at, "input.searched_at", violations)
    if (count := len(message.results)) > limits.RESULTS_PER_SESSION:
        description = f"has {count} results; {limits.RESULTS_PER_SESSION} are allowed"
        violations.append(FieldViolation("input.results", description, fields.LIMIT))
    for index, result in enumerate(message.results):
        if violations.is_full:
            break
        _check_result(result, f"input.results[{index}]", violations)
    fields.require(violations)
    return training_input_from(message)


def _check_result(result: training_input_pb2.GradedResult, field: str, violations: fields.Violations) -> None:
    fields.check_id(result.object_id, f"{field}.object_id", violations)
    fields.check_number(result.position, limits.POSITION, f"{field}.position", violations)
    if not (math.isfinite(result.grade) and result.grade >= 0):
        violations.append(FieldViolation(f"{field}.grade", "must be finite and not negative"))
    fields.check_struct(result.meta, f"{field}.meta", violations)
