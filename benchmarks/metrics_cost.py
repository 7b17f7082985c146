"""What metrics cost: the serving process's CPU per call and per streamed message, with and without `--metrics-listen`.

    python benchmarks/metrics_cost.py

As door_cost.py: an embedded MongoDB, two servers of this tree on one core, and each work with both of them in every
round, in alternating order. Both take plain text. The one with metrics is scraped once in each measurement.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from door_cost import IN_FLIGHT, WORKS, measured
from measuring import LISTENING, machine_and_versions, median_interval, pin, write_table

from clickstream.dao.embedded_mongod import EmbeddedMongo

TARGET = 1.03


@contextmanager
def server(core: int, folder: Path, *options: str, **environment: str) -> Iterator[tuple[str, int, str]]:
    """A server pinned to a core; yields its address, its pid, and the URL of its metrics, "" if it has none."""
    command = ["-m", "clickstream", "serve", "--listen", "127.0.0.1:0", "--data-dir", str(folder), *options]
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, env=os.environ | environment)
    pin(process.pid, core)
    url = ""
    try:
        assert process.stderr is not None
        for line in map(bytes.decode, process.stderr):
            if line.startswith("metrics on "):
                url = line.removeprefix("metrics on ").strip()
            if line.startswith(LISTENING):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield line.removeprefix(LISTENING).strip(), process.pid, url
                break
    finally:
        process.terminate()
        process.wait()


def run(rounds: int, output: Path) -> None:
    """Measures everything and writes the table."""
    cores = sorted(os.sched_getaffinity(0))
    cpu: dict[str, list[list[float]]] = {name: [[], []] for name in WORKS}
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mongo = EmbeddedMongo(data / "mongodb", 1.0)
        mongo.start()
        stack.callback(mongo.stop)
        pin(0, cores[-1])
        pin(mongo.pid, cores[-1])
        environment = {"MONGODB_URI": mongo.uri, "CLICKSTREAM_RUN_TRAINING": "false"}
        servers = [
            stack.enter_context(server(cores[0], data, *options, **environment, CLICKSTREAM_DATABASE=name))
            for name, options in (("without", ()), ("with", ("--metrics-listen", "127.0.0.1:0")))
        ]
        for number in range(rounds + 1):
            for name, (work, units, _) in WORKS.items():
                for which in (0, 1) if number % 2 else (1, 0):
                    address, pid, url = servers[which]
                    scrape = threading.Timer(0.1, lambda url=url: urllib.request.urlopen(url, timeout=10).read())
                    if url:
                        scrape.start()
                    cpu[name][which].append(asyncio.run(measured(work, units, address, pid, None)))
                    scrape.cancel()
                print(number, name, *(f"{values[-1]:.1f}" for values in cpu[name]), flush=True)
    lines = []
    for name in WORKS:
        values = [each[1:] for each in cpu[name]]  # the first round warms up
        ratios = [shown / plain for plain, shown in zip(*values, strict=True)]
        low, high = median_interval(ratios)
        ratio = f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"
        lines.append([name, *(f"{statistics.median(each):.1f}" for each in values), ratio, f"{TARGET}"])
    text = f"""User and system CPU time of the serving process, in µs per call or message: medians of {rounds} rounds \
after one to warm up, both servers in turn; a ratio is the median of the ratios within a round, with an interval that \
contains the true median with a probability of at least 95 %. One scrape falls into each measurement with metrics, \
which takes about a second; Prometheus usually scrapes every 15 s. {IN_FLIGHT} calls in flight on one connection. \
Made by `benchmarks/metrics_cost.py`.

{machine_and_versions("grpcio", "prometheus-client")}"""
    columns = ["work", "without metrics", "with metrics", "ratio: median (interval)", "target"]
    write_table(output, "What metrics cost", text, columns, lines)
    print(output.read_text())


def main() -> None:
    """Parses the arguments and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="at least 6")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "metrics_cost.md")
    arguments = parser.parse_args()
    run(arguments.rounds, arguments.out)


if __name__ == "__main__":
    main()
