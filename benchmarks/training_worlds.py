"""The two worlds of the training benchmark: their queries, result lists, clicks and true grades."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from cranfield_collection import read_collection

from clickstream.conversion.convert import convert
from clickstream.conversion.importance import ImportancePolicy
from clickstream.demo.catalogue import KINDS, make_catalogue
from clickstream.demo.shoppers import make_wants, relevance
from clickstream.demo.simulated_reader import simulate_clicks
from clickstream.domain.training_inputs import (
    ConversionSummary,
    GradedResult,
    SearchSession,
    SessionEvent,
    ShownResult,
    TrainingInput,
)

SHOWN_ABSTRACTS = 20
SHOWN_ITEMS = 12
WANTS = 240
START = datetime(2024, 5, 1, tzinfo=UTC)

Ranking = list[list[int]]
# (query, the base model's ranking, random source) → the documents of one result list, in shown order.
ShowResults = Callable[[int, Ranking, random.Random], list[int]]


@dataclass(frozen=True)
class World:
    """Queries, metadata of documents, and per query the true grade (1 to `best_grade`) of relevant documents."""

    name: str
    queries: Sequence[str]
    metas: Sequence[dict[str, str]]
    grades: Sequence[dict[int, int]]
    best_grade: int
    show: ShowResults

    @property
    def texts(self) -> list[str]:
        """The documents as the template `{title}. {text}` renders them."""
        return [f"{meta['title']}. {meta['text']}" for meta in self.metas]


@dataclass(frozen=True)
class ClickBehaviour:
    """How people click, and how often each query is searched.

    Position k (0-based) is examined with probability (k + 1)^-eta; an examined irrelevant item is clicked with
    probability `noise`. `sessions` is per query; `seed` draws the clicks.
    """

    eta: float
    noise: float
    sessions: int
    seed: int


def cranfield_world(folder: Path) -> World:
    """225 questions over 1,400 abstracts; every list shows the base model's best 20."""
    collection = read_collection(folder)
    metas = [{"title": title, "text": text} for title, text in collection.documents]
    return World("Cranfield", collection.questions, metas, collection.judgements, 4, _always_the_best)


def _always_the_best(query: int, ranking: Ranking, _: random.Random) -> list[int]:
    return ranking[query][:SHOWN_ABSTRACTS]


def shop_world() -> World:
    """The demo's shop, whose customers use their own words; every second place has a random item of the department."""
    items = make_catalogue()
    wants = make_wants(items, WANTS)
    department = {kind.slang: kind.category for kind in KINDS}
    grades = [
        {place: grade for place, item in enumerate(items) if (grade := relevance(want, item)) > 0} for want in wants
    ]

    def show(query: int, ranking: Ranking, chance: random.Random) -> list[int]:
        shelf = [place for place, item in enumerate(items) if item.category == department[wants[query].kind]]
        ranked, explored = iter(ranking[query]), iter(chance.sample(shelf, len(shelf)))
        shown: dict[int, None] = {}
        while len(shown) < SHOWN_ITEMS:
            shown[next(explored) if len(shown) % 2 else next(ranked)] = None
        return list(shown)

    metas = [{"title": item.title, "text": item.text} for item in items]
    return World("shop", [want.query for want in wants], metas, grades, 3, show)


def clicked_inputs(
    world: World, ranking: Ranking, searched: Sequence[int], clicks: ClickBehaviour, policy: ImportancePolicy
) -> Iterator[TrainingInput]:
    """The training inputs that the conversion makes of the sessions of the searched queries."""
    summary = ConversionSummary(policy.version)
    for number, query, shown, clicked in _simulated_sessions(world, ranking, searched, clicks):
        session = SearchSession(
            session_id=f"s-{number}",
            batch_id="batch-1",
            number=number,
            query=world.queries[query],
            results=[ShownResult(str(each), place, world.metas[each]) for place, each in enumerate(shown)],
            events=[
                SessionEvent(f"e-{place}", str(shown[place]), "click", START + timedelta(seconds=number))
                for place in clicked
            ],
        )
        if (converted := convert(session, policy, summary)) is not None:
            yield converted


def true_inputs(
    world: World, ranking: Ranking, searched: Sequence[int], clicks: ClickBehaviour
) -> Iterator[TrainingInput]:
    """The same lists graded by the true gain, 2^grade - 1, of every shown document: the oracle's inputs."""
    for number, query, shown, _ in _simulated_sessions(world, ranking, searched, clicks):
        results = [
            GradedResult(str(each), place, 2.0 ** world.grades[query].get(each, 0) - 1, (), world.metas[each])
            for place, each in enumerate(shown)
        ]
        if any(result.grade for result in results):
            yield TrainingInput(f"s-{number}", "batch-1", number, world.queries[query], tuple(results), "truth")


def clicked_pairs(
    world: World, ranking: Ranking, searched: Sequence[int], clicks: ClickBehaviour
) -> list[tuple[str, str]]:
    """A pair (query, clicked text) for every click."""
    texts = world.texts
    return [
        (world.queries[query], texts[shown[place]])
        for _, query, shown, clicked in _simulated_sessions(world, ranking, searched, clicks)
        for place in clicked
    ]


def best_guess(world: World, ranking: Ranking, searched: Sequence[int], clicks: ClickBehaviour) -> Ranking:
    """The best order that can be inferred from each query's own clicks: a reference without a model.

    Shown documents are ordered by the posterior mean E[2^grade - 1 | clicks] of Bayes' rule, given the true eta and
    noise. The prior is the true share of each grade near the document's base rank; other queries are not used. The
    other documents follow in the base model's order. A model can be better if it learns from one query for another.
    """
    shown: dict[int, dict[int, list[int]]] = {query: {} for query in searched}
    clicked: Counter[tuple[int, int]] = Counter()
    for _, query, documents, places in _simulated_sessions(world, ranking, searched, clicks):
        for place, document in enumerate(documents):
            shown[query].setdefault(document, []).append(place)
        clicked.update((query, documents[place]) for place in places)
    grades = np.arange(world.best_grade + 1)
    gain = 2.0**grades - 1
    attraction = clicks.noise + (1 - clicks.noise) * gain / gain[-1]
    rank = {query: {document: place for place, document in enumerate(ranking[query])} for query in searched}
    mix: dict[int, Any] = defaultdict(lambda: np.full(len(grades), 0.01))
    for query in searched:
        for document in shown[query]:
            mix[_group(rank[query][document])][world.grades[query].get(document, 0)] += 1
    guessed = list(ranking)
    for query in searched:
        value = {}
        for document, places in shown[query].items():
            seen = np.mean((np.array(places) + 1.0) ** -clicks.eta)
            chance = np.clip(seen * attraction, 1e-9, 1 - 1e-9)
            acts = clicked[query, document]
            logs = np.log(mix[_group(rank[query][document])])
            logs = logs + acts * np.log(chance) + (len(places) - acts) * np.log1p(-chance)
            shares = np.exp(logs - logs.max())
            value[document] = float((shares / shares.sum()) @ gain)
        best = sorted(value, key=lambda document: (-value[document], rank[query][document]))
        guessed[query] = best + [document for document in ranking[query] if document not in value]
    return guessed


def _group(rank: int) -> int:
    """The group of a base rank; groups grow by about the same ratio."""
    return int(1.5 * math.log2(rank + 1))


def _simulated_sessions(
    world: World, ranking: Ranking, searched: Sequence[int], clicks: ClickBehaviour
) -> Iterator[tuple[int, int, list[int], list[int]]]:
    """Yields session number, query, shown documents and clicked places: every query once, then every query again."""
    # Each query has its own random source, so its sessions are the same in all folds, whatever else is searched.
    sources = {query: random.Random(f"{world.name} {clicks.seed} {query}") for query in searched}
    number = 0
    for _ in range(clicks.sessions):
        for query, source in sources.items():
            number += 1
            shown = world.show(query, ranking, source)
            grades = [world.grades[query].get(each, 0) for each in shown]
            yield (
                number,
                query,
                shown,
                simulate_clicks(grades, source, eta=clicks.eta, noise=clicks.noise, best_grade=world.best_grade),
            )
