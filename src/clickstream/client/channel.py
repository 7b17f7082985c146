"""Channels to the service: keepalive, reconnecting, and gRPC's own retries of ClickstreamService."""

import json
from typing import Any, cast

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2

from clickstream.client.token_channel import TokenChannel, TokenSource
from clickstream.credentials.addresses import check_target, is_local
from clickstream.credentials.connection import Credentials, Loaded, load
from clickstream.domain import limits

# gRPC allows five attempts at most; the deadline of the call may end them earlier.
ATTEMPTS = 5
# Seconds.
FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 2.0

Options = list[tuple[str, str | int]]
NO_OPTIONS: Options = []

SERVICE = clickstream_service_pb2.DESCRIPTOR.services_by_name["ClickstreamService"].full_name

OPTIONS: Options = [
    # Pings notice a server that vanished without closing the connection, also while no call runs.
    ("grpc.keepalive_time_ms", 30_000),
    # An unanswered ping ends the connection after this time. grpc.keepalive_timeout_ms no longer decides it: the
    # ping's own timeout does, and that is a minute by default.
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # By default gRPC waits up to two minutes before it dials a server again.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


def service_config() -> str:
    """The service config (JSON): every method of ClickstreamService is retried on UNAVAILABLE and CANCELLED.

    A server that is stopped can end a call that it has not accepted as CANCELLED. A call that the caller itself
    cancels is not retried.

    RESOURCE_EXHAUSTED is not retried: gRPC retries at its own pace, which is not the one that the server asks for.
    """
    policy = {
        "maxAttempts": ATTEMPTS,
        "initialBackoff": f"{FIRST_BACKOFF}s",
        "maxBackoff": f"{LONGEST_BACKOFF}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
    }
    return json.dumps({"methodConfig": [{"name": [{"service": SERVICE}], "retryPolicy": policy}]})


RETRIES: Options = [
    ("grpc.service_config", service_config()),
    # By default, gRPC never retries a call of more than 256 KiB.
    ("grpc.per_rpc_retry_buffer_size", 2 * limits.REQUEST_BYTES),
]


AnyCredentials = Credentials | grpc.ChannelCredentials | None


def open_channel(
    address: str, credentials: AnyCredentials = None, *, retries: bool = False, options: Options = NO_OPTIONS
) -> grpc.Channel:
    """Opens a blocking channel, which connects with its first call.

    Args:
        address: The server's address: HOST:PORT, `unix:/PATH`, or another target of gRPC.
        credentials: Token and certificates. Credentials of gRPC itself are taken as they are. None sends plain text.
        retries: Whether gRPC itself retries calls by `service_config`.
        options: Options of gRPC, beside those of every channel.

    Raises:
        ValueError: The address or a file cannot be used, or a token would go over plain text to another machine.
    """
    check_target(address)
    options = [*_options(address, retries), *options]
    if isinstance(credentials, grpc.ChannelCredentials):
        return grpc.secure_channel(address, credentials, options)
    loaded = load(address, credentials or Credentials())
    if (tls := _tls(loaded)) is None:
        channel = grpc.insecure_channel(address, options)
    else:
        channel = grpc.secure_channel(address, tls, options)
    return cast(grpc.Channel, _with_token(channel, loaded, credentials))


def open_aio_channel(address: str, credentials: AnyCredentials) -> grpc.aio.Channel:
    """Opens a channel with retries in the running event loop. Arguments and errors are those of `open_channel`."""
    check_target(address)
    options = _options(address, retries=True)
    if isinstance(credentials, grpc.ChannelCredentials):
        return grpc.aio.secure_channel(address, credentials, options)
    loaded = load(address, credentials or Credentials())
    if (tls := _tls(loaded)) is None:
        channel = grpc.aio.insecure_channel(address, options)
    else:
        channel = grpc.aio.secure_channel(address, tls, options)
    return cast(grpc.aio.Channel, _with_token(channel, loaded, credentials))


def _options(address: str, retries: bool) -> Options:
    # A proxy of the environment is for other machines: it could not reach loopback here.
    local: Options = [("grpc.enable_http_proxy", 0)] if is_local(address) else []
    return [*OPTIONS, *local, *(RETRIES if retries else [])]


def _tls(loaded: Loaded) -> grpc.ChannelCredentials | None:
    if loaded.authorities is None:
        return None
    return grpc.ssl_channel_credentials(loaded.authorities, loaded.key, loaded.certificate)


def _with_token(channel: Any, loaded: Loaded, credentials: Credentials | None) -> Any:
    if not loaded.token:
        return channel
    return TokenChannel(channel, TokenSource(loaded.token, credentials.token_file if credentials else None))
