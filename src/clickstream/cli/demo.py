"""`demo`."""

import contextlib
import signal
import sys
import time
from pathlib import Path

import click

from clickstream.cli.connection import end, exit_code_of, in_words
from clickstream.cli.exit_codes import ExitCode
from clickstream.cli.serving import settings_of


@click.command()
@click.option("--keep", is_flag=True, help="Keep the server running afterwards, and print commands to try.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path(".data/demo"),
    show_default=True,
    help="Folder of the demo's data.",
)
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="Address of the demo's server.")
def demo(keep: bool, data_dir: Path, listen: str) -> None:
    """Let simulated shoppers search on the demo's own server, and train a better model from their clicks.

    Exit code 6 if the training run failed.
    """
    import grpc
    from rich.console import Console

    from clickstream.app.trainer import packaged_model
    from clickstream.client.channel import open_channel
    from clickstream.demo.own_server import ServerFailedError, own_server
    from clickstream.demo.ranking import ranker
    from clickstream.demo.report import show_commands
    from clickstream.demo.search_report import write_report
    from clickstream.demo.story import DemoFailedError, run_demo

    console = Console()
    # Without a handler SIGTERM ends this process at once, and leaves the server behind.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    try:
        with own_server(data_dir, listen) as address, open_channel(address) as channel:
            name = f"demo-{int(time.time())}"
            outcome = run_demo(channel, console, settings_of().base_model or packaged_model(), name, ranker)
            path = (data_dir / "report.html").resolve()
            write_report(channel, path)
            console.print("A report about its searches, to open in a browser:")
            console.print(str(path), soft_wrap=True, highlight=False, markup=False)
            if keep:
                show_commands(address, outcome.run, console)
                _wait_for_interrupt()
    except DemoFailedError as error:
        end(str(error), ExitCode.RUN_FAILED)
    except ServerFailedError as error:
        end(str(error), ExitCode.FAILED)
    except grpc.RpcError as error:
        end(in_words(error), exit_code_of(error))


def _wait_for_interrupt() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
