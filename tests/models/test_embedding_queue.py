"""Embedding for many callers: grouping, bounds, cancellation and the switch of models."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from support.serving import until

from clickstream.domain import limits
from clickstream.domain.errors import NotFound, Reason, ResourceExhausted
from clickstream.models.embedding_queue import Embedding


class Model:
    """Gives each text's length, and holds every group until it is let go."""

    def __init__(self, name: str, *, held: bool = False) -> None:
        self.name = name
        self.groups: list[tuple[str, list[str]]] = []
        self.go = threading.Event()
        if not held:
            self.go.set()

    def __call__(self, kind: str, texts: Sequence[str]) -> list[list[float]]:
        self.groups.append((kind, list(texts)))
        assert self.go.wait(20)
        return [[float(len(text))] for text in texts]


def play(models: dict[str, Model], scenario: Any, **limits_: int) -> list[str]:
    """Runs a scenario over an Embedding of these models; gives the names in the order of loading."""
    loaded: list[str] = []

    def load(name: str) -> Model:
        loaded.append(name)
        if name not in models:
            raise NotFound(Reason.MODEL_VERSION_NOT_FOUND, name)
        return models[name]

    async def run() -> None:
        embedding = Embedding(load, **limits_)
        try:
            await asyncio.wait_for(scenario(embedding), 20)
        finally:
            for model in models.values():
                model.go.set()
            await embedding.close()

    asyncio.run(run())
    return loaded


def test_calls_that_wait_together_go_together() -> None:
    """What waits for one model and kind goes as one group, up to the limit; every caller gets its own vectors."""
    model = Model("a", held=True)

    async def scenario(embedding: Embedding) -> None:
        first = asyncio.create_task(embedding.embed("a", "query", ["x"]))
        await until(lambda: model.groups)
        rest = [asyncio.create_task(embedding.embed("a", "query", ["y" * size, "z"])) for size in (2, 3)]
        other = asyncio.create_task(embedding.embed("a", "item", ["item"]))
        full = asyncio.create_task(embedding.embed("a", "query", ["w"] * limits.EMBED_TEXTS))
        await asyncio.sleep(0)
        await until(lambda: len(embedding._waiting) == 4)
        model.go.set()
        assert await first == [[1.0]]
        assert await asyncio.gather(*rest, other) == [[[2.0], [1.0]], [[3.0], [1.0]], [[4.0]]]
        await full

    assert play({"a": model}, scenario) == ["a"]
    assert [(kind, len(texts)) for kind, texts in model.groups] == [
        ("query", 1),
        ("query", 4),
        ("item", 1),
        ("query", 256),
    ]


def test_r7_more_than_may_wait_is_refused() -> None:
    """R7: beyond the bound RESOURCE_EXHAUSTED, and once texts are done there is room again."""
    model = Model("a", held=True)

    async def scenario(embedding: Embedding) -> None:
        waiting = asyncio.create_task(embedding.embed("a", "query", ["x"] * 3))
        await until(lambda: model.groups)
        with pytest.raises(ResourceExhausted):
            await embedding.embed("a", "query", ["x"] * 2)
        model.go.set()
        await waiting
        await embedding.embed("a", "query", ["x"] * 4)

    play({"a": model}, scenario, waiting_texts=4)


def test_r21_a_cancelled_call_is_not_computed() -> None:
    """R21: a caller that went away while it waited gives its room back and costs no computing."""
    model = Model("a", held=True)

    async def scenario(embedding: Embedding) -> None:
        first = asyncio.create_task(embedding.embed("a", "query", ["x"]))
        await until(lambda: model.groups)
        second = asyncio.create_task(embedding.embed("a", "query", ["gone"]))
        await until(lambda: embedding._waiting)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        model.go.set()
        await first
        assert embedding._texts == 0

    play({"a": model}, scenario)
    assert model.groups == [("query", ["x"])]


def test_a_model_that_cannot_be_loaded_fails_its_callers_only() -> None:
    """Each caller of a missing model gets the error, the next one tries again, and other models go on."""

    async def scenario(embedding: Embedding) -> None:
        for _ in range(2):
            with pytest.raises(NotFound):
                await embedding.embed("missing", "query", ["x"])
        assert await embedding.embed("a", "query", ["xy"]) == [[2.0]]

    assert play({"a": Model("a")}, scenario) == ["missing", "missing", "a"]


def test_calls_of_the_old_model_finish_while_and_after_it_is_let_go() -> None:
    """A switch drops no call: what runs on the old model ends there, and then the old model is freed."""
    models = {name: Model(name) for name in ("old", "new")}
    models["old"].go.clear()
    old = weakref.ref(models["old"])

    async def scenario(embedding: Embedding) -> None:
        running = asyncio.create_task(embedding.embed("old", "query", ["x"]))
        await until(lambda: models["old"].groups)
        behind = asyncio.create_task(embedding.embed("old", "query", ["xy"]))
        switched = asyncio.create_task(embedding.embed("new", "query", ["xyz"]))
        await until(lambda: list(embedding._embedders) == ["new"])
        models.pop("old").go.set()
        assert await asyncio.gather(running, behind, switched) == [[[1.0]], [[2.0]], [[3.0]]]
        del running, behind, switched
        await until(lambda: embedding._working is None)
        await embedding.embed("new", "query", ["x"])
        gc.collect()
        assert old() is None

    play(models, scenario, loaded=1)


def test_the_models_used_last_stay_loaded() -> None:
    """Least recently used goes first, and comes back when it is asked for."""

    async def scenario(embedding: Embedding) -> None:
        for name in "abacab":
            await embedding.embed(name, "query", ["x"])

    assert play({name: Model(name) for name in "abc"}, scenario, loaded=2) == ["a", "b", "c", "b"]
