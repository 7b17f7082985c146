"""Collects the source of the wheel clickstream-client: the client, and what it imports, of this repository."""

import ast
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "src", ROOT / "generated")
FIRST = ["clickstream.client", "clickstream.__init__"]
"""The modules to begin with; the public messages follow from them."""
BESIDE = ("pyproject.toml", "README.md")


def file_of(module: str) -> Path | None:
    """The file of a module, relative to its folder of `SOURCES`; None if it is none of ours."""
    path = Path(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if any((source / file).is_file() for source in SOURCES):
            return file
    return None


def imported(file: Path) -> set[str]:
    """The modules that a file imports, each also as the name after it: either may be a module."""
    source = next(source for source in SOURCES if (source / file).is_file())
    names: set[str] = set()
    for node in ast.walk(ast.parse((source / file).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def files() -> set[Path]:
    """The client's files and those that they need, stubs of generated code included."""
    found: set[Path] = set()
    waiting = list(FIRST)
    while waiting:
        file = file_of(waiting.pop())
        if file is None or file in found:
            continue
        found.add(file)
        waiting += imported(file)
        # A package of ours stands above every module of it.
        waiting += [".".join(folder.parts) for folder in file.parents if folder.parts]
    stubs = {file.with_suffix(".pyi") for file in found if file.name.endswith("_pb2.py")}
    return found | stubs | {Path("clickstream/py.typed")}


def collect(folder: Path) -> None:
    """Writes the tree that the wheel is built from."""
    for file in files():
        source = next(source for source in SOURCES if (source / file).is_file())
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, folder / file)
    for name in BESIDE:
        shutil.copyfile(Path(__file__).parent / name, folder / name)
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    project = folder / "pyproject.toml"
    project.write_text(project.read_text("utf-8").replace('version = "0"', f'version = "{version}"'), "utf-8")


if __name__ == "__main__":
    collect(Path(sys.argv[1]))
