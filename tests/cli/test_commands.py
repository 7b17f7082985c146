"""`train` and `watch`, against a running server."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.builders import NOW, SECOND, model_version, push, session_drafts
from support.processes import take_ctrl_c
from support.servers import InProcessServer, wait_for

from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.domain.judgements import JudgedQuery, unpacked
from clickstream.domain.promotions import PromotionOrder
from clickstream.domain.runs import Phase, RunState, TrainingProgress


@pytest.fixture
def run(server: InProcessServer) -> Callable[..., Result]:
    """Runs a command against a server with a released batch."""
    server.dao.sessions.append(session_drafts(2))
    server.dao.events.append([push("s-1", "e-1")])
    server.dao.batches.release("r-1", None, NOW)
    return lambda *words: CliRunner().invoke(main, [*words, "--address", server.address])


def end(server: InProcessServer, state: RunState, run_id: str = "run-1", *, gate_passed: bool = True) -> None:
    """Ends a run; one that succeeds makes the version `model-run-1`."""
    server.dao.runs.claim("me", NOW, NOW + 60 * SECOND)
    made = replace(model_version(), run_id=run_id, gate_passed=gate_passed, gate_reason="within noise")
    version = made if state is RunState.SUCCEEDED else None
    assert server.dao.runs.finish(run_id, "me", state, "because", version, NOW)


def test_r16_train_starts_a_run_once(server: InProcessServer, run: Callable[..., Result]) -> None:
    """R1, R16: the run has the batches and settings given; the same command again starts nothing."""
    words = ("train", "batch-1", "--run-id", "run-1", "--base-model", "my/model", "--set", "epochs=7")
    first, again = run(*words), run(*words)
    assert (first.exit_code, first.output) == (0, "run-1 queued\n")
    assert (again.exit_code, again.output) == (0, "run-1 was started before\n")
    queued = server.dao.runs.get("run-1")
    assert (queued.batches, queued.settings.base_model, queued.settings.epochs) == ((1,), "my/model", 7)


def test_r1_a_run_without_an_id_gets_one(server: InProcessServer, run: Callable[..., Result]) -> None:
    """R1: two runs without an id are two runs; each prints the id that it got."""
    ids = [run("train", "batch-1").output.split()[0] for _ in range(2)]
    assert len(set(ids)) == 2
    assert all(server.dao.runs.get(run_id) for run_id in ids)


@pytest.mark.parametrize(
    ("state", "gate_passed", "code"),
    [
        (RunState.SUCCEEDED, True, ExitCode.DONE),
        (RunState.SUCCEEDED, False, ExitCode.GATE_NOT_PASSED),
        (RunState.FAILED, True, ExitCode.RUN_FAILED),
        (RunState.CANCELED, True, ExitCode.RUN_FAILED),
    ],
)
def test_r16_the_exit_code_is_the_outcome(
    server: InProcessServer, run: Callable[..., Result], state: RunState, gate_passed: bool, code: ExitCode
) -> None:
    """R16: watching ends with the run: its state and reason are on the console, its outcome is the exit code."""
    assert run("train", "batch-1", "--run-id", "run-1").exit_code == 0
    end(server, state, gate_passed=gate_passed)
    for words in (("watch", "run-1"), ("train", "batch-1", "--run-id", "run-1", "--watch")):
        result = run(*words)
        assert result.exit_code == code
        assert f"run-1 {state}: because" in result.output
        assert result.output.endswith("No model version serves now.\n")


def test_a_watch_ends_with_the_next_step(server: InProcessServer, run: Callable[..., Result]) -> None:
    """The last lines say how to promote a version that passed its gate, and which version serves now."""
    run("train", "batch-1", "--run-id", "run-1")
    end(server, RunState.SUCCEEDED)
    promote = "model-run-1 passed its gate; promote it with: clickstream promote model-run-1\n"
    assert run("watch", "run-1").output.endswith(f"{promote}No model version serves now.\n")
    server.dao.promotions.append(PromotionOrder("p-1", "another"), NOW)
    assert run("watch", "run-1").output.endswith(f"{promote}another serves now.\n")
    server.dao.promotions.append(PromotionOrder("p-2", "model-run-1"), NOW)
    last = run("watch", "run-1").output
    assert last.endswith("model-run-1 serves now.\n")
    assert "promote it with" not in last


def test_a_watch_says_why_the_gate_did_not_pass(server: InProcessServer, run: Callable[..., Result]) -> None:
    """A version whose gate did not pass is never recommended."""
    run("train", "batch-1", "--run-id", "run-1")
    end(server, RunState.SUCCEEDED, gate_passed=False)
    result = run("watch", "run-1")
    assert "model-run-1 did not pass its gate and is not promoted: within noise\n" in result.output
    assert "clickstream promote" not in result.output


def test_json_is_one_line_per_change(server: InProcessServer, run: Callable[..., Result]) -> None:
    """Stdout has the answer of StartTraining, or with a watch the run after each change; sentences go to stderr."""
    [line] = run("train", "batch-1", "--run-id", "run-1", "--json").stdout.splitlines()
    assert (json.loads(line)["created"], json.loads(line)["run"]["run_id"]) == (True, "run-1")
    end(server, RunState.SUCCEEDED)
    for words in (("watch", "run-1", "--json"), ("train", "batch-1", "--run-id", "run-1", "--watch", "--json")):
        result = run(*words)
        seen = [json.loads(line) for line in result.stdout.splitlines()]
        assert seen[-1]["state"] == "TRAINING_RUN_STATE_SUCCEEDED"
        assert seen[-1]["model_version"]["gate_passed"] is True
        assert "promote it with" in result.stderr


def test_a_refusal_is_one_line(run: Callable[..., Result]) -> None:
    """R7: the line has the status and the field, and there is no traceback."""
    for words, message in [
        (("watch", "never"), "NOT_FOUND: run_id: there is no such run"),
        (("train", "batch-2"), "FAILED_PRECONDITION: batch-2 still collects; release it first"),
        (("train", "batch-1", "--set", "epochs=0"), "INVALID_ARGUMENT: settings.epochs: must be from 1 to 100"),
    ]:
        result = run(*words)
        assert result.exit_code == ExitCode.REFUSED
        assert result.output == f"clickstream: {message}\n"


def test_a_setting_that_cannot_be_one_is_refused_here(run: Callable[..., Result]) -> None:
    """A wrong name or number starts no run: exit code 2, as for every wrong use."""
    result = run("train", "batch-1", "--set", "epoch=3")
    assert result.exit_code == 2
    assert "'epoch=3'" in result.output


def test_r16_ctrl_c_ends_the_watch_and_not_the_run(server: InProcessServer, run: Callable[..., Result]) -> None:
    """R16: an interrupt leaves the run alone, says how to watch it again, and ends with 130."""
    assert run("train", "batch-1", "--run-id", "run-1").exit_code == 0
    server.dao.runs.claim("me", NOW, NOW + 60 * SECOND)
    server.dao.runs.renew("run-1", "me", NOW + 60 * SECOND, TrainingProgress(Phase.TRAINING, step=3, step_count=9))
    command = [sys.executable, "-m", "clickstream", "watch", "run-1", "--address", server.address]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=take_ctrl_c,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("run-1: training step 3/9")
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")
    assert err.strip().endswith("clickstream watch run-1")
    assert "Traceback" not in err
    kept = server.dao.runs.get("run-1")
    assert (kept.state, kept.cancel_requested) == (RunState.RUNNING, False)
    wait_for(lambda: server.dao.runs.finish("run-1", "me", RunState.FAILED, "because", None, NOW))


def test_r18_train_takes_judgements(server: InProcessServer, run: Callable[..., Result], tmp_path: Path) -> None:
    """R18: a TREC file and its queries travel with the run."""
    (tmp_path / "qrels").write_text("1 0 a 2\n1 0 b 0\n")
    (tmp_path / "queries").write_text("1\tred shoes\n")
    files = ("--qrels", str(tmp_path / "qrels"), "--queries", str(tmp_path / "queries"))
    assert run("train", "batch-1", "--run-id", "run-1", *files).exit_code == 0
    content = server.dao.judgements.get(server.dao.runs.get("run-1").judgements_sha256)
    assert unpacked(content) == [JudgedQuery("red shoes", {"a": 2, "b": 0})]


def test_judgements_that_cannot_be_read_start_nothing(
    server: InProcessServer, run: Callable[..., Result], tmp_path: Path
) -> None:
    """One file without the other, or a malformed line, is a wrong use: exit code 2, with file and line."""
    qrels, queries = tmp_path / "qrels", tmp_path / "queries"
    qrels.write_text("1 0 a 2\n1 b\n")
    queries.write_text("1\tred shoes\n")
    alone = run("train", "batch-1", "--run-id", "run-1", "--qrels", str(qrels))
    malformed = run("train", "batch-1", "--run-id", "run-1", "--qrels", str(qrels), "--queries", str(queries))
    assert (alone.exit_code, malformed.exit_code) == (2, 2)
    assert "go together" in alone.output
    assert "line 2" in malformed.output
    assert server.dao.runs.get("run-1") is None
