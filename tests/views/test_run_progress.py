"""A watched run on a console."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict

import pytest
from embedding_studio.clickstream.internal.v1 import fine_tuning_service_pb2
from embedding_studio.clickstream.v1 import evaluation_pb2 as evaluation_pb
from embedding_studio.clickstream.v1 import model_version_pb2 as versions_pb
from embedding_studio.clickstream.v1 import training_progress_pb2 as progress_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from rich.console import Console
from support.builders import model_version, training_run

from clickstream.contract.models import model_version_message
from clickstream.contract.runs import progress_message, run_message
from clickstream.domain.runs import Phase, RunState, TrainingProgress
from clickstream.views import run_progress
from clickstream.views.run_progress import duration, evaluation_tables, follow, show_outcome

STEPS = 1_000


def at(run_id: str = "run-1", **progress: object) -> runs_pb.TrainingRun:
    """A running run with this progress."""
    run = run_message(training_run(run_id))
    run.state = runs_pb.TRAINING_RUN_STATE_RUNNING
    run.progress.CopyFrom(progress_message(TrainingProgress(**progress)))  # type: ignore[arg-type]
    return run


def whole_run() -> Iterator[runs_pb.TrainingRun]:
    """A run from the queue to its model, each step reported."""
    yield run_message(training_run())
    yield at(phase=Phase.RECEIVING_INPUTS, input_count=1_234)
    measured = {"base_ndcg_at_10": 0.25}
    for step in range(STEPS + 1):
        figures = {"loss": 0.5, "learning_rate": 1e-4, "queries_per_second": 12.5, "remaining_seconds": 75.0}
        yield at(phase=Phase.TRAINING, step=step, step_count=STEPS, metrics=measured, **figures)
    run = run_message(training_run())
    run.state, run.reason = runs_pb.TRAINING_RUN_STATE_SUCCEEDED, "well"
    run.model_version.CopyFrom(model_version_message(model_version()))
    yield run


def shown(runs: Iterable[runs_pb.TrainingRun], console: Console) -> runs_pb.TrainingRun:
    """A run to its end, and then its outcome, as `clickstream watch` shows them."""
    last = follow(runs, console)
    show_outcome(last, console)
    return last


def test_without_a_terminal_there_are_plain_lines() -> None:
    """Each phase is a line, the steps are at most 20 lines, and no control characters are written."""
    out = io.StringIO()
    last = shown(whole_run(), Console(file=out, width=100))
    lines = out.getvalue().splitlines()
    assert last.state == runs_pb.TRAINING_RUN_STATE_SUCCEEDED
    assert lines[:2] == ["run-1: queued", "run-1: receiving inputs, inputs 1,234"]
    steps = [line for line in lines if " training step" in line]
    assert len(steps) == run_progress.LINES_PER_TRAINING + 1
    expected = "run-1: training step 50/1000, loss 0.5000, learning rate 1.00e-04, queries/s 12.5, time left 1 min 15 s"
    assert steps[1] == f"{expected}, base_ndcg_at_10 0.2500"
    assert "run-1 succeeded: well" in lines
    assert lines[-1] == "model-run-1, passed its gate: models/run-1"
    assert "\x1b" not in out.getvalue()


def test_a_metric_is_shown_as_soon_as_it_is_known() -> None:
    """A new metric makes a line of its own; a report without news makes none."""
    out = io.StringIO()
    reports = [
        at(phase=Phase.TRAINING, step=1, step_count=STEPS),
        at(phase=Phase.TRAINING, step=2, step_count=STEPS),
        at(phase=Phase.TRAINING, step=2, step_count=STEPS, metrics={"validation_ndcg_at_10": 0.75}),
    ]
    shown(reports, Console(file=out, width=100))
    steps = [line for line in out.getvalue().splitlines() if " training step" in line]
    assert [line.split(",")[0] for line in steps] == ["run-1: training step 1/1000", "run-1: training step 2/1000"]
    assert steps[1].endswith("validation_ndcg_at_10 0.7500")


def test_on_a_terminal_there_is_a_bar_and_a_table() -> None:
    """The screen shows steps and figures, and afterwards what came out."""
    out = io.StringIO()
    *_, last_step, ended = whole_run()
    ended.progress.CopyFrom(last_step.progress)
    for runs in ([last_step], [last_step, ended]):
        shown(runs, Console(file=out, width=100, force_terminal=True))
    for expected in ("training", "1000/1000", "learning rate", "1 min 15 s", "base_ndcg_at_10", "run-1 succeeded"):
        assert expected in out.getvalue()


def test_a_failed_run_shows_its_reason_and_no_model() -> None:
    """R16: state and reason, as they are, also where the reason looks like console markup."""
    out = io.StringIO()
    run = run_message(training_run())
    run.state, run.reason = runs_pb.TRAINING_RUN_STATE_FAILED, "item_template '[bold]' gives no text"
    assert shown([run], Console(file=out, width=100)).state == runs_pb.TRAINING_RUN_STATE_FAILED
    assert out.getvalue().splitlines() == ["run-1: failed", "run-1 failed: item_template '[bold]' gives no text"]


def test_types_that_the_policy_does_not_name_are_shown() -> None:
    """The outcome says which event types trained as if they were only shown."""
    out = io.StringIO()
    run = run_message(training_run())
    run.conversion.unknown_types.update({"share": 3, "[odd]": 1_200})
    show_outcome(run, Console(file=out, width=100))
    assert out.getvalue().splitlines()[1].endswith("does not name: [odd] 1,200, share 3")


def test_every_figure_of_an_evaluation_is_shown() -> None:
    """The models stand side by side, and no figure of the contract is left out, whichever there are."""
    evaluation = model_version_message(model_version()).evaluation
    console = Console(record=True, width=120, file=io.StringIO())
    for table in evaluation_tables(evaluation):
        console.print(table)
    text = console.export_text()
    for name, values in asdict(model_version().evaluation).items():
        assert name in text or name.replace("_", " ") in text
        for value in values.values() if isinstance(values, dict) else [values]:
            if isinstance(value, float):
                assert f"{value:.4f}" in text
    assert evaluation_tables(evaluation_pb.Evaluation()) == []


def test_a_list_of_messages_is_a_table() -> None:
    """Rows of any message with parts, as the columns `part.field`; what a row lacks is empty, of metrics only nDCG."""
    evaluation = model_version_message(model_version()).evaluation
    rows = [
        fine_tuning_service_pb2.FineTuneResponse(progress=progress_pb.TrainingProgress(step=3)),
        fine_tuning_service_pb2.FineTuneResponse(
            model_version=versions_pb.ModelVersion(run_id="[red]run", evaluation=evaluation)
        ),
    ]
    console = Console(record=True, width=5_000, file=io.StringIO())
    console.print(run_progress._list_table("per_segment", rows))
    text = console.export_text()
    for expected in ("per segment", "progress.step", "model_version.run_id", "[red]run", "evaluation.base.ndcg_at_10"):
        assert expected in text
    assert "mrr" not in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7_500, "2 h 5 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_a_duration_in_words(seconds: float, words: str) -> None:
    """Seconds below a minute, minutes below an hour, then hours."""
    assert duration(seconds) == words


def test_every_state_and_phase_has_words() -> None:
    """No state or phase of the contract comes out as a number or without a name."""
    for phase in Phase:
        assert run_progress.doing(at(phase=phase)) in run_progress.PHASES.values()
    for state in RunState:
        run = runs_pb.TrainingRun(state=f"TRAINING_RUN_STATE_{state.name}")
        assert run_progress.state_of(run) == state
