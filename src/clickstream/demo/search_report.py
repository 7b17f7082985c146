"""The report about the demo's searches."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from clickstream.client.admin import AdminClient
from clickstream.client.analytics import AnalyticsClient
from clickstream.report.data import read_report
from clickstream.report.page import page

# Roll-ups follow writes within seconds; beyond this the report is written as they are, and says so.
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.5


def write_report(channel: grpc.Channel, path: Path) -> None:
    """Writes the report about the last day, once every search and event so far is in the figures.

    Raises:
        grpc.RpcError: A call failed, and retries did not help.
        OSError: The file cannot be written.
    """
    now = datetime.now(UTC)
    client, deadline = AnalyticsClient(channel), time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        coverage = client.progress(page_size=1).coverage
        if coverage.HasField("exact_until") and coverage.exact_until.ToDatetime(UTC) >= now:
            break
        time.sleep(LOOK_SECONDS)
    start = now - timedelta(days=1)
    path.write_text(
        page(read_report(client, AdminClient(channel), start, now + timedelta(minutes=1), "", ("client",), now)),
        "utf-8",
    )
