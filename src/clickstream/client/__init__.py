"""The Python clients: for backends, blocking or asyncio, with a queue in the background; for schedulers; for analysts.

What `__all__` lists is public. The modules of this package are its inside and may change at any time.
"""

from clickstream.client.admin import AdminClient
from clickstream.client.aio import AsyncClickstreamClient
from clickstream.client.analytics import AnalyticsClient
from clickstream.client.background import OnFailure
from clickstream.client.blocking import ClickstreamClient
from clickstream.client.channel import open_channel
from clickstream.client.queue_reports import Failure, QueueFullError, Stats
from clickstream.client.queue_settings import QueueSettings
from clickstream.credentials.connection import Credentials

__all__ = [
    "AdminClient",
    "AnalyticsClient",
    "AsyncClickstreamClient",
    "ClickstreamClient",
    "Credentials",
    "Failure",
    "OnFailure",
    "QueueFullError",
    "QueueSettings",
    "Stats",
    "open_channel",
]
