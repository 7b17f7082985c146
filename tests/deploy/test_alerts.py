"""The rules and the dashboard name metrics that exist, and the runbook has each alert."""

import contextlib
import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import yaml
from embedding_studio.clickstream.v1.clickstream_service_pb2 import CreateSessionRequest
from embedding_studio.clickstream.v1.clickstream_service_pb2_grpc import ClickstreamServiceStub
from pymongo.database import Database
from support.builders import create_request
from support.certificates import Authority
from support.scraping import get, samples
from support.servers import ServeProcess, refused, wait_for

from clickstream.dao.embedded_mongod import EmbeddedMongo
from clickstream.dao.mongo.connection import Document
from clickstream.dao.mongo.store import MongoDao
from clickstream.domain.promotions import PromotionOrder

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
METRIC = re.compile(r"\b(?:clickstream|grpc_server|process)_\w+")


def rules() -> list[dict[str, Any]]:
    """The alerts."""
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return found


def expressions() -> list[str]:
    """Every expression of the rules and of the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [*(rule["expr"] for rule in rules()), *(each["expr"] for panel in panels for each in panel["targets"])]


def test_every_metric_of_rules_and_dashboard_is_on_a_running_server(
    serve: Callable[..., ServeProcess], mongod: EmbeddedMongo, database: Database[Document], tmp_path: Path
) -> None:
    """A supervised server with TLS shows each name that an expression reads; only `up` is Prometheus' own."""
    dao = MongoDao(database)
    dao.promotions.append(PromotionOrder("p-1", "a-version"), datetime.now(UTC))
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server", "127.0.0.1")
    options = ("--metrics-listen", "127.0.0.1:0", "--processes", "1", "--no-pin")
    options = (*options, "--tls-cert", str(certificate), "--tls-key", str(key))
    server = serve(*options, MONGODB_URI=mongod.uri, CLICKSTREAM_DATABASE=database.name)
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    with grpc.secure_channel(server.address, credentials) as channel:
        refused(ClickstreamServiceStub(channel).CreateSession, CreateSessionRequest())
        ClickstreamServiceStub(channel).CreateSession(create_request())
    named = {name for expression in expressions() for name in METRIC.findall(expression)}
    # The worker hears of a change only once there is one, and the embedded MongoDB is not here.
    elsewhere = {"clickstream_change_stream_lag_seconds", "clickstream_embedded_mongodb_up"}
    assert len(named) > 20
    assert elsewhere < named
    missing: set[str] = set()

    def all_there() -> bool:
        missing.clear()
        missing.update(named - elsewhere - {name for name, _ in samples(server)})
        return not missing

    with contextlib.suppress(AssertionError):
        wait_for(all_there, 60)  # the first roll-up takes its time on a busy machine
    assert missing == set()
    assert get(server, "/readyz")[0] == 200


def test_the_runbook_has_each_alert_and_no_other() -> None:
    """Each alert has its section, and a link that leads there."""
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_promtool_accepts_the_rules_and_passes_their_tests(promtool: str) -> None:
    """The files are valid, and each alert fires in its own test, which stands beside the rules."""
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]):
        done = subprocess.run([promtool, *command], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = {each["name"] for each in yaml.safe_load((RULES.parent / "rules_test.yaml").read_text())["tests"]}
    assert {rule["alert"] for rule in rules()} <= tested
