"""`python -m conformance [--out PAGE] [CLIENT …]`: runs the cases with every client and writes the table."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from conformance.clients import CLIENTS, ROOT, command, environment, install
from conformance.plan import cases
from conformance.servers import Servers
from conformance.table import Results, page

CLIENT_SECONDS = 200


def run(clients: list[str], work: Path) -> Results:
    """Installs what is missing and runs every case with each client; returns the problems by case and client."""
    contract = install(work)
    results: Results = {case["name"]: {} for case in cases()}
    with tempfile.TemporaryDirectory() as folder, Servers(Path(folder)) as servers:
        for client in clients:
            with servers.of_client(client) as (addresses, variables):
                chosen = [case for case in cases() if client not in case.get("not_for", {})]
                plan = Path(folder) / "plan.json"
                content = {"servers": addresses, "variables": variables, "contract": str(contract), "cases": chosen}
                plan.write_text(json.dumps(content), "utf-8")
                done = subprocess.run(
                    command(client, work, plan),
                    stdout=subprocess.PIPE,
                    stdin=subprocess.DEVNULL,
                    text=True,
                    timeout=CLIENT_SECONDS,
                    env=environment(),
                    check=True,
                )
            for line in done.stdout.splitlines():
                answer = json.loads(line)
                results[answer["case"]][client] = answer["problems"]
    return results


def main() -> int:
    """Returns 1 if a client failed a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", nargs="*", default=[], help=f"of {', '.join(CLIENTS)}; all if none is named")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "conformance.md")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "conformance")
    options = parser.parse_args()
    clients = options.clients or list(CLIENTS)
    results = run(clients, options.work)
    options.out.write_text(page(cases(), clients, results), "utf-8")
    problems = [(name, client, each) for name, of in results.items() for client, all_ in of.items() for each in all_]
    for name, client, problem in problems:
        print(f"{client}: {name}: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
