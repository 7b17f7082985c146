"""The token file: who may call, with which scopes, until when. It holds hashes, never a token."""

import hmac
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from clickstream.domain.call_limits import OwnLimits
from clickstream.domain.errors import Reason, Unauthenticated
from clickstream.servicers.access.scopes import GIVEN, Scope

_LIMITS = ("calls", "mb", "streams")
_KEYS = {
    "token": {"name", "sha256", "scopes", "expires", *_LIMITS},
    "certificate": {"name", "scopes", "expires", *_LIMITS},
}
_DIGEST = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_NAME_CHARACTERS = 256
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the name of a token or of a client certificate, what it may do, and how much of it.

    `expires` None: never. `limits` None: those of all callers.
    """

    name: str
    scopes: frozenset[Scope]
    expires: datetime | None = None
    limits: OwnLimits | None = None


class TokenFile:
    """The callers that a token file names. `reload` reads it again; calls meanwhile see the old callers."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        """Reads the file.

        Args:
            path: A TOML file with tables `[[token]]` and `[[certificate]]`; docs/security.md describes it.
            now: The time that decides whether a token has expired.

        Raises:
            ValueError: The file cannot be read or used; the message names it, the line and what is wrong.
        """
        self._path = path
        self._now = now
        self.reload()

    def reload(self) -> None:
        """Reads the file again. Raises ValueError, and keeps the callers as they are, if it cannot be used."""
        tokens, certificates = _read(self._path)
        self._by_digest, self._by_certificate = tokens, certificates

    @property
    def files(self) -> list[Path]:
        """The file that `reload` reads."""
        return [self._path]

    @property
    def binds_certificates(self) -> bool:
        """Whether the file names client certificates."""
        return bool(self._by_certificate)

    def by_token(self, token: str) -> Caller:
        """The caller with this token. Raises Unauthenticated."""
        digest = sha256(token.encode(errors="surrogateescape")).digest()
        # A dict finds by the hash of a hash, which says nothing about a token; the digests themselves are compared
        # in constant time.
        kept, caller = self._by_digest.get(digest, (b"", None))
        if not hmac.compare_digest(kept, digest) or caller is None:
            raise Unauthenticated(Reason.TOKEN_INVALID, "this token is not valid here")
        return self._unexpired(caller, "the token")

    def by_certificate(self, names: Iterable[str]) -> Caller:
        """The caller whose client certificate has one of these names. Raises Unauthenticated."""
        for name in names:
            if caller := self._by_certificate.get(name):
                return self._unexpired(caller, "the permission of this certificate")
        raise Unauthenticated(Reason.TOKEN_MISSING, "a token is needed: metadata `authorization: Bearer TOKEN`")

    def _unexpired(self, caller: Caller, what: str) -> Caller:
        if caller.expires is not None and caller.expires <= self._now():
            raise Unauthenticated(Reason.TOKEN_EXPIRED, f"{what} expired at {caller.expires.isoformat()}")
        return caller


def bearer_token(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """The token of a call's metadata; None if it carries none.

    Raises:
        Unauthenticated: `authorization` is there twice, or is no bearer token.
    """
    values = [value for key, value in metadata if key == "authorization"]
    if not values:
        return None
    scheme, _, token = str(values[0]).partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(Reason.TOKEN_INVALID, "`authorization` must be there once, as `Bearer TOKEN`")
    return token.strip()


Digests = dict[bytes, tuple[bytes, Caller]]


def _read(path: Path) -> tuple[Digests, dict[str, Caller]]:
    try:
        text = path.read_text("utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise ValueError(f"the token file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the token file {path} is not TOML: {error}") from error
    for key in tables:
        if key not in _KEYS or not isinstance(tables[key], list):
            raise ValueError(f"the token file {path}: `{key}` is not known: [[token]] or [[certificate]] is")
    tokens: Digests = {}
    certificates: dict[str, Caller] = {}
    names: set[str] = set()
    for kind in _KEYS:
        for index, table in enumerate(tables.get(kind, ())):
            where = f"the token file {path}, line {_line(text, kind, index)}"
            caller = _caller(kind, table, where)
            if caller.name in names:
                raise ValueError(f"{where}: the name {caller.name!r} is taken by another entry")
            names.add(caller.name)
            if kind == "certificate":
                certificates[caller.name] = caller
                continue
            digest = bytes.fromhex(_text(table, "sha256", where, _DIGEST))
            if digest in tokens:
                raise ValueError(f"{where}: {tokens[digest][1].name!r} has the same sha256")
            tokens[digest] = digest, caller
    return tokens, certificates


def _line(text: str, kind: str, index: int) -> int:
    """The line, counted from 1, at which the table of this kind and index begins; 1 if it is written another way."""
    header = re.compile(rf"^\s*\[\[\s*[\"']?{kind}[\"']?\s*\]\]")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if header.match(line)]
    return lines[index] if index < len(lines) else 1


def _caller(kind: str, table: Any, where: str) -> Caller:
    if not isinstance(table, dict):
        raise ValueError(f"{where}: [[{kind}]] must be a table")
    if unknown := sorted(set(table) - _KEYS[kind]):
        raise ValueError(f"{where}: `{unknown[0]}` is not known")
    name = _text(table, "name", where)
    if len(name) > _NAME_CHARACTERS or not name.isprintable():
        raise ValueError(f"{where}: `name` must have at most {_NAME_CHARACTERS} printable characters")
    scopes = table.get("scopes")
    allowed = ", ".join(GIVEN)
    if not isinstance(scopes, list) or not scopes:
        raise ValueError(f"{where}: `scopes` must be a list of {allowed}")
    for scope in scopes:
        if scope not in GIVEN:
            raise ValueError(f"{where}: the scope {scope!r} does not exist; there are {allowed}")
    expires = table.get("expires")
    if expires is not None and (not isinstance(expires, datetime) or expires.tzinfo is None):
        raise ValueError(f"{where}: `expires` must be a time with a zone, such as 2027-01-31T00:00:00Z")
    return Caller(name, frozenset(Scope(scope) for scope in scopes), expires, _limits(table, where))


def _limits(table: Mapping[str, Any], where: str) -> OwnLimits | None:
    found = {key: table[key] for key in _LIMITS if key in table}
    for key, value in found.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{where}: `{key}` must be a whole number from 1 on")
    if not found:
        return None
    megabytes = found.get("mb")
    return OwnLimits(found.get("calls"), megabytes * MEBIBYTE if megabytes else None, found.get("streams"))


def _text(table: Mapping[str, Any], key: str, where: str, shape: re.Pattern[str] | None = None) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: `{key}` is missing or no text")
    if shape and not shape.fullmatch(value):
        raise ValueError(f"{where}: `{key}` must be 64 hexadecimal digits: the SHA-256 of the token")
    return value
