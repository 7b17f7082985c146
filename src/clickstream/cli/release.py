"""`release`."""

from typing import TYPE_CHECKING

import click

from clickstream.cli.connection import ADDRESS, JSON, calling, end
from clickstream.cli.exit_codes import ExitCode
from clickstream.cli.made_ids import made_id

if TYPE_CHECKING:
    from clickstream.client.admin import AdminClient


@click.command()
@click.option("--release-id", help="Names the release. The same id again releases nothing further. Default: a new id.")
@click.option("--batch", "batch_id", default="", help="The batch to release. Default: the one that collects.")
@click.option("--min-sessions", type=click.IntRange(min=1), help="Release nothing while the batch has fewer sessions.")
@JSON
@ADDRESS
def release(release_id: str | None, batch_id: str, min_sessions: int | None, as_json: bool, address: str) -> None:
    """Release the batch that collects sessions, so that it can train. The next batch opens.

    If the batch is empty, or has fewer than --min-sessions, nothing is released and the exit code is 5. In the
    second case stdout still shows the batch, which goes on collecting.
    """
    from clickstream.views.tables import json_line

    with calling(address) as client:
        if min_sessions is not None and not _was_released(client, release_id):
            batch = client.batch(batch_id)
            # From here on by name: another scheduler may release the batch, and its successor has other sessions.
            batch_id = batch.batch_id
            if batch.session_count < min_sessions:
                click.echo(json_line(batch) if as_json else f"{batch_id} has {batch.session_count:,} sessions")
                end(f"fewer than --min-sessions {min_sessions:,}: nothing was released", ExitCode.REFUSED)
        batch = client.release_batch(release_id or made_id("release"), batch_id)
    click.echo(json_line(batch) if as_json else f"{batch.batch_id} released with {batch.session_count:,} sessions")


def _was_released(client: "AdminClient", release_id: str | None) -> bool:
    """Whether this release id has released a batch before: a retry answers that batch, whatever collects now."""
    return release_id is not None and any(batch.release_id == release_id for batch in client.batches())
