"""`retry`."""

from typing import Any

import click

from clickstream.cli.connection import ADDRESS, JSON, calling
from clickstream.cli.one_by_one import end_with, for_each_session
from clickstream.domain.improvement import RETRYABLE


@click.command()
@click.argument("session_ids", nargs=-1)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(sorted(state.value for state in RETRYABLE)),
    help="Retry all sessions in this state. May be repeated.",
)
@click.option("--run-id", default="", help="With --state: only sessions whose last training run is this one.")
@JSON
@ADDRESS
def retry(session_ids: tuple[str, ...], states: tuple[str, ...], run_id: str, as_json: bool, address: str) -> None:
    """Put sessions that failed, were refused or were canceled back into the improvement queue.

    Name the sessions, or with --state take all that are in a state. Exit code 3 if some were refused, 5 if all were.
    """
    from clickstream.views.tables import json_line

    if bool(session_ids) == bool(states) or (run_id and not states):
        raise click.UsageError("name sessions, or a --state; --run-id narrows a --state")
    retried = 0

    def show(session_id: str, answer: Any) -> None:
        nonlocal retried
        retried += answer.retried
        if as_json:
            click.echo(json_line(answer))

    with calling(address) as client:
        # All ids are read first: a session that is retried leaves the list that is being paged through.
        wanted = session_ids or [task.session_id for task in client.improvement_tasks(states, run_id)]
        done, refused = for_each_session(wanted, client.retry_improvement, show)
    click.echo(
        f"{retried:,} put back into the queue, {done - retried:,} left as they are, {refused:,} refused", err=as_json
    )
    end_with(done, refused)
