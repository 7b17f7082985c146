"""A database, a server, a trainer and workers as processes, to kill and restart."""

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pymongo
from embedding_studio.clickstream.v1 import clickstream_service_pb2
from embedding_studio.clickstream.v1 import improvement_service_pb2 as improvement_pb
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.improvement_service_pb2_grpc import ImprovementServiceStub

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.domain.query_split import MIN_HELD_OUT_QUERIES
from support.builders import create_request, event, push_request, queries, struct
from support.servers import ServeProcess, wait_for
from support.shop_log import THINGS, WANTED

TRAINED, HELD_OUT = 14, MIN_HELD_OUT_QUERIES
GROUP = TRAINED + HELD_OUT
LEASE = 3
FINAL = {"done", "failed", "refused", "canceled"}
VICTIMS = ("worker-1", "worker-2", "trainer", "server", "mongod")
RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
Life = list[tuple[str, str]]


class Fleet:
    """All processes that work on one queue; the server has a worker, too."""

    def __init__(self, folder: Path, encoder: Path) -> None:
        self._folder = folder
        self.mongo = EmbeddedMongo(folder / "mongodb", cache_gb=0.25)
        self._encoder = encoder
        self._processes: dict[str, ServeProcess] = {}
        self._addresses = {"server": "127.0.0.1:0", "trainer": "127.0.0.1:0"}

    def __enter__(self) -> "Fleet":
        self.mongo.start()
        for name in ("trainer", "server", "worker-1", "worker-2"):
            self._start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
        self.mongo.stop()

    def _start(self, name: str) -> None:
        command = {"server": "serve", "trainer": "trainer"}.get(name, "worker")
        environment = {
            "MONGODB_URI": self.mongo.uri,
            "CLICKSTREAM_RUN_LEASE": str(LEASE),
            "CLICKSTREAM_BASE_MODEL": str(self._encoder),
            "CLICKSTREAM_IMPROVEMENT_GROUP": str(GROUP),
            "CLICKSTREAM_IMPROVEMENT_AGE": "2",
            "CLICKSTREAM_IMPROVEMENT_BACKOFF": "0.1",
            "OMP_NUM_THREADS": "1",
        }
        if name != "trainer":
            environment["CLICKSTREAM_TRAINER"] = self._addresses["trainer"]
        process = ServeProcess(self._folder, environment, command, self._addresses.get(name))
        self._processes[name] = process
        if name in self._addresses:
            self._addresses[name] = process.address

    def kill(self, name: str) -> None:
        """Kills a process with SIGKILL and starts it again at once."""
        if name == "mongod":
            os.kill(self.mongo.pid, signal.SIGKILL)
            wait_for(lambda: not self.mongo.is_running())
            self.mongo.start()
            return
        self._processes[name].kill()
        self._start(name)

    def stop(self, name: str) -> int:
        """Stops a process with SIGTERM; returns its exit code."""
        self._processes[name].terminate()
        return self._processes[name].wait()

    def logs(self) -> dict[str, bytes]:
        """The logs of the running processes. Reading them keeps their pipes from filling up."""
        return {name: process.read_log() for name, process in self._processes.items()}

    def put_forward(self, prefix: str) -> list[str]:
        """Registers a group of searches, each with a click, and puts them forward; two become irrelevant.

        The held-out queries come last, and no more of them than a run needs: the group trains as a whole.
        """
        session_ids = [f"{prefix}-{number}" for number in range(GROUP)]
        for session_id, query in zip(session_ids, queries(HELD_OUT, TRAINED), strict=True):
            words, things = list(WANTED.values()), len(THINGS)
            number = int(query.split()[-1])
            meant, thing = words[number // things % len(words)], THINGS[number % things]
            shown = [other for other in words if other != meant][:4]
            # What is clicked wherever it stands says more than its place would.
            shown.insert(number % 5, meant)
            request = create_request(session_id, query=query, objects=())
            for word in shown:
                request.session.results.add(object_id=f"{word}-{thing}", meta=struct(title=f"{word} {thing}"))
            self._call(ClickstreamServiceStub, "CreateSession", request)
            click = event(f"click-{session_id}", f"{meant}-{thing}")
            self._call(ClickstreamServiceStub, "PushEvents", push_request(session_id, click))
            use = improvement_pb.UseSessionForImprovementRequest(session_id=session_id)
            self._call(ImprovementServiceStub, "UseSessionForImprovement", use)
        for session_id in session_ids[:TRAINED:7]:
            mark = clickstream_service_pb2.MarkSessionIrrelevantRequest(session_id=session_id)
            self._call(ClickstreamServiceStub, "MarkSessionIrrelevant", mark)
        return session_ids

    def _call(self, stub: Callable[[grpc.Channel], Any], method: str, request: Any) -> Any:
        """Repeats a call until it is answered: every write may be retried."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with grpc.insecure_channel(self._addresses["server"]) as channel:
                    return getattr(stub(channel), method)(request, timeout=5, wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() not in RETRIED or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def history(self) -> dict[str, Life]:
        """Every (state, run) of each task, in order, from MongoDB's log of all writes (the oplog)."""
        lives: dict[str, Life] = defaultdict(list)
        with pymongo.MongoClient[dict[str, Any]](self.mongo.uri) as client:
            written = client["local"]["oplog.rs"].find({"ns": "clickstream.sessions_for_improvement"}).sort("$natural")
            for entry in written:
                if entry["op"] == "i":
                    lives[entry["o"]["_id"]].append((entry["o"]["state"], ""))
                elif state := entry["o"]["diff"].get("u", {}).get("state"):
                    life = lives[entry["o2"]["_id"]]
                    life.append((state, entry["o"]["diff"]["u"].get("run_id", life[-1][1])))
        return lives

    def documents(self, collection: str) -> list[dict[str, Any]]:
        """All documents of a collection."""
        with pymongo.MongoClient[dict[str, Any]](self.mongo.uri) as client:
            return list(client["clickstream"][collection].find())

    def is_settled(self) -> bool:
        """Whether every task and every run has ended."""
        self.logs()
        tasks, runs = self.documents("sessions_for_improvement"), self.documents("training_runs")
        return all(task["state"] in FINAL for task in tasks) and all("ended_at" in run for run in runs)


def torment(fleet: Fleet, source: random.Random, kills: int) -> list[str]:
    """Kills processes at random moments; returns which."""
    killed = []
    for _ in range(kills):
        time.sleep(source.uniform(0, 2))
        killed.append(source.choice(VICTIMS))
        fleet.kill(killed[-1])
    return killed
