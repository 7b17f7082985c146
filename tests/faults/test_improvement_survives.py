"""The improvement queue while the processes around it are killed at random moments.

`CLICKSTREAM_FAULT_ROUNDS=100` plays 100 rounds instead of one; another `CLICKSTREAM_FAULT_SEED` plays other rounds.
"""

import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.fleet import FINAL, GROUP, Fleet, torment
from support.servers import wait_for

ROUNDS = int(os.environ.get("CLICKSTREAM_FAULT_ROUNDS", "1"))
SEED = int(os.environ.get("CLICKSTREAM_FAULT_SEED", "5"))
KILLS = 3
PATIENCE = 180

pytestmark = pytest.mark.timeout(120 + PATIENCE * ROUNDS)


def check_task_states(fleet: Fleet) -> None:
    """Every task changed state only as allowed, was in no run twice and ended exactly once."""
    for session_id, states_and_runs in fleet.history().items():
        states = [state for state, _ in states_and_runs]
        assert states[0] == "pending", (session_id, states_and_runs)
        assert set(states[1::2]) <= {"processing"}, (session_id, states_and_runs)
        assert set(states[2:-1:2]) <= {"pending"}, (session_id, states_and_runs)
        assert states[-1] in FINAL, (session_id, states_and_runs)
        runs = [run_id for state, run_id in states_and_runs if state == "processing"]
        assert len(set(runs)) == len(runs), (session_id, states_and_runs)


def check_runs(fleet: Fleet) -> None:
    """Every run ended, and trained each session of its done tasks exactly once."""
    tasks, runs = fleet.documents("sessions_for_improvement"), fleet.documents("training_runs")
    assert {run["state"] for run in runs} <= {"succeeded", "failed"}
    done = Counter(task["run_id"] for task in tasks if task["state"] == "done")
    trained = {run["_id"]: run["model_version"]["data"]["input_count"] for run in runs if run["state"] == "succeeded"}
    assert done == trained
    versions = {run["_id"]: run["model_version"]["model_version_id"] for run in runs if run["state"] == "succeeded"}
    for task in tasks:
        assert task["model_version_id"] == (versions[task["run_id"]] if task["state"] == "done" else "")
        assert not {"lease_ends_at", "owner"} & set(task)


def test_r15_every_session_ends_once_whatever_is_killed(
    mongod_program: None, tiny_encoder: Path, tmp_path: Path
) -> None:
    """R15, R16: kill -9 of worker, trainer, server or mongod loses no task, repeats none and leaves none open."""
    source = random.Random(SEED)
    with Fleet(tmp_path / "fleet", tiny_encoder) as fleet, ThreadPoolExecutor(1) as client:
        expected = 0
        for number in range(ROUNDS):
            putting = client.submit(fleet.put_forward, f"round-{number}")
            killed = torment(fleet, source, KILLS)
            expected += len(putting.result())
            wait_for(fleet.is_settled, PATIENCE)
            check_task_states(fleet)
            check_runs(fleet)
            states = Counter(task["state"] for task in fleet.documents("sessions_for_improvement"))
            assert states.total() == expected == (number + 1) * GROUP
            attempts = Counter(run["attempts"] for run in fleet.documents("training_runs"))
            print(f"round {number + 1}: killed {', '.join(killed)}; {dict(states)}; runs by attempts {dict(attempts)}")
        assert states["done"] > 0
        assert not [name for name, log in fleet.logs().items() if b"Traceback" in log]
        assert fleet.stop("worker-1") == 0
