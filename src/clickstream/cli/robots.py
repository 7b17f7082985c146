"""`robots list`, `robots preview`, `robots overrule` and `robots undo`."""

from itertools import islice
from pathlib import Path

import click

from clickstream.cli.connection import ADDRESS, JSON, asking
from clickstream.cli.made_ids import made_id

_BY = click.option("--by", required=True, help="Who says so.")
_REASON = click.option("--reason", default="", help="Why, in words.")
_REQUEST = click.option("--request-id", help="Names the order; the same id again adds nothing. Default: a new id.")


@click.group()
def robots() -> None:
    """See and correct who counts as a robot.

    A verdict is about one user and UTC day. It deletes nothing: rates and training leave a robot's searches out. The
    list of verdicts only grows, so that every training run can say which ones applied.
    """


@robots.command("list")
@click.option("--user", "user_id", default="", help="Only verdicts about this user.")
@click.option("--day", default="", help="Only verdicts about this UTC day: 2026-11-26.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Largest number of rows.")
@JSON
@ADDRESS
def list_verdicts(user_id: str, day: str, limit: int, as_json: bool, address: str) -> None:
    """List verdicts, the newest first."""
    from clickstream.views.robots import show_verdicts
    from clickstream.views.tables import json_line

    with asking(address) as client:
        verdicts = list(islice(client.robot_verdicts(user_id, day), limit))
    if as_json:
        for verdict in verdicts:
            click.echo(json_line(verdict))
    else:
        show_verdicts(verdicts)


@robots.command()
@click.option("--first-day", default="", help="First UTC day to judge: 2026-11-26. Default: yesterday.")
@click.option("--last-day", default="", help="Last UTC day to judge. Default: the first.")
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A robot policy (TOML) to try. Default: the service's own.",
)
@click.option("--unsure", is_flag=True, help="Also users of whom the policy is unsure.")
@JSON
@ADDRESS
def preview(first_day: str, last_day: str, policy: Path | None, unsure: bool, as_json: bool, address: str) -> None:
    """Show who would be a robot, and why. Nothing is stored."""
    from clickstream.views.robots import show_preview
    from clickstream.views.tables import json_line

    try:
        text = policy.read_text("utf-8") if policy else ""
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{policy} is not UTF-8", param_hint="--policy") from error
    with asking(address) as client:
        answer = client.preview_robots(first_day, last_day, text, include_unsure=unsure)
    if as_json:
        click.echo(json_line(answer))
    else:
        show_preview(answer)


@robots.command()
@click.argument("user_id", metavar="USER")
@click.argument("day")
@click.option("--robot/--human", "robot", required=True, help="How the user counts on that day.")
@_BY
@_REASON
@_REQUEST
@JSON
@ADDRESS
def overrule(
    user_id: str, day: str, robot: bool, by: str, reason: str, request_id: str | None, as_json: bool, address: str
) -> None:
    """Say how USER counts on the UTC DAY (2026-11-26). The robot policy never changes a person's verdict."""
    from clickstream.views.tables import json_line

    with asking(address) as client:
        answer = client.overrule_robot(
            request_id or made_id("verdict"), user_id, day, robot=robot, by=by, reason=reason
        )
    if as_json:
        click.echo(json_line(answer))
    else:
        click.echo(f"verdict {answer.verdict.number}: {user_id} is {'a robot' if robot else 'no robot'} on {day}")


@robots.command()
@_BY
@_REASON
@_REQUEST
@JSON
@ADDRESS
def undo(by: str, reason: str, request_id: str | None, as_json: bool, address: str) -> None:
    """Make every verdict so far void. The same version of the policy does not judge the days before today again."""
    from clickstream.views.tables import json_line

    with asking(address) as client:
        answer = client.undo_robots(request_id or made_id("undo"), by, reason)
    if as_json:
        click.echo(json_line(answer))
    else:
        click.echo(f"verdict {answer.verdict.number} makes all before it void")
