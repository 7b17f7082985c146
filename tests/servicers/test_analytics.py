"""AnalyticsService through a channel: answers, pages, and every kind of bad input."""

import base64
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import figures_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from support.builders import NOW, create_request, event, push_request
from support.memory_store import MemoryDao
from support.rollup_making import make_all
from support.servers import POLICY, Clock, InProcessServer, detail, reason

from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.domain.analytics import Segments
from clickstream.servicers.checks import page_tokens


@pytest.fixture
def server(memory_dao: MemoryDao, clock: Clock) -> Iterator[InProcessServer]:
    """A server with a few searches and their roll-ups."""
    with InProcessServer(memory_dao, clock) as server:
        for number in range(6):
            client = {"name": "web" if number % 2 else "app"}
            request = create_request(f"s-{number}", query=f"query {number % 3}", client=client, user_id=f"u-{number}")
            server.clickstream.CreateSession(request)
        server.clickstream.PushEvents(push_request("s-1", event("e-1", "b"), event("e-2", "zz")))
        server.clickstream.PushEvents(push_request("s-2", event("e-1", "a", "save")))
        server.clickstream.CreateSession(create_request("nothing", objects=(), query="nothing"))
        roll_ups = RollUps(memory_dao, FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}"))
        make_all(roll_ups, memory_dao)
        clock.forward(60)  # a window ends before the present moment
        yield server


def stamp(moment: datetime) -> Any:
    """A time of the contract."""
    window = figures_pb2.Window()
    window.start.FromDatetime(moment)
    return window.start


def test_r25_a_rate_carries_its_counts_and_interval(server: InProcessServer) -> None:
    """R25: the default window is the last 8 days; a rate has two counts, and the coverage says what was counted."""
    answer = server.analytics.QueryFigures(pb.QueryFiguresRequest())
    [row] = answer.rows
    assert row.figures == answer.total
    total = answer.total
    assert (total.searches, total.clickable_searches, total.showings, total.unshown_events) == (7, 6, 18, 1)
    rate = total.click_through_rate
    assert (rate.numerator, rate.denominator, rate.value) == (1, 6, 1 / 6)
    assert 0 < rate.lower < rate.value < rate.upper < 1
    assert (total.no_results_rate.numerator, total.no_results_rate.denominator) == (1, 7)
    assert [(each.type, each.count, each.unshown_count) for each in total.events] == [("click", 1, 1), ("save", 1, 0)]
    assert total.events[1].search_rate.numerator == 1
    assert total.mean_click_place == 2
    assert [each.clicks for each in total.click_places] == [0, 1, 0, 0, 0, 0, 0]
    assert not total.HasField("users")  # the window does not begin with a UTC day
    window = answer.coverage.window
    assert window.time_zone == "UTC"
    assert window.end.ToDatetime(UTC) - window.start.ToDatetime(UTC) >= timedelta(days=8)
    assert answer.coverage.importance_policy_version == POLICY.version
    assert not answer.coverage.HasField("exact_until")


def test_r25_absent_is_not_0(server: InProcessServer) -> None:
    """R25: where nothing was searched, counts are 0 and every rate is absent."""
    window = figures_pb2.Window(start=stamp(NOW - timedelta(days=60)), end=stamp(NOW - timedelta(days=58)))
    answer = server.analytics.QueryFigures(pb.QueryFiguresRequest(window=window, bucket=pb.BUCKET_DAY))
    assert len(answer.rows) == 3
    present = {field.name for field, _ in answer.total.ListFields()}
    assert present == set()
    assert not answer.total.HasField("click_through_rate")


def test_dimensions_are_listed_by_their_searches(server: InProcessServer) -> None:
    """At most `value_limit` values are answered, and their number is said."""
    request = pb.QueryFiguresRequest(dimension="query", value_limit=1)
    answer = server.analytics.QueryFigures(request)
    assert [(row.value, row.figures.searches) for row in answer.rows] == [("query 0", 2)]
    assert answer.value_count == 4


def test_a_list_is_read_page_by_page(server: InProcessServer) -> None:
    """The pages of a list belong to the window of the first, and a token belongs to its own list."""
    request = pb.ListTopRequest(list=pb.TOP_LIST_QUERIES, page_size=3)
    first = server.analytics.ListTop(request)
    assert [row.value for row in first.rows] == ["query 0", "query 1", "query 2"]
    request.page_token = first.next_page_token
    second = server.analytics.ListTop(request)
    assert [row.value for row in second.rows] == ["nothing"]
    assert second.next_page_token == ""
    assert second.coverage.window == first.coverage.window
    other = pb.ListTopRequest(list=pb.TOP_LIST_ITEMS, page_token=first.next_page_token)
    with pytest.raises(grpc.RpcError) as refused:
        server.analytics.ListTop(other)
    assert reason(refused.value) == "INVALID_PAGE_TOKEN"


def test_a_made_up_page_token_is_refused(server: InProcessServer) -> None:
    """R7: a token whose window is longer than any is not one of this service, and no input leads to INTERNAL."""
    request = pb.ListTopRequest(list=pb.TOP_LIST_RISING, page_size=1)
    made = server.analytics.ListTop(request).next_page_token
    assert made
    *_, digest = json.loads(base64.urlsafe_b64decode(made + "=="))
    request.page_token = page_tokens.encode_token("ListTop", 0, 2**46, 0, digest)
    with pytest.raises(grpc.RpcError) as refused:
        server.analytics.ListTop(request)
    assert reason(refused.value) == "INVALID_PAGE_TOKEN"


def test_two_clients_are_compared(server: InProcessServer) -> None:
    """A comparison has both sides, the difference of each rate with its interval, and says what may mislead."""
    sides = [
        pb.ComparedSide(filters=[figures_pb2.Filter(dimension="client", values=[name])]) for name in ("web", "app")
    ]
    answer = server.analytics.CompareFigures(pb.CompareFiguresRequest(first=sides[0], second=sides[1]))
    assert (answer.first.searches, answer.second.searches) == (3, 3)
    [ctr] = [each for each in answer.differences if each.name == "click_through_rate"]
    assert ctr.difference == pytest.approx(-1 / 3)
    assert ctr.lower < ctr.difference < ctr.upper
    assert "the first side has 3 searches only" in answer.warnings


QUERY = pb.QueryFiguresRequest
LIST = pb.ListTopRequest
FILTER = figures_pb2.Filter
DAY = timedelta(days=1)
YEAR_1, YEAR_9999 = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 22, tzinfo=UTC)


def window(**fields: Any) -> figures_pb2.Window:
    """A window, given by times."""
    return figures_pb2.Window(**{name: stamp(value) for name, value in fields.items()})


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (QUERY(dimension="colour"), "dimension"),
        (QUERY(dimension="context."), "dimension"),
        (QUERY(dimension="context.a..b"), "dimension"),
        (QUERY(dimension="meta." + 300 * "a"), "dimension"),
        (QUERY(window=window(start=NOW, end=NOW - DAY)), "window.end"),
        (QUERY(window=window(start=NOW, end=NOW)), "window.end"),
        (QUERY(window=window(start=NOW - 5_000 * DAY, end=NOW)), "window.end"),
        (QUERY(window=figures_pb2.Window(time_zone="Europe/Atlantis")), "window.time_zone"),
        (QUERY(window=figures_pb2.Window(time_zone="../etc/passwd")), "window.time_zone"),
        (QUERY(window=figures_pb2.Window(time_zone="a" * 5_000)), "window.time_zone"),
        (QUERY(window=window(start=NOW - 17 * DAY, end=NOW), bucket=pb.BUCKET_HOUR), "bucket"),
        (QUERY(window=window(start=NOW - 500 * DAY, end=NOW), bucket=pb.BUCKET_DAY), "bucket"),
        (QUERY(bucket=9), "bucket"),
        (QUERY(window=window(start=YEAR_1, end=YEAR_1 + 9 * DAY), bucket=pb.BUCKET_DAY), "window.start"),
        (LIST(list=pb.TOP_LIST_RISING, window=window(start=YEAR_1 + DAY, end=YEAR_1 + 9 * DAY)), "window.start"),
        (QUERY(window=window(start=YEAR_9999, end=YEAR_9999 + 9 * DAY), bucket=pb.BUCKET_WEEK), "window.end"),
        (QUERY(value_limit=101), "value_limit"),
        (QUERY(value_limit=-1), "value_limit"),
        (QUERY(filters=[FILTER(dimension="client")]), "filters[0].values"),
        (QUERY(filters=[FILTER(dimension="colour", values=["x"])]), "filters[0].dimension"),
        (QUERY(filters=2 * [FILTER(dimension="client", values=["x"])]), "filters[1].dimension"),
        (QUERY(filters=[FILTER(dimension="client", values=101 * ["x"])]), "filters[0].values"),
        (QUERY(filters=[FILTER(dimension="client", values=["", 5_000 * "x"])]), "filters[0].values[1]"),
        (QUERY(filters=[FILTER(dimension="position", values=["0"])]), "filters[0].values[0]"),
        (QUERY(filters=[FILTER(dimension="filtered", values=["yes"])]), "filters[0].values[0]"),
        (QUERY(filters=[FILTER(dimension="batch", values=["night"])]), "filters[0].values[0]"),
        (QUERY(filters=11 * [FILTER(dimension="client", values=["x"])]), "filters"),
        (LIST(), "list"),
        (LIST(list=99), "list"),
        (LIST(list=pb.TOP_LIST_ITEMS, min_searches=-1), "min_searches"),
        (LIST(list=pb.TOP_LIST_ITEMS, page_size=-1), "page_size"),
        (
            pb.CompareFiguresRequest(second=pb.ComparedSide(filters=[FILTER(dimension="object", values=["a"])])),
            "second.filters[0].dimension",
        ),
        (pb.CompareFiguresRequest(first=pb.ComparedSide(window=window(start=NOW + DAY))), "first.window.end"),
    ],
)
def test_bad_input_is_refused_by_field(server: InProcessServer, request_: Message, field: str) -> None:
    """Every bad input is INVALID_ARGUMENT with its field."""
    name = type(request_).__name__.removesuffix("Request")
    with pytest.raises(grpc.RpcError) as refused:
        getattr(server.analytics, name)(request_)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    bad = detail(refused.value, error_details_pb2.BadRequest)
    assert field in [each.field for each in bad.field_violations]


def test_serve_loads_polars_with_the_first_question_only() -> None:
    """A server that is asked for no figure does not pay for them: nothing that it imports at its start has polars."""
    import subprocess

    script = "import clickstream.app.serve, sys; print('polars' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
