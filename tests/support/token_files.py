"""Token files for tests."""

import hashlib
from collections.abc import Sequence
from pathlib import Path


def entry(name: str, token: str, *scopes: str, expires: str = "") -> str:
    """One `[[token]]` of a token file."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    end = f"expires = {expires}\n" if expires else ""
    return f'[[token]]\nname = "{name}"\nsha256 = "{digest}"\nscopes = {[str(scope) for scope in scopes]}\n{end}\n'


def certificate_entry(name: str, *scopes: str) -> str:
    """One `[[certificate]]` of a token file."""
    return f'[[certificate]]\nname = "{name}"\nscopes = {[str(scope) for scope in scopes]}\n\n'


def written(path: Path, entries: Sequence[str]) -> Path:
    """Writes a token file in one step, as a careful operator would."""
    new = path.with_suffix(".new")
    new.write_text("".join(entries))
    new.rename(path)
    return path
