"""`clickstream quality`, `progress`, `robots` and `report`, and what `train` says beforehand, against a server."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.builders import NOW, create_request, event, push_request, release_request
from support.rollup_making import make_all
from support.servers import POLICY, ROBOT_POLICY, Clock, InProcessServer

from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.contract.robots import day_text
from clickstream.dao.interface.analytics import RollUpState
from clickstream.domain.analytics import Segments, day_of
from clickstream.quality.robot_judging import RobotJudging

DAY = day_text(day_of(NOW))
WINDOW = ("--from", f"{NOW:%Y-%m-%d}", "--to", f"{NOW:%Y-%m-%d}T23:59")


@pytest.fixture
def run(server: InProcessServer, clock: Clock) -> Callable[..., Result]:
    """Runs a command against a server with a released batch, in which a robot searched."""
    for number in range(30):
        robot = number == 8
        agent = "Googlebot/2.1" if robot else "Firefox"
        request = create_request(f"s-{number}", user_id="[crawler]" if robot else f"u-{number}", user_agent=agent)
        server.clickstream.CreateSession(request)
        server.clickstream.PushEvents(push_request(f"s-{number}", event("e-1", "elsewhere" if number % 2 else "a")))
    server.batch.ReleaseBatch(release_request())
    roll_ups = RollUps(server.dao, FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}"))
    make_all(roll_ups, server.dao)
    RobotJudging(server.dao, roll_ups, ROBOT_POLICY, lambda: NOW).judge_day(day_of(NOW))
    clock.forward(86_400)
    return lambda *words: CliRunner().invoke(main, [*words, "--address", server.address])


def test_quality_is_shown_with_what_to_do(run: Callable[..., Result]) -> None:
    """The steps, the counts and marks of each check, and for a bad one its examples and advice."""
    done = run("quality", *WINDOW, "--by", "client")
    assert done.exit_code == 0, done.output
    assert "NOT reached measurable" in done.output
    assert "FAIL unshown_events: Send the event with the session" in done.output
    assert "See s-1, s-3, s-5" in done.output
    assert "15 of 29" in done.output
    assert "(none): 29 searches; FAIL unshown_events 51.7 %" in done.output
    answer = json.loads(run("quality", "--batch", "batch-1", "--json").output)
    assert {"swapped_pairs", "unshown_events"} <= {each["id"] for each in answer["checks"]}
    assert run("quality", "--batch", "batch-1", "--last", "2d").exit_code == ExitCode.WRONG_USE
    assert run("quality", "--batch", "batch-9").exit_code == ExitCode.REFUSED


def test_progress_is_shown_by_batch(run: Callable[..., Result]) -> None:
    """A row per batch: sessions, what converts, and why the others do not."""
    done = run("progress")
    assert done.exit_code == 0, done.output
    assert "15 only_unshown_events, 1 robot" in done.output
    answer = json.loads(run("progress", "batch-1", "--json").output)
    [batch] = answer["batches"]
    skipped = {reason: int(count) for reason, count in batch["skipped_sessions"].items()}
    assert sum(skipped.values()) + int(batch["convertible_sessions"]) == 30


def test_verdicts_are_listed_overruled_and_undone(run: Callable[..., Result], tmp_path: Path) -> None:
    """Names are shown as they are, an order repeated under its id adds nothing, and a policy file can be tried."""
    done = run("robots", "list")
    assert done.exit_code == 0, done.output
    assert "[crawler]" in done.output
    assert "declared_agent 1 (from 1)" in done.output
    order = ("robots", "overrule", "[crawler]", DAY, "--human", "--by", "ann", "--request-id", "r-1")
    assert run(*order).output == f"verdict 2: [crawler] is no robot on {DAY}\n"
    assert run(*order).output == f"verdict 2: [crawler] is no robot on {DAY}\n"
    rows = [json.loads(row) for row in run("robots", "list", "--user", "[crawler]", "--json").output.splitlines()]
    assert [(row["number"], row["robot"], row["in_force"]) for row in rows] == [("2", False, True), ("1", True, False)]
    assert run("robots", "undo", "--by", "ann").output == "verdict 3 makes all before it void\n"
    assert "all before it void" in run("robots", "list").output
    assert run("robots", "list", "--day", "2001-01-01").output == "nothing to show\n"
    policy = tmp_path / "robots.toml"
    policy.write_text('version = "try"\n[rules.searches]\nrobot_from = 1\nstrong = true\n')
    tried = run("robots", "preview", "--first-day", DAY, "--policy", str(policy))
    assert "By policy try, of 30 pairs of user and day 30 are robots" in tried.output
    policy.write_bytes(b"\xff")
    assert run("robots", "preview", "--policy", str(policy)).exit_code == ExitCode.WRONG_USE
    assert run("robots", "overrule", "u", "today", "--robot", "--by", "ann").exit_code == ExitCode.REFUSED


def test_a_report_is_written(run: Callable[..., Result], tmp_path: Path) -> None:
    """One file, whose path is the last word; one that cannot be written ends in one line."""
    path = tmp_path / "report.html"
    done = run("report", "--out", str(path), *WINDOW, "--segment", "client", "--segment", "context.locale")
    assert done.exit_code == 0, done.output
    assert done.output == f"report: {path}\n"
    content = path.read_text("utf-8")
    assert content.startswith("<!doctype html>")
    assert "[crawler]" in content
    failed = run("report", "--out", str(tmp_path / "nowhere" / "report.html"), *WINDOW)
    assert failed.exit_code == ExitCode.WRONG_USE
    assert "cannot be written" in failed.output


def test_train_says_that_a_batch_cannot_be_judged(run: Callable[..., Result], server: InProcessServer) -> None:
    """Once roll-ups are exact, what a batch lacks stands on stderr; the run is queued all the same."""
    assert run("train", "batch-1", "--run-id", "early").stderr == "", "nothing is known before the roll-ups are made"
    server.dao.analytics.take_lease("me", NOW, NOW + timedelta(hours=1))
    rules = FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}")
    server.dao.analytics.set_state(RollUpState(1, NOW, rules.digest()), "me")
    done = run("train", "batch-1", "--run-id", "night")
    assert done.exit_code == 0, done.output
    assert "a model of batch-1 can hardly be judged: " in done.stderr
    assert "distinct queries have a click; 50 are needed" in done.stderr
    assert done.stdout == "night queued\n"
    assert run("train", "batch-9").stderr.count("\n") == 1
