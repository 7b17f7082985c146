"""`promote` and `rollback`."""

from typing import Any

import click

from clickstream.cli.connection import ADDRESS, JSON, calling
from clickstream.cli.made_ids import made_id

_REQUEST_ID = click.option(
    "--request-id", help="Names the request. The same id again answers the same promotion. Default: a new id."
)
_EXPECT = click.option(
    "--expect",
    metavar="MODEL_VERSION",
    help="Change nothing unless this version serves now; '' means that none may serve.",
)
_REASON = click.option("--reason", default="", help="Kept in the log of promotions.")


@click.command()
@click.argument("model_version")
@_EXPECT
@click.option("--force", is_flag=True, help="Promote the version although its gate did not pass. Needs --reason.")
@_REASON
@_REQUEST_ID
@JSON
@ADDRESS
def promote(
    model_version: str,
    expect: str | None,
    force: bool,
    reason: str,
    request_id: str | None,
    as_json: bool,
    address: str,
) -> None:
    """Make a model version the one that serves.

    Exit code 7 if its gate did not pass.
    """
    if force and not reason.strip():
        raise click.UsageError("--force needs a --reason")
    with calling(address) as client:
        answer = client.promote(
            model_version, request_id or made_id("promote"), expected=expect, force=force, reason=reason
        )
    _show(answer, as_json)


@click.command()
@_EXPECT
@_REASON
@_REQUEST_ID
@JSON
@ADDRESS
def rollback(expect: str | None, reason: str, request_id: str | None, as_json: bool, address: str) -> None:
    """Go back to the model version that served before. A second rollback goes back one more."""
    with calling(address) as client:
        answer = client.rollback(request_id or made_id("rollback"), expected=expect, reason=reason)
    _show(answer, as_json)


def _show(answer: Any, as_json: bool) -> None:
    from clickstream.views.tables import json_line

    if as_json:
        click.echo(json_line(answer))
        return
    promotion = answer.promotion
    outcome = "serves again" if promotion.rollback else "serves now"
    if not answer.created:  # another version may serve by now
        outcome = "this request was answered before"
    click.echo(f"{promotion.model_version_id}: {outcome} (promotion {promotion.sequence})")
