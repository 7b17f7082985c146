"""`token`."""

import hashlib
import json
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

import click

from clickstream.servicers.access.scopes import GIVEN

# Bytes of chance in a token: nobody guesses it, so its hash needs no salt and no slow function.
TOKEN_BYTES = 32
PREFIX = "cs_"


@click.group()
def token() -> None:
    """Make tokens for the callers of a service."""


@token.command("new")
@click.option("--name", required=True, help="Who gets it: shop-backend, for example. Audit log and limits name it.")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    type=click.Choice([scope.value for scope in GIVEN]),
    help="May be repeated.",
)
@click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Time in UTC from which the token is refused. Default: never.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the token to this new file, which only you can read."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with `token` and `entry`.")
def new(name: str, scopes: tuple[str, ...], expires: datetime | None, out: Path | None, as_json: bool) -> None:
    """Make a token, and its entry for the token file.

    The token is shown once, or written to --out; the entry has its hash only. Append the entry to the token file: a
    running server takes it up within two seconds.
    """
    made = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    entry = _entry(name, scopes, expires, made)
    if out is not None:
        _write(out, made)
    if as_json:
        click.echo(json.dumps({"entry": entry} | ({} if out else {"token": made})))
        return
    if out is None:
        click.echo(made + "\n")
    click.echo(entry)


def _entry(name: str, scopes: tuple[str, ...], expires: datetime | None, made: str) -> str:
    lines = [
        "[[token]]",
        f"name = {json.dumps(name)}",
        f'sha256 = "{hashlib.sha256(made.encode()).hexdigest()}"',
        f"scopes = {json.dumps(list(scopes))}",
    ]
    if expires is not None:
        lines.append(f"expires = {expires.replace(tzinfo=UTC).isoformat().replace('+00:00', 'Z')}")
    return "\n".join(lines)


def _write(out: Path, made: str) -> None:
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(made + "\n")
    except OSError as error:
        raise click.UsageError(f"the token cannot be written to {out}: {error.strerror}") from error
