"""The files of deploy/ fit the published schemas, the program and each other."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml
from support import parts

from clickstream.app.settings import Settings
from clickstream.cli import commands

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SETTING = re.compile(r"\bCLICKSTREAM_[A-Z_]+\b")
# The port of probes and metrics.
METRICS = "CLICKSTREAM_METRICS_LISTEN"
TEXTS = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]


def documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text()))


def workloads() -> Iterator[dict[str, Any]]:
    """Deployments and stateful sets."""
    for path in KUBERNETES:
        yield from (each for each in documents(path) if each["kind"] in ("Deployment", "StatefulSet"))


def of_kind(kind: str) -> list[dict[str, Any]]:
    """All Kubernetes objects of a kind."""
    return [each for path in KUBERNETES for each in documents(path) if each["kind"] == kind]


def check_command(words: list[str]) -> None:
    """Raises a usage error if `clickstream` knows no such command or option."""
    name, *options = words
    command = commands.main.commands[name]
    command.make_context(name, options, resilient_parsing=False)


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_every_manifest_fits_its_schema(path: Path) -> None:
    """Each object is one of Kubernetes 1.30 and of the newest version with a schema, without an unknown field."""
    for document in documents(path):
        for version in ("1.30", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(document, version, strict=True)


def test_a_schema_is_really_applied() -> None:
    """A field that no object has is refused."""
    document = documents(DEPLOY / "kubernetes" / "serve.yaml")[0]
    document["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.30", strict=True)


@pytest.mark.parametrize("workload", list(workloads()), ids=lambda each: each["metadata"]["name"])
def test_a_workload_is_probed_drained_and_confined(workload: dict[str, Any]) -> None:
    """Probes ask the port of metrics, the grace covers the drain, and the container has no rights."""
    pod = workload["spec"]["template"]["spec"]
    [container] = pod["containers"]
    check_command(container["args"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    config = of_kind("ConfigMap")[0]["data"]
    assert config[METRICS].endswith(f":{ports['metrics']}")
    paths = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in paths.values()} == {"metrics"}
    assert (paths["liveness"]["path"], paths["readiness"]["path"]) == ("/healthz", "/readyz")
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][1]) if "lifecycle" in container else 0
    assert pod["terminationGracePeriodSeconds"] > before + int(config["CLICKSTREAM_SHUTDOWN_GRACE"]) + 10
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert workload["spec"]["selector"]["matchLabels"] == workload["spec"]["template"]["metadata"]["labels"]


def test_selectors_ports_and_secrets_name_what_exists() -> None:
    """Selectors select pods, policies open ports that containers have, and secrets have the mounted files."""
    labels, ports = [], set()
    secrets = {each["metadata"]["name"]: set(each["stringData"]) for each in of_kind("Secret")}
    for workload in workloads():
        pod = workload["spec"]["template"]
        labels.append(pod["metadata"]["labels"])
        [container] = pod["spec"]["containers"]
        ports |= {port["containerPort"] for port in container["ports"]}
        volumes = {each["name"] for each in pod["spec"]["volumes"]}
        volumes |= {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])}
        assert {each["name"] for each in container["volumeMounts"]} == volumes
        for volume in pod["spec"]["volumes"]:
            assert "secret" not in volume or volume["secret"]["secretName"] in secrets
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                key = variable["valueFrom"]["secretKeyRef"]
                assert key["key"] in secrets[key["name"]]
    selected = [each["spec"]["selector"] for each in of_kind("Service")]
    selected += [each["spec"]["selector"]["matchLabels"] for each in of_kind("PodDisruptionBudget")]
    policies = of_kind("NetworkPolicy")
    selected += [each["spec"]["podSelector"].get("matchLabels", {}) for each in policies]
    for selector in selected:
        assert any(selector.items() <= each.items() for each in labels), selector
    opened = {port["port"] for each in policies for rule in each["spec"].get("ingress", []) for port in rule["ports"]}
    assert opened == ports
    for budget in of_kind("PodDisruptionBudget"):
        owner = next(each for each in workloads() if each["spec"]["selector"] == budget["spec"]["selector"])
        assert budget["spec"]["minAvailable"] < owner["spec"]["replicas"], "a node could never be drained"
    files = {f"/etc/clickstream/tokens/{key}" for key in secrets["clickstream-tokens"]}
    files |= {f"/etc/clickstream/tls/{key}" for key in secrets["clickstream-tls"]}
    config = of_kind("ConfigMap")[0]["data"]
    assert {value for value in config.values() if value.startswith("/etc/")} <= files


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    """A variable in a file of deploy/ is a setting."""
    known = {f"CLICKSTREAM_{name.upper()}" for name in Settings.model_fields} | {METRICS}
    assert set(SETTING.findall(path.read_text())) <= known


def test_compose_starts_what_exists() -> None:
    """Commands exist, mounted files are there, stops wait for the drain, and only this machine reaches a port."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    for name in ("serve", "worker", "trainer"):
        check_command(services[name]["command"])
        assert services[name]["stop_grace_period"] == "45s"
        assert int(services[name]["environment"]["CLICKSTREAM_SHUTDOWN_GRACE"]) < 45
        assert (DEPLOY / services[name]["build"]["context"] / services[name]["build"]["dockerfile"]).exists()
    for service in services.values():
        assert ":" in service["image"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
        assert set(service.get("depends_on", {})) <= set(services)
    members = re.findall(r"mongo\d", services["serve"]["environment"]["MONGODB_URI"])
    assert sorted(members) == [name for name in sorted(services) if re.fullmatch(r"mongo\d", name)]


def test_the_image_is_built_of_what_exists() -> None:
    """Copied files are there, the end runs without root, and its torch is the one that the project wants."""
    text = (DEPLOY / "Dockerfile").read_text()
    root = DEPLOY.parent
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        assert all((root / source).exists() for source in line.split()[:-1]), line
    last = text.rpartition("FROM ")[2]
    assert "USER 10001" in last
    assert "HEALTHCHECK" in last
    assert "pip install" not in last
    [torch] = re.findall(r"torch==[\d.]+", text)
    assert f'"{torch}"' in (root / "pyproject.toml").read_text()


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_what_exists(path: Path) -> None:
    """The command exists, and systemd waits longer than the drain."""
    text = path.read_text()
    [command] = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    check_command(shlex.split(command)[1:])
    [stop] = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    [grace] = re.findall(r"CLICKSTREAM_SHUTDOWN_GRACE=(\d+)", text)
    assert int(stop) > int(grace) + 10


@pytest.mark.full
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_verifies_a_unit(path: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing to say, where the program and its user exist."""
    if not shutil.which("systemd-analyze"):
        parts.missing("systemd-analyze")
    text = path.read_text().replace("/opt/clickstream/bin/clickstream", "/bin/true")
    (tmp_path / path.name).write_text(text.replace("=clickstream\n", "=root\n", 2))
    ran = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / path.name)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = [line for line in ran.stderr.splitlines() if path.name in line]
    assert not said, said
    assert ran.returncode == 0, ran.stderr


def test_a_command_that_does_not_exist_is_noticed() -> None:
    """The check of commands can fail."""
    with pytest.raises((KeyError, click.UsageError)):
        check_command(["serve", "--no-such-option"])
