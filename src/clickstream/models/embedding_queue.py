"""Embeds texts for many callers: one thread computes, and calls that wait for the same model form one group.

A second thread loads models, so that callers of the old model continue while the new one is loaded.
The most recently used models stay loaded; a model that is dropped is freed once its last group is done.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from clickstream.domain import limits
from clickstream.domain.errors import Reason, ResourceExhausted

Vectors = Sequence[Sequence[float]]
# (kind, texts) → one vector per text. Blocks.
Embedder = Callable[[str, Sequence[str]], Vectors]
# Model version id → its embedder. Blocks; raises domain errors.
LoadEmbedder = Callable[[str], Embedder]


@dataclass(eq=False, slots=True)
class _Call:
    """One call of `embed` that waits for its vectors."""

    embedder: Embedder
    kind: str
    texts: Sequence[str]
    vectors: asyncio.Future[Vectors] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class EmbeddingQueue:
    """A queue of texts to embed, and the models that embed them. For one event loop; not thread-safe."""

    def __init__(
        self, load: LoadEmbedder, *, waiting_texts: int = limits.WAITING_TEXTS, loaded: int = limits.LOADED_MODELS
    ) -> None:
        """Starts empty.

        Args:
            load: Loads a model, in a thread of this queue.
            waiting_texts: The most texts in the queue, including those that are being computed.
            loaded: The number of models that stay loaded.
        """
        self._load = load
        self._waiting_texts = waiting_texts
        self._loaded = loaded
        self._embedders: OrderedDict[str, asyncio.Task[Embedder]] = OrderedDict()
        self._waiting: deque[_Call] = deque()
        self._texts = 0
        self._working: asyncio.Task[None] | None = None
        # One thread each: two models loading, or two groups computing, would only slow each other down.
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="model-loading")
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="embedding")

    async def embed(self, model_version_id: str, kind: str, texts: Sequence[str]) -> Vectors:
        """Embeds texts, [N], as vectors, [N, D]. A call that is cancelled while it waits is not computed.

        Args:
            model_version_id: The model, which is loaded first if it is not loaded.
            kind: `query` or `item`.
            texts: In the order of the vectors.

        Raises:
            ResourceExhausted: EMBED_QUEUE_FULL; try again later.
            NotFound, FailedPrecondition: The model cannot be loaded.
        """
        if self._texts + len(texts) > self._waiting_texts:
            raise ResourceExhausted(
                Reason.EMBED_QUEUE_FULL, f"{self._texts} texts wait; the limit is {self._waiting_texts}"
            )
        self._texts += len(texts)
        try:
            call = _Call(await self._embedder(model_version_id), kind, texts)
            self._waiting.append(call)
            if self._working is None:
                self._working = asyncio.create_task(self._work())
            return await call.vectors
        finally:
            self._texts -= len(texts)

    async def _embedder(self, model_version_id: str) -> Embedder:
        loading = self._embedders.get(model_version_id)
        if loading is None:
            loading = asyncio.create_task(self._load_in_thread(model_version_id))
            self._embedders[model_version_id] = loading
            while len(self._embedders) > self._loaded:
                self._embedders.popitem(last=False)
        self._embedders.move_to_end(model_version_id)
        # Shielded: the first caller may be cancelled while others still wait for the model.
        return await asyncio.shield(loading)

    async def _load_in_thread(self, model_version_id: str) -> Embedder:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._loading, self._load, model_version_id)
        except BaseException:
            self._embedders.pop(model_version_id, None)  # the next caller tries again
            raise

    async def _work(self) -> None:
        """Computes one group after the other until no call waits."""
        while group := self._next_group():
            texts = [text for call in group for text in call.texts]
            compute = group[0].embedder
            try:
                loop = asyncio.get_running_loop()
                vectors = await loop.run_in_executor(self._computing, compute, group[0].kind, texts)
            except Exception as error:
                for call in group:
                    if not call.vectors.done():
                        call.vectors.set_exception(error)
                continue
            first = 0
            for call in group:
                if not call.vectors.done():
                    call.vectors.set_result(vectors[first : first + len(call.texts)])
                first += len(call.texts)
        self._working = None

    def _next_group(self) -> list[_Call]:
        """The call that has waited longest, with others of its model and kind, up to `limits.EMBED_TEXTS` texts."""
        group: list[_Call] = []
        rest: deque[_Call] = deque()
        count = 0
        for call in self._waiting:
            if call.vectors.done():  # cancelled
                continue
            alike = not group or (call.embedder is group[0].embedder and call.kind == group[0].kind)
            if alike and (not group or count + len(call.texts) <= limits.EMBED_TEXTS):
                group.append(call)
                count += len(call.texts)
            else:
                rest.append(call)
        self._waiting = rest
        return group

    async def close(self) -> None:
        """Waits until every call in the queue is answered, and ends the threads."""
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)
        self._loading.shutdown(wait=False)
        self._computing.shutdown(wait=False)
