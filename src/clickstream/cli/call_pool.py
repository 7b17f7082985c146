"""Threads that call the service for a command."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor


@contextlib.contextmanager
def call_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads for calls, which all end before the block does.

    A block that an error or Ctrl-C ends does not wait for them: its command closes the channel next, which ends their
    calls. Waiting would take as long as a silent server takes to be noticed.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
