"""Model versions: domain objects to contract messages and back."""

from dataclasses import asdict

from embedding_studio.clickstream.v1 import model_version_pb2

from clickstream.contract.encoding import timestamp, utc
from clickstream.contract.evaluations import evaluation_from
from clickstream.domain.evaluations import ClickModelScore
from clickstream.domain.model_versions import DataCounts, ModelVersion


def model_version_message(version: ModelVersion) -> model_version_pb2.ModelVersion:
    """A model version for the contract."""
    values = asdict(version) | {"created_at": timestamp(version.created_at)}
    return model_version_pb2.ModelVersion(**values)


def model_version_from(message: model_version_pb2.ModelVersion) -> ModelVersion:
    """A model version as a domain object, without `serving`, which is no property of the version."""
    data = message.data
    return ModelVersion(
        model_version_id=message.model_version_id,
        run_id=message.run_id,
        path=message.path,
        base_model=message.base_model,
        batch_ids=tuple(message.batch_ids),
        policy_version=message.policy_version,
        data_fingerprint=message.data_fingerprint,
        data=DataCounts(
            data.input_count,
            data.training_queries,
            data.held_out_queries,
            data.items,
            data.items_without_text,
            data.inputs_without_text,
            data.inputs_outside_time,
        ),
        evaluation=evaluation_from(message.evaluation),
        gate_passed=message.gate_passed,
        gate_reason=message.gate_reason,
        created_at=utc(message.created_at),
        click_models=tuple(
            ClickModelScore(score.name, score.perplexity, score.log_likelihood, score.chosen)
            for score in message.click_models
        ),
        parent_model_version_id=message.parent_model_version_id,
    )
