"""`serve`, `trainer` and `worker`."""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from clickstream.app.settings import Settings


def settings_of(**given: object) -> Settings:
    """The settings, command line before environment. Ends the command with the reason if they are bad."""
    from pydantic import ValidationError

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise click.UsageError("; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())) from error


def run_server(main_coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a server on uvloop, which logs what it does; what it cannot start without is said in one line."""
    import uvloop

    from clickstream.domain.errors import ClickstreamError, StartError

    logging.getLogger("clickstream").setLevel(logging.INFO)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main_coroutine)
    except (ClickstreamError, StartError, ValueError) as error:
        sys.exit(f"clickstream: {error}")


@click.command()
@click.option("--listen", help="Address and port, for example 127.0.0.1:50051; port 0 takes a free one.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the embedded MongoDB and of models.")
@click.option("--trainer", help="Address of a `clickstream trainer`; without it, training runs in this process.")
@click.option("--processes", type=click.IntRange(min=1), help="Serve from so many processes on the one port.")
@click.option("--pin/--no-pin", default=None, help="Keep each process to a core; default: if one is left free.")
def serve(
    listen: str | None, data_dir: Path | None, trainer: str | None, processes: int | None, pin: bool | None
) -> None:
    """Run the service, over an embedded MongoDB or the one of MONGODB_URI."""
    from clickstream.app.serve import serve, serve_in_processes

    settings = settings_of(listen=listen, data_dir=data_dir, trainer=trainer, processes=processes, pin=pin)
    run_server(serve_in_processes(settings) if settings.processes else serve(settings))


@click.command()
@click.option("--listen", help="Address and port, for example 127.0.0.1:50061; port 0 takes a free one.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of checkpoints and models.")
def trainer(listen: str | None, data_dir: Path | None) -> None:
    """Run the fine-tuning module as a process of its own, on a training machine.

    Under torchrun, the first process listens and the others share its work.
    """
    from clickstream.app.trainer import follow_trainer, serve_trainer

    if os.environ.get("RANK", "0") != "0":
        follow_trainer()
    else:
        run_server(serve_trainer(settings_of(listen=listen, data_dir=data_dir)))


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of checkpoints and models.")
@click.option("--trainer", help="Address of a `clickstream trainer`; without it, training runs in this process.")
def worker(data_dir: Path | None, trainer: str | None) -> None:
    """Work on training runs and the improvement queue of the database in MONGODB_URI, serving nothing.

    Run as many as you like: they share the work.
    """
    from clickstream.app.worker import work

    run_server(work(settings_of(data_dir=data_dir, trainer=trainer)))
