"""Compares our trainer with the sentence-transformers trainer: texts per second and peak memory.

    pip install '.[benchmarks]'                                     # needed by the sentence-transformers trainer
    python benchmarks/training_speed.py --data FOLDER

Both train the packaged model on the same questions of the Cranfield collection, 16 at a time with 8 abstracts each.
They run in turn, each in a process of its own.
"""

import argparse
import json
import os
import pickle
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from measuring import machine_and_versions, median_and_spread, peak_memory, write_table
from sentence_transformers import SentenceTransformer
from training_worlds import ClickBehaviour, cranfield_world, true_inputs

from clickstream.app.trainer import packaged_model
from clickstream.domain.runs import FineTuningSettings
from clickstream.training.data.dataset import Dataset, read_dataset
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.learning.checkpoint import Checkpoints
from clickstream.training.learning.loop import train
from clickstream.training.learning.steps import ITEMS_PER_QUERY, draw_items
from clickstream.training.progress import Progress

OURS, THEIRS = "clickstream", "sentence-transformers"
ONE_SESSION = ClickBehaviour(eta=1.0, noise=0.05, sessions=1, seed=1)
MEANING = f"""Medians over the rounds, with the lowest and the highest; the ratio is the median of the ratios within a
round. A text is a query or one of its {ITEMS_PER_QUERY} abstracts in a step, counted each time it takes part: it is
part of our speed that an abstract of several questions of a step is encoded once. Time is that of training alone;
*and base* adds the base model's vectors of all abstracts, which ours needs and measures the base model by. Peak memory
is the process's `VmHWM`, in brackets what it was before training. Ours writes its checkpoints, theirs saves nothing;
dropout is theirs as the library has it, ours none. Made by `benchmarks/training_speed.py`."""

# Texts per second without (`alone`) and with the base model's pass (`and_base`); memory in MiB, `before` and `peak`.
Result = dict[str, float]


def write_examples(data: Path, path: Path, questions: int, settings: FineTuningSettings) -> None:
    """Writes the training examples to `path`, so that making them is not part of any measurement.

    The examples are the first `questions` questions with a relevant abstract among the base model's best twenty.
    """
    world = cranfield_world(data)
    encoder = load_encoder(settings.base_model, settings.max_tokens, "cpu")
    items = embed(encoder, "item", world.texts, lambda: None)
    asked = embed(encoder, "query", world.queries, lambda: None)
    ranking = (asked @ items.T).argsort(dim=1, descending=True, stable=True).tolist()
    inputs = list(true_inputs(world, ranking, range(len(world.queries)), ONE_SESSION))
    path.write_bytes(pickle.dumps(read_dataset(inputs[:questions], settings)))


def train_ours(dataset: Dataset, settings: FineTuningSettings) -> Result:
    """Trains with the product's loop."""
    encoder = load_encoder(settings.base_model, settings.max_tokens, "cpu")
    before = peak_memory(os.getpid())
    began = time.perf_counter()
    items = embed(encoder, "item", dataset.texts, lambda: None)
    based = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        checkpoints = Checkpoints(Path(folder), "speed")
        train(
            encoder,
            dataset.folds[0],
            dataset.texts,
            items,
            settings,
            checkpoints,
            Progress(lambda _: None, lambda: False),
        )
    ended = time.perf_counter()
    count = settings.epochs * text_count(dataset)
    return {"alone": count / (ended - based), "and_base": count / (ended - began), "before": before}


def train_theirs(dataset: Dataset, settings: FineTuningSettings) -> Result:
    """Trains as the documentation of sentence-transformers shows: text columns (one per abstract), loss, trainer."""
    # Imported here, so that they take no memory in our trainer's process.
    from datasets import Dataset as Columns
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    source = random.Random(settings.seed)
    lists = [[dataset.texts[item] for item in draw_items(example, source)] for example in dataset.folds[0].training]
    names = ["positive", *(f"negative_{number}" for number in range(1, ITEMS_PER_QUERY))]
    columns = {"anchor": [example.query for example in dataset.folds[0].training]}
    columns |= {name: list(column) for name, column in zip(names, zip(*lists, strict=True), strict=True)}
    encoder = SentenceTransformer(settings.base_model, device="cpu")
    encoder.max_seq_length = settings.max_tokens
    before = peak_memory(os.getpid())
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_queries,
            learning_rate=settings.learning_rate,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = SentenceTransformerTrainer(
            encoder, arguments, Columns.from_dict(columns), loss=MultipleNegativesRankingLoss(encoder)
        )
        began = time.perf_counter()
        trainer.train()
        rate = settings.epochs * text_count(dataset) / (time.perf_counter() - began)
    return {"alone": rate, "and_base": rate, "before": before}


TRAINERS = {OURS: train_ours, THEIRS: train_theirs}


def text_count(dataset: Dataset) -> int:
    """Texts of one epoch: queries and their abstracts."""
    return len(dataset.folds[0].training) * (1 + ITEMS_PER_QUERY)


def run_in_own_process(trainer: str, path: Path, arguments: list[str]) -> Result:
    """Runs one trainer in a process of its own; returns what it measured."""
    command = [sys.executable, __file__, *arguments, "--trainer", trainer, "--examples", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=3600)
    result: Result = json.loads(done.stdout.splitlines()[-1])
    print(trainer, result, file=sys.stderr)
    return result


def write_results(rounds: list[dict[str, Result]], settings: FineTuningSettings, threads: int, output: Path) -> None:
    """Writes the table."""
    rows = []
    for name in TRAINERS:
        results = [each[name] for each in rounds]
        rates = [median_and_spread([result[key] for result in results], 1) for key in ("alone", "and_base")]
        peak = median_and_spread([result["peak"] for result in results])
        rows.append([name, *rates, f"{peak} [{statistics.median(result['before'] for result in results):,.0f}]"])
    ratios = [
        median_and_spread([each[OURS][key] / each[THEIRS][key] for each in rounds], 2)
        for key in ("alone", "and_base", "peak")
    ]
    rows.append(["**ratio**", *ratios])
    shown = f"{settings.epochs} epochs, batch {settings.batch_queries}, {settings.max_tokens} tokens, {threads} threads"
    columns = ["trainer", "texts/s", "texts/s, and base", "peak memory, MiB"]
    versions = machine_and_versions("torch", "transformers", "sentence-transformers", "datasets", "accelerate")
    text = f"{MEANING}\n\n{len(rounds)} rounds; {shown}. {versions}"
    write_table(output, "Speed of training against the sentence-transformers trainer", text, columns, rows)


def main() -> None:
    """Measures both trainers in turn; a child process measures the one named by `--trainer`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with cran.all.1400, cran.qry and cranqrel")
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "training_speed.md")
    parser.add_argument("--trainer", choices=TRAINERS, help=argparse.SUPPRESS)
    parser.add_argument("--examples", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = FineTuningSettings(
        packaged_model(),
        "{title}. {text}",
        epochs=arguments.epochs,
        max_tokens=arguments.max_tokens,
        held_out_share=0.0,
        folds=1,
        held_out_session_share=0.0,
        position_bias="none",
    )
    if arguments.trainer:
        result = TRAINERS[arguments.trainer](pickle.loads(arguments.examples.read_bytes()), settings)
        print(json.dumps({**result, "peak": peak_memory(os.getpid())}))
        return
    if not arguments.data:
        parser.error("--data is needed")
    passed = [f"--{name}={getattr(arguments, name.replace('-', '_'))}" for name in ("epochs", "max-tokens", "threads")]
    rounds = []
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        path = Path(folder) / "examples.pickle"
        write_examples(arguments.data, path, arguments.questions, settings)
        for number in range(arguments.rounds):
            # The order changes each round, so that neither trainer always runs after the other.
            order = list(TRAINERS)[:: 1 if number % 2 == 0 else -1]
            rounds.append({name: run_in_own_process(name, path, passed) for name in order})
            write_results(rounds, settings, arguments.threads, arguments.output)
    print(arguments.output.read_text())


if __name__ == "__main__":
    main()
