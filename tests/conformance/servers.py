"""The servers that the conformance cases call: real `clickstream serve` processes over real MongoDBs.

Most serve all clients, as their cases store nothing or name the client in their ids. `plain` and `draining` are new for
each client.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from embedding_studio.clickstream.v1.clickstream_service_pb2 import GetSessionRequest
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from embedding_studio.clickstream.v1.fine_tuning_settings_pb2 import FineTuningSettings
from embedding_studio.clickstream.v1.training_service_pb2 import StartTrainingRequest, WatchTrainingRunRequest
from embedding_studio.clickstream.v1.training_service_pb2_grpc import TrainingServiceStub
from support.certificates import Authority
from support.servers import ServeProcess
from support.tiny_encoder import make_tiny_encoder
from support.token_files import entry, written
from support.whole_path import play_searches, release, start_training, watch_to_the_end

from clickstream.dao.embedded_mongod import EmbeddedMongo

Addresses = dict[str, dict[str, Any]]
TOKENS = {"shop": "conformance-shop", "batches": "conformance-batches", "old": "conformance-old", "wrong": "unknown"}
DRAINED_SESSION = "drain-me"
NO_TRAINING = {"CLICKSTREAM_RUN_TRAINING": "false"}


class Servers:
    """Starts the servers in a folder. `shared` and `of_client` say where they are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._mongo = EmbeddedMongo(folder / "mongod", cache_gb=0.25)
        self._stopped_mongo = EmbeddedMongo(folder / "stopped-mongod", cache_gb=0.25)
        self.shared: Addresses = {}
        self.variables: dict[str, str] = {}

    def __enter__(self) -> "Servers":
        try:
            for mongo in (self._mongo, self._stopped_mongo):
                mongo.start()
                self._stack.callback(mongo.stop)
            self._start_shared()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _serve(self, name: str, command: str = "serve", store: EmbeddedMongo | None = None, **more: str) -> str:
        environment = {
            "MONGODB_URI": (store or self._mongo).uri,
            "CLICKSTREAM_DATABASE": f"conformance_{name.replace('-', '_')}",
            "CLICKSTREAM_AUDIT_LOG": str(self._folder / f"{name}.audit"),
            **more,
        }
        process = ServeProcess(self._folder / name, environment, command)
        self._stack.callback(process.kill)
        return process.address

    def _start_shared(self) -> None:
        starts: dict[str, Callable[[], dict[str, Any]]] = {
            "gzip": lambda: self._simple("gzip", CLICKSTREAM_ALLOW_COMPRESSION="true"),
            "few-calls": lambda: self._simple("few-calls", CLICKSTREAM_CALLER_CALLS="1"),
            "few-bytes": lambda: self._simple("few-bytes", CLICKSTREAM_CALLER_MB="1"),
            "one-stream": lambda: self._simple("one-stream", CLICKSTREAM_CALLER_STREAMS="1"),
            "busy": lambda: self._simple("busy", CLICKSTREAM_CALLS_IN_HAND="1"),
            "door": lambda: self._with_tokens("door"),
            "refusing": lambda: self._with_tokens("refusing"),
            "no-store": lambda: self._simple("no-store", self._stopped_mongo, CLICKSTREAM_STORE_TIMEOUT="1"),
            "models": self._with_models,
        }
        with ThreadPoolExecutor(2) as pool:
            self.shared = dict(zip(starts, pool.map(lambda start: start(), starts.values()), strict=True))
        # The versions of `models` are in its store; this server has no trainer.
        self.shared["no-trainer"] = self._simple(
            "no-trainer", CLICKSTREAM_DATABASE="conformance_models", CLICKSTREAM_TRAINER="127.0.0.1:9"
        )
        os.kill(self._stopped_mongo.pid, signal.SIGSTOP)
        self._stack.callback(os.kill, self._stopped_mongo.pid, signal.SIGCONT)

    def _simple(self, name: str, store: EmbeddedMongo | None = None, **more: str) -> dict[str, Any]:
        return {"address": self._serve(name, store=store, **NO_TRAINING, **more)}

    def _with_tokens(self, name: str) -> dict[str, Any]:
        authority = Authority(self._folder / f"{name}-tls")
        certificate, key = authority.issue("127.0.0.1", "127.0.0.1", "localhost")
        entries = [
            entry("shop", TOKENS["shop"], "client"),
            entry("batches", TOKENS["batches"], "batch"),
            entry("old", TOKENS["old"], "client", expires="2020-01-01T00:00:00Z"),
        ]
        tokens = written(self._folder / f"{name}.toml", entries)
        files = {"CLICKSTREAM_TLS_CERT": str(certificate), "CLICKSTREAM_TLS_KEY": str(key)}
        where = self._simple(name, CLICKSTREAM_TOKENS=str(tokens), **files)
        return {**where, "ca": str(authority.file), "tokens": TOKENS}

    def _with_models(self) -> dict[str, Any]:
        """A server with two versions of a tiny model: the gate let one pass, and not the other."""
        encoder = make_tiny_encoder(self._folder / "encoder")
        address = self._serve("models")
        with grpc.insecure_channel(address) as channel:
            play_searches(channel)
            batch_id = release(channel)
            start_training(channel, batch_id, encoder, epochs=6)
            passed = watch_to_the_end(channel)[-1].model_version
            weak = FineTuningSettings(base_model=str(encoder), item_template="{title}", epochs=1, learning_rate=1e-9)
            training = TrainingServiceStub(channel)
            training.StartTraining(StartTrainingRequest(run_id="weak", batch_ids=[batch_id], settings=weak))
            watched = training.WatchTrainingRun(WatchTrainingRunRequest(run_id="weak"), timeout=200)
            refused = [each.run for each in watched][-1].model_version
        assert passed.gate_passed, passed.gate_reason
        assert refused.model_version_id
        assert not refused.gate_passed
        self.variables |= {"passed": passed.model_version_id, "refused": refused.model_version_id}
        return {"address": address}

    @contextlib.contextmanager
    def of_client(self, client: str) -> Iterator[tuple[Addresses, dict[str, str]]]:
        """The servers of one client with those that all share, and the variables of its cases."""
        plain = self._simple(f"plain-{client}")
        draining = ServeProcess(
            self._folder / f"draining-{client}",
            {"MONGODB_URI": self._mongo.uri, "CLICKSTREAM_DATABASE": f"conformance_draining_{client}", **NO_TRAINING},
        )
        self._stack.callback(draining.kill)
        done = threading.Event()
        watcher = threading.Thread(target=_drain_when_asked, args=(draining, done))
        watcher.start()
        try:
            yield (
                {**self.shared, "plain": plain, "draining": {"address": draining.address}},
                {**self.variables, "client": client},
            )
        finally:
            done.set()
            watcher.join()


def _drain_when_asked(process: ServeProcess, done: threading.Event) -> None:
    """Sends SIGTERM once a client has stored the session `drain-me`."""
    with grpc.insecure_channel(process.address) as channel:
        stub = ClickstreamServiceStub(channel)
        while not done.wait(0.05):
            try:
                stub.GetSession(GetSessionRequest(session_id=DRAINED_SESSION), timeout=5)
            except grpc.RpcError:
                continue
            process.terminate()
            return
