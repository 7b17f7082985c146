"""The robot verdicts of AnalyticsService, and of the training RPCs that apply them, through a channel (R27)."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import robot_verdict_pb2
from embedding_studio.clickstream.v1 import training_service_pb2 as training
from support.builders import NOW, create_request, event, push_request, release_request
from support.memory_store import MemoryDao
from support.rollup_making import make_all
from support.servers import POLICY, ROBOT_POLICY, Clock, InProcessServer, fields, reason

from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.contract.robots import day_text
from clickstream.domain.analytics import Segments, day_of
from clickstream.quality.robot_judging import RobotJudging

DAY = day_text(day_of(NOW))


@pytest.fixture
def server(memory_dao: MemoryDao, clock: Clock) -> Iterator[InProcessServer]:
    """A server with a released batch: a declared robot with three sessions, and two people."""
    with InProcessServer(memory_dao, clock) as server:
        for number, user_id in enumerate(("robot", "robot", "robot", "ann", "bob"), 1):
            agent = "Googlebot/2.1" if user_id == "robot" else "Firefox"
            server.clickstream.CreateSession(create_request(f"s-{number}", user_id=user_id, user_agent=agent))
            server.clickstream.PushEvents(push_request(f"s-{number}", event()))
        server.batch.ReleaseBatch(release_request())
        clock.forward(timedelta(days=1).total_seconds())
        yield server


def judge(server: InProcessServer) -> None:
    """Judges the day of the sessions, as a worker does."""
    roll_ups = RollUps(server.dao, FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}"))
    make_all(roll_ups, server.dao)
    RobotJudging(server.dao, roll_ups, ROBOT_POLICY, lambda: NOW).judge_day(day_of(NOW))


def inputs(server: InProcessServer, **values: Any) -> tuple[list[int], int, training.StreamTrainingInputsResponse]:
    """The numbers of the sessions that give an input, the number of the verdicts, and the last response."""
    request = training.StreamTrainingInputsRequest(batch_id="batch-1", **values)
    responses = list(server.training.StreamTrainingInputs(request))
    [verdicts] = {each.robot_verdict_number for each in responses}
    return [each.input.session_number for each in responses[:-1]], verdicts, responses[-1]


def overrule(server: InProcessServer, request_id: str = "r-1", **fields: Any) -> pb.OverruleRobotVerdictResponse:
    """A person's verdict: the robot is none."""
    values = {"user_id": "robot", "day": DAY, "by": "ann", "reason": "a partner"} | fields
    return server.analytics.OverruleRobotVerdict(pb.OverruleRobotVerdictRequest(request_id=request_id, **values))


def listed(server: InProcessServer, **fields: Any) -> list[robot_verdict_pb2.RobotVerdict]:
    """The list of verdicts."""
    return list(server.analytics.ListRobotVerdicts(pb.ListRobotVerdictsRequest(**fields)).verdicts)


def test_r27_a_verdict_is_listed_overruled_and_undone(server: InProcessServer) -> None:
    """R27: each step is one more entry, which says who judged, by what and why; the inputs follow the newest."""
    assert inputs(server)[:2] == ([1, 2, 3, 4, 5], 0)
    judge(server)
    [verdict] = listed(server)
    assert (verdict.number, verdict.user_id, verdict.day, verdict.robot) == (1, "robot", DAY, True)
    assert (verdict.by, verdict.policy_version, verdict.in_force) == ("policy", ROBOT_POLICY.version, True)
    assert [(each.rule, each.value, each.robot_from, each.strong) for each in verdict.findings] == [
        ("declared_agent", 3, 1, True)
    ]
    assert not verdict.findings[0].HasField("human_below")
    numbers, verdicts, last = inputs(server)
    assert (numbers, verdicts) == ([4, 5], 1)
    assert (last.summary.robot_verdict_number, last.summary.skipped_sessions) == (1, {"robot": 3})

    answer = overrule(server)
    assert (answer.created, answer.verdict.number, answer.verdict.in_force) == (True, 2, True)
    again = overrule(server)
    assert (again.created, again.verdict) == (False, answer.verdict)
    assert inputs(server)[:2] == ([1, 2, 3, 4, 5], 2)
    assert [each.in_force for each in listed(server)] == [True, False]

    undo = server.analytics.UndoRobotVerdicts(pb.UndoRobotVerdictsRequest(request_id="r-2", by="ann"))
    assert (undo.verdict.number, undo.verdict.undoes_all, undo.verdict.day) == (3, True, "")
    assert [each.in_force for each in listed(server)] == [False, False, False]
    judge(server)
    assert inputs(server)[:2] == ([1, 2, 3, 4, 5], 3)
    # The past stays: each number has its own inputs, also from the middle.
    assert inputs(server, robot_verdict_number=1)[:2] == ([4, 5], 1)
    assert inputs(server, robot_verdict_number=1, after_number=4)[:2] == ([5], 1)
    assert inputs(server, robot_verdict_number=0)[:2] == ([1, 2, 3, 4, 5], 0)


def test_r27_figures_count_robots_apart(server: InProcessServer) -> None:
    """R25, R27: a robot's searches are counted beside the rates, or in them if asked for."""
    judge(server)
    ask = lambda **population: server.analytics.QueryFigures(  # noqa: E731
        pb.QueryFiguresRequest(population=population)
    )
    answer = ask()
    assert (answer.total.searches, answer.total.robot_searches) == (2, 3)
    assert answer.coverage.robot_verdict_number == 1
    everybody = ask(include_robots=True).total
    assert (everybody.searches, everybody.robot_searches) == (5, 3)
    overrule(server)
    answer = ask()
    assert (answer.total.searches, answer.total.robot_searches, answer.coverage.robot_verdict_number) == (5, 0, 2)


def test_r27_a_run_keeps_the_number_that_it_was_queued_with(server: InProcessServer) -> None:
    """R14, R27: a run, its listing and its lineage carry the number of the verdicts; later ones do not change it."""
    judge(server)
    start = lambda run_id, **fields: server.training.StartTraining(  # noqa: E731
        training.StartTrainingRequest(run_id=run_id, batch_ids=["batch-1"], **fields)
    )
    assert start("now").run.robot_verdict_number == 1
    assert start("all", robot_verdict_number=0).run.robot_verdict_number == 0
    overrule(server)
    again = start("now")
    assert (again.created, again.run.robot_verdict_number) == (False, 1)
    with pytest.raises(grpc.RpcError) as error:
        start("then", robot_verdict_number=9)
    assert fields(error.value) == ["robot_verdict_number"]


def test_a_dry_run_says_who_and_why(server: InProcessServer) -> None:
    """R27: a dry run judges yesterday by the service's policy or another, and stores nothing."""
    roll_ups = RollUps(server.dao, FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}"))
    make_all(roll_ups, server.dao)
    found = server.analytics.PreviewRobotVerdicts(pb.PreviewRobotVerdictsRequest())
    [judgement] = found.judgements
    assert (judgement.user_id, judgement.day, judgement.search_count) == ("robot", DAY, 3)
    assert getattr(judgement, "class") == robot_verdict_pb2.ROBOT_CLASS_ROBOT
    assert list(judgement.example_session_ids) == ["s-1", "s-2", "s-3"]
    assert (found.user_days, found.robot_user_days, found.unsure_user_days) == (3, 1, 0)
    policy = 'version = "own"\n[rules.searches]\nhuman_below = 1\nrobot_from = 3\n'
    own = server.analytics.PreviewRobotVerdicts(
        pb.PreviewRobotVerdictsRequest(policy=policy, first_day=DAY, include_unsure=True)
    )
    assert (own.policy_version, len(own.judgements), own.unsure_user_days) == ("own", 3, 3)
    assert listed(server) == []


def test_the_list_is_read_page_by_page(server: InProcessServer) -> None:
    """Every entry is on one page, the newest first, and a token belongs to its own question."""
    for number in range(5):
        overrule(server, f"r-{number}", user_id=f"u-{number % 2}")
    first = server.analytics.ListRobotVerdicts(pb.ListRobotVerdictsRequest(page_size=2))
    assert first.newest_number == 5
    rest = server.analytics.ListRobotVerdicts(
        pb.ListRobotVerdictsRequest(page_size=9, page_token=first.next_page_token)
    )
    assert [each.number for each in [*first.verdicts, *rest.verdicts]] == [5, 4, 3, 2, 1]
    assert rest.next_page_token == ""
    assert [each.number for each in listed(server, user_id="u-1")] == [4, 2]
    assert listed(server, day="2001-01-01") == []
    with pytest.raises(grpc.RpcError) as error:
        listed(server, user_id="u-1", page_token=first.next_page_token)
    assert reason(error.value) == "INVALID_PAGE_TOKEN"


Call = Callable[[InProcessServer], Any]


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda server: overrule(server, ""), "request_id"),
        (lambda server: overrule(server, user_id=""), "user_id"),
        (lambda server: overrule(server, day=""), "day"),
        (lambda server: overrule(server, day="20261023"), "day"),
        (lambda server: overrule(server, by=""), "by"),
        (lambda server: overrule(server, by="policy"), "by"),
        (lambda server: overrule(server, reason="x" * 1_025), "reason"),
        (lambda server: server.analytics.UndoRobotVerdicts(pb.UndoRobotVerdictsRequest(by="ann")), "request_id"),
        (lambda server: listed(server, day="yesterday"), "day"),
        (lambda server: listed(server, page_size=-1), "page_size"),
        (lambda server: inputs(server, robot_verdict_number=1), "robot_verdict_number"),
        (lambda server: inputs(server, robot_verdict_number=-1), "robot_verdict_number"),
        *(
            (
                lambda server, values=values: server.analytics.PreviewRobotVerdicts(
                    pb.PreviewRobotVerdictsRequest(**values)
                ),
                field,
            )
            for values, field in (
                ({"first_day": "x"}, "first_day"),
                ({"first_day": "2026-10-02", "last_day": "2026-10-01"}, "last_day"),
                ({"first_day": "2026-10-01", "last_day": "2026-11-01"}, "last_day"),
                ({"policy": "version = 1"}, "policy"),
                ({"policy": "#" * 65_537}, "policy"),
            )
        ),
    ],
)
def test_bad_input_is_refused_by_its_field(server: InProcessServer, call: Call, field: str) -> None:
    """INVALID_ARGUMENT names the field, and the list stays as it was."""
    with pytest.raises(grpc.RpcError) as error:
        call(server)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error.value) == [field]
    assert listed(server) == []


def test_another_order_under_the_same_request_id_is_refused(server: InProcessServer) -> None:
    """R27: ALREADY_EXISTS, and nothing is added."""
    overrule(server)
    with pytest.raises(grpc.RpcError) as error:
        overrule(server, robot=True)
    assert error.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert len(listed(server)) == 1
