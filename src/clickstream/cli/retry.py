"""Putting sessions forward again that no run improved."""

import sys

import click

from clickstream.cli.connection import ADDRESS, calling
from clickstream.domain.improvement import RETRYABLE


@click.command()
@click.argument("session_ids", nargs=-1)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(sorted(state.value for state in RETRYABLE)),
    help="All in this state; repeatable.",
)
@click.option("--run-id", default="", help="Of these only those that this run had last.")
@ADDRESS
def retry(session_ids: tuple[str, ...], states: tuple[str, ...], run_id: str, address: str) -> None:
    """Put sessions forward again that failed, were refused or canceled: those named, or all in a state.

    Exit code 1 if one of them was not taken, with the reason.
    """
    import grpc

    from clickstream.client.admin import improvement_tasks, retry_improvement_task
    from clickstream.client.calls import is_passing

    if bool(session_ids) == bool(states) or (run_id and not states):
        raise click.UsageError("name sessions, or a --state, which --run-id narrows down")
    retried = refused = 0
    with calling(address) as channel:
        # All of them first: what is retried leaves the list that is being paged through.
        wanted = session_ids or [task.session_id for task in improvement_tasks(channel, states, run_id)]
        for session_id in wanted:
            try:
                retried += retry_improvement_task(channel, session_id)
            except grpc.RpcError as error:
                if is_passing(error):
                    raise
                refused += 1
                click.echo(f"{session_id}: {error.details()}", err=True)
    click.echo(
        f"{retried:,} put forward again, {len(wanted) - retried - refused:,} left as they are, {refused:,} refused"
    )
    sys.exit(1 if refused else 0)
