"""The token file: what it may hold, and what a wrong one says (R22, R24)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.token_files import certificate_entry, entry, written

from clickstream.domain.call_limits import OwnLimits
from clickstream.domain.errors import Reason, Unauthenticated
from clickstream.servicers.access.scopes import Scope
from clickstream.servicers.access.tokens import TokenFile, bearer_token

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
GOOD = entry("shop", "secret", "client", "models", expires="2026-05-04T12:00:01Z")


def test_a_token_stands_for_its_entry(tmp_path: Path) -> None:
    """A token is known by its hash, with its name, its scopes and its end."""
    tokens = TokenFile(written(tmp_path / "t.toml", [GOOD]), lambda: NOW)
    caller = tokens.by_token("secret")
    assert (caller.name, caller.scopes) == ("shop", {Scope.CLIENT, Scope.MODELS})
    assert caller.expires == NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("token", "seconds", "reason"), [("other", 0, "TOKEN_INVALID"), ("secret", 1, "TOKEN_EXPIRED")]
)
def test_a_wrong_or_expired_token_is_refused(tmp_path: Path, token: str, seconds: int, reason: str) -> None:
    """An unknown token and one at its end are refused with a reason each."""
    tokens = TokenFile(written(tmp_path / "t.toml", [GOOD]), lambda: NOW + timedelta(seconds=seconds))
    with pytest.raises(Unauthenticated) as refused:
        tokens.by_token(token)
    assert refused.value.reason == reason
    assert "secret" not in str(refused.value)


def test_an_entry_can_have_limits_of_its_own(tmp_path: Path) -> None:
    """Calls and MiB a second and open streams; what an entry leaves out counts as for all others."""
    path = written(tmp_path / "t.toml", [GOOD.rstrip() + "\ncalls = 5\nmb = 2\n\n", entry("other", "o", "client")])
    tokens = TokenFile(path, lambda: NOW)
    assert tokens.by_token("secret").limits == OwnLimits(5, 2 * 1024 * 1024, None)
    assert tokens.by_token("o").limits is None


def test_a_certificate_stands_for_its_entry(tmp_path: Path) -> None:
    """The first name of a certificate that the file knows counts; an unknown one is as good as no token."""
    tokens = TokenFile(written(tmp_path / "t.toml", [certificate_entry("trainer.internal", "trainer")]), lambda: NOW)
    assert tokens.binds_certificates
    assert tokens.by_certificate(["other", "trainer.internal"]).scopes == {Scope.TRAINER}
    with pytest.raises(Unauthenticated) as refused:
        tokens.by_certificate(["other"])
    assert refused.value.reason == Reason.TOKEN_MISSING


BROKEN = {
    "no TOML": ("[[token]\n", r"is not TOML: .*line 1"),
    "unknown table": ("[[tokens]]\n", "`tokens` is not known"),
    "a table that is no list": ("[token]\nname = 'a'\n", "`token` is not known"),
    "unknown key": (GOOD + "scope = 'client'\n", "line 1: `scope` is not known"),
    "no name": ("[[token]]\nscopes = ['client']\n", "line 1: `name` is missing"),
    "no scopes": ("# first\n[[token]]\nname = 'a'\n", "line 2: `scopes` must be a list"),
    "unknown scope": ("[[token]]\nname = 'a'\nscopes = ['clients']\n", "line 1: the scope 'clients' does not exist"),
    "a scope that no file can give": ("[[token]]\nname = 'a'\nscopes = ['(any)']\n", "does not exist"),
    "no hash": ("[[token]]\nname = 'a'\nscopes = ['client']\nsha256 = 'abc'\n", "64 hexadecimal digits"),
    "time without a zone": (entry("a", "b", "client", expires="2026-05-04T12:00:00"), "a time with a zone"),
    "a limit of 0": (GOOD + "calls = 0\n", "line 1: `calls` must be a whole number from 1 on"),
    "a limit that is no number": (GOOD + "mb = true\n", "line 1: `mb` must be a whole number from 1 on"),
    "a name twice": (GOOD + certificate_entry("shop", "client"), "line 7: the name 'shop' is taken"),
    "a token twice": (GOOD + entry("other", "secret", "client"), "line 7: 'shop' has the same sha256"),
}


@pytest.mark.parametrize("text", BROKEN)
def test_r24_a_broken_file_is_refused_and_the_old_one_stays(tmp_path: Path, text: str) -> None:
    """R24: what cannot be meant is named with file and line; the callers of before stay in force."""
    content, message = BROKEN[text]
    path = written(tmp_path / "t.toml", [GOOD])
    tokens = TokenFile(path, lambda: NOW)
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as refused:
        tokens.reload()
    assert str(path) in str(refused.value)
    assert tokens.by_token("secret").name == "shop"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ValueError, match=r"t\.toml cannot be read: No such file"):
        TokenFile(tmp_path / "t.toml", lambda: NOW)


@pytest.mark.parametrize(
    ("values", "token"),
    [([], None), (["Bearer a"], "a"), (["bearer  a "], "a")],
)
def test_the_token_of_a_call(values: list[str], token: str | None) -> None:
    """The scheme is read without case, and blanks around the token are dropped."""
    assert bearer_token([("other", "x"), *(("authorization", value) for value in values)]) == token


@pytest.mark.parametrize("values", [["Bearer a", "Bearer a"], ["Basic a"], ["Bearer"], ["Bearer  "], [""]])
def test_what_is_no_bearer_token_is_refused(values: list[str]) -> None:
    """Two headers, another scheme and an empty token are refused."""
    with pytest.raises(Unauthenticated) as refused:
        bearer_token([("authorization", value) for value in values])
    assert refused.value.reason == Reason.TOKEN_INVALID
