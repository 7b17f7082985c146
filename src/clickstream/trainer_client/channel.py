"""The channel to the trainer, made anew when its certificates or its token change."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc

from clickstream.credentials.addresses import is_local
from clickstream.credentials.connection import Credentials, Loaded, load
from clickstream.domain import limits

OPTIONS = [
    ("grpc.max_send_message_length", limits.TRANSPORT_BYTES),
    ("grpc.max_receive_message_length", limits.TRANSPORT_BYTES),
    # A ping every 20 s. A trainer that vanished is noticed within half a minute, however long a call runs.
    ("grpc.keepalive_time_ms", 20_000),
    # An unanswered ping ends the connection after this time (by default after a minute). gRPC no longer uses
    # grpc.keepalive_timeout_ms for it.
    ("grpc.http2.ping_timeout_ms", 10_000),
]


class TrainerAddress(NamedTuple):
    """Where the trainer is, and how it is called."""

    address: str
    credentials: Credentials = Credentials()
    insecure: bool = False
    """Whether a token may go over plain text to another machine."""


class Connection(NamedTuple):
    """A channel, and the metadata of its calls."""

    channel: grpc.aio.Channel
    metadata: tuple[tuple[str, str], ...]


class TrainerChannel:
    """Gives a channel to each call. Make it inside the event loop that uses it."""

    def __init__(self, trainer: TrainerAddress) -> None:
        """Reads the files of the credentials. Raises ValueError if they, or the address, cannot be used."""
        self._trainer = trainer
        self._loaded = self._load()
        self._connection = self._connect()
        self._calls: dict[Connection, int] = {self._connection: 0}

    def _load(self) -> Loaded:
        return load(self._trainer.address, self._trainer.credentials, insecure=self._trainer.insecure)

    @property
    def files(self) -> list[Path]:
        """The files that `reload` reads."""
        return self._trainer.credentials.files

    def reload(self) -> None:
        """Reads the files again. Calls in hand end on their channel, later ones get a new one. Raises ValueError."""
        loaded = self._load()
        if loaded != self._loaded:
            self._loaded, before = loaded, self._connection
            self._connection = self._connect()
            self._calls[self._connection] = 0
            self._close_if_idle(before)

    def is_connected(self) -> bool:
        """Whether the newest channel has a connection; one without is tried again."""
        return self._connection.channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY

    def _connect(self) -> Connection:
        address, loaded = self._trainer.address, self._loaded
        # A proxy of the environment is for other machines: nothing else could reach loopback through it.
        options = [*OPTIONS, ("grpc.enable_http_proxy", int(not is_local(address)))]
        if loaded.authorities is None:
            return Connection(grpc.aio.insecure_channel(address, options=options), loaded.metadata)
        credentials = grpc.ssl_channel_credentials(loaded.authorities, loaded.key, loaded.certificate)
        return Connection(grpc.aio.secure_channel(address, credentials, options=options), loaded.metadata)

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """The connection for one call, which stays open until the block ends."""
        connection = self._connection
        self._calls[connection] += 1
        try:
            yield connection
        finally:
            self._calls[connection] -= 1
            if connection is not self._connection:
                self._close_if_idle(connection)

    def _close_if_idle(self, connection: Connection) -> None:
        if not self._calls[connection]:
            del self._calls[connection]
            self._closing = asyncio.ensure_future(connection.channel.close())

    async def close(self) -> None:
        """Closes every channel."""
        for connection in list(self._calls):
            await connection.channel.close()
