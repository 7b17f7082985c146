"""The client of analysts: figures, lists and comparisons."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import figures_pb2

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
            population: Which searches count; None: those that are not marked irrelevant.
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


def window_of(start: datetime | None = None, end: datetime | None = None, time_zone: str = "") -> figures_pb2.Window:
    """A window; what is None or empty is left to the service. Times must know their zone."""
    window = figures_pb2.Window(time_zone=time_zone)
    for field, moment in ((window.start, start), (window.end, end)):
        if moment is not None:
            field.FromDatetime(moment)
    return window


def population_of(*, include_irrelevant: bool = False, collapse_typing: bool = False) -> figures_pb2.Population:
    """Which searches count."""
    return figures_pb2.Population(include_irrelevant=include_irrelevant, collapse_typing=collapse_typing)


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
