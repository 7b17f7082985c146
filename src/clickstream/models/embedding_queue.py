"""Embedding for many callers: one thread computes, what waits for the same model goes together.

A model is loaded in a thread of its own, beside the one that computes, so that callers of the old
model go on while the new one is loaded. The models used last stay loaded; one that is let go is
freed when the group in work is done with it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from clickstream.domain import limits
from clickstream.domain.errors import Reason, ResourceExhausted

Vectors = Sequence[Sequence[float]]
Embedder = Callable[[str, Sequence[str]], Vectors]
"""(kind, texts) → one vector per text. Blocks."""

LoadEmbedder = Callable[[str], Embedder]
"""Model version id → its embedder. Blocks; raises domain errors."""


@dataclass(eq=False, slots=True)
class _Waiting:
    embedder: Embedder
    kind: str
    texts: Sequence[str]
    vectors: asyncio.Future[Vectors] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Embedding:
    """Lives in one event loop."""

    def __init__(
        self, load: LoadEmbedder, *, waiting_texts: int = limits.WAITING_TEXTS, loaded: int = limits.LOADED_MODELS
    ) -> None:
        self._load = load
        self._waiting_texts = waiting_texts
        self._loaded = loaded
        self._embedders: OrderedDict[str, asyncio.Task[Embedder]] = OrderedDict()
        self._waiting: deque[_Waiting] = deque()
        self._texts = 0
        self._working: asyncio.Task[None] | None = None
        # One thread each: two models loading, or two groups computing, would only slow each other down.
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="model-loading")
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="embedding")

    async def embed(self, model_version_id: str, kind: str, texts: Sequence[str]) -> Vectors:
        """One vector per text. A call that is cancelled while it waits costs nothing.

        Raises:
            ResourceExhausted: more texts wait than may.
            NotFound, FailedPrecondition: the model cannot be loaded.
        """
        if self._texts + len(texts) > self._waiting_texts:
            raise ResourceExhausted(Reason.EMBED_QUEUE_FULL, f"{self._texts} texts wait; {self._waiting_texts} may")
        self._texts += len(texts)
        try:
            waiting = _Waiting(await self._embedder(model_version_id), kind, texts)
            self._waiting.append(waiting)
            if self._working is None:
                self._working = asyncio.create_task(self._work())
            return await waiting.vectors
        finally:
            self._texts -= len(texts)

    async def _embedder(self, model_version_id: str) -> Embedder:
        loading = self._embedders.get(model_version_id)
        if loading is None:
            loading = asyncio.create_task(self._load_beside(model_version_id))
            self._embedders[model_version_id] = loading
            while len(self._embedders) > self._loaded:
                self._embedders.popitem(last=False)
        self._embedders.move_to_end(model_version_id)
        # Shielded: the caller that came first may go away, those behind it still wait for the model.
        return await asyncio.shield(loading)

    async def _load_beside(self, model_version_id: str) -> Embedder:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._loading, self._load, model_version_id)
        except BaseException:
            self._embedders.pop(model_version_id, None)  # the next caller tries again
            raise

    async def _work(self) -> None:
        """Computes group by group until nothing waits."""
        while group := self._next_group():
            texts = [text for waiting in group for text in waiting.texts]
            compute = group[0].embedder
            try:
                loop = asyncio.get_running_loop()
                vectors = await loop.run_in_executor(self._computing, compute, group[0].kind, texts)
            except Exception as error:
                for waiting in group:
                    if not waiting.vectors.done():
                        waiting.vectors.set_exception(error)
                continue
            first = 0
            for waiting in group:
                if not waiting.vectors.done():
                    waiting.vectors.set_result(vectors[first : first + len(waiting.texts)])
                first += len(waiting.texts)
        self._working = None

    def _next_group(self) -> list[_Waiting]:
        """The calls that wait longest and go together: same model, same kind, as many texts as one call may have."""
        group: list[_Waiting] = []
        rest: deque[_Waiting] = deque()
        count = 0
        for waiting in self._waiting:
            if waiting.vectors.done():  # its caller went away
                continue
            alike = not group or (waiting.embedder is group[0].embedder and waiting.kind == group[0].kind)
            if alike and (not group or count + len(waiting.texts) <= limits.EMBED_TEXTS):
                group.append(waiting)
                count += len(waiting.texts)
            else:
                rest.append(waiting)
        self._waiting = rest
        return group

    async def close(self) -> None:
        """Waits for the group in work and lets the threads go."""
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)
        self._loading.shutdown(wait=False)
        self._computing.shutdown(wait=False)
