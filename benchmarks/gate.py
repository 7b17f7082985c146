"""How often the gate promotes models that are better, and models that are worse, by judgements it never sees.

    python benchmarks/gate.py --data <folder with cran.all.1400, cran.qry, cranqrel>

No model is trained: the base model's vectors are disturbed, some of them towards the judged abstracts, which gives
models whose true nDCG@10 lies below and above that of the base. Simulated readers click in the base model's lists.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cranfield_collection import SHOWN, Collection, read_collection
from measuring import header, write_table
from numpy.typing import NDArray

from clickstream.app.trainer import packaged_model
from clickstream.demo.simulated_reader import simulate_clicks
from clickstream.training.clicks.click_log import ClickLog, LoggedSession, Showing
from clickstream.training.clicks.counting import RankCtr
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.measuring.metrics import bootstrap_intervals, ndcg

MODELS = 40
DRAWS = 5
SETTINGS = [(eta, noise) for eta in (0.0, 1.0, 2.0) for noise in (0.05, 0.2)]
SESSIONS = (5, 30, 100)
HELD_OUT = (20, 45, 90)
BETTER = 0.01
TITLE = "The gate: how often it promotes what is better, and what is worse"
MEANING = f"""Share promoted of the models whose true gain in nDCG@10 over all questions is above {BETTER} (better), and
below 0 (worse), mean over eta 0, 1, 2 and click noise 0.05, 0.2. *Shown only* leaves out of both rankings what was not
shown for the query, instead of calling it irrelevant. Made by `benchmarks/gate.py`."""

Vectors = NDArray[np.float64]
Ranking = list[list[int]]
Gains = list[dict[int, float]]


@dataclass(frozen=True)
class Counts:
    """The verdicts on one group of models."""

    promoted: int = 0
    judged: int = 0

    def plus(self, promoted: int, judged: int) -> "Counts":
        """With further verdicts."""
        return Counts(self.promoted + promoted, self.judged + judged)

    def __str__(self) -> str:
        """For the table."""
        return f"{self.promoted / max(1, self.judged):.1%}"


def base_vectors(collection: Collection) -> tuple[Vectors, Vectors]:
    """Unit vectors of questions and abstracts by the packaged model."""
    encoder = load_encoder(packaged_model(), 128, "cpu")
    questions = embed(encoder, "query", collection.questions, lambda: None)
    return questions.double().numpy(), embed(encoder, "item", collection.texts, lambda: None).double().numpy()


def disturbed(questions: Vectors, items: Vectors, judgements: list[dict[int, int]], seed: int) -> Ranking:
    """The first hundred by a model whose space is bent at random, with questions moved towards what is relevant."""
    source = np.random.default_rng(seed)
    size, towards = questions.shape[1], source.choice([0.0, 0.05, 0.1, 0.2, 0.3])
    bend = source.normal(0, source.uniform(0.2, 1.0) / np.sqrt(size), (size, size))
    middle = items.mean(axis=0)
    wanted = np.stack([items[list(grades)].mean(axis=0) - middle if grades else 0 * middle for grades in judgements])
    return ranked(questions + questions @ bend + towards * wanted, items + items @ bend)


def ranked(questions: Vectors, items: Vectors) -> Ranking:
    """The first hundred by cosine."""
    cosines = questions @ (items / np.linalg.norm(items, axis=1, keepdims=True)).T
    order: Ranking = np.argsort(-cosines, axis=1, kind="stable")[:, :100].tolist()
    return order


def clicked_gains(
    shown: Ranking, judgements: list[dict[int, int]], eta: float, noise: float, sessions: int, seed: int
) -> Gains:
    """What the product measures by: clicks in the base model's lists, corrected for position bias."""
    source = random.Random(seed)
    log = ClickLog()
    for question, items in enumerate(shown):
        grades = [judgements[question].get(item, 0) for item in items]
        for _ in range(sessions):
            if clicked := simulate_clicks(grades, source, eta=eta, noise=noise):
                showings = [Showing(item, place, float(place in clicked)) for place, item in enumerate(items)]
                log.add(LoggedSession(str(question), showings))
    labels = RankCtr(log).labels()
    return [
        {item: label.gain for item, label in labels.get(str(question), {}).items()} for question in range(len(shown))
    ]


def measured(rankings: list[Ranking], gains: Gains, shown: Ranking | None) -> Vectors:
    """nDCG@10 of every model on every question, [Q, M]; only of `shown` items, if given."""
    scores = np.zeros((len(gains), len(rankings)))
    for question, gain in enumerate(gains):
        kept = set(shown[question]) if shown else None
        for model, ranking in enumerate(rankings):
            order = ranking[question]
            scores[question, model] = ndcg([i for i in order if i in kept] if kept else order, gain)
    return scores


def verdicts(scores: Vectors, base: Vectors, gains: Gains, count: int, seed: int) -> NDArray[np.bool_]:
    """Whether the gate lets each model pass on so many held-out questions."""
    measurable = [question for question, of in enumerate(gains) if any(gain > 0 for gain in of.values())]
    held_out = np.random.default_rng(seed).choice(measurable, min(count, len(measurable)), replace=False)
    lower = bootstrap_intervals(scores[held_out] - base[held_out], seed)[0]
    passed: NDArray[np.bool_] = lower > 0
    return passed


def play(collection: Collection) -> Iterator[tuple[int, int, str, bool, Counts]]:
    """Per setting: sessions, held-out questions, way of measuring, group of models, and what became of them."""
    questions, items = base_vectors(collection)
    base = ranked(questions, items)
    shown = [order[:SHOWN] for order in base]
    models = [disturbed(questions, items, collection.judgements, seed) for seed in range(MODELS)]
    true: Gains = [{item: 2.0**grade - 1 for item, grade in of.items()} for of in collection.judgements]
    gain = (measured(models, true, None) - measured([base], true, None)).mean(axis=0)
    for eta, noise in SETTINGS:
        for sessions in SESSIONS:
            for draw in range(DRAWS):
                gains = clicked_gains(shown, collection.judgements, eta, noise, sessions, draw)
                for way, only in (("every item", None), ("shown items only", shown)):
                    scores, before = measured(models, gains, only), measured([base], gains, only)
                    for count in HELD_OUT:
                        passed = verdicts(scores, before, gains, count, draw)
                        for better, group in ((True, gain > BETTER), (False, gain < 0)):
                            counts = Counts(int(passed[group].sum()), int(group.sum()))
                            yield sessions, count, way, better, counts


def main() -> None:
    """Plays every setting and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "gate.md")
    arguments = parser.parse_args()
    totals: dict[tuple[int, int, str, bool], Counts] = defaultdict(Counts)
    for *key, counts in play(read_collection(arguments.data)):
        sessions, count, way, better = key
        place = (sessions, count, way, better)
        totals[place] = totals[place].plus(counts.promoted, counts.judged)
    ways = ("every item", "shown items only")
    rows = [
        [str(sessions), str(count), *(str(totals[sessions, count, way, b]) for way in ways for b in (True, False))]
        for sessions in SESSIONS
        for count in HELD_OUT
    ]
    columns = ["sessions per query", "held-out queries", "better", "worse", "better, shown only", "worse, shown only"]
    text = f"{MEANING}\n\n{MODELS} models, {DRAWS} draws of clicks each. {header('numpy', 'torch')}"
    write_table(arguments.output, TITLE, text, columns, rows)


if __name__ == "__main__":
    main()
