"""When a broken stream from the service is opened again."""

import time

import grpc

from clickstream.client.calls import is_passing, pause_before_retry

# Seconds without any message after which a broken stream is given up. Servers restart, and machines are moved.
PATIENCE_SECONDS = 600.0


class StreamRetry:
    """When a broken stream is opened again: after a growing pause, for `PATIENCE_SECONDS` without a message."""

    def __init__(self) -> None:
        self._breaks = 0
        self._received_at = time.monotonic()

    def received(self) -> None:
        """Notes that a message has come."""
        self._breaks, self._received_at = 0, time.monotonic()

    def wait_after(self, error: grpc.RpcError) -> None:
        """Waits before the next attempt. Raises the error if there is to be no further attempt."""
        self._breaks += 1
        if time.monotonic() - self._received_at > PATIENCE_SECONDS or not is_passing(error):
            raise error
        time.sleep(pause_before_retry(self._breaks, error))
