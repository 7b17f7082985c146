"""A training run on the console while it learns: a bar and a table, or plain lines where there is no terminal."""

from collections.abc import Iterable

from embedding_studio.clickstream.v1 import evaluation_pb2 as evaluation_pb
from embedding_studio.clickstream.v1 import training_progress_pb2 as progress_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

PHASES = {
    progress_pb.TrainingProgress.PHASE_RECEIVING_INPUTS: "receiving inputs",
    progress_pb.TrainingProgress.PHASE_EVALUATING_BASE: "measuring the base model",
    progress_pb.TrainingProgress.PHASE_TRAINING: "training",
    progress_pb.TrainingProgress.PHASE_EVALUATING_NEW: "measuring the new model",
    progress_pb.TrainingProgress.PHASE_SAVING: "saving",
    progress_pb.TrainingProgress.PHASE_WAITING: "waiting",
}
# Without a terminal, steps of a run are printed in this many lines at most; every change of its phase has a line, too.
LINES_PER_TRAINING = 20

_NUMBERS = {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}


def follow(runs: Iterable[runs_pb.TrainingRun], console: Console) -> runs_pb.TrainingRun:
    """Shows a run after every change, until the runs end.

    Args:
        runs: The run as it changes, as `AdminClient.watch_training` yields it; at least once.
        console: Where it is shown: as a screen that is drawn anew, or in lines where there is no terminal.

    Returns:
        The run as it was last.
    """
    last = runs_pb.TrainingRun()
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            for last in runs:
                live.update(_screen(last))
        return last
    printed = ""
    for last in runs:
        if (news := _news(last)) != printed:
            console.print(_line(last), soft_wrap=True, markup=False, highlight=False)
            printed = news
    return last


def state_of(run: runs_pb.TrainingRun) -> str:
    """`queued`, `running` and so on."""
    return runs_pb.TrainingRunState.Name(run.state).removeprefix("TRAINING_RUN_STATE_").lower()


def doing(run: runs_pb.TrainingRun) -> str:
    """The state of a run in words or, while it runs, its phase."""
    if run.state == runs_pb.TRAINING_RUN_STATE_RUNNING:
        phase = PHASES.get(run.progress.phase, "starting")
        return f"{phase} for {run.progress.waits_for}" if run.progress.waits_for else phase
    return state_of(run)


def figures(progress: progress_pb.TrainingProgress) -> dict[str, str]:
    """The figures of a run beside its steps, by name: inputs, loss, speed, time left and metrics, as far as known."""
    known: dict[str, str] = {}
    if progress.input_count:
        known["inputs"] = f"{progress.input_count:,}"
    if progress.phase == progress_pb.TrainingProgress.PHASE_TRAINING and progress.step:
        known["loss"] = f"{progress.loss:.4f}"
        known["learning rate"] = f"{progress.learning_rate:.2e}"
        known["queries/s"] = f"{progress.queries_per_second:.1f}"
        known["time left"] = duration(progress.remaining_seconds)
    return known | {name: f"{value:.4f}" for name, value in sorted(progress.metrics.items())}


def duration(seconds: float) -> str:
    """`7 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _screen(run: runs_pb.TrainingRun) -> Group:
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    bar = Progress(*columns)
    progress = run.progress
    bar.add_task(f"{escape(run.run_id)}: {doing(run)}", total=progress.step_count or None, completed=progress.step)
    table = Table.grid(padding=(0, 2))
    for name, value in figures(progress).items():
        table.add_row(name, value)
    return Group(bar, table)


def _news(run: runs_pb.TrainingRun) -> str:
    """Changes when a further line is due: with the phase, with a metric, and with each twentieth of the steps."""
    progress = run.progress
    part = LINES_PER_TRAINING * progress.step // max(1, progress.step_count)
    return f"{doing(run)} {part} {run.attempts} {sorted(progress.metrics.items())}"


def _line(run: runs_pb.TrainingRun) -> str:
    progress = run.progress
    steps = f" step {progress.step}/{progress.step_count}" if progress.step_count else ""
    known = "".join(f", {name} {value}" for name, value in figures(progress).items())
    return f"{run.run_id}: {doing(run)}{steps}{known}"


def show_outcome(run: runs_pb.TrainingRun, console: Console) -> None:
    """Prints how a run ended: its state with the reason, and the evaluation of its model."""
    console.print(f"{escape(run.run_id)} {state_of(run)}: {escape(run.reason)}", soft_wrap=True, highlight=False)
    if unnamed := run.conversion.unknown_types:
        listed = ", ".join(
            f"{name} {count:,}" for name, count in sorted(unnamed.items(), key=lambda each: -each[1])[:10]
        )
        what = f"Event types that the importance policy does not name: {listed}"
        console.print(escape(what), soft_wrap=True, highlight=False)
    if not run.HasField("model_version"):
        return
    version = run.model_version
    for table in evaluation_tables(version.evaluation):
        console.print(table)
    verdict = "passed its gate" if version.gate_passed else "did not pass its gate"
    console.print(
        f"{escape(version.model_version_id)}, {verdict}: {escape(version.path)}", soft_wrap=True, highlight=False
    )


def evaluation_tables(evaluation: evaluation_pb.Evaluation) -> list[Table]:
    """The figures of an evaluation: the two models side by side, its other figures, and a table for each list.

    Of a comparison that is a part of the evaluation, only nDCG is shown: the gate decides by it.
    """
    models, others, lists = Table("metric"), Table("figure", "value"), []
    sides: dict[str, dict[str, str]] = {}
    for field, value in evaluation.ListFields():
        if field.is_repeated:
            lists.append(_list_table(field.name, value))
        elif not field.message_type:
            others.add_row(field.name, _text(field, value))
        elif field.message_type == evaluation_pb.Metrics.DESCRIPTOR:
            sides[field.name] = _flat(value)
        else:
            flat = _flat(value)
            for name, text in (_brief(flat) if _parts(value) else flat).items():
                others.add_row(f"{field.name}.{name}", escape(text))
    for name in sides:
        models.add_column(name, justify="right")
    for metric in dict.fromkeys(metric for side in sides.values() for metric in side):
        models.add_row(metric, *(side.get(metric, "") for side in sides.values()))
    return [table for table in (models, others, *lists) if table.row_count]


def _list_table(name: str, rows: Iterable[Message]) -> Table:
    flat = [_brief(_flat(row)) for row in rows]
    columns = list(dict.fromkeys(column for row in flat for column in row))
    table = Table(title=name.replace("_", " "), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in flat:
        table.add_row(*(escape(row.get(column, "")) for column in columns))
    return table


def _flat(message: Message) -> dict[str, str]:
    """The fields of a message as text: those of a part as `part.field`, or as `field` if it is the only part."""
    flat: dict[str, str] = {}
    parts = _parts(message)
    for field in message.DESCRIPTOR.fields:
        if field in parts:
            if message.HasField(field.name):
                prefix = f"{field.name}." if len(parts) > 1 else ""
                flat |= {prefix + name: text for name, text in _flat(getattr(message, field.name)).items()}
        elif not field.is_repeated:
            flat[field.name] = _text(field, getattr(message, field.name))
    return flat


def _parts(message: Message) -> list[FieldDescriptor]:
    return [field for field in message.DESCRIPTOR.fields if field.message_type and not field.is_repeated]


def _brief(flat: dict[str, str]) -> dict[str, str]:
    """Without the metrics other than nDCG: a terminal is narrow."""
    others = ("mrr", "recall")
    return {name: text for name, text in flat.items() if not any(metric in name for metric in others)}


def _text(field: FieldDescriptor, value: object) -> str:
    return f"{value:.4f}" if field.cpp_type in _NUMBERS else str(value)
