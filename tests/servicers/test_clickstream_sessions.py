"""CreateSession, GetSession and the irrelevance marks, through a real channel."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb
from embedding_studio.clickstream.v1 import session_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from support.builders import NOW, create_request, event, push_request, session, struct
from support.servers import Clock, InProcessServer, fields, reason, refused

BACK, AHEAD = timedelta(hours=12), timedelta(minutes=5)


def at(moment, nanos: int = 0) -> Timestamp:
    """A moment and some nanoseconds, which may be negative."""
    made = Timestamp()
    made.FromNanoseconds(int(moment.timestamp()) * 10**9 + nanos)
    return made


def get(server: InProcessServer, session_id: str) -> session_pb2.StoredSession:
    """Reads a session."""
    return server.clickstream.GetSession(pb.GetSessionRequest(session_id=session_id)).stored_session


@pytest.mark.parametrize("kind", ["server", "mongo_server"])
def test_r1_a_retry_answers_the_same_place(request: pytest.FixtureRequest, kind: str, clock: Clock) -> None:
    """R1: a retry with the same content answers the first call's place and time; other content is refused."""
    server = request.getfixturevalue(kind)
    sent = create_request("s-1", user_id="u-1", context=struct(locale="de"))
    place = {"batch_id": "batch-1", "session_number": 1, "created_at": at(NOW)}
    assert server.clickstream.CreateSession(sent) == pb.CreateSessionResponse(**place, created=True)
    clock.forward(10**6)
    assert server.clickstream.CreateSession(sent) == pb.CreateSessionResponse(**place, created=False)
    before = get(server, "s-1")
    error = refused(server.clickstream.CreateSession, create_request("s-1", user_id="u-2"))
    assert (error.code(), reason(error)) == (StatusCode.ALREADY_EXISTS, "CONTENT_CONFLICT")
    assert get(server, "s-1") == before


def test_r1_many_callers_with_one_id_create_one_session(server: InProcessServer) -> None:
    """R1: of racing calls with one id exactly one creates the session, and those with other content are refused."""
    same, other = create_request("s-1"), create_request("s-1", query="other")

    def attempt(request: pb.CreateSessionRequest) -> object:
        try:
            return server.clickstream.CreateSession(request).created
        except Exception as error:
            return reason(error)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, [same, other] * 8))
    assert answers.count(True) == 1
    assert answers.count(False) == 7
    assert answers.count("CONTENT_CONFLICT") == 8


def test_r1_reading_returns_what_was_written(server: InProcessServer) -> None:
    """R1, R6: a session comes back with its results, time, place in the batch and events."""
    sent = session("s-1", score_kind=session_pb2.SCORE_KIND_DISTANCE, user_id="u", payload_search=True)
    sent.created_at.CopyFrom(at(NOW, 123_456_789))
    for result in sent.results:
        result.score = 0.25
    server.clickstream.CreateSession(pb.CreateSessionRequest(session=sent))
    server.clickstream.PushEvents(push_request("s-1", event("e-2"), event("e-1")))
    read = get(server, "s-1")
    assert [each.event_id for each in read.events] == ["e-1", "e-2"]
    assert (read.batch_id, read.session_number, read.irrelevant) == ("batch-1", 1, False)
    assert read.session == sent


@pytest.mark.parametrize(
    ("moment", "nanos", "accepted"),
    [
        (NOW - BACK, 0, True),
        (NOW - BACK, -1_000, False),
        (NOW + AHEAD, 0, True),
        (NOW + AHEAD, 1_000, False),
        (NOW, 999_999_999, True),
    ],
)
def test_r5_created_at_lies_within_the_window(server: InProcessServer, moment, nanos: int, accepted: bool) -> None:
    """R5: 12 hours back and 5 minutes ahead are accepted, a microsecond more on either side is not."""
    request = create_request("s-1", created_at=at(moment, nanos))
    if accepted:
        assert server.clickstream.CreateSession(request).created_at == at(moment, nanos)
        assert get(server, "s-1").session.created_at == at(moment, nanos)
        return
    error = refused(server.clickstream.CreateSession, request)
    assert (error.code(), reason(error)) == (StatusCode.INVALID_ARGUMENT, "CREATED_AT_OUT_OF_WINDOW")
    assert fields(error) == ["session.created_at"]


def test_r5_an_absent_created_at_is_the_servers_time(server: InProcessServer) -> None:
    """R5: a session without a time gets the server's time."""
    assert server.clickstream.CreateSession(create_request("s-1")).created_at == at(NOW)
    assert get(server, "s-1").session.created_at == at(NOW)


def test_r5_history_lifts_the_window(server: InProcessServer) -> None:
    """R5: a historical session may have any age."""
    for number, moment in enumerate([NOW - 3650 * BACK, NOW + 100 * AHEAD]):
        request = create_request(f"s-{number}", created_at=at(moment))
        request.historical = True
        assert server.clickstream.CreateSession(request).created


@pytest.mark.parametrize(("seconds", "nanos"), [(0, -1), (0, 10**9), (2**62, 0), (-(2**62), 0), (253_402_300_800, 0)])
@pytest.mark.parametrize("historical", [False, True])
def test_r5_an_impossible_time_is_refused(server: InProcessServer, seconds: int, nanos: int, historical: bool) -> None:
    """R5, R7: a timestamp beyond the years 1 to 9999, or with invalid nanos, is refused by name, also in an import."""
    request = create_request("s-1", created_at=Timestamp(seconds=seconds, nanos=nanos))
    request.historical = historical
    error = refused(server.clickstream.CreateSession, request)
    assert (error.code(), fields(error)) == (StatusCode.INVALID_ARGUMENT, ["session.created_at"])


@pytest.mark.parametrize("seconds", [-62_135_596_800, 253_402_300_799])
def test_r5_the_first_and_last_moments_can_be_stored_and_read(mongo_server: InProcessServer, seconds: int) -> None:
    """R5, R7: the first and the last valid time can be stored and read."""
    request = create_request("s-1", created_at=Timestamp(seconds=seconds, nanos=999_999_999))
    request.historical = True
    mongo_server.clickstream.CreateSession(request)
    assert get(mongo_server, "s-1").session.created_at.seconds == seconds


def test_r6_results_keep_their_order_and_places(server: InProcessServer) -> None:
    """R6: results come back as shown; positions that the client left out stay absent, others may have gaps."""
    server.clickstream.CreateSession(create_request("s-1", objects=["z", "a", "m"]))
    listed = get(server, "s-1").session
    assert [(each.object_id, each.HasField("position")) for each in listed.results] == [
        ("z", False),
        ("a", False),
        ("m", False),
    ]
    paged = create_request("s-2", objects=["z", "a", "m"])
    for position, result in zip((20, 21, 25), paged.session.results, strict=True):
        result.position = position
    server.clickstream.CreateSession(paged)
    kept = get(server, "s-2").session
    assert [each.position for each in kept.results] == [20, 21, 25]


@pytest.mark.parametrize(
    ("positions", "field"),
    [
        ((1, None, 2), "session.results[1].position"),
        ((None, 1, None), "session.results[1].position"),
        ((3, 3, 4), "session.results[1].position"),
        ((3, 4, 2), "session.results[2].position"),
        ((0, 1, 1_000_001), "session.results[2].position"),
    ],
)
def test_r6_places_rise_and_are_given_for_all_or_none(server: InProcessServer, positions, field: str) -> None:
    """R6: a position that is missing beside others, repeats, falls or is beyond the limit is refused by name."""
    request = create_request("s-1")
    for position, result in zip(positions, request.session.results, strict=True):
        if position is not None:
            result.position = position
    error = refused(server.clickstream.CreateSession, request)
    assert (error.code(), fields(error)) == (StatusCode.INVALID_ARGUMENT, [field])


def test_r6_a_score_says_what_it_means(server: InProcessServer) -> None:
    """R6: a score without a kind, also 0, is refused; with a kind it is stored; a kind without scores is allowed."""
    request = create_request("s-1")
    request.session.results[1].score = 0.0
    assert fields(refused(server.clickstream.CreateSession, request)) == ["session.score_kind"]
    request.session.score_kind = session_pb2.SCORE_KIND_SIMILARITY
    server.clickstream.CreateSession(request)
    kept = get(server, "s-1").session
    assert [each.HasField("score") for each in kept.results] == [False, True, False]
    request.session.score_kind = 77
    assert fields(refused(server.clickstream.CreateSession, request)) == ["session.score_kind"]


def test_r6_an_object_is_shown_once(server: InProcessServer) -> None:
    """R6: the second result with an object id is refused by name, and nothing is stored."""
    error = refused(server.clickstream.CreateSession, create_request("s-1", objects=["a", "b", "a", "b"]))
    assert fields(error) == ["session.results[2].object_id", "session.results[3].object_id"]
    assert reason(refused(get, server, "s-1")) == "SESSION_NOT_FOUND"


def test_r11_marks_are_idempotent(server: InProcessServer, clock: Clock) -> None:
    """R11: the first mark's time is kept; restoring twice changes nothing more; an unknown session is NOT_FOUND."""
    server.clickstream.CreateSession(create_request("s-1"))
    for _ in range(2):
        marked = server.clickstream.MarkSessionIrrelevant(pb.MarkSessionIrrelevantRequest(session_id="s-1"))
        assert marked.stored_session.irrelevant
        assert marked.stored_session.irrelevant_at == at(NOW)
        clock.forward(60)
    for _ in range(2):
        restored = server.clickstream.RestoreSession(pb.RestoreSessionRequest(session_id="s-1"))
        assert not restored.stored_session.irrelevant
        assert not restored.stored_session.HasField("irrelevant_at")
    for call, request in [
        (server.clickstream.MarkSessionIrrelevant, pb.MarkSessionIrrelevantRequest(session_id="never")),
        (server.clickstream.RestoreSession, pb.RestoreSessionRequest(session_id="never")),
        (server.clickstream.GetSession, pb.GetSessionRequest(session_id="never")),
    ]:
        error = refused(call, request)
        assert (error.code(), reason(error)) == (StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")


def test_r3_a_store_that_is_away_is_unavailable(server: InProcessServer) -> None:
    """R3: during an outage reads and writes are UNAVAILABLE with RetryInfo; afterwards they work again."""
    server.dao.down = True
    for call, request in [
        (server.clickstream.CreateSession, create_request("s-1")),
        (server.clickstream.GetSession, pb.GetSessionRequest(session_id="s-1")),
        (server.clickstream.PushEvents, push_request("s-1", event())),
    ]:
        error = refused(call, request)
        assert (error.code(), reason(error)) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    server.dao.down = False
    assert server.clickstream.CreateSession(create_request("s-1")).created
