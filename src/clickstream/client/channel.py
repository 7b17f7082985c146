"""Channels to the service: keepalive, reconnecting, and gRPC's own retries of ClickstreamService."""

import json

import grpc
from embedding_studio.clickstream.v1 import clickstream_service_pb2

from clickstream.domain import limits

# gRPC allows five attempts at most; the deadline of the call may end them earlier.
ATTEMPTS = 5
# Seconds.
FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 2.0

Options = list[tuple[str, str | int]]

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
    """The service config (JSON): every method of ClickstreamService is retried on UNAVAILABLE.

    RESOURCE_EXHAUSTED is not retried: gRPC cannot distinguish a full write queue from a message that is too large.
    """
    policy = {
        "maxAttempts": ATTEMPTS,
        "initialBackoff": f"{FIRST_BACKOFF}s",
        "maxBackoff": f"{LONGEST_BACKOFF}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps({"methodConfig": [{"name": [{"service": SERVICE}], "retryPolicy": policy}]})


RETRIES: Options = [
    ("grpc.service_config", service_config()),
    # By default, gRPC never retries a call of more than 256 KiB.
    ("grpc.per_rpc_retry_buffer_size", 2 * limits.REQUEST_BYTES),
]


def open_channel(address: str, credentials: grpc.ChannelCredentials | None, *, retries: bool) -> grpc.Channel:
    """Opens a blocking channel, which connects with its first call.

    Args:
        address: `host:port` of the server's client port, or any gRPC target.
        credentials: For TLS, with call credentials for a token. None sends plain text.
        retries: Whether gRPC itself retries calls by `service_config`.
    """
    options = [*OPTIONS, *RETRIES] if retries else OPTIONS
    if credentials is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, credentials, options)


def open_aio_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """Opens a channel with retries in the running event loop. The arguments are those of `open_channel`."""
    options = [*OPTIONS, *RETRIES]
    if credentials is None:
        return grpc.aio.insecure_channel(address, options)
    return grpc.aio.secure_channel(address, credentials, options)
