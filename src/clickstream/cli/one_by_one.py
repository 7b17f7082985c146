"""The same call for many sessions: a refused one does not stop the others."""

import sys
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import click

from clickstream.cli.call_pool import call_pool
from clickstream.cli.connection import exit_code_of, in_words
from clickstream.cli.exit_codes import ExitCode

# Calls at the same time: enough to fill the server's group commits.
_IN_FLIGHT = 16


def for_each_session(
    session_ids: Iterable[str], call: Callable[[str], Any], show: Callable[[str, Any], None]
) -> tuple[int, int]:
    """Calls the service once for each session, several at a time, and names each refusal on stderr.

    Args:
        session_ids: Read as they are needed.
        call: Session id → the service's answer. Raises grpc.RpcError.
        show: Called with each session id and its answer, in the order of the ids.

    Returns:
        How many were done and how many were refused.

    Raises:
        grpc.RpcError: The server is away or busy, or has a defect. Sessions before that are done.
    """
    import grpc

    def attempt(session_id: str) -> Any:
        try:
            return call(session_id)
        except grpc.RpcError as error:
            if exit_code_of(error) is not ExitCode.REFUSED:
                raise
            return error

    done = refused = 0
    waiting = iter(session_ids)
    with call_pool(_IN_FLIGHT) as pool:
        while window := list(islice(waiting, _IN_FLIGHT * 4)):
            for session_id, answer in zip(window, pool.map(attempt, window), strict=True):
                if isinstance(answer, grpc.RpcError):
                    refused += 1
                    click.echo(f"{session_id}: {in_words(answer)}", err=True)
                else:
                    done += 1
                    show(session_id, answer)
    return done, refused


def end_with(done: int, refused: int) -> None:
    """Ends the command: 0 if nothing was refused, 3 if something was done, 5 if everything was refused."""
    if refused:
        sys.exit(ExitCode.PARTLY_DONE if done else ExitCode.REFUSED)
