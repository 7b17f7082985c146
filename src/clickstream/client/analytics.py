"""The client of analysts: figures, lists, comparisons, data quality, progress of batches, and robots."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import figures_pb2
from embedding_studio.clickstream.v1.robot_verdict_pb2 import RobotVerdict

from clickstream.client.calls import analytics_stub, call

# Seconds for an answer: a long window that no roll-up holds takes a while.
_SECONDS = 60.0
_PAGE = 100


class AnalyticsClient:
    """Blocking calls on a running service, for analysts. Threads may share a client; the channel stays the caller's.

    Every method retries what a retry can help, for about ten seconds, and then raises grpc.RpcError;
    `clickstream.client.calls` reads its reason and its fields. Filters are a sequence of (dimension, values).

        with grpc.insecure_channel("localhost:50051") as channel:
            answer = AnalyticsClient(channel).figures(bucket="day")
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = analytics_stub(channel)

    def figures(
        self,
        window: figures_pb2.Window | None = None,
        bucket: str = "",
        dimension: str = "",
        filters: Sequence[tuple[str, Sequence[str]]] = (),
        population: figures_pb2.Population | None = None,
        value_limit: int = 0,
    ) -> pb.QueryFiguresResponse:
        """Counts and rates of a window: together, by parts of time, by the values of a dimension, or both.

        Args:
            window: The time to look at, as `window_of` makes it; None: the last 8 days.
            bucket: `hour`, `day` or `week`; "": no parts.
            dimension: `query`, `client`, `context.locale` and so on; "": none.
            filters: What must hold.
            population: Which searches count; None: neither irrelevant ones nor robots'.
            value_limit: The number of values to answer, 1 to 100; 0: 20.
        """
        request = pb.QueryFiguresRequest(
            window=window,
            bucket=f"BUCKET_{bucket.upper()}" if bucket else pb.BUCKET_UNSPECIFIED,
            dimension=dimension,
            filters=filter_messages(filters),
            population=population,
            value_limit=value_limit,
        )
        answer: pb.QueryFiguresResponse = call(self._stub.QueryFigures, request, timeout=_SECONDS)
        return answer

    def top(
        self,
        wanted: str,
        window: figures_pb2.Window | None = None,
        filters: Sequence[tuple[str, Sequence[str]]] = (),
        population: figures_pb2.Population | None = None,
        min_searches: int = 0,
    ) -> Iterator[pb.TopRow]:
        """The rows of a list, in its order, read page by page.

        Args:
            wanted: `queries`, `queries_without_results`, `queries_without_clicks`, `lowest_click_through`, `items`,
                `items_without_clicks`, `rising` or `falling`.
            window: As in `figures`.
            filters: As in `figures`.
            population: As in `figures`.
            min_searches: Leaves out what has fewer searches; 0: the list's own default.
        """
        request = pb.ListTopRequest(
            list=f"TOP_LIST_{wanted.upper()}",
            window=window,
            filters=filter_messages(filters),
            population=population,
            min_searches=min_searches,
            page_size=_PAGE,
        )
        while True:
            response: pb.ListTopResponse = call(self._stub.ListTop, request, timeout=_SECONDS)
            yield from response.rows
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def compare(
        self,
        first: pb.ComparedSide,
        second: pb.ComparedSide,
        population: figures_pb2.Population | None = None,
    ) -> pb.CompareFiguresResponse:
        """The difference of every rate of two sides, second minus first, with its interval."""
        request = pb.CompareFiguresRequest(first=first, second=second, population=population)
        answer: pb.CompareFiguresResponse = call(self._stub.CompareFigures, request, timeout=_SECONDS)
        return answer

    def quality(
        self,
        window: figures_pb2.Window | None = None,
        batch_id: str = "",
        group_by: str = "",
        population: figures_pb2.Population | None = None,
    ) -> pb.GetDataQualityResponse:
        """The checks of a window or, given its id, of a batch; also by `day`, `batch` or `client`."""
        request = pb.GetDataQualityRequest(window=window, batch_id=batch_id, group_by=group_by, population=population)
        answer: pb.GetDataQualityResponse = call(self._stub.GetDataQuality, request, timeout=_SECONDS)
        return answer

    def progress(self, batch_id: str = "", page_size: int = 0) -> pb.GetBatchProgressResponse:
        """The newest batches, or the one with this id, what became of them, and how long the queue waits."""
        request = pb.GetBatchProgressRequest(batch_id=batch_id, page_size=page_size)
        answer: pb.GetBatchProgressResponse = call(self._stub.GetBatchProgress, request, timeout=_SECONDS)
        return answer

    def robot_verdicts(self, user_id: str = "", day: str = "") -> Iterator[RobotVerdict]:
        """The entries of the list of robot verdicts, the newest first, read page by page; `day` is YYYY-MM-DD."""
        request = pb.ListRobotVerdictsRequest(user_id=user_id, day=day, page_size=_PAGE)
        while True:
            response: pb.ListRobotVerdictsResponse = call(self._stub.ListRobotVerdicts, request)
            yield from response.verdicts
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def preview_robots(
        self, first_day: str = "", last_day: str = "", policy: str = "", *, include_unsure: bool = False
    ) -> pb.PreviewRobotVerdictsResponse:
        """How a robot policy (TOML; "": the service's own) judges the users of UTC days; nothing is stored."""
        request = pb.PreviewRobotVerdictsRequest(
            first_day=first_day, last_day=last_day, policy=policy, include_unsure=include_unsure
        )
        answer: pb.PreviewRobotVerdictsResponse = call(self._stub.PreviewRobotVerdicts, request, timeout=_SECONDS)
        return answer

    def overrule_robot(
        self, request_id: str, user_id: str, day: str, *, robot: bool, by: str, reason: str = ""
    ) -> pb.OverruleRobotVerdictResponse:
        """Adds a person's verdict about a user and UTC day; the same request id again adds nothing."""
        request = pb.OverruleRobotVerdictRequest(
            request_id=request_id, user_id=user_id, day=day, robot=robot, by=by, reason=reason
        )
        answer: pb.OverruleRobotVerdictResponse = call(self._stub.OverruleRobotVerdict, request)
        return answer

    def undo_robots(self, request_id: str, by: str, reason: str = "") -> pb.UndoRobotVerdictsResponse:
        """Makes every verdict before this one void; the same request id again adds nothing."""
        request = pb.UndoRobotVerdictsRequest(request_id=request_id, by=by, reason=reason)
        answer: pb.UndoRobotVerdictsResponse = call(self._stub.UndoRobotVerdicts, request)
        return answer


def window_of(start: datetime | None = None, end: datetime | None = None, time_zone: str = "") -> figures_pb2.Window:
    """A window; what is None or empty is left to the service. Times must know their zone."""
    window = figures_pb2.Window(time_zone=time_zone)
    for field, moment in ((window.start, start), (window.end, end)):
        if moment is not None:
            field.FromDatetime(moment)
    return window


def population_of(
    *, include_irrelevant: bool = False, include_robots: bool = False, collapse_typing: bool = False
) -> figures_pb2.Population:
    """Which searches count."""
    return figures_pb2.Population(
        include_irrelevant=include_irrelevant, include_robots=include_robots, collapse_typing=collapse_typing
    )


def side_of(window: figures_pb2.Window | None, filters: Sequence[tuple[str, Sequence[str]]]) -> pb.ComparedSide:
    """One side of a comparison."""
    return pb.ComparedSide(window=window, filters=filter_messages(filters))


def window_before(window: figures_pb2.Window) -> figures_pb2.Window:
    """The window of the same length before one that has both of its ends."""
    start, end = window.start.ToDatetime(UTC), window.end.ToDatetime(UTC)
    return window_of(start - (end - start), start, window.time_zone)


def filter_messages(filters: Sequence[tuple[str, Sequence[str]]]) -> list[Any]:
    """Filters as messages."""
    return [figures_pb2.Filter(dimension=dimension, values=values) for dimension, values in filters]
