"""The command line. Each command imports what it needs when it runs: `serve` must start fast."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from clickstream.cli.calling import ADDRESS, calling
from clickstream.cli.retrying import retry
from clickstream.cli.tables import TABLES
from clickstream.judgements import JudgedQuery, read_trec
from clickstream.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--verbose",
    is_flag=True,
    help="Log at INFO, libraries too. Without it serve, worker and trainer log what they do, and all else warnings.",
)
def main(verbose: bool) -> None:
    """Search click data, from the click to a measurably better embedding model."""
    # To stderr: stdout is for what a command was asked for.
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def _settings(**given: object) -> Settings:
    """The settings, command line before environment. Ends the command with the reason if they are bad."""
    from pydantic import ValidationError

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise click.UsageError("; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())) from error


def _run(main_coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a server on uvloop, which logs what it does; what it cannot start without is said in one line."""
    import uvloop

    from clickstream.dao.embedded import EmbeddedMongoError
    from clickstream.errors import ClickstreamError
    from clickstream.servicers.server import ListenError
    from clickstream.supervisor import StartError

    logging.getLogger("clickstream").setLevel(logging.INFO)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main_coroutine)
    except (ClickstreamError, EmbeddedMongoError, ListenError, StartError, ValueError) as error:
        sys.exit(f"clickstream: {error}")


@main.command()
@click.option("--listen", help="Address and port, for example 127.0.0.1:50051; port 0 takes a free one.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the embedded MongoDB and of models.")
@click.option("--trainer", help="Address of a `clickstream trainer`; without it, training runs in this process.")
@click.option("--processes", type=click.IntRange(min=1), help="Serve from so many processes on the one port.")
@click.option("--pin/--no-pin", default=None, help="Keep each process to a core; default: if one is left free.")
def serve(
    listen: str | None, data_dir: Path | None, trainer: str | None, processes: int | None, pin: bool | None
) -> None:
    """Run the service, over an embedded MongoDB or the one of MONGODB_URI."""
    from clickstream import app

    settings = _settings(listen=listen, data_dir=data_dir, trainer=trainer, processes=processes, pin=pin)
    _run(app.serve_in_processes(settings) if settings.processes else app.serve(settings))


@main.command()
@click.option("--listen", help="Address and port, for example 127.0.0.1:50061; port 0 takes a free one.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of checkpoints and models.")
def trainer(listen: str | None, data_dir: Path | None) -> None:
    """Run the fine-tuning module as a process of its own, on a training machine.

    Under torchrun, the first process listens and the others share its work.
    """
    from clickstream import app

    if os.environ.get("RANK", "0") != "0":
        app.follow_trainer()
    else:
        _run(app.serve_trainer(_settings(listen=listen, data_dir=data_dir)))


@main.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of checkpoints and models.")
@click.option("--trainer", help="Address of a `clickstream trainer`; without it, training runs in this process.")
def worker(data_dir: Path | None, trainer: str | None) -> None:
    """Work on training runs and the improvement queue of the database in MONGODB_URI, serving nothing.

    Run as many as you like: they share the work.
    """
    from clickstream import app

    _run(app.work(_settings(data_dir=data_dir, trainer=trainer)))


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _judgements(qrels: Path | None, queries: Path | None) -> list[JudgedQuery]:
    if qrels is None and queries is None:
        return []
    if qrels is None or queries is None:
        raise click.UsageError("--qrels and --queries go together: qrels name queries by id, the log knows their text")
    try:
        return read_trec(qrels, queries)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@main.command()
@click.argument("batches", metavar="BATCH...", nargs=-1, required=True)
@click.option("--run-id", help="Names the run; the same id with the same content starts nothing new.")
@click.option("--base-model", help="Folder or name of the model to train; short for --set base_model=...")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of the run; may be repeated."
)
@click.option("--qrels", type=_FILE, help="Judgements: lines `query-id iteration object-id grade`, as TREC has them.")
@click.option("--queries", type=_FILE, help="The judged queries: lines `query-id <tab> text`.")
@click.option("--watch", "watching", is_flag=True, help="Show the run until it ends; its outcome is the exit code.")
@ADDRESS
def train(
    batches: tuple[str, ...],
    run_id: str | None,
    base_model: str | None,
    assignments: tuple[str, ...],
    qrels: Path | None,
    queries: Path | None,
    watching: bool,
    address: str,
) -> None:
    """Start a training run over released batches."""
    from clickstream.client.calls import training_stub
    from clickstream.client.training import parse_settings, start

    try:
        settings = parse_settings([*assignments, *([f"base_model={base_model}"] if base_model else [])])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from error
    judged = _judgements(qrels, queries)
    run_id = run_id or f"run-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    with calling(address) as channel:
        created = start(training_stub(channel), run_id, batches, settings, judged)
        click.echo(f"{run_id} {'queued' if created else 'was started before'}")
        if watching:
            _watch_to_the_end(channel, run_id)


@main.command()
@click.argument("run_id")
@ADDRESS
def watch(run_id: str, address: str) -> None:
    """Show a training run until it ends.

    Exit code 0 if it succeeded, promoted or not, 1 if it failed, 3 if it was canceled, 4 if the server
    stayed away for ten minutes. Ctrl-C stops watching, not the run, with exit code 130.
    """
    with calling(address) as channel:
        _watch_to_the_end(channel, run_id)


def _watch_to_the_end(channel: Any, run_id: str) -> None:
    import grpc
    from rich.console import Console

    from clickstream.client.calls import is_passing, training_stub
    from clickstream.client.training import watch
    from clickstream.watching import follow, state_of

    again = f"To watch it again: clickstream watch {run_id}"

    try:
        run = follow(watch(training_stub(channel), run_id), Console())
    except KeyboardInterrupt:
        click.echo(f"\nNo longer watching; the run goes on. {again}", err=True)
        sys.exit(130)
    except grpc.RpcError as error:
        if not is_passing(error):
            raise
        click.echo(
            f"The server stays away: {error.details()}. The run does not need it to be watched. {again}", err=True
        )
        sys.exit(4)
    sys.exit({"succeeded": 0, "canceled": 3}.get(state_of(run), 1))


@main.group("import")
def import_group() -> None:
    """Send recorded history to a running service."""


@import_group.command("ubi")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@ADDRESS
def import_ubi_command(file: Path, address: str) -> None:
    """Import OpenSearch UBI queries and events (bulk form or plain ndjson)."""
    import grpc
    from rich.console import Console

    from clickstream.account import show
    from clickstream.importing import import_ubi

    console = Console()
    with grpc.insecure_channel(address) as channel:
        account = import_ubi(file, channel, console)
    show(account, console)
    sys.exit(0 if account.balanced and not account.stopped else 1)


@main.command()
@click.option("--keep", is_flag=True, help="Leave the server up afterwards, and print commands to try.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=Path(".data/demo"), show_default=True, help="Its own data."
)
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="Address of the demo's own server.")
def demo(keep: bool, data_dir: Path, listen: str) -> None:
    """Play simulated shoppers against an own server, and train a better model from their clicks."""
    import grpc
    from rich.console import Console

    from clickstream.app import packaged_model
    from clickstream.demo.own_server import ServerFailedError, own_server
    from clickstream.demo.ranking import ranker
    from clickstream.demo.report import show_commands
    from clickstream.demo.story import DemoFailedError, run_demo

    console = Console()
    try:
        with own_server(data_dir, listen) as address, grpc.insecure_channel(address) as channel:
            name = f"demo-{int(time.time())}"
            outcome = run_demo(channel, console, _settings().base_model or packaged_model(), name, ranker)
            if keep:
                show_commands(address, outcome.run, console)
                _wait_for_interrupt()
    except (DemoFailedError, ServerFailedError) as error:
        sys.exit(f"clickstream demo: {error}")
    except grpc.RpcError as error:
        sys.exit(f"clickstream demo: {error.code().name}: {error.details()}")


def _wait_for_interrupt() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


for _command in (*TABLES, retry):
    main.add_command(_command)
