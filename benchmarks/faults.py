"""Faults of three real MongoDB members and of a server, under load: nothing that was acknowledged is lost (R3, R8, R9).

    python benchmarks/faults.py --rounds 100 --minutes 120     # goes on where results/faults.json ended
    python benchmarks/faults.py --rounds 3 --out /tmp/faults.json

Each round: clients register sessions, push events, put sessions forward and release batches by a server process, all
with retries; a fault comes in the middle; afterwards a checker reads everything.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent / "tests"))

from embedding_studio.clickstream.v1 import batch_service_pb2 as batch_pb  # noqa: E402
from embedding_studio.clickstream.v1 import clickstream_service_pb2 as pb  # noqa: E402
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb  # noqa: E402
from embedding_studio.clickstream.v1.batch_service_pb2_grpc import BatchServiceStub  # noqa: E402
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub  # noqa: E402
from embedding_studio.clickstream.v1.improvement_service_pb2_grpc import ImprovementServiceStub  # noqa: E402
from support.builders import create_request, event, push_request  # noqa: E402
from support.replica_set import MEMBERS, ReplicaSet  # noqa: E402
from support.servers import ServeProcess  # noqa: E402

RETRIED = {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
CLIENTS = 4
QUIET_SECONDS = 1.5
CALL_SECONDS = 15
# After a fault every call must be answered within this time.
PATIENCE_SECONDS = 120.0


class Deployment:
    """Three members and one server, which is started again at the same address."""

    def __init__(self, folder: Path, mongo: ReplicaSet) -> None:
        self._folder, self.mongo = folder, mongo
        self.address = "127.0.0.1:0"
        self.serve()

    def serve(self) -> None:
        """Starts the server."""
        environment = {
            "MONGODB_URI": self.mongo.uri,
            "CLICKSTREAM_STORE_TIMEOUT": "5",
            "CLICKSTREAM_RUN_TRAINING": "false",
        }
        self.server = ServeProcess(self._folder, environment, listen=self.address)
        self.address = self.server.address


class Load:
    """Clients that write until they are stopped, and remember what was acknowledged."""

    def __init__(self, address: str, name: str) -> None:
        self._address, self._name = address, name
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.acknowledged: dict[str, tuple[str, int]] = {}
        self.events: set[tuple[str, str]] = set()
        self.queued: set[str] = set()
        self.released: dict[str, list[str]] = {}
        self.codes: Counter[str] = Counter()
        self.longest = 0.0
        self.problems: list[str] = []
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Lets each client end its present call, and joins them."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, client: int) -> None:
        try:
            with grpc.insecure_channel(self._address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                number = 0
                while not self._stop.is_set():
                    self._one(channel, client, number)
                    number += 1
        except Exception as error:
            self.problems.append(f"client {client}: {type(error).__name__}: {error}")

    def _one(self, channel: grpc.Channel, client: int, number: int) -> None:
        session_id = f"{self._name}-{client}-{number}"
        clicks = ClickstreamServiceStub(channel)
        place = self._retried(clicks.CreateSession, create_request(session_id))
        self._retried(clicks.CreateSession, create_request(session_id))  # a retry answers the same place
        pushed = self._retried(clicks.PushEvents, push_request(session_id, event("e-1"), event("e-2")))
        with self._lock:
            self.acknowledged[session_id] = (place.batch_id, place.session_number)
            self.events |= {(session_id, "e-1"), (session_id, "e-2")}
        if pushed.accepted_count + pushed.duplicate_count != 2:
            self.problems.append(f"{session_id}: {pushed}")
        if number % 5 == 0:
            use = improvement_pb.UseSessionForImprovementRequest(session_id=session_id)
            self._retried(ImprovementServiceStub(channel).UseSessionForImprovement, use)
            self.queued.add(session_id)
        if number % 25 == 24 and client == 0:
            batches = BatchServiceStub(channel)
            released = self._retried(batches.ReleaseBatch, batch_pb.ReleaseBatchRequest(release_id=f"r-{session_id}"))
            self.released[released.batch.batch_id] = members(batches, released.batch.batch_id, self._retry_read)

    def _retry_read(self, read: Callable[[], Any]) -> Any:
        return self._retried(lambda _, timeout: read(), None)

    def _retried(self, call: Callable[..., Any], request: Any) -> Any:
        began = time.monotonic()
        while True:
            try:
                answer = call(request, timeout=CALL_SECONDS)
            except grpc.RpcError as error:
                code = error.code().name
                self.codes[code] += 1
                if code not in RETRIED or time.monotonic() - began > PATIENCE_SECONDS:
                    raise
                time.sleep(0.05)
            else:
                self.codes["OK"] += 1
                self.longest = max(self.longest, time.monotonic() - began)
                return answer


def members(batches: Any, batch_id: str, retried: Callable[[Callable[[], Any]], Any]) -> list[str]:
    """The session ids of a batch by number; raises if the numbers are not dense."""
    request = batch_pb.StreamBatchSessionsRequest(batch_id=batch_id, include_irrelevant=True)
    found = retried(lambda: list(batches.StreamBatchSessions(request, timeout=60)))
    numbers = [each.stored_session.session_number for each in found]
    if numbers != list(range(1, len(numbers) + 1)):
        raise AssertionError(f"{batch_id} has the numbers {numbers[:20]}")
    return [each.stored_session.session.session_id for each in found]


def check(address: str, load: Load) -> list[str]:
    """Reads everything; returns what is wrong."""
    problems = list(load.problems)
    with grpc.insecure_channel(address) as channel:
        batches, clicks = BatchServiceStub(channel), ClickstreamServiceStub(channel)
        places = Counter(load.acknowledged.values())
        problems += [f"{place} was given twice" for place, count in places.items() if count > 1]
        by_batch = {batch_id for batch_id, _ in load.acknowledged.values()}
        stored = {
            batch_id: members(batches, batch_id, lambda read: read()) for batch_id in by_batch | set(load.released)
        }
        for session_id, (batch_id, number) in load.acknowledged.items():
            if stored[batch_id][number - 1 : number] != [session_id]:
                problems.append(f"{session_id} is not number {number} of {batch_id}")
        everywhere = Counter(session_id for each in stored.values() for session_id in each)
        problems += [f"{session_id} is stored {count} times" for session_id, count in everywhere.items() if count > 1]
        problems += [f"{batch_id} changed" for batch_id, seen in load.released.items() if stored[batch_id] != seen]
        for session_id in load.acknowledged:
            got = clicks.GetSession(pb.GetSessionRequest(session_id=session_id), timeout=20).stored_session
            if [each.event_id for each in got.events] != ["e-1", "e-2"]:
                problems.append(f"{session_id} has the events {[each.event_id for each in got.events]}")
        for session_id in load.queued:
            asked = improvement_pb.GetImprovementTaskRequest(session_id=session_id)
            ImprovementServiceStub(channel).GetImprovementTask(asked, timeout=20)
    return problems


def kill_primary(deployment: Deployment, chance: random.Random) -> None:
    """SIGKILL to the primary; it starts again a little later."""
    primary = deployment.mongo.primary()
    victim = 0 if primary is None else primary
    deployment.mongo.kill(victim)
    time.sleep(chance.uniform(0.5, 3))
    deployment.mongo.start(victim)


def stop_primary(deployment: Deployment, chance: random.Random) -> None:
    """SIGSTOP to the primary for longer than an election takes: it wakes as one that thinks it is still primary."""
    primary = deployment.mongo.primary()
    victim = 0 if primary is None else primary
    deployment.mongo.signal(victim, signal.SIGSTOP)
    time.sleep(chance.uniform(4, 20))
    deployment.mongo.signal(victim, signal.SIGCONT)


def no_majority(deployment: Deployment, chance: random.Random) -> None:
    """SIGKILL to two members: nothing can be acknowledged until one is back."""
    victims = chance.sample(range(MEMBERS), 2)
    for victim in victims:
        deployment.mongo.kill(victim)
    time.sleep(chance.uniform(1, 6))
    for victim in victims:
        deployment.mongo.start(victim)


def kill_server(deployment: Deployment, _: random.Random) -> None:
    """SIGKILL to the server; it starts again at its address."""
    deployment.server.kill()
    deployment.serve()


FAULTS = {each.__name__: each for each in (kill_primary, stop_primary, no_majority, kill_server)}


def play(deployment: Deployment, number: int) -> dict[str, Any]:
    """One round; returns its row."""
    chance = random.Random(number)
    name = list(FAULTS)[number % len(FAULTS)]
    load = Load(deployment.address, f"n{number}-{int(time.time())}")
    try:
        time.sleep(QUIET_SECONDS)
        FAULTS[name](deployment, chance)
        ended = time.monotonic()
        deployment.mongo.wait_for_primary()
        before = load.codes["OK"]
        while not load.problems and load.codes["OK"] < before + CLIENTS and time.monotonic() - ended < PATIENCE_SECONDS:
            time.sleep(0.02)
        recovery = time.monotonic() - ended
        time.sleep(QUIET_SECONDS)
    finally:
        load.finish()
    deployment.server.read_log()
    return {
        "round": number,
        "fault": name,
        "recovery_seconds": round(recovery, 2),
        "longest_call_seconds": round(load.longest, 2),
        "sessions": len(load.acknowledged),
        "released": len(load.released),
        "codes": dict(load.codes),
        "problems": check(deployment.address, load),
    }


def run(rounds: int, minutes: float, out: Path) -> list[dict[str, Any]]:
    """Plays rounds until there are so many in the file, or the time is over; returns all of the file."""
    rows: list[dict[str, Any]] = json.loads(out.read_text()) if out.exists() else []
    deadline = time.monotonic() + minutes * 60
    with tempfile.TemporaryDirectory() as folder, ReplicaSet(Path(folder) / "mongodb") as mongo:
        deployment = Deployment(Path(folder) / "data", mongo)
        try:
            while len(rows) < rounds and time.monotonic() < deadline:
                rows.append(play(deployment, len(rows)))
                out.write_text(json.dumps(rows, indent=1))
        finally:
            deployment.server.kill()
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rounds by fault, in Markdown."""
    lines = [
        "| fault | rounds | sessions | recovery, median and longest (s) | codes | problems |",
        "|---|---|---|---|---|---|",
    ]
    for name in FAULTS:
        some = [row for row in rows if row["fault"] == name]
        if not some:
            continue
        seconds = sorted(row["recovery_seconds"] for row in some)
        codes = sum((Counter(row["codes"]) for row in some), Counter[str]())
        problems = sum(len(row["problems"]) for row in some)
        told = ", ".join(f"{code} {count:,}" for code, count in sorted(codes.items()))
        lines.append(
            f"| {name.replace('_', ' ')} | {len(some)} | {sum(row['sessions'] for row in some):,} "
            f"| {seconds[len(seconds) // 2]:.1f}, {seconds[-1]:.1f} | {told} | {problems} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Plays, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="rounds that the file shall have")
    parser.add_argument("--minutes", type=float, default=120, help="the most time of this call")
    parser.add_argument("--out", type=Path, default=FOLDER / "results" / "faults.json", help="the rounds, continued")
    given = parser.parse_args()
    rows = run(given.rounds, given.minutes, given.out)
    print(table(rows))
    if problems := [problem for row in rows for problem in row["problems"]]:
        raise SystemExit("\n".join(problems[:20]))


if __name__ == "__main__":
    main()
