"""The gRPC server: our services, their health, and reflection."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from clickstream.credentials.addresses import UNIX, check_address
from clickstream.domain import limits
from clickstream.domain.call_limits import CallLimits
from clickstream.domain.errors import StartError
from clickstream.servicers.access.audit import AuditLog
from clickstream.servicers.access.door import Door, Method, admit_by_certificate
from clickstream.servicers.access.scopes import SCOPES, Scope
from clickstream.servicers.access.tls import ServerCertificate
from clickstream.servicers.access.tokens import TokenFile
from clickstream.servicers.boundary import Boundary
from clickstream.servicers.health import NOT_SERVING, SERVING, HealthServicer
from clickstream.servicers.reflection import add_reflection
from clickstream.servicers.services import SERVICES
from clickstream.servicers.telemetry import Telemetry, kind_of

# Connections over TLS end at this age, so that an old certificate leaves; streams may go on for the grace.
CONNECTION_SECONDS = 3600
CONNECTION_GRACE_SECONDS = 600

OPTIONS = [
    # Beyond these gRPC itself refuses a message, without details. The boundary refuses earlier, and names the limit.
    ("grpc.max_receive_message_length", limits.TRANSPORT_BYTES),
    ("grpc.max_send_message_length", limits.TRANSPORT_BYTES),
    # Clients behind load balancers keep idle connections alive with pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Without a bound, a client that opens and resets streams (CVE-2023-44487) takes gigabytes.
    ("grpc.max_concurrent_streams", 100),
    # gRPC would let each stream send megabytes ahead on a fast network, before anybody asks for them.
    ("grpc.http2.bdp_probe", 0),
]

# The health name that says whether calls can succeed. The empty name says that the process lives.
READINESS = "readiness"
# A drain lets those who watch health hear of it before it ends their streams.
NOTICE_SECONDS = 0.05
# A process that ends leaves its ports open for so long; later, new connections are to go to other processes.
LEFT_OPEN_SECONDS = 1.0
# A drain lets gRPC send what it has for so long, once no call is in hand.
SEND_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Listening:
    """One port: its address, what it serves, and to whom.

    `address` is HOST:PORT, port 0 for a free one, or `unix:/PATH`. Without a certificate the port takes plain text;
    without tokens everybody may call everything that it serves. `only` is the scope whose methods it serves, None
    means every method.
    """

    address: str
    certificate: ServerCertificate | None = None
    tokens: TokenFile | None = None
    only: Scope | None = None
    reflection: bool = True
    reuse_port: bool = False
    """Whether several servers share the connections to the port. If not, a second server cannot open it; otherwise
    a server started by mistake would silently take half of the calls."""
    allow_compression: bool = False
    """Whether compressed requests are taken. gRPC unpacks a request before it looks at its size."""


class _Registry:
    """Stands in for the server when generated code registers a service: puts every method behind the boundary."""

    def __init__(self, boundary: Boundary, listening: Listening, telemetry: Telemetry) -> None:
        self._boundary = boundary
        self._telemetry = telemetry
        self._listening = listening
        self.methods: dict[str, Method] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Does nothing: generated code also calls `add_registered_method_handlers`, with the same handlers."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Registers the methods of a service. Raises KeyError for a method that `SCOPES` does not name."""
        short, tokens = service.rpartition(".")[2], self._listening.tokens
        for name, handler in handlers.items():
            path = f"/{service}/{name}"
            scope = SCOPES[path]
            if self._listening.only not in (None, scope) and scope not in (Scope.OPEN, Scope.ANY):
                continue
            watch = self._telemetry.of(path, kind_of(handler))
            wrap = partial(self._boundary.wrap, handler, f"{short}/{name}", watch=watch)
            admit = admit_by_certificate(tokens, self._boundary.shares, scope)
            served = wrap(None)
            has_stream = handler.request_streaming or handler.response_streaming
            queued = served if has_stream else self._boundary.queued(served, watch)
            self.methods[path] = Method(scope, served, queued, wrap(admit), watch)


class Server:
    """An asyncio gRPC server over the given services, on one port or more. Make it inside its event loop."""

    def __init__(
        self,
        servicers: Sequence[Any],
        call_limits: CallLimits | None = None,
        audit: AuditLog | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Takes the servicers: one for each service to offer, each of a class in `SERVICES`.

        Args:
            servicers: What serves; the ports of `listen` each offer them, or some of their methods.
            call_limits: What one caller may ask for; the defaults if None.
            audit: Notes the calls that are audited; None: nobody does.
            telemetry: Watches all calls; None: nothing counts them.
        """
        self._servicers = servicers
        self._telemetry = telemetry or Telemetry()
        self._boundary = Boundary(call_limits, audit, self._telemetry)
        self._ready = False
        self._health = HealthServicer()
        self._servers: list[grpc.aio.Server] = []
        self._sweeping: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None

    def listen(self, listening: Listening) -> str:
        """Opens a port; call it before `start`. Returns its address, with port 0 resolved.

        Raises:
            ValueError: The address is none.
            StartError: The address cannot be listened on.
        """
        check_address(listening.address)
        registry = _Registry(self._boundary, listening, self._telemetry)
        names = [name for servicer in self._servicers if (name := _register(servicer, registry))]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, registry)
        if listening.reflection:
            add_reflection([*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name], registry)
        door = Door(registry.methods, listening.tokens, self._boundary.shares, self._telemetry.unknown)
        server = grpc.aio.server(options=_options(listening))
        server.add_generic_rpc_handlers((door,))
        address = _opened(server, listening)
        self._servers.append(server)
        return address

    async def start(self) -> None:
        """Starts serving. Health answers SERVING for the process (the empty name) and for each service.

        The name `readiness` is NOT_SERVING until `set_ready` says otherwise.
        """
        self._health.set(READINESS, NOT_SERVING)
        for server in self._servers:
            await server.start()
        self._sweeping = asyncio.create_task(self._boundary.sweep())
        for name in ["", *(_row(servicer)[2] for servicer in self._servicers)]:
            self._health.set(name, SERVING)

    def set_ready(self, ready: bool) -> None:
        """Publishes whether the store answers, under the health name `readiness`."""
        self._health.set(READINESS, SERVING if ready else NOT_SERVING)
        self._ready = ready

    @property
    def ready(self) -> bool:
        """Whether calls can succeed: the store answers, and no drain has begun."""
        return self._ready and self._draining is None

    @property
    def in_hand(self) -> int:
        """The number of calls that have not ended, streams among them."""
        return self._boundary.in_hand

    @property
    def open_streams(self) -> int:
        """The number of streams that have not ended."""
        return self._boundary.open_streams

    async def drain(self, grace: float, *, process_ends: bool = False) -> None:
        """Stops serving (R20).

        Health answers NOT_SERVING, streams and new calls end with UNAVAILABLE, and accepted calls have `grace`
        seconds to finish. A second call waits for the end of the first, whose arguments count.

        Args:
            grace: In seconds.
            process_ends: Leaves the ports open, where every new call is refused, to the end of the process, unless
                accepted calls take longer than LEFT_OPEN_SECONDS. When gRPC closes a port, it ends calls that arrive
                at the same moment as CANCELLED, which clients take for their own doing; when the process ends, they
                are UNAVAILABLE.
        """
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(grace, process_ends))
        await asyncio.shield(self._draining)

    async def _drain(self, grace: float, process_ends: bool) -> None:
        deadline = asyncio.get_running_loop().time() + grace
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._health.end()
        await asyncio.sleep(NOTICE_SECONDS)
        await self._boundary.stop()
        closing = asyncio.create_task(self._boundary.close())
        if process_ends and (await asyncio.wait({closing}, timeout=min(grace, LEFT_OPEN_SECONDS)))[0]:
            await asyncio.sleep(NOTICE_SECONDS)  # the last answers are on their way
            return
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        stops = [asyncio.create_task(server.stop(left)) for server in self._servers]
        await asyncio.wait({closing}, timeout=left)
        closing.cancel()
        patience = min(left, SEND_SECONDS)
        await asyncio.gather(*map(partial(_stopped, patience), self._servers, stops))


async def _stopped(patience: float, server: grpc.aio.Server, stop: asyncio.Task[None]) -> None:
    """Waits for the end of a stop that has begun; after `patience` seconds gRPC cancels the calls that are left."""
    await asyncio.wait({stop}, timeout=patience)
    if not stop.done():
        # Two stops of one server at a time crash gRPC 1.76.
        stop.cancel()
        await asyncio.wait({stop})
        await server.stop(0)


def _row(servicer: Any) -> tuple[Any, Any, str, Callable[[Any, Any], None]]:
    """Generated class, module, full name and way of registering of a servicer."""
    kind, module, name, register = next(row for row in SERVICES if isinstance(servicer, row[0]))
    return kind, module, module.DESCRIPTOR.services_by_name[name].full_name, register


def _register(servicer: Any, registry: _Registry) -> str:
    """Registers a servicer; returns the name of its service, or "" if the port serves none of its methods."""
    _, _, name, register = _row(servicer)
    register(servicer, registry)
    return name if any(path.startswith(f"/{name}/") for path in registry.methods) else ""


def _options(listening: Listening) -> list[tuple[str, int]]:
    options = [*OPTIONS, ("grpc.so_reuseport", int(listening.reuse_port))]
    if not listening.allow_compression:
        options.append(("grpc.compression_enabled_algorithms_bitset", 1))  # 1: identity, which is no compression
    if listening.certificate is not None:
        options += [
            ("grpc.max_connection_age_ms", CONNECTION_SECONDS * 1000),
            ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_SECONDS * 1000),
        ]
    return options


def _opened(server: grpc.aio.Server, listening: Listening) -> str:
    address = listening.address
    if address.startswith(UNIX):
        _refuse_taken(address.removeprefix(UNIX).removeprefix("//"))
    try:
        if listening.certificate is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, listening.certificate.credentials())
    except RuntimeError as error:
        raise StartError(f"cannot listen on {address}: is it taken? ({error})") from error
    return address if address.startswith(UNIX) else f"{address.rpartition(':')[0]}:{port}"


def _refuse_taken(path: str) -> None:
    """Raises StartError if a server listens on this socket: gRPC would take the path from it without a word."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
        try:
            probe.connect(path)
        except PermissionError as error:
            raise StartError(f"cannot listen on unix:{path}: {error.strerror}") from error
        raise StartError(f"cannot listen on unix:{path}: it is taken")
