"""How commands call a running service, and the exit codes of what goes wrong there."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import click

from clickstream.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    import grpc

    from clickstream.client.admin import AdminClient
    from clickstream.client.analytics import AnalyticsClient

ADDRESS = click.option(
    "--address",
    envvar="CLICKSTREAM_ADDRESS",
    default="127.0.0.1:50051",
    show_default=True,
    show_envvar=True,
    help="Address of the service.",
)
JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object per line, with the contract's names."
)

# An answer with 256 vectors of 4,096 dimensions takes 4 MiB, which is gRPC's default limit.
_RECEIVED_BYTES = 64 * 1024 * 1024
_DEFECTS = {"INTERNAL", "UNKNOWN", "DATA_LOSS"}


@contextlib.contextmanager
def calling(address: str) -> "Iterator[AdminClient]":
    """A client of the service. A call that fails ends the command with the server's words and an exit code."""
    from clickstream.client.admin import AdminClient

    with channel_to(address) as channel:
        yield AdminClient(channel)


@contextlib.contextmanager
def asking(address: str) -> "Iterator[AnalyticsClient]":
    """As `calling`, a client for figures."""
    from clickstream.client.analytics import AnalyticsClient

    with channel_to(address) as channel:
        yield AnalyticsClient(channel)


@contextlib.contextmanager
def channel_to(address: str) -> "Iterator[grpc.Channel]":
    """A channel to the service, with the same ends as `calling`."""
    import grpc

    from clickstream.client.channel import OPTIONS

    options = [*OPTIONS, ("grpc.max_receive_message_length", _RECEIVED_BYTES)]
    try:
        with grpc.insecure_channel(address, options) as channel:
            yield channel
    except grpc.RpcError as error:
        end(in_words(error), exit_code_of(error))


def end(message: str, code: ExitCode) -> NoReturn:
    """Ends the command with one line on stderr and this exit code."""
    click.echo(f"clickstream: {message}", err=True)
    sys.exit(code)


def in_words(error: "grpc.RpcError") -> str:
    """The status of a failed call, and the fields that it names or its message."""
    from clickstream.client.calls import violations

    why = "; ".join(f"{field}: {description}" for field, description in violations(error)) or error.details()
    return f"{error.code().name}: {why}"


def exit_code_of(error: "grpc.RpcError") -> ExitCode:
    """The exit code of a failed call: repeat it, call a person because of a defect, or mend what was asked for."""
    from clickstream.client.calls import is_passing
    from clickstream.contract.statuses import reason_of

    if is_passing(error):
        return ExitCode.SERVER_AWAY
    if error.code().name in _DEFECTS:
        return ExitCode.FAILED
    return ExitCode.GATE_NOT_PASSED if reason_of(error) == "GATE_NOT_PASSED" else ExitCode.REFUSED
