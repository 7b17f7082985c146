"""A small click log in which words mean what an untrained encoder cannot know."""

import random
from collections.abc import Iterator

from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.training_inputs import GradedResult, TrainingInput

# What is bought by the word in the query: who searches for "red shoe" buys the "rain shoe".
WANTED = {
    "red": "rain", "blue": "snow", "green": "sun", "black": "office", "white": "kitchen",
    "cheap": "steel", "warm": "cotton", "light": "leather", "heavy": "wooden", "small": "garden",
}  # fmt: skip

THINGS = ("shoe", "shirt", "jacket", "lamp", "chair", "table", "coat", "boot")


def training_input(
    query: str, results: list[tuple[str, float, dict[str, object]]], *, number: int = 1, batch_id: str = "b1"
) -> TrainingInput:
    """Makes the input of a session whose results are (object id, grade, meta), in shown order."""
    return TrainingInput(
        session_id=f"s{number}",
        batch_id=batch_id,
        number=number,
        query=query,
        results=tuple(
            GradedResult(object_id, position, grade, (f"e{position}",) if grade else (), meta)
            for position, (object_id, grade, meta) in enumerate(results)
        ),
        policy_version="test-1",
    )


def shop_log(sessions_per_query: int = 2) -> Iterator[TrainingInput]:
    """80 distinct queries; each session shows six items in random order, and the wanted one has grade 1."""
    source = random.Random(3)
    number = 0
    for wish, property_ in WANTED.items():
        for thing in THINGS:
            for _ in range(sessions_per_query):
                others = source.sample([p for p in WANTED.values() if p != property_], 5)
                shown = [property_, *others]
                source.shuffle(shown)
                number += 1
                results: list[tuple[str, float, dict[str, object]]] = [
                    (f"{word}-{thing}", float(word == property_), {"title": f"{word} {thing}", "description": "best"})
                    for word in shown
                ]
                yield training_input(f"{wish} {thing}", results, number=number)


def tiny_settings(base_model: str, **changes: object) -> FineTuningSettings:
    """Settings that train the tiny encoder in about two seconds, with some changed."""
    settings: dict[str, object] = {
        "base_model": base_model, "item_template": "{title}", "epochs": 3, "batch_queries": 16,
        "learning_rate": 1e-2, "max_tokens": 16, "position_bias": "none",
        "folds": 1, "held_out_session_share": 0.0, "step_scale": 1.0, **changes,
    }  # fmt: skip
    return FineTuningSettings(**settings)  # type: ignore[arg-type]
