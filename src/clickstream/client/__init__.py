"""The Python clients: for backends, blocking or asyncio, with a queue in the background; and for schedulers."""

from clickstream.client.admin import AdminClient
from clickstream.client.aio import AsyncClickstreamClient
from clickstream.client.blocking import ClickstreamClient
from clickstream.client.outbox import Failure, QueueFullError, Stats
from clickstream.client.queue_settings import QueueSettings

__all__ = [
    "AdminClient",
    "AsyncClickstreamClient",
    "ClickstreamClient",
    "Failure",
    "QueueFullError",
    "QueueSettings",
    "Stats",
]
