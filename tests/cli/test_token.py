"""`token new`: a token once, and its entry (R22)."""

import json
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner, Result

from clickstream.cli.commands import main
from clickstream.servicers.access.tokens import TokenFile


def new(*words: str) -> Result:
    """Runs `token new`."""
    return CliRunner().invoke(main, ["token", "new", "--name", "shop", "--scope", "client", *words])


def test_a_token_is_printed_once_with_an_entry_that_knows_it(tmp_path: Path) -> None:
    """The entry makes the token a caller with its name, scopes and end, and does not contain it."""
    token, _, entry = new("--scope", "models", "--expires", "2027-01-31").stdout.partition("\n\n")
    file = tmp_path / "tokens.toml"
    file.write_text(entry)
    caller = TokenFile(file, lambda: datetime(2026, 1, 1, tzinfo=UTC)).by_token(token)
    assert (caller.name, set(caller.scopes)) == ("shop", {"client", "models"})
    assert caller.expires == datetime(2027, 1, 31, tzinfo=UTC)
    assert token not in entry
    assert len(token) > 40


def test_no_two_tokens_are_the_same() -> None:
    """Every call makes another token."""
    assert len({new("--json").stdout for _ in range(5)}) == 5


def test_a_token_can_go_to_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    """With --out the terminal shows the entry only; a file that exists is not overwritten."""
    out = tmp_path / "shop.token"
    shown = json.loads(new("--json", "--out", str(out)).stdout)
    assert set(shown) == {"entry"}
    assert out.read_text().startswith("cs_")
    assert out.stat().st_mode & 0o777 == 0o600
    again = new("--out", str(out))
    assert again.exit_code == 2
    assert "File exists" in again.output


def test_a_scope_that_does_not_exist_is_refused() -> None:
    """The scopes that exist are named."""
    refused = CliRunner().invoke(main, ["token", "new", "--name", "a", "--scope", "all"])
    assert refused.exit_code == 2
    assert "'client', 'batch', 'training', 'models', 'analytics', 'trainer', 'admin'" in refused.output
