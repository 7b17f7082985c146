"""`demo`."""

import contextlib
import signal
import sys
import time
from pathlib import Path

import click

from clickstream.cli.serving import settings_of


@click.command()
@click.option("--keep", is_flag=True, help="Leave the server up afterwards, and print commands to try.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=Path(".data/demo"), show_default=True, help="Its own data."
)
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="Address of the demo's own server.")
def demo(keep: bool, data_dir: Path, listen: str) -> None:
    """Play simulated shoppers against an own server, and train a better model from their clicks."""
    import grpc
    from rich.console import Console

    from clickstream.app.trainer import packaged_model
    from clickstream.demo.own_server import ServerFailedError, own_server
    from clickstream.demo.ranking import ranker
    from clickstream.demo.report import show_commands
    from clickstream.demo.story import DemoFailedError, run_demo

    console = Console()
    try:
        with own_server(data_dir, listen) as address, grpc.insecure_channel(address) as channel:
            name = f"demo-{int(time.time())}"
            outcome = run_demo(channel, console, settings_of().base_model or packaged_model(), name, ranker)
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
