"""How often better and worse models pass the gate; better and worse by judgements that the gate never sees.

    python benchmarks/gate.py --data <folder with cran.all.1400, cran.qry, cranqrel>

No model is trained. A new model is the base model with disturbed vectors; some are moved towards the judged
abstracts, so the true nDCG@10 of the models lies below and above that of the base. Simulated readers click in the base
model's lists.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cranfield_collection import SHOWN, Collection, read_collection
from measuring import machine_and_versions, write_table
from numpy.typing import NDArray

from clickstream.app.trainer import packaged_model
from clickstream.demo.simulated_reader import simulate_clicks
from clickstream.training.clicks.click_log import ClickLog, Sessions
from clickstream.training.clicks.counting import RankCtr
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.measuring.metrics import bootstrap_intervals, ndcg

MODELS = 40
DRAWS = 5
SETTINGS = [(eta, noise) for eta in (0.0, 1.0, 2.0) for noise in (0.05, 0.2)]
SESSIONS = (5, 30, 100)
HELD_OUT_COUNTS = (20, 45, 90)
# A model counts as better if its true gain in nDCG@10 is above this.
BETTER_BY = 0.01
TITLE = "The gate: how often better and worse models pass it"
MEANING = f"""Share of models that pass the gate, among those whose true gain in nDCG@10 over all questions is above
{BETTER_BY} (better) and below 0 (worse); mean over eta 0, 1, 2 and click noise 0.05, 0.2. *Shown only* leaves items
that were not shown for the query out of both rankings, instead of counting them as irrelevant. Made by
`benchmarks/gate.py`."""

Vectors = NDArray[np.float64]
Ranking = list[list[int]]
Gains = list[dict[int, float]]


@dataclass(frozen=True)
class Verdicts:
    """The gate's verdicts on one group of models: how many passed, of how many."""

    passed: int = 0
    judged: int = 0

    def plus(self, passed: int, judged: int) -> "Verdicts":
        """The sum of these verdicts and further ones."""
        return Verdicts(self.passed + passed, self.judged + judged)

    def __str__(self) -> str:
        """The share that passed, as the table shows it."""
        return f"{self.passed / max(1, self.judged):.1%}"


def base_vectors(collection: Collection) -> tuple[Vectors, Vectors]:
    """Unit vectors of questions [Q, D] and abstracts [N, D] by the packaged model."""
    encoder = load_encoder(packaged_model(), 128, "cpu")
    questions = embed(encoder, "query", collection.questions, lambda: None)
    return questions.double().numpy(), embed(encoder, "item", collection.texts, lambda: None).double().numpy()


def disturbed_ranking(questions: Vectors, items: Vectors, judgements: list[dict[int, int]], seed: int) -> Ranking:
    """Ranks as a new model would: the space is bent at random, and questions move towards their relevant abstracts.

    Returns the best hundred abstracts of every question.
    """
    source = np.random.default_rng(seed)
    size, towards = questions.shape[1], source.choice([0.0, 0.05, 0.1, 0.2, 0.3])
    bend = source.normal(0, source.uniform(0.2, 1.0) / np.sqrt(size), (size, size))
    middle = items.mean(axis=0)
    wanted = np.stack([items[list(grades)].mean(axis=0) - middle if grades else 0 * middle for grades in judgements])
    return rank(questions + questions @ bend + towards * wanted, items + items @ bend)


def rank(questions: Vectors, items: Vectors) -> Ranking:
    """The best hundred abstracts of every question by cosine, the best first."""
    cosines = questions @ (items / np.linalg.norm(items, axis=1, keepdims=True)).T
    order: Ranking = np.argsort(-cosines, axis=1, kind="stable")[:, :100].tolist()
    return order


def clicked_gains(
    shown: Ranking, judgements: list[dict[int, int]], eta: float, noise: float, sessions: int, seed: int
) -> Gains:
    """The gains that the product measures by: clicks in the base model's lists, corrected for position bias."""
    source = random.Random(seed)
    log = ClickLog()
    for question, items in enumerate(shown):
        grades = [judgements[question].get(item, 0) for item in items]
        for _ in range(sessions):
            if clicked := simulate_clicks(grades, source, eta=eta, noise=noise):
                places = np.arange(len(items))
                acts = np.isin(places, list(clicked)).astype(np.float64)
                log.add(Sessions(np.array([question]), np.array([len(items)]), np.array(items), places, acts))
    counts = log.counts()
    gains: Gains = [{} for _ in shown]
    pairs = zip(counts.pairs.query.tolist(), counts.pairs.item.tolist(), strict=True)
    for (question, item), gain in zip(pairs, RankCtr(counts).labels().gain.tolist(), strict=True):
        gains[question][item] = gain
    return gains


def ndcg_by_question(rankings: list[Ranking], gains: Gains, shown: Ranking | None) -> Vectors:
    """nDCG@10 of every model on every question, [Q, M]; rankings are cut to the `shown` items, if given."""
    scores = np.zeros((len(gains), len(rankings)))
    for question, gain in enumerate(gains):
        kept = set(shown[question]) if shown else None
        for model, ranking in enumerate(rankings):
            order = ranking[question]
            scores[question, model] = ndcg([i for i in order if i in kept] if kept else order, gain)
    return scores


def gate_verdicts(scores: Vectors, base: Vectors, gains: Gains, count: int, seed: int) -> NDArray[np.bool_]:
    """Whether each of M models passes the gate on `count` held-out questions drawn by `seed`, [M]."""
    measurable = [question for question, of in enumerate(gains) if any(gain > 0 for gain in of.values())]
    held_out = np.random.default_rng(seed).choice(measurable, min(count, len(measurable)), replace=False)
    lower = bootstrap_intervals(scores[held_out] - base[held_out], seed)[0]
    passed: NDArray[np.bool_] = lower > 0
    return passed


def play_settings(collection: Collection) -> Iterator[tuple[int, int, str, bool, Verdicts]]:
    """Plays every setting; yields sessions, held-out questions, way of measuring, whether better, verdicts."""
    questions, items = base_vectors(collection)
    base = rank(questions, items)
    shown = [order[:SHOWN] for order in base]
    models = [disturbed_ranking(questions, items, collection.judgements, seed) for seed in range(MODELS)]
    true: Gains = [{item: 2.0**grade - 1 for item, grade in of.items()} for of in collection.judgements]
    gain = (ndcg_by_question(models, true, None) - ndcg_by_question([base], true, None)).mean(axis=0)
    for eta, noise in SETTINGS:
        for sessions in SESSIONS:
            for draw in range(DRAWS):
                gains = clicked_gains(shown, collection.judgements, eta, noise, sessions, draw)
                for way, only in (("every item", None), ("shown items only", shown)):
                    scores, before = ndcg_by_question(models, gains, only), ndcg_by_question([base], gains, only)
                    for count in HELD_OUT_COUNTS:
                        passed = gate_verdicts(scores, before, gains, count, draw)
                        for better, group in ((True, gain > BETTER_BY), (False, gain < 0)):
                            counts = Verdicts(int(passed[group].sum()), int(group.sum()))
                            yield sessions, count, way, better, counts


def main() -> None:
    """Plays every setting and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "gate.md")
    arguments = parser.parse_args()
    totals: dict[tuple[int, int, str, bool], Verdicts] = defaultdict(Verdicts)
    for sessions, count, way, better, counts in play_settings(read_collection(arguments.data)):
        place = (sessions, count, way, better)
        totals[place] = totals[place].plus(counts.passed, counts.judged)
    ways = ("every item", "shown items only")
    rows = [
        [str(sessions), str(count), *(str(totals[sessions, count, way, b]) for way in ways for b in (True, False))]
        for sessions in SESSIONS
        for count in HELD_OUT_COUNTS
    ]
    columns = ["sessions per query", "held-out queries", "better", "worse", "better, shown only", "worse, shown only"]
    text = f"{MEANING}\n\n{MODELS} models, {DRAWS} draws of clicks each. {machine_and_versions('numpy', 'torch')}"
    write_table(arguments.output, TITLE, text, columns, rows)


if __name__ == "__main__":
    main()
