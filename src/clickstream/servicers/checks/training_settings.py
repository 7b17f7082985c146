"""Checks of a training run's settings."""

import math
from dataclasses import asdict

from embedding_studio.clickstream.v1 import fine_tuning_settings_pb2 as settings_pb

from clickstream.contract.encoding import utc
from clickstream.domain import limits
from clickstream.domain.errors import FieldViolation
from clickstream.domain.query_split import MOST_FOLDS
from clickstream.domain.runs import FineTuningSettings
from clickstream.servicers.checks import fields

# Number field → (lowest, highest).
RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 100),
    "batch_queries": (2, 1_024),
    "learning_rate": (1e-12, 1),
    "max_tokens": (8, 8_192),
    "held_out_share": (0.05, 0.5),
    "seed": (-(2**63), 2**63 - 1),
    "temperature": (0.001, 1),
    "frozen_layers": (0, 1_000),
    "lora_rank": (0, 1_024),
    "early_stopping_patience": (0, 100),
    "folds": (0, MOST_FOLDS),
    "held_out_session_share": (0, 0.33),
    "step_scale": (0, 1),
}
# Text field → the values that it may have.
CHOICES = {
    "position_bias": ("auto", "none", "rank_ctr", "pbm", "sdbn"),
    "loss": ("listwise", "contrastive"),
    "unexamined": ("negative", "unknown"),
}


def checked_settings(message: settings_pb.FineTuningSettings, defaults: FineTuningSettings) -> FineTuningSettings:
    """The settings of a run; absent fields are filled in from `defaults`.

    Raises InvalidArgument naming the fields out of range.
    """
    violations = fields.Violations()
    values = asdict(defaults)
    for name, (lowest, highest) in RANGES.items():
        if message.HasField(name):
            values[name] = getattr(message, name)
            if not (math.isfinite(values[name]) and lowest <= values[name] <= highest):
                violations.append(FieldViolation(f"settings.{name}", f"must be from {lowest:g} to {highest:g}"))
    for name in ("base_model", "item_template"):
        if text := getattr(message, name):
            values[name] = text
            if len(text) > limits.TEXT_CHARACTERS:
                violations.append(
                    FieldViolation(f"settings.{name}", f"must have at most {limits.TEXT_CHARACTERS} characters")
                )
    for name, known in CHOICES.items():
        if choice := getattr(message, name):
            values[name] = choice
            if choice not in known:
                violations.append(FieldViolation(f"settings.{name}", f"must be one of {', '.join(known)}"))
    after = message.held_out_after
    if message.HasField("held_out_after") and fields.check_timestamp(after, "settings.held_out_after", violations):
        at = utc(after)
        # The store keeps milliseconds.
        values["held_out_after"] = at.replace(microsecond=at.microsecond // 1_000 * 1_000)
    fields.require(violations)
    return FineTuningSettings(**values)
