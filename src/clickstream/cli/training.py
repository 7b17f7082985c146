"""`train` and `watch`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clickstream.cli.connection import ADDRESS, JSON, asking, calling, end, in_words
from clickstream.cli.exit_codes import ExitCode
from clickstream.cli.made_ids import made_id
from clickstream.domain.judgements import JudgedQuery

if TYPE_CHECKING:
    from clickstream.client.admin import AdminClient

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _judgements(qrels: Path | None, queries: Path | None) -> list[JudgedQuery]:
    from clickstream.cli.qrels import read_trec

    if qrels is None and queries is None:
        return []
    if qrels is None or queries is None:
        raise click.UsageError(
            "--qrels and --queries go together: qrels name queries by id, and the log has their texts"
        )
    try:
        return read_trec(qrels, queries)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@click.command()
@click.argument("batches", metavar="BATCH...", nargs=-1, required=True)
@click.option(
    "--run-id", help="Names the run. The same id with the same content starts nothing new. Default: a new id."
)
@click.option(
    "--base-model",
    help="The model to start from: a model version, a folder, a name, or `base` for the configured one. "
    "Default: the version that serves, if there is one, otherwise the configured one.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the run; numbers and times as JSON. May be repeated.",
)
@click.option("--qrels", type=_FILE, help="Judgements: lines `query-id iteration object-id grade`, as TREC has them.")
@click.option("--queries", type=_FILE, help="The judged queries: lines `query-id <tab> text`.")
@click.option("--watch", "watching", is_flag=True, help="Show the run until it ends, as `clickstream watch` does.")
@JSON
@ADDRESS
def train(
    batches: tuple[str, ...],
    run_id: str | None,
    base_model: str | None,
    assignments: tuple[str, ...],
    qrels: Path | None,
    queries: Path | None,
    watching: bool,
    as_json: bool,
    address: str,
) -> None:
    """Start a training run over released batches.

    With --watch, the exit codes are those of `clickstream watch`, and --json prints the run after each change.
    """
    from clickstream.cli.run_settings import parse_settings
    from clickstream.views.tables import json_line

    try:
        settings = parse_settings([*assignments, *([f"base_model={base_model}"] if base_model else [])])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from error
    judged = _judgements(qrels, queries)
    run_id = run_id or made_id("run")
    doubts = [doubt for batch in batches if (doubt := _doubt_about(batch, address))]
    with calling(address) as client:
        answer = client.start_training(run_id, batches, settings, judged)
        for doubt in doubts:
            click.echo(f"clickstream: {doubt}", err=True)
        if as_json and not watching:
            click.echo(json_line(answer))
        else:
            click.echo(f"{run_id} {'queued' if answer.created else 'was started before'}", err=as_json)
        if watching:
            watch_to_the_end(client, run_id, as_json)


def _doubt_about(batch_id: str, address: str) -> str:
    """Why a model of this batch can hardly be judged; "" if it can, or the service does not know yet."""
    import grpc

    with asking(address) as client:
        try:
            answer = client.quality(batch_id=batch_id)
        except grpc.RpcError:
            return ""  # the training itself says what is wrong
    if answer.steps[-1].is_reached or not answer.coverage.HasField("exact_until"):
        return ""
    missing = [each for step in answer.steps for each in step.missing]
    return f"a model of {batch_id} can hardly be judged: {'; '.join(missing)}"


@click.command()
@click.argument("run_id")
@JSON
@ADDRESS
def watch(run_id: str, as_json: bool, address: str) -> None:
    """Show a training run until it ends, then which model version serves and what to do next.

    Exit code 0 if its model passed the gate, 7 if it did not, 6 if the run failed or was canceled, and 4 if the
    server was away for ten minutes. Ctrl-C ends the watching, not the run, with exit code 130.
    """
    with calling(address) as client:
        watch_to_the_end(client, run_id, as_json)


def watch_to_the_end(client: "AdminClient", run_id: str, as_json: bool) -> None:
    """Shows a run until it ends, and ends the process with the exit code of its outcome."""
    import grpc

    from clickstream.client.calls import is_passing

    again = f"To watch it again: clickstream watch {run_id}"
    try:
        run = _show_run(client, run_id, as_json)
        for line in _what_next(client, run):
            click.echo(line, err=as_json)
    except KeyboardInterrupt:
        click.echo(f"\nNo longer watching; the run goes on. {again}", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except grpc.RpcError as error:
        if not is_passing(error):
            raise
        end(f"the server is away ({in_words(error)}). The run goes on without a watcher. {again}", ExitCode.SERVER_AWAY)
    sys.exit(_exit_code_of(run))


def _show_run(client: "AdminClient", run_id: str, as_json: bool) -> Any:
    from rich.console import Console

    from clickstream.views.run_progress import follow, show_outcome
    from clickstream.views.tables import json_line

    changes = client.watch_training(run_id)
    if as_json:
        for run in changes:
            click.echo(json_line(run))
        return run
    console = Console()
    run = follow(changes, console)
    show_outcome(run, console)
    return run


def _what_next(client: "AdminClient", run: Any) -> Iterator[str]:
    """What a run's end means for searches: which version serves now, and how to change that."""
    serving, version = client.serving_version_id(), run.model_version
    if run.HasField("model_version") and serving == version.model_version_id:
        yield f"{serving} serves now."
        return
    if run.HasField("model_version"):
        name = version.model_version_id
        if version.gate_passed:
            yield f"{name} passed its gate; promote it with: clickstream promote {name}"
        else:
            yield f"{name} did not pass its gate and is not promoted: {version.gate_reason}"
    yield f"{serving} serves now." if serving else "No model version serves now."


def _exit_code_of(run: Any) -> ExitCode:
    from clickstream.views.run_progress import state_of

    if state_of(run) != "succeeded":
        return ExitCode.RUN_FAILED
    return ExitCode.DONE if run.model_version.gate_passed else ExitCode.GATE_NOT_PASSED
