"""Each alert fires when the thing it is for breaks: a real Prometheus scrapes a real server, with `for` cut to 1 s."""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from support.builders import create_request
from support.certificates import Authority
from support.scraping import get
from support.servers import ServeProcess, wait_for

from clickstream.dao.embedded_mongod import EmbeddedMongo

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yaml"


class Prometheus:
    """A running Prometheus, and the alerts that fire there."""

    def __init__(self, folder: Path, target: str) -> None:
        folder.mkdir()
        rules = re.sub(r"for: \w+", "for: 1s", RULES.read_text())
        (folder / "rules.yaml").write_text(rules)
        (folder / "prometheus.yaml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\n"
            f"scrape_configs: [{{job_name: clickstream, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        files = [f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
        command = ["prometheus", *files, f"--web.listen-address={self._address}"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def firing(self) -> set[str]:
        """The names of the alerts that fire; none while it starts."""
        try:
            with urllib.request.urlopen(f"http://{self._address}/api/v1/alerts", timeout=5) as answer:
                alerts: list[Any] = json.load(answer)["data"]["alerts"]
        except OSError:
            return set()
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@pytest.fixture
def scraped(
    promtool: str, serve: Callable[..., ServeProcess], mongod_program: None, tmp_path: Path
) -> Iterator[tuple[Prometheus, ServeProcess, EmbeddedMongo, grpc.Channel]]:
    """A server on a MongoDB of its own, with an old certificate and a trainer that is not there, and its Prometheus."""
    mongo = EmbeddedMongo(tmp_path / "own", 0.25)
    mongo.start()
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server", "127.0.0.1", expired=True)
    options = ("--metrics-listen", "127.0.0.1:0", "--tls-cert", str(certificate), "--tls-key", str(key))
    environment = {"CLICKSTREAM_WRITE_QUEUE_MB": "8", "CLICKSTREAM_INTERNAL_LISTEN": f"unix:{tmp_path}/in.sock"}
    environment |= {"MONGODB_URI": mongo.uri, "CLICKSTREAM_TRAINER": "127.0.0.1:1", "CLICKSTREAM_STORE_TIMEOUT": "60"}
    server = serve(*options, **environment)
    target = server.log.split(b"metrics on http://")[1].split(b"/")[0].decode()
    prometheus = Prometheus(tmp_path / "prometheus", target)
    try:
        with grpc.insecure_channel(f"unix:{tmp_path}/in.sock") as channel:
            yield prometheus, server, mongo, channel
    finally:
        prometheus.process.kill()
        prometheus.process.wait()
        mongo.stop()


@pytest.mark.timeout(200)
def test_alerts_fire_when_what_they_are_for_breaks(
    scraped: tuple[Prometheus, ServeProcess, EmbeddedMongo, grpc.Channel],
) -> None:
    """Certificate about to end, trainer gone; then a MongoDB that hangs, with a full queue; then the server gone."""
    prometheus, server, mongo, channel = scraped
    wait_for(lambda: get(server, "/readyz")[0] == 200)
    wait_for(lambda: prometheus.firing() >= {"CertificateEnds", "TrainerGone"}, 60)
    assert not prometheus.firing() & {"StoreDown", "WriteQueueFull", "ServerGone"}
    os.kill(mongo.pid, signal.SIGSTOP)
    try:
        stub = ClickstreamServiceStub(channel)
        meta = [{"title": "x" * 8_000}] * 100
        calls = []
        for number in range(40):  # 800 kB each: 8 MiB are on their way to the store, the rest waits
            request = create_request(f"s-{number}")
            del request.session.results[:]
            for index, each in enumerate(meta):
                request.session.results.add(object_id=f"o-{index}").meta.update(each)
            calls.append(stub.CreateSession.future(request, timeout=100))
        wait_for(lambda: prometheus.firing() >= {"StoreDown", "WriteQueueFull"}, 60)
    finally:
        os.kill(mongo.pid, signal.SIGCONT)
    wait_for(lambda: not prometheus.firing() & {"StoreDown", "WriteQueueFull"}, 60)
    server.kill()
    wait_for(lambda: "ServerGone" in prometheus.firing(), 60)
