"""The Python client for backends: blocking and asyncio, with direct calls and a queue in the background.

What `__all__` lists is public. The modules of this package, `admin` apart, are its inside and may change at any time.
"""

from clickstream.client.aio import AsyncClickstreamClient
from clickstream.client.background import OnFailure
from clickstream.client.blocking import ClickstreamClient
from clickstream.client.queue_reports import Failure, QueueFullError, Stats
from clickstream.client.queue_settings import QueueSettings

__all__ = [
    "AsyncClickstreamClient",
    "ClickstreamClient",
    "Failure",
    "OnFailure",
    "QueueFullError",
    "QueueSettings",
    "Stats",
]
