"""Training progress: domain objects to contract messages and back."""

import pytest
from support.builders import NOW, SECOND

from clickstream.contract.runs import report_from, report_message
from clickstream.domain.runs import CurvePoint, Phase, TrainingProgress


@pytest.mark.parametrize(
    "progress",
    [
        TrainingProgress(Phase.RECEIVING_INPUTS),
        TrainingProgress(
            Phase.TRAINING,
            input_count=7,
            step=3,
            step_count=9,
            loss=0.5,
            learning_rate=1e-4,
            queries_per_second=2.5,
            remaining_seconds=8.0,
            metrics={"base_ndcg_at_10": 0.25, "validation_ndcg_at_10": 0.5},
            points=(
                CurvePoint(0, NOW, metrics={"base_ndcg_at_10": 0.25}),
                CurvePoint(3, NOW + SECOND, loss=0.0, learning_rate=0.0),
            ),
        ),
    ],
)
def test_a_report_arrives_as_it_was_sent(progress: TrainingProgress) -> None:
    """Every field of a report arrives; a loss of 0 stays 0, and an absent one stays absent."""
    message = report_message(progress)
    assert report_from(type(message).FromString(message.SerializeToString())) == progress
