"""Tables of what the service lists, and the commands that show them."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result
from embedding_studio.clickstream.v1 import batch_service_pb2 as batch
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1 import training_run_pb2 as runs_pb
from rich.console import Console
from support.builders import NOW, SECOND, model_version, push, session_drafts, stored_session, training_run
from support.servers import Clock, InProcessServer

from clickstream.cli.commands import main
from clickstream.client import stored_reads
from clickstream.domain.improvement import ImprovementState, TaskOutcome
from clickstream.domain.promotions import PromotionOrder
from clickstream.domain.runs import RunState
from clickstream.views.columns import BATCHES, RUNS, TASKS, ListLayout
from clickstream.views.tables import show

MINUTE = timedelta(minutes=1)


@pytest.fixture
def run(server: InProcessServer) -> Callable[..., Result]:
    """Runs a command against a server that has a batch, runs, a queue and a promoted model."""
    dao = server.dao
    dao.sessions.append(session_drafts(5))
    dao.events.append([push(f"s-{number}", f"e-{number}") for number in range(1, 6)])
    for number, session in enumerate(dao.sessions.page(1, 0, 5, include_irrelevant=True).sessions):
        dao.improvement.queue(session, NOW + number * SECOND)
    dao.improvement.take(["s-1", "s-2"], "run-1", NOW, NOW + MINUTE)
    done = TaskOutcome(ImprovementState.DONE, "better", model_version_id="model-run-1")
    dao.improvement.settle("run-1", ["s-1"], done, NOW)
    dao.improvement.settle("run-1", ["s-2"], TaskOutcome(ImprovementState.FAILED, "out of [memory]"), NOW)
    dao.batches.release("r-1", None, NOW)
    for run_id, state in (("run-1", RunState.SUCCEEDED), ("run-2", RunState.FAILED)):
        dao.runs.create(training_run(run_id, at=NOW))
        dao.runs.claim("me", NOW, NOW + MINUTE)
        version = model_version(run_id) if state is RunState.SUCCEEDED else None
        dao.runs.finish(run_id, "me", state, "because", version, NOW + 90 * SECOND)
    dao.promotions.append(PromotionOrder("p-1", "model-run-1"), NOW)
    return lambda *words: CliRunner().invoke(main, [*words, "--address", server.address])


def rows(result: Result) -> list[list[str]]:
    """The cells of a table, without its head."""
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_the_queue_shows_what_is_open(run: Callable[..., Result]) -> None:
    """By default only pending and processing tasks are shown, the oldest first; the others on request."""
    assert [row[:2] for row in rows(run("queue"))] == [
        ["s-3", "pending"],
        ["s-4", "pending"],
        ["s-5", "pending"],
    ]
    everything = rows(run("queue", "--all"))
    assert [row[0] for row in everything] == ["s-1", "s-2", "s-3", "s-4", "s-5"]
    assert everything[0][1:] == [
        "done",
        "1",
        "2026-05-04 12:00:00",
        "2026-05-04 12:00:00",
        "",
        "run-1",
        "model-run-1",
        "better",
    ]
    assert [row[0] for row in rows(run("queue", "--run-id", "run-1"))] == ["s-1", "s-2"]
    assert [row[0] for row in rows(run("queue", "--state", "done"))] == ["s-1"]


def test_the_queue_shows_a_new_session_behind_many_failures(
    run: Callable[..., Result], server: InProcessServer
) -> None:
    """Failed tasks stay for ever: they are counted, are shown on request and do not push open tasks off the list."""
    improvement = server.dao.improvement
    for number in range(25):
        improvement.queue(stored_session(f"old-{number}"), NOW - MINUTE)
    improvement.take([f"old-{number}" for number in range(25)], "run-0", NOW, NOW + MINUTE)
    failed = TaskOutcome(ImprovementState.FAILED, "out of memory")
    improvement.settle("run-0", [f"old-{number}" for number in range(25)], failed, NOW)
    shown = run("queue")
    assert [row[0] for row in rows(shown)] == ["s-3", "s-4", "s-5"]
    assert shown.output.startswith("3 pending, 1 done, 26 failed\n")
    assert len(rows(run("queue", "--state", "failed", "--limit", "100"))) == 26


def test_the_queue_says_why_its_sessions_wait(
    run: Callable[..., Result], server: InProcessServer, clock: Clock
) -> None:
    """The summary names the shortage of queries with the numbers needed, and the run that must end before the next."""
    clock.forward(60)
    why = "too few to begin a run: distinct queries: 0 held out and 0 to train on; at least 10 and 4 are needed\n"
    assert why in run("queue").output
    assert "has ended" not in run("queue").output
    server.dao.runs.create(replace(training_run("improve-1"), from_improvement_queue=True))
    assert "the next run begins when improve-1 has ended\n" in run("queue").output


def test_a_task_that_failed_shows_its_next_try(run: Callable[..., Result], server: InProcessServer) -> None:
    """The column is empty for a task that is not pending."""
    server.dao.improvement.take(["s-3"], "run-3", NOW, NOW + MINUTE)
    later = TaskOutcome(ImprovementState.PENDING, "too few", not_before=NOW + 10 * MINUTE)
    server.dao.improvement.settle("run-3", ["s-3"], later, NOW)
    assert {row[0]: row[5] for row in rows(run("queue", "--all"))} == {
        "s-1": "",
        "s-2": "",
        "s-3": "2026-05-04 12:10:00",
        "s-4": "2026-05-04 12:00:03",
        "s-5": "2026-05-04 12:00:04",
    }


def test_a_reason_is_shown_letter_by_letter(run: Callable[..., Result]) -> None:
    """Square brackets in a reason are no markup."""
    assert rows(run("queue", "--state", "failed"))[0][-1] == "out of [memory]"


def test_batches_with_their_counts(run: Callable[..., Result]) -> None:
    """The newest first, with status, sessions, times and the last change."""
    assert [row[:3] for row in rows(run("batches"))] == [["batch-2", "collecting", "0"], ["batch-1", "released", "5"]]
    assert [row[0] for row in rows(run("batches", "--status", "released"))] == ["batch-1"]


def test_runs_with_state_time_and_gain(run: Callable[..., Result]) -> None:
    """The row has the run's batches, its duration and both nDCGs."""
    failed, succeeded = rows(run("runs"))
    assert failed[:3] == ["run-2", "failed", "batch-1"]
    assert failed[-1] == "because"
    assert succeeded[5] == "1 min 30 s"
    assert " -> " in succeeded[6]
    assert [row[0] for row in rows(run("runs", "--state", "failed"))] == ["run-2"]


def test_models_with_the_serving_one_marked(run: Callable[..., Result], server: InProcessServer) -> None:
    """A star marks the version that serves; `serving` says the same in JSON, also where it is false."""
    server.dao.runs.create(training_run("run-3", at=NOW))
    server.dao.runs.claim("me", NOW, NOW + MINUTE)
    server.dao.runs.finish("run-3", "me", RunState.SUCCEEDED, "", model_version("run-3"), NOW)
    assert sorted(row[:2] for row in rows(run("models"))) == [["", "model-run-3"], ["*", "model-run-1"]]
    found = [json.loads(line) for line in run("models", "--json").output.splitlines()]
    assert {each["model_version_id"]: each["serving"] for each in found} == {"model-run-1": True, "model-run-3": False}


@pytest.mark.parametrize("command", ["queue", "batches", "runs", "models"])
def test_json_is_one_object_per_line(run: Callable[..., Result], command: str) -> None:
    """For scripts: the contract's messages with the contract's names, zeros included."""
    lines = run(command, "--json").output.splitlines()
    assert lines
    zero = {"queue": "attempts", "batches": "run_id", "runs": "from_improvement_queue", "models": "path"}[command]
    assert all(zero in json.loads(line) for line in lines)
    assert all(any(name.endswith("_id") for name in json.loads(line)) for line in lines)


def test_a_limit_says_that_there_is_more(run: Callable[..., Result]) -> None:
    """A list that was cut says so; a whole one does not."""
    assert "the first 2; --limit N shows more" in run("queue", "--limit", "2").output
    assert "the first" not in run("queue").output
    assert "the first" not in run("queue", "--limit", "3").output


def test_a_limit_beyond_a_page_reads_several(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are read until there are enough rows, or no more."""
    monkeypatch.setattr(stored_reads, "PAGE", 2)
    assert [row[0] for row in rows(run("queue", "--all", "--limit", "4"))] == ["s-1", "s-2", "s-3", "s-4"]
    assert len(rows(run("queue", "--all", "--limit", "100"))) == 5
    assert len(run("queue", "--all", "--limit", "3", "--json").output.splitlines()) == 3


def test_an_unknown_state_is_refused_here(run: Callable[..., Result]) -> None:
    """A slip in a name is exit code 2, with what there is."""
    result = run("queue", "--state", "waiting")
    assert result.exit_code == 2
    assert "pending" in result.output


def test_many_large_runs_are_listed(run: Callable[..., Result], server: InProcessServer) -> None:
    """Runs that together exceed the 4 MiB that a client takes in come in several pages."""
    for number in range(150):
        server.dao.runs.create(training_run(f"large-{number}", at=NOW))
        server.dao.runs.claim("me", NOW, NOW + MINUTE)
        assert server.dao.runs.finish(f"large-{number}", "me", RunState.FAILED, "x" * 30_000, None, NOW)
    assert len(run("runs", "--limit", "1000", "--json").output.splitlines()) == 152


def test_all_and_a_state_exclude_each_other(run: Callable[..., Result]) -> None:
    """A filter is never dropped in silence."""
    assert run("queue", "--all", "--state", "done").exit_code == 2


def shown(messages: Sequence[object], width: int, *, terminal: bool, layout: ListLayout = TASKS) -> str:
    """A list as it looks."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    show(messages, layout, 100, console, NOW)  # type: ignore[arg-type]
    return out.getvalue()


def test_a_table_that_does_not_fit_is_shown_in_brief() -> None:
    """On a terminal no line is longer than that; a pipe and a terminal that is wide enough show every id whole."""
    task = improvement_pb.ImprovementTask(session_id="s" * 100, run_id="improve-1", queued_at=NOW)
    narrow = shown([task], 80, terminal=True).splitlines()
    assert len(narrow) == 3
    assert max(map(len, narrow)) <= 80
    for whole in shown([task], 80, terminal=False), shown([task], 300, terminal=True):
        assert task.session_id in whole
        assert "Times are in UTC" in whole


def test_an_empty_list_is_one_line() -> None:
    """An empty list is no empty table."""
    assert shown([], 80, terminal=True) == "nothing to show\n"


def test_text_is_neither_emoji_nor_command() -> None:
    """Ids are shown letter by letter, and control characters in a reason become spaces."""
    task = improvement_pb.ImprovementTask(session_id="shop:key:1", run_id="run-1", reason="a\nb \x1b[31mc")
    for terminal, width in ((False, 80), (True, 80)):
        table = shown([task], width, terminal=terminal)
        assert "shop:key:1" in table
        assert "a b  [31mc" in table


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (TASKS, improvement_pb.ImprovementTask(session_id="s-1", state=99)),  # type: ignore[arg-type]
        (BATCHES, batch.Batch(batch_id="batch-1", status=99)),  # type: ignore[arg-type]
        (RUNS, runs_pb.TrainingRun(run_id="run-1", state=99)),  # type: ignore[arg-type]
    ],
    ids=["task", "batch", "run"],
)
def test_a_state_of_a_newer_server_is_shown_by_its_number(layout: ListLayout, message: object) -> None:
    """A client that is older than its server still lists."""
    assert " 99 " in shown([message], 80, terminal=False, layout=layout)
    assert " 99 " in shown([message], 50, terminal=True, layout=layout)
