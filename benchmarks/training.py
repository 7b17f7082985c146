"""What is learned from biased clicks, against raw clicks and against the truth.

    pip install '.[benchmarks]'                                # what the rows of raw clicks need
    python benchmarks/training.py --data FOLDER                # the target setting, both worlds
    python benchmarks/training.py --data FOLDER --eta 0 1 2 --noise 0.05 0.2 --sessions 5 30 100 --seeds 1 2 3

`FOLDER` holds the Cranfield collection. Every finished cell is a line of `--state`, from which a later start goes on,
and the table is made of all that is there. `benchmarks/README.md` says what is played and measured.
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
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import cache
from importlib.resources import files
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

from clickstream.app import packaged_model
from clickstream.policy import load_policy
from clickstream.runs import FineTuningSettings
from clickstream.training import fine_tune, metrics
from clickstream.training.model import embed, load_encoder
from clickstream.training.position_bias import CORRECTIONS

FOLDS = 3
MAX_TOKENS = 48
BASE, ORACLE, GUESS = "base", "oracle", "best guess, no model"
MNR, MNR_FAST = "raw clicks, MNR", "raw clicks, MNR at our rate"
ROWS = [ORACLE, "pbm", "rank_ctr", MNR, MNR_FAST, GUESS, "none", "sdbn", "auto"]
# What one would do by hand: an epoch over the clicked pairs. The rate is the trainer's default.
MNR_BATCH = 32
MNR_PAIRS = 8_000
MNR_RATE = 5e-5
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
    # Which queries are never searched depends on the fold only, so that rows and settings compare.
    searched = [query for query in range(len(world.queries)) if query * 7 % FOLDS != cell["fold"]]
    began = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="training-"))
    try:
        gate = {}
        if cell["row"] == GUESS:
            ranking = best_guess(world, base, searched, clicks)
        elif cell["row"] in (MNR, MNR_FAST):
            rate = MNR_RATE if cell["row"] == MNR else SETTINGS.learning_rate
            raw_clicks(clicked_pairs(world, base, searched, clicks), rate, clicks.seed, folder)
            ranking = ranking_by(str(folder / "model"), world)
        else:
            version = trained(world, base, searched, clicks, cell["row"], folder)
            gate = {"promoted": version.promoted, "reason": version.gate_reason}
            ranking = ranking_by(version.path, world)
        scores = ndcg(world, ranking)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {**cell, "ndcg": scores, "base": ndcg(world, base), "searched": searched, **gate,
            "seconds": time.perf_counter() - began}  # fmt: skip


def trained(world: World, base: Ranking, searched: list[int], clicks: Clicks, row: str, folder: Path) -> Any:
    """The product's own training, from converted sessions to a judged model version."""
    settings = replace(SETTINGS, base_model=packaged_model(), position_bias="none" if row == ORACLE else row)
    if row == ORACLE:
        inputs = true_inputs(world, base, searched, clicks)
    else:
        policy = load_policy(Path(str(files("clickstream") / "importance.toml")))
        inputs = clicked_inputs(world, base, searched, clicks, policy)
    return fine_tune("run", settings, inputs, data_dir=folder, report=lambda _: None, is_canceled=lambda: False)


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
    return [
        {"world": world, "eta": eta, "noise": noise, "sessions": sessions, "seed": seed, "fold": fold, "row": row}
        for eta, noise, sessions in settings
        for seed in arguments.seeds
        for world in arguments.worlds
        for fold in range(FOLDS)
        for row in arguments.rows
    ]


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
    parser.add_argument("--state", type=Path, default=Path(".data/benchmark-training.jsonl"))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "training.md")
    arguments = parser.parse_args()

    until = time.monotonic() + 3600 * arguments.hours
    arguments.state.parent.mkdir(parents=True, exist_ok=True)
    lines = arguments.state.read_text().splitlines() if arguments.state.exists() else []
    done = [json.loads(line) for line in lines]
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
            done.append(finished.result())
            with arguments.state.open("a") as state:
                state.write(json.dumps(done[-1]) + "\n")
            print(f"{_key(done[-1])}: {done[-1]['seconds']:.0f} s", file=sys.stderr)
    report(done, BASE, MNR_FAST, ORACLE, asdict(SETTINGS), arguments.output)
    print(arguments.output.read_text())


def _key(cell: Cell) -> tuple[Any, ...]:
    return tuple(cell[name] for name in ("world", "eta", "noise", "sessions", "seed", "fold", "row"))


if __name__ == "__main__":
    main()
