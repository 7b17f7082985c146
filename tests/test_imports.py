"""The one-way table: what each room may import of ours, and which library may be imported where."""

import ast
import re
from pathlib import Path

import pytest

import clickstream

SOURCE = Path(clickstream.__file__).parent
PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
MODULES = sorted(path.relative_to(SOURCE).with_suffix("").as_posix() for path in SOURCE.rglob("*.py"))

ROOMS: dict[str, set[str]] = {
    "domain": set(),
    "processes": set(),
    "credentials": set(),
    "contract": {"domain"},
    "dao/interface": {"domain"},
    "models": {"domain"},
    "dao/group_commit": {"domain", "dao/interface"},
    "dao/embedded_mongod": {"domain", "processes"},
    "dao/mongo": {"domain", "dao/interface"},
    "conversion": {"domain", "contract", "dao/interface"},
    "analytics": {"domain", "contract", "dao/interface", "conversion"},
    "quality": {"domain", "contract", "dao/interface", "conversion", "analytics"},
    "trainer_client": {"domain", "contract", "credentials"},
    "telemetry": {"domain"},
    "training": {"domain", "models"},
    "workers": {"domain", "dao/interface", "conversion", "models", "analytics", "quality"},
    "servicers": {
        *("domain", "contract", "dao/interface", "dao/group_commit", "conversion", "models", "trainer_client"),
        *("analytics", "quality", "credentials"),
    },
    "client": {
        *("domain/errors", "domain/limits", "domain/judgements", "contract/details", "contract/evaluations"),
        "credentials",
    },
    "transfer": {"domain/limits", "client"},
    "ubi": {"domain/limits", "client", "transfer"},
    "views": {"client", "transfer"},
    "report": {"client", "views"},
    "demo": {"client", "views", "report", "processes", "training"},
    "app": {
        *("domain", "processes", "contract", "dao", "models", "conversion", "trainer_client", "training"),
        *("workers", "servicers", "analytics", "quality", "credentials", "telemetry"),
    },
    "cli": {
        *("domain", "contract/details", "servicers/access/scopes", "credentials", "app", "client", "ubi", "views"),
        *("transfer", "report", "demo"),
    },
    "__init__": set(),
    "__main__": {"cli"},
}
"""Room → what its modules may import beside their own room. A longer path wins over a shorter one."""

GENERATED_CODE = {
    "contract",
    "servicers",
    "trainer_client",
    "client",
    "cli/run_settings",
    "views",
    "report",
    "transfer",
    "ubi",
    "demo",
}

LIBRARIES: dict[str, set[str]] = {
    "pymongo": {"dao"},
    "bson": {"dao"},
    "torch": {"training"},
    "transformers": {"training"},
    "sentence_transformers": {"training"},
    "safetensors": {"training"},
    "tokenizers": {"training"},
    "peft": {"training"},
    "numpy": {"training"},
    "scipy": {"training"},
    "polars": {"analytics", "quality"},
    "crawleruseragents": {"analytics"},
    "grpc": {
        *("contract/details", "contract/statuses", "servicers", "trainer_client", "client", "transfer", "ubi"),
        *("cli", "demo"),
    },
    "grpc_status": {"contract/statuses"},
    "grpc_health": {"servicers/server", "servicers/health"},
    "grpc_reflection": {"servicers/reflection"},
    "embedding_studio": GENERATED_CODE,
    "google": GENERATED_CODE,
    "rich": {"views", "cli", "demo"},
    "click": {"cli"},
    "pydantic": {"app/settings", "cli"},
    "pydantic_settings": {"app/settings"},
    "uvloop": {"cli/serving"},
    "pyarrow": {"cli/parquet", "cli/embed"},
    "prometheus_client": {"telemetry"},
    "cryptography": {"credentials/pem"},
    "mongomock": set(),
}
"""Library → the rooms that may import it."""


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


def room_of(path: str) -> str:
    """The room of a module: the longest row of the table that it stands in."""
    return max((room for room in ROOMS if stands_in(path, room)), key=len, default="")


def stands_in(path: str, room: str) -> bool:
    """Whether a module is a room, or within it."""
    return path == room or path.startswith(f"{room}/")


def own(module: str) -> set[str]:
    """The modules of ours that a module imports, as paths: `dao/mongo/sessions`."""
    paths = {name.replace(".", "/").removeprefix("clickstream/") for name in imported(module) if "clickstream." in name}
    found = {next((path for path in (full, full.rpartition("/")[0]) if path in MODULES), full) for full in paths}
    return {path for path in found if not path.startswith("embedding_studio")}


def written(heading: str) -> dict[str, set[str]]:
    """A table of docs/architecture.md by the first cell's names; rows that are planned are left out."""
    table = PAGE.read_text("utf-8").partition(f"| {heading} |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if "(planned)" not in line]
    names = [[set(re.findall(r"`([^`]+)`", cell)) for cell in row] for row in rows]
    return {name: allowed for first, allowed in names for name in first}


def test_the_page_has_the_same_tables() -> None:
    """What docs/architecture.md says about imports is what these tests check."""
    rooms = {room: allowed for room, allowed in ROOMS.items() if not room.startswith("__")}
    assert written("room | may import") == rooms
    assert written("library | only in") == {library: where for library, where in LIBRARIES.items() if where}


def test_there_are_modules_to_check() -> None:
    """The rules below look at the real source."""
    assert {"app/serve", "dao/mongo/sessions", "servicers/server", "training/run"} <= set(MODULES)
    assert "domain/errors" in own("contract/statuses")
    assert any(name.startswith("pymongo") for name in imported("dao/mongo/connection"))


def test_nothing_is_loose_at_the_top() -> None:
    """Beside `__init__` and `__main__` every module stands in a room of the table."""
    assert {module for module in MODULES if "/" not in module} == {"__init__", "__main__"}
    assert not [module for module in MODULES if not room_of(module) and not module.endswith("__init__")]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    """A module imports its own room, and of the others what its row of the table names."""
    room = room_of(module)
    allowed = {room, *ROOMS.get(room, set())}
    wrong = {path for path in own(module) if not any(stands_in(path, one) for one in allowed if one)}
    assert not wrong, f"{module} may not import {sorted(wrong)}"


@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_imported_in_its_rooms_only(module: str) -> None:
    """Pymongo in dao, torch in training, generated code in contract and its neighbours, and so on."""
    libraries = {name.partition(".")[0] for name in imported(module)} & set(LIBRARIES)
    wrong = {library for library in libraries if not any(stands_in(module, room) for room in LIBRARIES[library])}
    assert not wrong, f"{module} may not import {sorted(wrong)}"


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith(("app/", "demo/"))])
def test_the_training_module_is_imported_where_a_training_begins(module: str) -> None:
    """`serve` never imports torch: app and demo import training inside functions only."""
    tree = ast.parse((SOURCE / f"{module}.py").read_text())
    at_start = [str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert not any(name.startswith("clickstream.training") for name in at_start)
