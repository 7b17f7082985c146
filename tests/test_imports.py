"""Imports point one way: app → servicers, workers → dao, converter, training → domain."""

import ast
from pathlib import Path

import pytest

import clickstream

SOURCE = Path(clickstream.__file__).parent
MODULES = sorted(path.relative_to(SOURCE).with_suffix("").as_posix() for path in SOURCE.rglob("*.py"))
INTERFACES = frozenset({"clickstream.dao.interface", "clickstream.dao.work_interface"})
CLIENTS = ("client/", "importing", "demo/", "watching", "listing", "forms")
GENERATED = {"google", "embedding_studio"}
DOMAIN = (
    *("errors", "limits", "sessions", "batches", "improvement", "runs", "evaluations", "promotions", "policy"),
    *("converter", "judgements", "split", "template"),
)
TRAINING_LIBRARIES = {"torch", "transformers", "sentence_transformers", "numpy", "safetensors", "tokenizers"}


def imported(module: str) -> set[str]:
    """The dotted names that a module imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def roots(module: str) -> set[str]:
    """The packages that a module imports."""
    return {name.partition(".")[0] for name in imported(module)}


def own(module: str) -> set[str]:
    """The parts of clickstream that a module imports: `dao`, `converter` and so on."""
    return {name.split(".")[1] for name in imported(module) if name.startswith("clickstream.")}


def test_there_are_modules_to_check() -> None:
    """The rules below look at the real source."""
    assert {"app/__init__", "dao/sessions", "servicers/server", "training/loop"} <= set(MODULES)
    assert "grpc" in roots("servicers/server")
    assert "pymongo" in roots("dao/mongo")


@pytest.mark.parametrize("module", MODULES)
def test_infrastructure_stays_in_its_layer(module: str) -> None:
    """Layers: grpc and generated code are for servicers and clients; pymongo for dao, torch for training."""
    found = roots(module)
    if not module.startswith(("servicers/", *CLIENTS)):
        assert not found & {"grpc_status", "grpc_health", "grpc_reflection", *GENERATED}
        # The command line opens the channels of the clients.
        assert "grpc" not in found or module.startswith("cli/")
    if not module.startswith("dao/"):
        assert not found & {"pymongo", "bson"}
    if not module.startswith("training/"):
        assert not found & TRAINING_LIBRARIES


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    """Domain modules import domain only; dao, training and workers never reach up; only the command line sees app."""
    found = own(module)
    if module in DOMAIN:
        assert found <= set(DOMAIN)
    if module.startswith("dao/"):
        assert found <= {"dao", *DOMAIN}
    if module.startswith("training/"):
        assert found <= {"training", *DOMAIN}
    if module.startswith("workers/") or module in ("commit", "inputs"):
        assert found <= {"dao", "inputs", *DOMAIN} | ({"workers"} if module.startswith("workers/") else set())
    if module.startswith("servicers/"):
        assert found <= {"servicers", "commit", "embedding", "inputs", "model_files", "dao", *DOMAIN}
    if module.startswith("client/"):
        assert found <= {"client", *DOMAIN}
    if not module.startswith(("app/", "cli/")) and module != "__main__":
        assert not found & {"app", "cli"}


@pytest.mark.parametrize("module", [each for each in MODULES if not each.startswith(("dao/", "app/"))])
def test_the_store_is_used_through_its_interface(module: str) -> None:
    """Only the composition root knows which store there is; the command line knows how one fails to start."""
    allowed = {*INTERFACES, *(["clickstream.dao.embedded"] if module.startswith("cli/") else [])}
    used = {name.rpartition(".")[0] for name in imported(module) if name.startswith("clickstream.dao")}
    assert used <= allowed


def test_the_training_module_is_imported_where_a_training_begins() -> None:
    """`serve` never imports torch: app imports training inside functions only."""
    trees = [ast.parse(path.read_text()) for path in (SOURCE / "app").glob("*.py")]
    at_start = [node for tree in trees for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert at_start
    assert not any(str(node.module).startswith("clickstream.training") for node in at_start)
