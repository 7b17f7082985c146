"""Several serving processes on one port: the supervisor starts them, restarts those that die, and stops all in order.

With SO_REUSEPORT the kernel spreads new connections over the processes that listen on the port.
"""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

from clickstream.app.doors import private_address
from clickstream.app.metrics import socket_of
from clickstream.app.settings import Settings
from clickstream.domain.errors import StartError
from clickstream.processes.parent_death import stop_with_parent

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0
# Uptime after which a new death is taken for a new cause: the pause starts anew.
STEADY_SECONDS = 30.0
MAX_PORT = 65535

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def reserved(listen: str) -> Iterator[str]:
    """Reserves a port for processes of this user that bind it with SO_REUSEPORT; yields HOST:PORT, port 0 resolved.

    Raises:
        StartError: `listen` is not HOST:PORT, or the port is taken, also by a server that shares it.
    """
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) > MAX_PORT:
        raise StartError(f"several processes can only share an address of the form HOST:PORT, not {listen}")
    with contextlib.ExitStack() as sockets:
        try:
            family, *_, address = socket.getaddrinfo(
                host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            _bound(family, address, socket.SO_REUSEADDR).close()  # refused if a process listens there
            holder = sockets.enter_context(_bound(family, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT))
            taken = f"{host}:{holder.getsockname()[1]}"
            # Only this name shows another supervised server whose processes do not listen yet.
            sockets.enter_context(_bound(socket.AF_UNIX, f"\0clickstream serve {taken}"))
        except OSError as error:
            raise StartError(f"cannot listen on {listen}: is the port taken? ({error})") from error
        yield taken


@contextlib.contextmanager
def internally_reserved(settings: Settings) -> Iterator[str]:
    """As `reserved`, for the internal address; yields "" if there is none."""
    if not settings.internal_listen:
        yield ""
        return
    with reserved(settings.internal_listen) as address:
        yield address


def _bound(family: int, address: tuple[Any, ...] | str, *options: int) -> socket.socket:
    bound = socket.socket(family)
    try:
        for option in options:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


class Child:
    """A process that is kept running. It stops when this process is killed.

    It writes one byte to the file descriptor CLICKSTREAM_READY_FD when it serves, and its log to the stderr of
    this process. `core` is the index of a CPU among those that this process may use, modulo their number; None
    means any CPU.
    """

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], core: int | None = None) -> None:
        self._name = name
        self._command = command
        self._environment = environment
        self._core = core
        self._parent = os.getpid()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts the process and returns when it is up.

        Raises:
            StartError: it cannot be started, or it ended before it was up; then the reason is on stderr.
        """
        try:
            is_up = await self._attempt()
        except (OSError, subprocess.SubprocessError) as error:
            raise StartError(f"the {self._name} cannot be started: {error}") from error
        if not is_up:
            raise StartError(f"the {self._name} ended before it was up")

    async def _attempt(self) -> bool:
        up, reports = socket.socketpair()
        up.setblocking(False)
        with up:
            with reports:
                # Started from the main thread: Linux ends the child with the thread that started it.
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=subprocess.DEVNULL,
                    env=os.environ | self._environment | {"CLICKSTREAM_READY_FD": str(reports.fileno())},
                    pass_fds=[reports.fileno()],
                    # A session of its own: Ctrl-C reaches this process only, which stops its children in order.
                    start_new_session=True,
                    preexec_fn=self._before_exec,
                )
            return bool(await asyncio.get_running_loop().sock_recv(up, 1))

    def _before_exec(self) -> None:
        stop_with_parent(self._parent)
        if self._core is not None:
            usable = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {usable[self._core % len(usable)]})

    async def keep(self) -> None:
        """Restarts the process whenever it ends, until canceled. The pause before a restart grows if it ends early."""
        pause = FIRST_PAUSE
        while self._process is not None:
            began = time.monotonic()
            code = await self._process.wait()
            if time.monotonic() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE
            logger.error(
                "the %s (pid %d) ended with exit code %d; it is started again in %.2f s",
                *(self._name, self._process.pid, code, pause),
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                await self.start()
            except StartError as error:
                logger.error("%s", error)

    async def stop(self, patience: float) -> None:
        """Sends SIGTERM, and SIGKILL if it has not ended `patience` seconds later."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), patience)
        except TimeoutError:
            logger.error("the %s (pid %d) did not stop in %.0f s: killed", self._name, self._process.pid, patience)
            self._process.kill()
            await self._process.wait()


@contextlib.asynccontextmanager
async def running(
    settings: Settings, address: str, internal: str, mongodb_uri: str, metrics: str = ""
) -> AsyncIterator[list[str]]:
    """Keeps the processes of `settings` serving on reserved addresses, and a trainer if they need one.

    `internal` is the internal address; "" if there is none. `metrics` is a folder where each process shows its figures
    on a socket of its name; "": none shows any. Yields the names.

    All are up when it yields. At the end the serving processes drain side by side, then the trainer.

    Raises:
        StartError: one of them cannot be started.
    """
    with contextlib.ExitStack() as sockets:
        trainers = []
        trainer = settings.trainer
        if settings.run_training and not trainer:
            trainer = sockets.enter_context(private_address())
            trainers = [_trainer(settings, trainer, _metrics(metrics, "trainer"))]
        reached = {
            "CLICKSTREAM_INTERNAL_LISTEN": internal,
            "MONGODB_URI": mongodb_uri,
            "CLICKSTREAM_TRAINER": trainer,
        }
        names = [f"serving-{index + 1}" for index in range(settings.processes)]
        servers = [
            _server(settings, index, address, reached | _metrics(metrics, name)) for index, name in enumerate(names)
        ]
        try:
            async with _kept([*servers, *trainers]):
                yield [*names, *(["trainer"] if trainers else [])]
        finally:
            # A drain ends with the store's writes in hand, and with the return of a training run.
            patience = settings.shutdown_grace + 2 * settings.store_timeout
            await asyncio.gather(*(child.stop(patience) for child in servers))
            await asyncio.gather(*(child.stop(patience) for child in trainers))


@contextlib.asynccontextmanager
async def _kept(children: Sequence[Child]) -> AsyncIterator[None]:
    """Starts the children and keeps them running; leaves them as they are at the end. Raises StartError."""
    failures = await asyncio.gather(*(child.start() for child in children), return_exceptions=True)
    for failure in failures:
        if failure is not None:
            raise failure
    keeping = [asyncio.create_task(child.keep()) for child in children]
    try:
        yield
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)


def _server(settings: Settings, index: int, address: str, reached: dict[str, str]) -> Child:
    # One worker is enough: a second one would wait for the same trainer.
    works = {"CLICKSTREAM_RUN_TRAINING": str(settings.run_training and index == 0)}
    core = index if pins(settings) else None
    environment = _shared(settings) | {"CLICKSTREAM_REUSE_PORT": "true"} | reached | works
    return Child(f"serving process {index + 1}", _command("serve", address), environment, core)


def pins(settings: Settings) -> bool:
    """Whether each serving process is to keep to one core; by default, if a core is left for MongoDB."""
    # Without a free core MongoDB shares one, and the process pinned there cannot move away. Measured on two cores:
    # two processes do 7,400 calls a second pinned and 10,100 unpinned; one does 7,700 pinned and 6,300 unpinned.
    if settings.pin is not None:
        return settings.pin
    return settings.processes < len(os.sched_getaffinity(0))


def _metrics(folder: str, name: str) -> dict[str, str]:
    return {"CLICKSTREAM_METRICS_LISTEN": f"unix:{socket_of(Path(folder), name)}" if folder else ""}


def _trainer(settings: Settings, address: str, metrics: dict[str, str]) -> Child:
    # Its socket is this user's: it needs neither a certificate nor tokens.
    open_here = {name: "" for name in _shared(settings) if "TLS" in name} | {"CLICKSTREAM_TOKENS": ""}
    environment = _shared(settings) | open_here | {"CLICKSTREAM_INTERNAL_LISTEN": ""} | metrics
    return Child("trainer", _command("trainer", address), environment)


def _command(name: str, address: str) -> list[str]:
    # The root logger's level decides, because our own loggers are always at INFO.
    verbose = ["--verbose"] if logging.getLogger().isEnabledFor(logging.INFO) else []
    return [sys.executable, "-m", "clickstream", *verbose, name, "--listen", address]


def _shared(settings: Settings) -> dict[str, str]:
    """The settings that came from options or from the environment, as variables."""
    own = {"mongodb_uri", "listen", "ready_fd"}
    given = {name: getattr(settings, name) for name in settings.model_fields_set - own}
    written = {f"CLICKSTREAM_{name.upper()}": "" if value is None else str(value) for name, value in given.items()}
    return written | {"CLICKSTREAM_PROCESSES": "0"}
