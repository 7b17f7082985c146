"""How each client is installed and run. What it needs is installed into a folder of its own, once."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INSTALL_SECONDS = 400
CLIENTS = ("python", "grpc-js", "connect")


def install(work: Path) -> Path:
    """Makes the environments of the clients in a folder, each only where it is missing; returns the contract's file."""
    work.mkdir(parents=True, exist_ok=True)
    python = work / "python" / "bin" / "python"
    if not python.exists():
        _run(sys.executable, "-m", "venv", str(work / "python"))
        _run(str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / "python" / "requirements.txt"))
    typescript = work / "typescript"
    typescript.mkdir(exist_ok=True)
    for source in (HERE / "typescript").iterdir():
        (typescript / source.name).write_bytes(source.read_bytes())
    if not (typescript / "node_modules").exists():
        _run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(typescript))
    contract = work / "stubs" / "contract.binpb"
    contract.parent.mkdir(exist_ok=True)
    _run(str(python), str(HERE / "python" / "contract.py"), str(ROOT / "protos"), str(contract))
    return contract


def command(client: str, work: Path, plan: Path) -> list[str]:
    """The command line that runs the cases of a plan with a client."""
    if client == "python":
        return [str(work / "python" / "bin" / "python"), str(HERE / "python" / "runner.py"), str(plan)]
    folder = work / "typescript"
    return [str(folder / "node_modules" / ".bin" / "tsx"), str(folder / "runner.ts"), client, str(plan)]


def environment() -> dict[str, str]:
    """The environment of a client: nothing of ours can be imported."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def _run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=INSTALL_SECONDS, stdin=subprocess.DEVNULL, env=environment())
