"""What a report shows, read through the RPCs alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import figures_pb2, model_version_pb2, robot_verdict_pb2

from clickstream.client.admin import AdminClient
from clickstream.client.analytics import AnalyticsClient, window_of

# The parts of time are hours up to this length of the window, then days, then weeks.
HOURLY, DAILY = timedelta(days=2), timedelta(days=62)
PREVIEW_DAYS = 31
TOP, PLACES, SEGMENTS, VERDICTS, VERSIONS = 15, 20, 12, 20, 20
LISTS = ("queries", "queries_without_results", "queries_without_clicks", "items", "items_without_clicks")


@dataclass(frozen=True, slots=True)
class ReportData:
    """The answers that a report is drawn from. `bucket` is `hour`, `day` or `week`; `segments` are by dimension."""

    made_at: datetime
    time_zone: str
    bucket: str
    over_time: pb.QueryFiguresResponse
    places: pb.QueryFiguresResponse
    tops: dict[str, Sequence[pb.TopRow]]
    segments: dict[str, pb.QueryFiguresResponse]
    quality: pb.GetDataQualityResponse
    progress: pb.GetBatchProgressResponse
    verdicts: Sequence[robot_verdict_pb2.RobotVerdict]
    judged: pb.PreviewRobotVerdictsResponse
    versions: Sequence[model_version_pb2.ModelVersion]


def read_report(
    analytics: AnalyticsClient,
    admin: AdminClient,
    start: datetime,
    end: datetime,
    time_zone: str,
    dimensions: Sequence[str],
    now: datetime,
) -> ReportData:
    """Reads everything that a report shows.

    Args:
        analytics: Asks for everything but model versions.
        admin: Asks for those.
        start: The first moment of the window.
        end: The first moment behind it.
        time_zone: Where days begin.
        dimensions: What to set side by side: `client`, `context.locale` and so on.
        now: The time of the report.

    Raises:
        grpc.RpcError: A call failed, and retries did not help.
    """
    window: figures_pb2.Window = window_of(start, end, time_zone)
    length = end - start
    bucket = "hour" if length <= HOURLY else "day" if length <= DAILY else "week"
    return ReportData(
        made_at=now,
        time_zone=time_zone or "UTC",
        bucket=bucket,
        over_time=analytics.figures(window, bucket),
        places=analytics.figures(window, dimension="position", value_limit=100),
        tops={name: list(islice(analytics.top(name, window), TOP)) for name in LISTS},
        segments={name: analytics.figures(window, dimension=name, value_limit=SEGMENTS) for name in dimensions},
        quality=analytics.quality(window),
        progress=analytics.progress(),
        judged=analytics.preview_robots(*_days(start, end)),
        verdicts=list(islice(analytics.robot_verdicts(), VERDICTS)),
        versions=list(islice(admin.model_versions(), VERSIONS)),
    )


def _days(start: datetime, end: datetime) -> tuple[str, str]:
    """The last UTC days of a window, as many as one dry run judges."""
    last = (end - timedelta(milliseconds=1)).astimezone(UTC).date()
    first = max(start.astimezone(UTC).date(), last - timedelta(days=PREVIEW_DAYS - 1))
    return first.isoformat(), last.isoformat()
