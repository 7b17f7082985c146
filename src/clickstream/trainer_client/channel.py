"""Opens the channel to the trainer."""

import grpc

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


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to `host:port` for the running event loop. It connects with its first call."""
    return grpc.aio.insecure_channel(address, options=OPTIONS)
