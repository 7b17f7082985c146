"""The port for Prometheus and for probes, which know neither TLS nor tokens: `/metrics`, `/healthz`, `/readyz`."""

import contextlib
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from typing_extensions import override

UNIX = "unix:"
# A client that sends nothing, or takes nothing, is left after this time.
CLIENT_SECONDS = 10.0
# Requests at a time; further ones are closed at once.
REQUESTS = 16

logger = logging.getLogger(__name__)


class Probes(NamedTuple):
    """What the port shows. `is_alive` and `is_ready` must not block."""

    registry: CollectorRegistry
    is_alive: Callable[[], bool]
    is_ready: Callable[[], bool]


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS
    server_version = "clickstream"
    sys_version = ""
    probes: Probes

    def do_GET(self) -> None:
        """Answers one request."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(HTTPStatus.OK, generate_latest(self.probes.registry), CONTENT_TYPE_PLAIN_0_0_4)
        elif path in ("/healthz", "/readyz"):
            well = (self.probes.is_alive if path == "/healthz" else self.probes.is_ready)()
            self._answer(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, b"ok\n" if well else b"not ready\n")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"/metrics, /healthz or /readyz\n")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def address_string(self) -> str:
        return "unix"

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass  # a line for each probe would fill the log


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, family: socket.AddressFamily, address: Any, probes: Probes) -> None:
        self.address_family = family
        self._room = threading.Semaphore(REQUESTS)
        super().__init__(address, type("Handler", (_Handler,), {"probes": probes}))

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a request for metrics ended", exc_info=True)


@contextlib.contextmanager
def listening(address: str, probes: Probes) -> Iterator[str]:
    """Serves the port until the block ends; yields its address, with port 0 resolved.

    Args:
        address: HOST:PORT, or `unix:/PATH`, which is replaced.
        probes: What it shows.

    Raises:
        ValueError: The address is none.
        OSError: It cannot be listened on.
    """
    if address.startswith(UNIX):
        path = address.removeprefix(UNIX)
        Path(path).unlink(missing_ok=True)
        server, shown = _Listener(socket.AF_UNIX, path, probes), address
    else:
        host, _, port = address.rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"the address of metrics is HOST:PORT, not {address}")
        family, *_, found = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = _Listener(family, found, probes)
        shown = f"{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="metrics", daemon=True)
    thread.start()
    try:
        yield shown
    finally:
        server.shutdown()
        server.server_close()
