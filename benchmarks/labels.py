"""How long it takes from inputs to labels, with all click models compared, against an earlier version.

Each measurement is a process of its own. CPU time counts, without that in which the inputs are made.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from measuring import machine_and_versions, peak_memory, write_table

from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.training_inputs import GradedResult, TrainingInput
from clickstream.training.data.dataset import read_dataset

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "labels.md"
PLACES = 10
SESSIONS_PER_QUERY = 5
LISTS = ("fixed", "shuffled")


def made_up_inputs(sessions: int, lists: str) -> Iterator[TrainingInput]:
    """Sessions with at least one act each: position k is examined with probability 1 / (k + 1)."""
    source = random.Random(1)
    queries = max(1, sessions // SESSIONS_PER_QUERY)
    for number in range(sessions):
        query = source.randrange(queries)
        own = random.Random(query)
        items = own.sample(range(2 * queries + PLACES), PLACES)
        attractions = sorted((own.choice((0.05, 0.1, 0.3, 0.9)) for _ in items), reverse=True)
        attraction = dict(zip(items, attractions, strict=True))
        if lists == "shuffled":
            source.shuffle(items)
        grades = [0.0]
        while not any(grades):
            grades = [float(source.random() < attraction[item] / (place + 1)) for place, item in enumerate(items)]
        results = tuple(
            GradedResult(f"item-{item}", place, grade, ("event",) if grade else (), {"title": f"A good thing, {item}"})
            for place, (item, grade) in enumerate(zip(items, grades, strict=True))
        )
        yield TrainingInput(f"s-{number}", "batch", number + 1, f"query number {query}", results, "policy-1")


class Timed:
    """Passes inputs on, and sums up the CPU seconds in which they are made."""

    def __init__(self, inputs: Iterator[TrainingInput]) -> None:
        self._inputs = inputs
        self.seconds = 0.0

    def __iter__(self) -> Iterator[TrainingInput]:
        """Makes a thousand inputs at a time."""
        while True:
            start = time.process_time()
            some = [one for one, _ in zip(self._inputs, range(1_000), strict=False)]
            self.seconds += time.process_time() - start
            if not some:
                return
            yield from some


def measure(sessions: int, lists: str) -> dict[str, float | str]:
    """Reads the inputs once."""
    settings = FineTuningSettings(base_model="none", item_template="{title}")
    inputs = Timed(made_up_inputs(sessions, lists))
    before, start = peak_memory(os.getpid()), time.process_time()
    dataset = read_dataset(inputs, settings)
    seconds = time.process_time() - start - inputs.seconds
    [chosen] = [model.name for model in dataset.click_models if model.chosen]
    return {"seconds": seconds, "MiB": peak_memory(os.getpid()) - before, "chosen": chosen}


def measured_apart(checkout: Path, sessions: int, lists: str) -> dict[str, float | str]:
    """Measures the code of a checkout in a process of its own, on one thread."""
    paths = os.pathsep.join(str(checkout / part) for part in ("src", "generated"))
    command = [sys.executable, __file__, "--measure", str(sessions), "--lists", lists]
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float | str] = json.loads(ran.stdout.splitlines()[-1])
    return found


def rows(before: Path | None, sizes: Iterable[int], lists: Iterable[str]) -> Iterator[list[str]]:
    """Each size with each kind of lists; the first size also with the earlier version."""
    for number, size in enumerate(sizes):
        for kind in lists:
            now = measured_apart(ROOT, size, kind)
            line = [f"{size:,}", kind, f"{now['seconds']:.2f}", f"{float(now['seconds']) / size * 1e6:.0f}"]
            line += [f"{now['MiB']:,.0f}", str(now["chosen"]), "", ""]
            if before and number == 0:
                then = measured_apart(before, size, kind)
                line[-2:] = [f"{then['seconds']:.2f}", f"{float(then['seconds']) / float(now['seconds']):.1f}"]
            print(*line, flush=True)
            yield line


def main() -> None:
    """Parses the arguments, measures, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="checkout of an earlier version, for the first size")
    parser.add_argument("--sessions", type=int, nargs="+", default=[20_000, 200_000, 1_000_000])
    parser.add_argument("--lists", nargs="+", choices=LISTS, default=["fixed"], help="does a query's list change?")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.lists[0])))
        return
    columns = ["sessions", "lists", "CPU s", "µs a session", "memory, MiB", "chosen", "before, CPU s", "ratio"]
    text = (
        f"{PLACES} results a session, {SESSIONS_PER_QUERY} sessions a query; one run, one thread. Memory is the\n"
        f"rise of the peak. Made by `benchmarks/labels.py`.\n\n{machine_and_versions('numpy', 'scipy')}"
    )
    table = list(rows(options.before, options.sessions, options.lists))
    write_table(options.out, "From inputs to labels", text, columns, table)


if __name__ == "__main__":
    main()
