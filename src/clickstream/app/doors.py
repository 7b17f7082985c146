"""The ports of a process: certificates, tokens and limits from the settings, kept up to date with their files."""

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from clickstream.app.clock import now
from clickstream.app.settings import Settings
from clickstream.credentials.addresses import UNIX, is_local
from clickstream.credentials.connection import Credentials
from clickstream.domain.call_limits import CallLimits
from clickstream.domain.signals import NoSignals, Signals
from clickstream.servicers.access.audit import AuditLog
from clickstream.servicers.access.scopes import Scope
from clickstream.servicers.access.tls import ServerCertificate, TlsFiles
from clickstream.servicers.access.tokens import TokenFile
from clickstream.servicers.server import Listening
from clickstream.trainer_client.channel import TrainerAddress

# Seconds between two looks at the files.
LOOK_SECONDS = 1.0
# Private folders are called so, with the process id behind it; one without a socket is abandoned after this time.
PRIVATE_FOLDER = "clickstream-trainer-"
ABANDONED_SECONDS = 600.0
MEBIBYTE = 1024 * 1024
NO_SIGNALS = NoSignals()

logger = logging.getLogger(__name__)


FileStates = list[tuple[int, int, int] | None]


class FromFiles(Protocol):
    """What is made from files and can be made anew: certificates, tokens, a channel."""

    @property
    def files(self) -> list[Path]:
        """The files that `reload` reads."""
        ...

    def reload(self) -> None:
        """Reads the files again. Raises ValueError, and changes nothing, if they cannot be used."""
        ...


class Doors(NamedTuple):
    """The ports of a process, and what their callers share."""

    listenings: list[Listening]
    call_limits: CallLimits
    audit: AuditLog | None
    from_files: list[FromFiles]


def doors(settings: Settings) -> Doors:
    """The ports that the settings describe.

    Raises:
        ValueError: A file cannot be used, or a port would serve other machines without TLS or without tokens.
    """
    tokens = TokenFile(settings.tokens, now) if settings.tokens else None
    only = Scope.CLIENT if settings.internal_listen else None
    files = _tls_files("", settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    found = [_listening(settings.listen, files, tokens, only, settings.reflection, settings)]
    internal = settings.internal_tls_cert, settings.internal_tls_key, settings.internal_tls_client_ca
    if settings.internal_listen:
        files = _tls_files("INTERNAL_", *internal)
        found.append(_listening(settings.internal_listen, files, tokens, None, settings.internal_reflection, settings))
    elif any(internal):
        raise ValueError("CLICKSTREAM_INTERNAL_TLS_* is set, and CLICKSTREAM_INTERNAL_LISTEN is not")
    certificates = [each.certificate for each in found if each.certificate]
    limits = CallLimits(
        calls_per_second=settings.caller_calls,
        bytes_per_second=settings.caller_mb * MEBIBYTE,
        streams=settings.caller_streams,
        bulk_reads=settings.caller_bulk_reads,
        unread_bytes=settings.caller_unread_mb * MEBIBYTE,
        calls_in_hand=settings.calls_in_hand,
    )
    audit = AuditLog(settings.audit_log, now) if settings.audit_log or tokens else None
    return Doors(found, limits, audit, [*([tokens] if tokens else []), *certificates])


def _tls_files(prefix: str, certificate: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    if (certificate is None) != (key is None):
        raise ValueError(f"CLICKSTREAM_{prefix}TLS_CERT and CLICKSTREAM_{prefix}TLS_KEY belong together: set both")
    if certificate is None or key is None:
        if client_ca is not None:
            raise ValueError(f"CLICKSTREAM_{prefix}TLS_CLIENT_CA needs CLICKSTREAM_{prefix}TLS_CERT")
        return None
    return TlsFiles(certificate, key, client_ca)


def _listening(
    address: str,
    files: TlsFiles | None,
    tokens: TokenFile | None,
    only: Scope | None,
    reflection: bool,
    settings: Settings,
) -> Listening:
    missing = [what for what, there in (("TLS", files), ("tokens", tokens)) if not there]
    if missing and not is_local(address):
        lacking = " and ".join(missing)
        if not settings.insecure:
            raise ValueError(
                f"{address} is beyond this machine, and would be served without {lacking}: set CLICKSTREAM_TLS_CERT, "
                "CLICKSTREAM_TLS_KEY and CLICKSTREAM_TOKENS (docs/security.md), or start with --insecure"
            )
        logger.warning("INSECURE: %s is served without %s; every machine that reaches it can call it", address, lacking)
    certificate = ServerCertificate(files) if files else None
    return Listening(address, certificate, tokens, only, reflection, settings.reuse_port, settings.allow_compression)


def trainer_address(settings: Settings, address: str) -> TrainerAddress:
    """The trainer at an address: with the settings' credentials, if it is the configured one."""
    if address != settings.trainer:
        return TrainerAddress(address)
    credentials = Credentials(
        token_file=settings.trainer_token_file,
        tls_ca=settings.trainer_tls_ca,
        tls_cert=settings.trainer_tls_cert,
        tls_key=settings.trainer_tls_key,
    )
    return TrainerAddress(address, credentials, settings.insecure)


@contextmanager
def private_address() -> Iterator[str]:
    """The address of a Unix socket that only this user can reach: for a trainer of this process or of its children."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{PRIVATE_FOLDER}{os.getpid()}-") as folder:
        yield f"{UNIX}{folder}/trainer.sock"


def _remove_abandoned(base: Path) -> None:
    """Removes the private folders of this user's processes that were killed: nobody listens in them."""
    for folder in base.glob(f"{PRIVATE_FOLDER}*-*"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name.removeprefix(PRIVATE_FOLDER).partition("-")[0])
            is_own = folder.stat().st_uid == os.geteuid()
            # A process of another container has a number that means nothing here: its socket tells.
            if is_own and not Path(f"/proc/{pid}").exists() and not _answers(folder / "trainer.sock"):
                shutil.rmtree(folder)


def _answers(path: Path) -> bool:
    """Whether somebody listens on a socket, or may be about to."""
    if not path.exists():
        return time.time() - path.parent.stat().st_mtime < ABANDONED_SECONDS
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@asynccontextmanager
async def kept_up_to_date(
    from_files: Sequence[FromFiles], signals: Signals = NO_SIGNALS, part: str = "server"
) -> AsyncIterator[None]:
    """Takes changed files up until the block ends (R24). A file that cannot be used leaves the old content in force.

    Signals: `credentials_broken` of this part of the process, 1 while a changed file cannot be used, otherwise 0.
    """
    task = asyncio.create_task(_look(from_files, signals, part)) if from_files else None
    try:
        yield
    finally:
        if task:
            task.cancel()


async def _look(from_files: Sequence[FromFiles], signals: Signals, part: str) -> None:
    # Empty: a file may have changed since it was read at the start, so the first look reads all of them again.
    seen: dict[int, FileStates] = {}
    broken: dict[int, str] = {}
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for each in from_files:
            states = _states(each.files)
            if states == seen.get(id(each)) and id(each) not in broken:
                continue
            _reload(each, broken, first=id(each) not in seen)
            seen[id(each)] = states
        signals.set("credentials_broken", float(bool(broken)), part=part)


def _reload(each: FromFiles, broken: dict[int, str], *, first: bool) -> None:
    """Reads the files again; what is wrong is logged once. Broken files are read at every look until they are whole."""
    names = ", ".join(str(path) for path in each.files)
    try:
        each.reload()
    except ValueError as error:
        if broken.get(id(each)) != str(error):
            logger.error("%s; what was read before stays in force", error)
        broken[id(each)] = str(error)
        return
    if broken.pop(id(each), None) or not first:
        logger.info("taken up anew: %s", names)


def _states(files: Sequence[Path]) -> FileStates:
    """What shows that a file has changed: which file it is, its time and its size; None if it cannot be found."""
    states: FileStates = []
    for path in files:
        try:
            found = path.stat()
        except OSError:
            states.append(None)
        else:
            states.append((found.st_ino, found.st_mtime_ns, found.st_size))
    return states
