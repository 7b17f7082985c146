"""How much a model learns from biased clicks, compared with raw clicks and with the true grades.

    pip install '.[benchmarks]'                                # needed by the rows of raw clicks
    python benchmarks/training.py --data FOLDER                # the target setting, both worlds
    python benchmarks/training.py --data FOLDER --eta 0 1 2 --noise 0.05 0.2 --sessions 5 30 100 --seeds 1 2 3

`FOLDER` holds the Cranfield collection. Every finished cell is a line of `--cells`; a later start continues from them,
and the table covers all of them. Start a new file when training changes. `benchmarks/README.md` says what is simulated
and measured.
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
    ClickBehaviour,
    Ranking,
    World,
    best_guess,
    clicked_inputs,
    clicked_pairs,
    cranfield_world,
    shop_world,
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
# The product as it was before folds: one model, trained on four fifths of the queries, all the way from the base model.
ONE_SPLIT = "pbm, one split"
OLD_WAY = {"folds": 1, "held_out_session_share": 0.0, "step_scale": 1.0}
ROWS = [ORACLE, "pbm", ONE_SPLIT, "rank_ctr", MNR, MNR_FAST, GUESS, "none", "sdbn"]
# Raw clicks, the approach without this product: one epoch over the clicked pairs, at the trainer's default rate and at
# a better one.
MNR_BATCH = 32
MNR_PAIRS = 8_000
MNR_RATE = 5e-5
MNR_FAST_RATE = 2e-4
MNR_WARMUP = 0.1
SETTINGS = FineTuningSettings(base_model="", item_template="{title}. {text}", max_tokens=MAX_TOKENS)

Cell = dict[str, Any]


@cache
def world_of(name: str, data: str) -> tuple[World, Ranking]:
    """A world, and the base model's ranking of all its documents for each of its queries."""
    world = cranfield_world(Path(data)) if name == "Cranfield" else shop_world()
    return world, ranking_by(packaged_model(), world)


def ranking_by(model: str, world: World) -> Ranking:
    """All documents for every query by cosine, the best first."""
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


def run_cell(cell: Cell, data: str) -> Cell:
    """Trains one model and measures it on every query, searched or not; returns the cell with its results."""
    torch.set_num_threads(1)
    world, base = world_of(cell["world"], data)
    clicks = ClickBehaviour(cell["eta"], cell["noise"], cell["sessions"], cell["seed"])
    searched = searched_queries(cell["fold"], len(world.queries))
    began = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="training-"))
    try:
        gate = {}
        if cell["row"] == GUESS:
            ranking = best_guess(world, base, searched, clicks)
        elif cell["row"] in (MNR, MNR_FAST):
            rate = MNR_RATE if cell["row"] == MNR else MNR_FAST_RATE
            train_on_raw_clicks(clicked_pairs(world, base, searched, clicks), rate, clicks.seed, folder)
            ranking = ranking_by(str(folder / "model"), world)
        else:
            version = train_product(world, base, searched, clicks, cell["row"], folder)
            gate = {"gate_passed": version.gate_passed, "gate_reason": version.gate_reason}
            if cell["row"] == "pbm":
                gate["auto"] = chosen_by_auto(world, base, searched, clicks)
            ranking = ranking_by(version.path, world)
        scores = ndcg(world, ranking)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {**cell, "ndcg": scores, "base": ndcg(world, base), **gate, "seconds": time.perf_counter() - began}


def searched_queries(fold: int, queries: int) -> list[int]:
    """The queries that are searched in a fold, the same for all rows and settings, so that these compare."""
    return [query for query in range(queries) if query * 7 % FOLDS != fold]


def train_product(
    world: World, base: Ranking, searched: list[int], clicks: ClickBehaviour, row: str, folder: Path
) -> Any:
    """Trains as the product does, from converted sessions to a model version with the gate's verdict."""
    correction = {ORACLE: "none", ONE_SPLIT: "pbm"}.get(row, row)
    settings = replace(SETTINGS, base_model=packaged_model(), position_bias=correction)
    if row == ONE_SPLIT:
        settings = replace(settings, **OLD_WAY)
    inputs = (true_inputs if row == ORACLE else inputs_from_clicks)(world, base, searched, clicks)
    return fine_tune("run", settings, inputs, data_dir=folder, report=lambda _: None, is_canceled=lambda: False)


def inputs_from_clicks(
    world: World, base: Ranking, searched: list[int], clicks: ClickBehaviour
) -> Iterator[TrainingInput]:
    """The training inputs by the packaged importance policy."""
    return clicked_inputs(world, base, searched, clicks, load_policy(PACKAGED_POLICY))


def chosen_by_auto(world: World, base: Ranking, searched: list[int], clicks: ClickBehaviour) -> str:
    """The correction that `auto` takes; its model equals that of the row of this name, bit by bit."""
    dataset = read_dataset(inputs_from_clicks(world, base, searched, clicks), replace(SETTINGS, position_bias="auto"))
    return next(score.name for score in dataset.click_models if score.chosen)


def train_on_raw_clicks(pairs: list[tuple[str, str]], rate: float, seed: int, folder: Path) -> None:
    """Trains on clicked pairs with in-batch negatives by the sentence-transformers trainer; saves `folder/model`."""
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
    """The requested cells, those of the target setting first."""
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
    return list({cell_key(cell): cell for cell in cells}.values())


def main() -> None:
    """Runs the missing cells and writes the table."""
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
    keys = {cell_key(cell) for cell in done}
    missing = [cell for cell in grid(arguments) if cell_key(cell) not in keys]
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        running: set[Future[Cell]] = set()
        waiting = iter(missing)
        while True:
            while len(running) < arguments.jobs and time.monotonic() < until and (cell := next(waiting, None)):
                running.add(pool.submit(run_cell, cell, arguments.data))
            if not running:
                break
            finished = next(as_completed(running))
            running.remove(finished)
            append_cell(finished.result(), done, arguments.cells)
            print(f"{cell_key(done[-1])}: {done[-1]['seconds']:.0f} s", file=sys.stderr)
    report(with_oracle_in_every_setting(done), BASE, MNR_FAST, ORACLE, asdict(SETTINGS), arguments.output)
    print(arguments.output.read_text())


def read_cells(path: Path) -> list[Cell]:
    """The finished cells of a file, in which the base model's scores stand once for each world."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    bases = {line["world"]: line["ndcg"] for line in lines if line["row"] == BASE}
    return [
        {**line, "base": bases[line["world"]], "searched": searched_queries(line["fold"], len(line["ndcg"]))}
        for line in lines
        if line["row"] != BASE
    ]


def append_cell(cell: Cell, done: list[Cell], path: Path) -> None:
    """Appends a finished cell to `done` and to the file."""
    cell = {**cell, **{name: [round(score, 4) for score in cell[name]] for name in ("ndcg", "base")}}
    lines = [{name: value for name, value in cell.items() if name != "base"}]
    if not any(each["world"] == cell["world"] for each in done):
        lines.insert(0, {"world": cell["world"], "row": BASE, "ndcg": cell["base"]})
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    done.append({**cell, "searched": searched_queries(cell["fold"], len(cell["ndcg"]))})


def with_oracle_in_every_setting(cells: list[Cell]) -> list[Cell]:
    """The cells, with the oracle's repeated for every eta and noise: it learns from what is shown, not from clicks."""
    common = ("world", "sessions", "seed", "fold")
    oracles = {tuple(each[name] for name in common): each for each in cells if each["row"] == ORACLE}
    others = [each for each in cells if each["row"] != ORACLE]
    settings = {(tuple(each[name] for name in common), each["eta"], each["noise"]) for each in others}
    return others + [
        {**oracles[where], "eta": eta, "noise": noise} for where, eta, noise in sorted(settings) if where in oracles
    ]


def cell_key(cell: Cell) -> tuple[Any, ...]:
    """The key of a cell in the grid; the oracle's does not depend on eta and noise."""
    clicks = (0, 0) if cell["row"] == ORACLE else (cell["eta"], cell["noise"])
    return (*clicks, *(cell[name] for name in ("world", "sessions", "seed", "fold", "row")))


if __name__ == "__main__":
    main()
