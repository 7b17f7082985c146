"""The Python client for backends: blocking and asyncio, direct calls and a queue in the background."""

from clickstream.client.aio import AsyncClickstreamClient
from clickstream.client.blocking import ClickstreamClient
from clickstream.client.outbox import Failure, QueueFullError, Stats
from clickstream.client.queue_settings import QueueSettings

__all__ = ["AsyncClickstreamClient", "ClickstreamClient", "Failure", "QueueFullError", "QueueSettings", "Stats"]
