"""`serve`, `trainer` and `worker`."""

import logging
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clickstream.cli.connection import end
from clickstream.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from clickstream.app.settings import Settings


def settings_of(**given: object) -> "Settings":
    """The settings; an option comes before its variable. Raises UsageError (exit code 2) that names wrong variables."""
    from pydantic import ValidationError

    from clickstream.app.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = ((str(each["loc"][0]), each["msg"]) for each in error.errors())
        variables = ((name if name.isupper() else f"CLICKSTREAM_{name.upper()}", why) for name, why in wrong)
        raise click.UsageError("; ".join(f"{variable}: {why}" for variable, why in variables)) from error


def run_server(main_coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a server on uvloop until it is stopped, and ends the process. If it cannot start, one line says why.

    The exit code is then 2 if a setting or a file is wrong, 4 if its store or trainer is away, and otherwise 1.
    """
    import asyncio

    import uvloop

    from clickstream.domain.errors import ClickstreamError, StartError, Unavailable

    async def to_the_end() -> None:
        await main_coroutine
        # Ports are still open, and new calls are refused, until the kernel closes them: see `Server.drain`. Taking
        # the event loop and gRPC apart would cancel the calls of this moment instead.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ExitCode.DONE)

    logging.getLogger("clickstream").setLevel(logging.INFO)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(to_the_end())
    except Unavailable as error:
        end(str(error), ExitCode.SERVER_AWAY)
    except (ClickstreamError, ValueError) as error:
        end(str(error), ExitCode.WRONG_USE)
    except StartError as error:
        end(str(error), ExitCode.FAILED)


def quiet_grpc() -> None:
    """Turns gRPC's own log off, before gRPC is loaded: it writes a line for each bad handshake and refused request.

    A client that repeats such requests could fill the disk. The variable GRPC_VERBOSITY turns it on again.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


FILE = click.Path(path_type=Path)
LOG = click.option("--log-format", type=click.Choice(["text", "json"]), help="Format of the log. Default: text.")
METRICS = click.option("--metrics-listen", help="Address of metrics and probes, over plain HTTP. Default: none.")


def door_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that listens. Settings that have none are variables (docs/reference/settings.md)."""
    for option in (
        click.option("--insecure", is_flag=True, default=None, help="Serve other machines without TLS or tokens."),
        click.option("--tls-client-ca", type=FILE, help="Authorities of the client certificates that callers show."),
        click.option("--tls-key", type=FILE, help="Private key of the certificate."),
        click.option("--tls-cert", type=FILE, help="Certificate of this server, in PEM. Default: plain text."),
        click.option("--tokens", type=FILE, help="Token file: who may call what. Default: everybody everything."),
        click.option(
            "--listen", help="Address: HOST:PORT, 127.0.0.1:50051 for example, or unix:/PATH. Port 0: any free port."
        ),
    ):
        command = option(command)
    return command


@click.command()
@door_options
@click.option("--internal-listen", help="Second address, for every method; --listen then serves search backends only.")
@METRICS
@LOG
@click.option("--data-dir", type=FILE, help="Folder of the embedded MongoDB, of checkpoints and of models.")
@click.option("--trainer", help="Address of a `clickstream trainer`. Default: train in this process.")
@click.option("--processes", type=click.IntRange(min=1), help="Number of processes that serve on one port.")
@click.option(
    "--pin/--no-pin", default=None, help="Keep each process on one CPU core. Default: yes, if that leaves a core free."
)
def serve(**given: object) -> None:
    """Run the service, on an embedded MongoDB or on the one that MONGODB_URI names.

    An address that other machines can reach needs a certificate and a token file, or --insecure.
    """
    quiet_grpc()
    from clickstream.app.serve import serve, serve_in_processes

    settings = settings_of(**given)
    run_server(serve_in_processes(settings) if settings.processes else serve(settings))


@click.command()
@door_options
@METRICS
@LOG
@click.option("--data-dir", type=FILE, help="Folder of checkpoints and models.")
def trainer(**given: object) -> None:
    """Run the fine-tuning module as its own process, on a training machine.

    Under torchrun, the first process listens and the others share its work.
    """
    quiet_grpc()
    from clickstream.app.trainer import follow_trainer, serve_trainer

    if os.environ.get("RANK", "0") != "0":
        follow_trainer()
    else:
        run_server(serve_trainer(settings_of(**given)))


@click.command()
@METRICS
@LOG
@click.option("--data-dir", type=FILE, help="Folder of checkpoints and models.")
@click.option("--trainer", help="Address of a `clickstream trainer`. Default: train in this process.")
def worker(**given: object) -> None:
    """Work on training runs and the improvement queue, without serving.

    MONGODB_URI names the database of a running service. Several workers share the work.
    """
    quiet_grpc()
    from clickstream.app.worker import work

    run_server(work(settings_of(**given)))
