"""Faults of three real MongoDB members under load, some rounds of benchmarks/faults.py (R3, R8, R9, R10)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"
RETRIED = {"OK", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}


@pytest.mark.full
@pytest.mark.timeout(240)
def test_r3_faults_of_three_members_lose_nothing(mongod_program: None, tmp_path: Path) -> None:
    """R3, R8 to R10: what was acknowledged is stored once, numbers are dense, released batches keep their members."""
    out = tmp_path / "faults.json"
    command = [sys.executable, str(SCRIPT), "--rounds", "3", "--minutes", "3", "--out", str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=220)
    assert ran.returncode == 0, ran.stderr[-2_000:]
    rows = json.loads(out.read_text())
    assert [row["fault"] for row in rows] == ["kill_primary", "stop_primary", "no_majority"]
    for row in rows:
        assert row["sessions"] > 20
        assert set(row["codes"]) <= RETRIED
        assert not row["problems"]
