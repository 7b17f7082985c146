"""Training runs seen from a client: settings as text, and watching until the end."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import fine_tuning_service_pb2 as fine_tuning
from embedding_studio.clickstream.v1 import training_service_pb2 as training
from google.protobuf.json_format import ParseDict, ParseError

from clickstream.client.calls import call, is_passing, pause_before_retry
from clickstream.judgements import JudgedQuery

PATIENCE_SECONDS = 600.0
"""For so long a broken watch is taken up again without any news: servers restart, and machines are moved."""

_FIELDS = fine_tuning.FineTuningSettings.DESCRIPTOR.fields_by_name


def parse_settings(assignments: Sequence[str]) -> fine_tuning.FineTuningSettings:
    """Settings from `name=value`, with the contract's names; values that are no text are JSON.

    Raises:
        ValueError: An assignment that cannot be one, with the reason in words.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in _FIELDS:
            raise ValueError(f"{assignment!r} is not name=value with one of {', '.join(_FIELDS)}")
        try:
            values[name] = text if _FIELDS[name].type == _FIELDS[name].TYPE_STRING else json.loads(text)
            ParseDict({name: values[name]}, fine_tuning.FineTuningSettings())
        except (ValueError, ParseError) as error:
            raise ValueError(f"{assignment!r}: {error}") from error
    return ParseDict(values, fine_tuning.FineTuningSettings())


def start(
    stub: Any,
    run_id: str,
    batches: Sequence[str],
    settings: fine_tuning.FineTuningSettings,
    judged: Sequence[JudgedQuery] = (),
) -> bool:
    """Queues a run; returns whether it is new, and not the same run again.

    Raises:
        grpc.RpcError: The server stayed away, or refused.
    """
    request = training.StartTrainingRequest(
        run_id=run_id,
        batch_ids=batches,
        settings=settings,
        judged_queries=[
            fine_tuning.JudgedQuery(
                query=each.query,
                judgements=[fine_tuning.Judgement(object_id=name, grade=grade) for name, grade in each.grades.items()],
            )
            for each in judged
        ],
    )
    return bool(call(stub.StartTraining, request).created)


def watch(stub: Any, run_id: str) -> Iterator[training.TrainingRun]:
    """Yields the run after every change until it has ended; a broken stream is taken up again.

    Raises:
        grpc.RpcError: The server stayed away for `PATIENCE_SECONDS`, or refused.
    """
    broken, heard_at = 0, time.monotonic()
    while True:
        try:
            for response in stub.WatchTrainingRun(training.WatchTrainingRunRequest(run_id=run_id)):
                broken, heard_at = 0, time.monotonic()
                yield response.run
            return
        except grpc.RpcError as error:
            broken += 1
            if time.monotonic() - heard_at > PATIENCE_SECONDS or not is_passing(error):
                raise
            time.sleep(pause_before_retry(broken, error))
