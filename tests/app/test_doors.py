"""The ports that the settings describe: safe by default, and up to date with their files (R19, R24)."""

import asyncio
import logging
import os
import socket
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Authority
from support.servers import until
from support.token_files import entry, written

from clickstream.app import doors as doors_module
from clickstream.app.doors import doors, kept_up_to_date, private_address, trainer_address
from clickstream.app.settings import Settings
from clickstream.domain.errors import Unauthenticated
from clickstream.domain.signals import NoSignals
from clickstream.servicers.access.scopes import Scope
from clickstream.servicers.access.tokens import TokenFile

REMOTE = "0.0.0.0:50051"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A certificate with its key, and a token file."""
    certificate, key = Authority(tmp_path).issue("127.0.0.1")
    tokens = written(tmp_path / "tokens.toml", [entry("shop", "secret", "client")])
    return {"tls_cert": certificate, "tls_key": key, "tokens": tokens}


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:50051", "unix:/run/clickstream.sock"])
def test_r19_this_machine_may_be_served_as_it_is(address: str) -> None:
    """R19: on loopback and on a Unix socket nothing has to be set up."""
    [listening] = doors(Settings(listen=address)).listenings
    assert (listening.certificate, listening.tokens, listening.only) == (None, None, None)


@pytest.mark.parametrize(
    ("given", "lacking"),
    [(set(), "TLS and tokens"), ({"tokens"}, "TLS"), ({"tls_cert", "tls_key"}, "tokens")],
)
def test_r19_other_machines_are_served_with_tls_and_tokens_or_insecurely(
    files: dict[str, Path], given: set[str], lacking: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R19: beyond this machine a server starts with both, or with --insecure, which the log says."""
    some: dict[str, Any] = {name: path for name, path in files.items() if name in given}
    for addresses in ({"listen": REMOTE}, {"internal_listen": REMOTE}):
        with pytest.raises(ValueError, match=f"would be served without {lacking}: .* --insecure"):
            doors(Settings(**addresses, **some) if "listen" in addresses else _internal(some))
    assert not caplog.records
    doors(Settings(listen=REMOTE, insecure=True, **some))
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        f"INSECURE: {REMOTE} is served without {lacking}"
    ]
    whole: dict[str, Any] = dict(files)
    assert doors(Settings(listen=REMOTE, **whole)).listenings[0].certificate


def _internal(some: dict[str, Any]) -> Settings:
    tls = {f"internal_{name}": path for name, path in some.items() if name.startswith("tls")}
    rest = {name: path for name, path in some.items() if not name.startswith("tls")}
    return Settings(internal_listen=REMOTE, **tls, **rest)


def test_r19_with_two_doors_the_first_serves_clients_only(files: dict[str, Path]) -> None:
    """R19: the internal address serves every method, each with its own certificate and switch for reflection."""
    outer, inner = doors(
        Settings(listen="127.0.0.1:0", internal_listen="127.0.0.1:0", reflection=False, tokens=files["tokens"])
    ).listenings
    assert (outer.only, outer.reflection) == (Scope.CLIENT, False)
    assert (inner.only, inner.reflection) == (None, True)
    assert outer.tokens is inner.tokens


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["tls_cert"], "CLICKSTREAM_TLS_CERT and CLICKSTREAM_TLS_KEY belong together"),
        (["tls_client_ca"], "CLICKSTREAM_TLS_CLIENT_CA needs CLICKSTREAM_TLS_CERT"),
        (["internal_tls_cert"], "CLICKSTREAM_INTERNAL_LISTEN is not"),
    ],
)
def test_settings_that_do_not_fit_are_named(names: list[str], message: str) -> None:
    """A half of a certificate, or one without its port, ends the start with the variables."""
    given: dict[str, Any] = dict.fromkeys(names, Path("file.pem"))
    with pytest.raises(ValueError, match=message):
        doors(Settings(**given))


def test_only_the_configured_trainer_gets_its_credentials(tmp_path: Path) -> None:
    """The socket of a trainer of one's own needs none."""
    settings = Settings(trainer="10.0.0.5:1", trainer_token_file=tmp_path / "token", trainer_tls_ca=tmp_path / "ca")
    assert trainer_address(settings, "10.0.0.5:1").credentials.tls_ca == tmp_path / "ca"
    assert not trainer_address(settings, "unix:/run/a.sock").credentials.files
    with private_address() as address:
        assert Path(address.removeprefix("unix:")).parent.stat().st_mode & 0o777 == 0o700


class Figures(NoSignals):
    """Keeps the figures that were set."""

    def __init__(self) -> None:
        self.set_to: list[float] = []

    def set(self, name: str, value: float, **_: str) -> None:
        """Keeps a value."""
        assert name == "credentials_broken"
        self.set_to.append(value)


def scopes_of(tokens: TokenFile, token: str) -> set[str]:
    """The scopes of a token; none if it is refused."""
    try:
        return set(tokens.by_token(token).scopes)
    except Unauthenticated:
        return set()


def test_r24_changed_files_are_taken_up_and_broken_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """R24: a changed file counts soon; a broken one is logged once, shown as a figure, and the old one stays."""
    monkeypatch.setattr(doors_module, "LOOK_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    path = written(tmp_path / "tokens.toml", [entry("shop", "old", "client")])
    tokens, figures = TokenFile(path, lambda: datetime.now(UTC)), Figures()

    async def rotate() -> None:
        async with kept_up_to_date([tokens], figures):
            written(path, [entry("shop", "new", "client")])
            await until(lambda: scopes_of(tokens, "new"))
            assert not scopes_of(tokens, "old")
            written(path, ["broken"])
            await until(lambda: figures.set_to[-1:] == [1.0])
            await seen(lambda: len(figures.set_to))
            assert scopes_of(tokens, "new")
            path.unlink()
            await seen(lambda: len(figures.set_to))
            assert scopes_of(tokens, "new")
            written(path, [entry("shop", "newest", "client")])
            await until(lambda: scopes_of(tokens, "newest"))
            await until(lambda: figures.set_to[-1] == 0.0)

    asyncio.run(rotate())
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert ["is not TOML" in errors[0], "cannot be read" in errors[1], len(errors)] == [True, True, 2]


async def seen(count: Callable[[], int]) -> None:
    """Waits for three more looks."""
    before = count()
    await until(lambda: count() >= before + 3)


def test_private_folders_of_killed_processes_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder whose process is gone and in which nobody listens goes; those of living processes and new ones stay."""
    with tempfile.TemporaryDirectory(prefix="doors-") as short:  # the path of a socket is short
        base = Path(short)
        monkeypatch.setattr(tempfile, "tempdir", short)
        names = {"gone": 2**22 + 1, "new": 2**22 + 2, "alive": os.getpid(), "listened": 2**22 + 3}
        folders = {name: base / f"{doors_module.PRIVATE_FOLDER}{pid}-abc" for name, pid in names.items()}
        for name, folder in folders.items():
            folder.mkdir()
            if name != "new":
                os.utime(folder, (0, 0))
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folders["listened"] / "trainer.sock"))
            listening.listen()
            with private_address():
                pass
        assert {name for name, folder in folders.items() if folder.exists()} == {"new", "alive", "listened"}
