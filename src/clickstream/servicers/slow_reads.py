"""Reads that can be slow run in threads of their own: however many wait, other reads and writes go on."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# As many as MongoDB and the interpreter serve side by side without slowing each other down.
THREADS = 4
_POOL = ThreadPoolExecutor(THREADS, thread_name_prefix="slow-read")


async def slow_read(read: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Calls a function that may read much: whole sessions, pages of a batch, training inputs, lineage, a model."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, lambda: read(*args, **kwargs))
