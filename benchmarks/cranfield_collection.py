"""The Cranfield collection, its simulated readers, and the measurement of a ranking by its judgements."""

import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clickstream.demo.simulated_reader import simulate_clicks
from clickstream.domain.query_split import is_held_out, normalised
from clickstream.domain.runs import FineTuningSettings
from clickstream.training.encoder.encoder import embed, load_encoder
from clickstream.training.measuring import metrics

SEARCHED_QUESTIONS = 150
SESSIONS_PER_QUESTION = 30
SHOWN = 20
SPLIT_SEED = 7
DOCUMENTS = 1_400
DAY = datetime(2024, 5, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Collection:
    """Abstracts (title, text without its title), questions, and per question the grade (1 to 4) of judged abstracts."""

    documents: list[tuple[str, str]]
    questions: list[str]
    judgements: list[dict[int, int]]

    @property
    def texts(self) -> list[str]:
        """The abstracts as the template renders them."""
        return [f"{title}. {text}" if title and text else title or text for title, text in self.documents]


@dataclass(frozen=True)
class Visit:
    """One simulated session: the index of its question, and the shown positions that were clicked."""

    session_id: str
    question: int
    clicked: list[int]
    at: datetime


def read_collection(folder: Path) -> Collection:
    """Reads the collection from its three files.

    Question k is the k-th `.I` of `cran.qry`, whatever number follows. Code 1 (best) to 4 of `cranqrel` becomes grade 4
    to 1; other codes are left out.
    """
    documents = []
    for record in _records(folder / "cran.all.1400"):
        title, text = record.get("T", ""), record.get("W", "")
        documents.append((title, text.removeprefix(title).strip()))
    questions = [record["W"] for record in _records(folder / "cran.qry")]
    judgements: list[dict[int, int]] = [{} for _ in questions]
    for line in (folder / "cranqrel").read_text().splitlines():
        question, document, code = (int(number) for number in line.split()[:3])
        if 1 <= code <= 4:
            judgements[question - 1][document - 1] = 5 - code
    return Collection(documents, questions, judgements)


def _records(path: Path) -> list[dict[str, str]]:
    records: list[dict[str, str]] = []
    name = ""
    for line in path.read_text(errors="replace").splitlines():
        if mark := re.match(r"\.([ITABW])(?: |$)", line):
            name = mark[1]
            if name == "I":
                records.append({})
        else:
            records[-1][name] = " ".join([*records[-1].get(name, "").split(), *line.split()])
    return records


def rank_all(model: str, collection: Collection, max_tokens: int) -> list[list[int]]:
    """The abstracts of every question by cosine, the best first."""
    encoder = load_encoder(model, max_tokens, "cpu")
    items = embed(encoder, "item", collection.texts, lambda: None)
    questions = embed(encoder, "query", collection.questions, lambda: None)
    ranking: list[list[int]] = (questions @ items.T).argsort(dim=1, descending=True, stable=True).tolist()
    return ranking


def simulate_visits(collection: Collection, ranking: list[list[int]], seed: int) -> list[Visit]:
    """All sessions in order of time: every searched question once, then every one again, and so on."""
    source = random.Random(seed)
    visits: list[Visit] = []
    for time_round in range(SESSIONS_PER_QUESTION):
        for question in searched_questions(collection):
            grades = [collection.judgements[question].get(document, 0) for document in ranking[question][:SHOWN]]
            visits.append(
                Visit(
                    session_id=f"cranfield-{seed}-{question + 1}-{time_round + 1}",
                    question=question,
                    clicked=simulate_clicks(grades, source),
                    at=DAY + timedelta(seconds=len(visits)),
                )
            )
    return visits


def mean_ndcg_by_part(
    collection: Collection, ranking: list[list[int]], parts: dict[str, list[int]]
) -> dict[str, float]:
    """Mean nDCG@10 by part, with gain 2^grade - 1 of the judgements."""
    return {
        part: sum(
            metrics.ndcg(ranking[q], {doc: 2.0**grade - 1 for doc, grade in collection.judgements[q].items()})
            for q in questions
        )
        / len(questions)
        for part, questions in parts.items()
    }


def searched_questions(collection: Collection) -> list[int]:
    """The questions that readers search, drawn by a fixed seed."""
    draw = random.Random(SPLIT_SEED)
    return sorted(draw.sample(range(len(collection.questions)), SEARCHED_QUESTIONS))


def question_parts(collection: Collection, settings: FineTuningSettings) -> dict[str, list[int]]:
    """The reported parts of the questions, by name; `settings` decide what the run holds out."""
    searched = searched_questions(collection)
    held_out = [
        question
        for question in searched
        if is_held_out(normalised(collection.questions[question]), settings.seed, settings.held_out_share)
    ]
    trained = [question for question in searched if question not in held_out]
    never = [question for question in range(len(collection.questions)) if question not in searched]
    return {
        f"{len(searched)} searched": searched,
        f"{len(trained)} of them trained": trained,
        f"{len(held_out)} of them held out": held_out,
        f"{len(never)} never searched": never,
    }
