"""How commands call a running service, and the exit codes of what goes wrong there."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from clickstream.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    import grpc

    from clickstream.client.admin import AdminClient
    from clickstream.client.analytics import AnalyticsClient

Command = Callable[..., Any]
_CREDENTIALS = "clickstream.credentials"


def _keep(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Keeps a file of the credentials for `credentials_of`, so that no command has to pass it on."""
    if value is not None:
        context.meta.setdefault(_CREDENTIALS, {})[parameter.name] = value


def _file_option(name: str, variable: str, text: str) -> Callable[[Command], Command]:
    return click.option(
        f"--{name}",
        envvar=f"CLICKSTREAM_{variable}",
        show_envvar=True,
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_keep,
        help=text,
    )


def ADDRESS(command: Command) -> Command:  # noqa: N802 -- a decorator beside `JSON`
    """The options by which a command reaches the service: its address, a token, and certificates."""
    for option in (
        _file_option("tls-key", "CLIENT_KEY", "Private key of the client certificate."),
        _file_option("tls-cert", "CLIENT_CERT", "Client certificate, in PEM, if the service asks for one."),
        _file_option("tls-ca", "TLS_CA", "Authorities of the service's certificate, in PEM. Default: plain text."),
        _file_option("token-file", "TOKEN_FILE", "File with the token that the service wants."),
        click.option(
            "--address",
            envvar="CLICKSTREAM_ADDRESS",
            default="127.0.0.1:50051",
            show_default=True,
            show_envvar=True,
            help="Address of the service: HOST:PORT, or unix:/PATH.",
        ),
    ):
        command = option(command)
    return command


JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object per line, with the contract's names."
)

# An answer with 256 vectors of 4,096 dimensions takes 4 MiB, which is gRPC's default limit.
_RECEIVED_BYTES = 64 * 1024 * 1024
_TROUBLES = {
    "Hostname Verification Check failed": "the service's certificate is for another host than --address names",
    "CERTIFICATE_VERIFY_FAILED": "the service's certificate is not signed by an authority in --tls-ca, or has expired",
    "WRONG_VERSION_NUMBER": "the service talks plain text: leave --tls-ca out, or use its TLS port",
    "CERTIFICATE_REQUIRED": "the service asks for a client certificate: --tls-cert and --tls-key",
    "TLSV1_ALERT_UNKNOWN_CA": "the service does not accept the client certificate in --tls-cert",
    "Method not found!": "the service does not serve this call at this address; its internal address may",
    "Socket closed": "the connection was closed at once: the service may want TLS (--tls-ca) or a client certificate "
    "(--tls-cert)",
}
"""A part of gRPC's words → what it means."""
_WRONG_CREDENTIALS = (
    "Hostname Verification Check failed",
    "CERTIFICATE_VERIFY_FAILED",
    "WRONG_VERSION_NUMBER",
    "CERTIFICATE_REQUIRED",
    "TLSV1_ALERT_UNKNOWN_CA",
)
"""gRPC's words for what no repetition mends: the options of the command are wrong, though the status is UNAVAILABLE."""
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

    try:
        with opened(address) as channel:
            yield channel
    except grpc.RpcError as error:
        end(in_words(error), exit_code_of(error))


def opened(address: str) -> "grpc.Channel":
    """A channel to the service, with the credentials that the options name. Raises UsageError if they are wrong."""
    from clickstream.client.channel import open_channel
    from clickstream.credentials.connection import Credentials

    files = click.get_current_context().meta.get(_CREDENTIALS, {})
    try:
        return open_channel(
            address, Credentials(**files), options=[("grpc.max_receive_message_length", _RECEIVED_BYTES)]
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def end(message: str, code: ExitCode) -> NoReturn:
    """Ends the command with one line on stderr and this exit code."""
    click.echo(f"clickstream: {message}", err=True)
    sys.exit(code)


def in_words(error: "grpc.RpcError") -> str:
    """The status of a failed call, and the fields that it names or its message."""
    from clickstream.client.calls import violations

    why = "; ".join(f"{field}: {description}" for field, description in violations(error)) or error.details() or ""
    return f"{error.code().name}: {_connection_trouble(why) or why}"


def _connection_trouble(why: str) -> str:
    """What gRPC's own words about a connection or a call mean, in one sentence; "" for all other words."""
    return next((words for sign, words in _TROUBLES.items() if sign in why), "")


def exit_code_of(error: "grpc.RpcError") -> ExitCode:
    """The exit code of a failed call: repeat it, call a person because of a defect, or mend what was asked for."""
    from clickstream.client.calls import is_passing
    from clickstream.contract.details import reason_of

    if any(sign in (error.details() or "") for sign in _WRONG_CREDENTIALS):
        return ExitCode.WRONG_USE
    if is_passing(error):
        return ExitCode.SERVER_AWAY
    if error.code().name in _DEFECTS:
        return ExitCode.FAILED
    return ExitCode.GATE_NOT_PASSED if reason_of(error) == "GATE_NOT_PASSED" else ExitCode.REFUSED
