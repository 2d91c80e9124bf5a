"""Where batches are run: in threads, or in the one that asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Protocol, cast

from glane.types import Ids


class Executor(Protocol):
    """Runs calls, at once or in threads."""

    def submit(self, call: Callable[[Ids], int], positions: Ids, /) -> Future[int]:
        """Begin a call."""
        ...


class _Here:
    """Runs each call in the thread that asks for it, at once."""

    def submit(self, call: Callable[[Ids], int], positions: Ids, /) -> Future[int]:
        """Call."""
        done: Future[int] = Future()
        done.set_result(call(positions))
        return done


@contextmanager
def executing(threads: int, n_texts: int) -> Iterator[Executor]:
    """Give what runs batches: this thread where one is enough, else a pool of threads.

    Args:
        threads: Threads of the pool.
        n_texts: Texts in all batches together.
    """
    if threads == 1 or n_texts == 1:
        yield _Here()
        return
    from concurrent.futures import ThreadPoolExecutor  # late: one query needs no pool

    pool = ThreadPoolExecutor(threads)
    try:
        yield cast(Executor, pool)
    finally:  # after an error, or Ctrl-C, what has not begun is not computed
        pool.shutdown(cancel_futures=True)
