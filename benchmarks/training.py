"""What is learned from biased clicks, against raw clicks and against the truth.

    pip install '.[benchmarks]'                                # what the rows of raw clicks need
    python benchmarks/training.py --data FOLDER                # the target setting, both worlds
    python benchmarks/training.py --data FOLDER --eta 0 1 2 --noise 0.05 0.2 --sessions 5 30 100 --seeds 1 2 3

`FOLDER` holds the Cranfield collection. Every finished cell is a line of `--cells`, from which a later start goes on,
and the table is made of all that is there; start a new file when training changes. `benchmarks/README.md` says what is
played and measured.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from training_report import report
from training_worlds import (
    Clicks,
    Ranking,
    World,
    best_guess,
    clicked_inputs,
    clicked_pairs,
    cranfield,
    shop,
    true_inputs,
)

from clickstream.app.trainer import packaged_model
from clickstream.conversion.importance import PACKAGED_POLICY, load_policy
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.training_inputs import TrainingInput
from clickstream.training import fine_tune
from clickstream.training.clicks.corrections import CORRECTIONS
from clickstream.training.data.dataset import read_dataset
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.measuring import metrics

FOLDS = 3
MAX_TOKENS = 48
BASE, ORACLE, GUESS = "base", "oracle", "best guess, no model"
MNR, MNR_FAST = "raw clicks, MNR", "raw clicks, MNR at 2e-4"
ROWS = [ORACLE, "pbm", "rank_ctr", MNR, MNR_FAST, GUESS, "none", "sdbn"]
# What one would do by hand: an epoch over the clicked pairs, at the trainer's default rate and at a better one.
MNR_BATCH = 32
MNR_PAIRS = 8_000
MNR_RATE = 5e-5
MNR_FAST_RATE = 2e-4
MNR_WARMUP = 0.1

Cell = dict[str, Any]


@cache
def world_of(name: str, data: str) -> tuple[World, Ranking]:
    """A world, and how the base model ranks all of its documents for each of its queries."""
    world = cranfield(Path(data)) if name == "Cranfield" else shop()
    return world, ranking_by(packaged_model(), world)


def ranking_by(model: str, world: World) -> Ranking:
    """All documents for every query, by cosine."""
    encoder = load_encoder(model, MAX_TOKENS, "cpu")
    items = embed(encoder, "item", world.texts, lambda: None)
    queries = embed(encoder, "query", world.queries, lambda: None)
    order: Ranking = (queries @ items.T).argsort(dim=1, descending=True, stable=True).tolist()
    return order


def ndcg(world: World, ranking: Ranking) -> list[float]:
    """nDCG@10 of every query, with gain 2^grade - 1."""
    return [
        metrics.ndcg(best, {document: 2.0**grade - 1 for document, grade in grades.items()})
        for best, grades in zip(ranking, world.grades, strict=True)
    ]


def run(cell: Cell, data: str) -> Cell:
    """Trains one model, and measures it on every query, searched or not."""
    torch.set_num_threads(1)
    world, base = world_of(cell["world"], data)
    clicks = Clicks(cell["eta"], cell["noise"], cell["sessions"], cell["seed"])
    searched = searched_in(cell["fold"], len(world.queries))
    began = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="training-"))
    try:
        gate = {}
        if cell["row"] == GUESS:
            ranking = best_guess(world, base, searched, clicks)
        elif cell["row"] in (MNR, MNR_FAST):
            rate = MNR_RATE if cell["row"] == MNR else MNR_FAST_RATE
            raw_clicks(clicked_pairs(world, base, searched, clicks), rate, clicks.seed, folder)
            ranking = ranking_by(str(folder / "model"), world)
        else:
            version = trained(world, base, searched, clicks, cell["row"], folder)
            gate = {"promoted": version.gate_passed, "reason": version.gate_reason}
            if cell["row"] == "pbm":
                gate["auto"] = chosen_by_auto(world, base, searched, clicks)
            ranking = ranking_by(version.path, world)
        scores = ndcg(world, ranking)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {**cell, "ndcg": scores, "base": ndcg(world, base), **gate, "seconds": time.perf_counter() - began}


def searched_in(fold: int, queries: int) -> list[int]:
    """The queries that are searched; it depends on the fold only, so that rows and settings compare."""
    return [query for query in range(queries) if query * 7 % FOLDS != fold]


def trained(world: World, base: Ranking, searched: list[int], clicks: Clicks, row: str, folder: Path) -> Any:
    """The product's own training, from converted sessions to a judged model version."""
    settings = replace(SETTINGS, base_model=packaged_model(), position_bias="none" if row == ORACLE else row)
    inputs = (true_inputs if row == ORACLE else clicked)(world, base, searched, clicks)
    return fine_tune("run", settings, inputs, data_dir=folder, report=lambda _: None, is_canceled=lambda: False)


def clicked(world: World, base: Ranking, searched: list[int], clicks: Clicks) -> Iterator[TrainingInput]:
    """The inputs by the packaged importance policy."""
    return clicked_inputs(world, base, searched, clicks, load_policy(PACKAGED_POLICY))


def chosen_by_auto(world: World, base: Ranking, searched: list[int], clicks: Clicks) -> str:
    """The correction that `auto` takes: its model is that of the row of this name, bit by bit."""
    dataset = read_dataset(clicked(world, base, searched, clicks), replace(SETTINGS, position_bias="auto"))
    return next(score.name for score in dataset.click_models if score.chosen)


SETTINGS = FineTuningSettings(base_model="", item_template="{title}. {text}", max_tokens=MAX_TOKENS)


def raw_clicks(pairs: list[tuple[str, str]], rate: float, seed: int, folder: Path) -> None:
    """What one would do by hand: every clicked pair, in-batch negatives, the sentence-transformers trainer."""
    # Imported here: only these rows need the packages of the extra `benchmarks`.
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    chosen = random.Random(seed).sample(pairs, min(len(pairs), MNR_PAIRS))
    encoder = SentenceTransformer(packaged_model(), device="cpu")
    encoder.max_seq_length = MAX_TOKENS
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder / "trainer"),
        num_train_epochs=1,
        per_device_train_batch_size=MNR_BATCH,
        learning_rate=rate,
        warmup_steps=MNR_WARMUP,  # below 1: a share
        seed=seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    columns = {"anchor": [query for query, _ in chosen], "positive": [text for _, text in chosen]}
    loss = MultipleNegativesRankingLoss(encoder)
    SentenceTransformerTrainer(encoder, arguments, Dataset.from_dict(columns), loss=loss).train()
    encoder.save(str(folder / "model"))


def grid(arguments: argparse.Namespace) -> list[Cell]:
    """The cells asked for, those of the target setting first."""
    settings = sorted(
        itertools.product(arguments.eta, arguments.noise, arguments.sessions),
        key=lambda setting: setting != (1.0, 0.05, 30),
    )
    cells = [
        {"world": world, "eta": eta, "noise": noise, "sessions": sessions, "seed": seed, "fold": fold, "row": row}
        for eta, noise, sessions in settings
        for seed in arguments.seeds
        for world in arguments.worlds
        for fold in range(FOLDS)
        for row in arguments.rows
    ]
    return list({_key(cell): cell for cell in cells}.values())


def main() -> None:
    """Runs the cells that are missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with cran.all.1400, cran.qry and cranqrel")
    parser.add_argument("--worlds", nargs="+", default=["Cranfield", "shop"], choices=["Cranfield", "shop"])
    parser.add_argument("--eta", type=float, nargs="+", default=[1.0])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.05])
    parser.add_argument("--sessions", type=int, nargs="+", default=[30], help="per query")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of the clicks")
    parser.add_argument("--rows", nargs="+", default=ROWS[:6], choices=[*ROWS, *CORRECTIONS])
    parser.add_argument("--hours", type=float, default=1.0, help="start no cell later than this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cells at a time, of one thread each")
    results = Path(__file__).parent / "results"
    parser.add_argument("--cells", type=Path, default=results / "training.jsonl")
    parser.add_argument("--output", type=Path, default=results / "training.md")
    arguments = parser.parse_args()

    until = time.monotonic() + 3600 * arguments.hours
    done = read_cells(arguments.cells)
    keys = {_key(cell) for cell in done}
    missing = [cell for cell in grid(arguments) if _key(cell) not in keys]
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        running: set[Future[Cell]] = set()
        waiting = iter(missing)
        while True:
            while len(running) < arguments.jobs and time.monotonic() < until and (cell := next(waiting, None)):
                running.add(pool.submit(run, cell, arguments.data))
            if not running:
                break
            finished = next(as_completed(running))
            running.remove(finished)
            keep(finished.result(), done, arguments.cells)
            print(f"{_key(done[-1])}: {done[-1]['seconds']:.0f} s", file=sys.stderr)
    report(in_every_setting(done), BASE, MNR_FAST, ORACLE, asdict(SETTINGS), arguments.output)
    print(arguments.output.read_text())


def read_cells(path: Path) -> list[Cell]:
    """The finished cells of a file; what the base model scores is there once for each world."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    bases = {line["world"]: line["ndcg"] for line in lines if line["row"] == BASE}
    return [
        {**line, "base": bases[line["world"]], "searched": searched_in(line["fold"], len(line["ndcg"]))}
        for line in lines
        if line["row"] != BASE
    ]


def keep(cell: Cell, done: list[Cell], path: Path) -> None:
    """Takes a finished cell up, and writes it down."""
    cell = {**cell, **{name: [round(score, 4) for score in cell[name]] for name in ("ndcg", "base")}}
    lines = [{name: value for name, value in cell.items() if name != "base"}]
    if not any(each["world"] == cell["world"] for each in done):
        lines.insert(0, {"world": cell["world"], "row": BASE, "ndcg": cell["base"]})
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    done.append({**cell, "searched": searched_in(cell["fold"], len(cell["ndcg"]))})


def in_every_setting(cells: list[Cell]) -> list[Cell]:
    """The oracle in every setting of the clicks: it sees what is shown, which no click changes."""
    common = ("world", "sessions", "seed", "fold")
    oracles = {tuple(each[name] for name in common): each for each in cells if each["row"] == ORACLE}
    others = [each for each in cells if each["row"] != ORACLE]
    settings = {(tuple(each[name] for name in common), each["eta"], each["noise"]) for each in others}
    return others + [
        {**oracles[where], "eta": eta, "noise": noise} for where, eta, noise in sorted(settings) if where in oracles
    ]


def _key(cell: Cell) -> tuple[Any, ...]:
    clicks = (0, 0) if cell["row"] == ORACLE else (cell["eta"], cell["noise"])
    return (*clicks, *(cell[name] for name in ("world", "sessions", "seed", "fold", "row")))


if __name__ == "__main__":
    main()
