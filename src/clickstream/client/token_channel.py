"""A channel whose calls carry a token."""

import logging
import threading
import time
from pathlib import Path
from typing import Any, Self

from clickstream.credentials.connection import Metadata, bearer, read_token

# Seconds between two looks at the file of a token.
LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class TokenSource:
    """The token of a client: a fixed one, or that of a file, which is read again when it changes. Thread-safe."""

    def __init__(self, token: str, file: Path | None) -> None:
        """Takes the token as it is now, and its file. A file that cannot be read later leaves the token in force."""
        self._metadata = bearer(token)
        self._file = file
        self._state = self._look()
        self._looked_at = time.monotonic()
        self._lock = threading.Lock()

    def metadata(self) -> Metadata:
        """The metadata of a call made now."""
        if self._file is not None and time.monotonic() - self._looked_at > LOOK_SECONDS:
            with self._lock:
                self._read_if_changed(self._file)
        return self._metadata

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._file.stat() if self._file else None
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns) if found else None

    def _read_if_changed(self, file: Path) -> None:
        self._looked_at = time.monotonic()
        state = self._look()
        if state is None or state == self._state:
            return
        try:
            self._metadata = bearer(read_token(file))
        except ValueError as error:
            logger.warning("%s; the token of before is used", error)
            return
        self._state = state


class TokenChannel:
    """Stands in for a channel, blocking or of asyncio: it adds the token to the metadata of every call."""

    def __init__(self, channel: Any, token: TokenSource) -> None:
        self._channel = channel
        self._token = token

    def unary_unary(self, *args: Any, **kwargs: Any) -> "TokenMethod":
        """As of the channel."""
        return TokenMethod(self._channel.unary_unary(*args, **kwargs), self._token)

    def unary_stream(self, *args: Any, **kwargs: Any) -> "TokenMethod":
        """As of the channel."""
        return TokenMethod(self._channel.unary_stream(*args, **kwargs), self._token)

    def stream_unary(self, *args: Any, **kwargs: Any) -> "TokenMethod":
        """As of the channel."""
        return TokenMethod(self._channel.stream_unary(*args, **kwargs), self._token)

    def stream_stream(self, *args: Any, **kwargs: Any) -> "TokenMethod":
        """As of the channel."""
        return TokenMethod(self._channel.stream_stream(*args, **kwargs), self._token)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()


class TokenMethod:
    """Stands in for a method of a channel."""

    def __init__(self, method: Any, token: TokenSource) -> None:
        self._method = method
        self._token = token

    def __call__(self, *args: Any, metadata: Metadata | None = None, **kwargs: Any) -> Any:
        """Calls the method."""
        return self._method(*args, metadata=(*(metadata or ()), *self._token.metadata()), **kwargs)

    def future(self, *args: Any, metadata: Metadata | None = None, **kwargs: Any) -> Any:
        """Begins a call."""
        return self._method.future(*args, metadata=(*(metadata or ()), *self._token.metadata()), **kwargs)
