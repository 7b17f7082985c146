"""An import that is killed goes on where it was."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
from support.scripted import InMemoryService, serving

from clickstream.transfer import importing
from clickstream.transfer.spool import spooling
from clickstream.ubi import importer
from clickstream.ubi.importer import import_ubi


def made_up(path: Path, searches: int) -> Path:
    """A file of searches with a click each; the clicks come last."""
    with path.open("w") as file:
        for n in range(searches):
            hits = {"query_response_hit_ids": ["a", "b"], "timestamp": 1737703890}
            file.write(json.dumps({"query_id": f"q{n}", "user_query": "x", **hits}) + "\n")
        for n in range(searches):
            attributes = {"event_attributes": {"object": {"object_id": "a"}}, "timestamp": 1737703891}
            file.write(json.dumps({"action_name": "click", "query_id": f"q{n}", **attributes}) + "\n")
    return path


def test_an_import_that_is_killed_while_it_sends_goes_on_behind_its_last_note(tmp_path, monkeypatch):
    """The account of both halves is that of a whole import, and what was sent is not sent again."""
    path, state = made_up(tmp_path / "ubi", 400), tmp_path / "state"
    service = InMemoryService()
    monkeypatch.setattr(importing, "NOTE_SECONDS", -1)
    with serving(service) as address:
        program = (
            "import sys, os, signal, grpc\n"
            "from pathlib import Path\n"
            "from clickstream.transfer import importing\n"
            "from clickstream.ubi.importer import import_ubi\n"
            "importing.NOTE_SECONDS = -1\n"
            "def kill(stage, done, total):\n"
            "    if stage == 'sending' and done >= 300: os.kill(os.getpid(), signal.SIGKILL)\n"
            "with grpc.insecure_channel(sys.argv[1]) as channel:\n"
            "    import_ubi([Path(sys.argv[2])], channel, progress=kill, kept_at=Path(sys.argv[3]))\n"
        )
        ended = subprocess.run([sys.executable, "-c", program, address, path, state], check=False, env=os.environ)
        assert ended.returncode == -signal.SIGKILL
        before = len(service.requests)
        with spooling([path], "ubi", state) as spool:
            noted = sum(1 for _ in spool.searches(after=spool.state("sent")))
        with grpc.insecure_channel(address) as channel:
            account = import_ubi([path], channel, kept_at=state)
    assert 0 < noted < 300
    assert len(service.requests) - before == 2 * noted
    assert account.balanced
    assert (account.documents, account.usable, len(service.sessions), len(service.events)) == (800, 800, 400, 400)
    assert not state.exists()


def test_an_import_that_is_killed_while_it_reads_goes_on_behind_its_last_commit(tmp_path, monkeypatch):
    """Documents that are in the spool are not read into it again, and none is missing."""
    path, state = made_up(tmp_path / "ubi", 50), tmp_path / "state"
    monkeypatch.setattr(importer, "_COMMITTED", 30)

    class KilledError(Exception):
        pass

    def kill(stage: str, done: int, total: int) -> None:
        if done >= 60:
            raise KilledError

    service = InMemoryService()
    with serving(service) as address, grpc.insecure_channel(address) as channel:
        try:
            import_ubi([path], channel, progress=kill, kept_at=state)
        except KilledError:
            with spooling([path], "ubi", state) as spool:
                assert spool.documents == 60
        account = import_ubi([path], channel, kept_at=state)
    assert (account.documents, account.usable, len(service.sessions)) == (100, 100, 50)
