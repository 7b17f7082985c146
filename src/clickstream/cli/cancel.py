"""`cancel`."""

import click

from clickstream.cli.connection import ADDRESS, JSON, calling


@click.command()
@click.argument("run_id", required=False)
@click.option("--session", "session_id", help="Cancel the pending task of this session in the improvement queue.")
@JSON
@ADDRESS
def cancel(run_id: str | None, session_id: str | None, as_json: bool, address: str) -> None:
    """Cancel a training run, or with --session a task of the improvement queue.

    A run that trains stops within one step; `clickstream watch RUN_ID` shows its end.
    """
    if (run_id is None) == (session_id is None):
        raise click.UsageError("name a run, or a session with --session")
    from clickstream.views.run_progress import state_of
    from clickstream.views.tables import json_line

    with calling(address) as client:
        if session_id is not None:
            task = client.cancel_improvement(session_id)
            click.echo(json_line(task) if as_json else f"the task of session {session_id} is canceled")
        elif run_id is not None:
            answer = client.cancel_training(run_id)
            state = state_of(answer.run)
            outcome = "canceled" if state == "canceled" else f"{state}, and will stop"
            click.echo(json_line(answer) if as_json else f"{run_id} is {outcome}")
