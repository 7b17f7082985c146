"""A door: what one port serves, and to whom. A call is let in or refused before its body is read."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import grpc

from clickstream.contract.statuses import grpc_status
from clickstream.domain import call_limits
from clickstream.domain.errors import ClickstreamError, PermissionDenied, Reason
from clickstream.servicers.access.rate_limits import Share, Shares, address_of
from clickstream.servicers.access.scopes import Scope, holds
from clickstream.servicers.access.tokens import Caller, TokenFile, bearer_token
from clickstream.servicers.boundary import RECEIVING
from clickstream.servicers.call_ends import abort
from clickstream.servicers.telemetry import CALLER, Watch

_NAMES = ("x509_subject_alternative_name", "x509_common_name")

logger = logging.getLogger(__name__)


class Method(NamedTuple):
    """A method of a door.

    `handler` serves a call that was let in, `queued` one whose request waits before it is received; for a method with
    a stream of requests both are the same. `by_certificate` first asks `admit_by_certificate`: a client certificate
    is known only inside the call. `watch` watches its calls.
    """

    scope: Scope
    handler: Any
    queued: Any
    by_certificate: Any
    watch: Watch


class Door(grpc.GenericRpcHandler):
    """Finds the method of a call and decides whether its caller may make it (R22).

    gRPC asks with the path and the metadata of a call, before the body of the request arrives. A method that the
    door does not have is UNIMPLEMENTED, as if it did not exist.
    """

    def __init__(self, methods: Mapping[str, Method], tokens: TokenFile | None, shares: Shares, unknown: Watch) -> None:
        """Takes the methods, the callers and their shares.

        Args:
            methods: By their path.
            tokens: Who may call; None: everybody may call everything.
            shares: What each caller has used.
            unknown: Watches the calls to methods that the door does not have.
        """
        self._methods = methods
        self._tokens = tokens
        self._shares = shares
        self._unknown = unknown

    def service(self, handler_call_details: Any) -> Any:
        """What serves a call; None if the door does not have its method."""
        method = self._methods.get(handler_call_details.method)
        if method is None:
            self._unknown.arrived()
            self._unknown.refused("UNIMPLEMENTED")
            return None
        method.watch.arrived()
        if self._tokens is None or method.scope is Scope.OPEN:
            return self._received(method, self._shares.of(""))
        try:
            token = bearer_token(handler_call_details.invocation_metadata or ())
            if token is None and self._tokens.binds_certificates:
                return method.by_certificate
            caller = self._tokens.by_token(token) if token else self._tokens.by_certificate(())
            require(caller, method.scope)
        except ClickstreamError as error:
            return self._refusal(error, method.watch)
        return self._received(method, self._shares.of(caller.name, caller.limits))

    def _received(self, method: Method, share: Share) -> Any:
        """What receives a request: at once, or in turn where its caller sends many at the same time.

        gRPC keeps a request in memory while it arrives: a thousand large ones would take gigabytes.
        """
        if method.handler is method.queued:
            return method.handler
        if len(share.receiving) >= call_limits.AT_ONCE:
            return method.queued
        task = asyncio.current_task()
        if task is not None:
            share.receiving.add(task)
            RECEIVING.set(share.receiving)
            task.add_done_callback(partial(_received_or_not, share.receiving, method.watch))
        return method.handler

    def _refusal(self, error: ClickstreamError, watch: Watch) -> Any:
        """What refuses a call without reading it. An address that is refused often hears only that."""

        async def refuse(_: Any, context: Any) -> None:
            refused: ClickstreamError = error
            if not isinstance(error, PermissionDenied):
                try:
                    self._shares.refuse(address_of(context.peer()))
                except ClickstreamError as too_many:
                    refused = too_many
            status = grpc_status(refused)
            watch.failed(refused)
            watch.refused(status.code.name)
            await abort(context, status)

        return grpc.stream_stream_rpc_method_handler(refuse, None, None)


def _received_or_not(receiving: set[asyncio.Task[Any]], watch: Watch, task: asyncio.Task[Any]) -> None:
    """Counts a call that ended while its request was still on its way."""
    if task in receiving:
        receiving.discard(task)
        watch.refused("CANCELLED")


def require(caller: Caller, scope: Scope) -> None:
    """Makes a caller that of the present call. Raises PermissionDenied if it may not call a method of this scope."""
    if not holds(caller.scopes, scope):
        raise PermissionDenied(Reason.SCOPE_MISSING, f"this method needs the scope `{scope}`", {"scope": scope.value})
    CALLER.set(caller)


def admit_by_certificate(tokens: TokenFile | None, shares: Shares, scope: Scope) -> Callable[[Any], None]:
    """Returns a function that lets in the callers whose client certificate a token file names."""

    def admit(context: Any) -> None:
        if tokens is None:
            return
        try:
            caller = tokens.by_certificate(certificate_names(context.auth_context()))
        except ClickstreamError:
            shares.refuse(address_of(context.peer()))
            raise
        require(caller, scope)

    return admit


def certificate_names(auth_context: Mapping[str, Sequence[bytes]]) -> list[str]:
    """The names in a caller's certificate: its subject alternative names, then its common name."""
    return [name.decode(errors="replace") for key in _NAMES for name in auth_context.get(key, ())]
