"""The one writer: changes that wait are made together, committed once, and then acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, NamedTuple

from glane.collection.ids import as_stored
from glane.errors import GlaneError
from glane.hits import Key
from glane.retrievers.answers import Answers
from glane.retrievers.changing import Changes

LOG = logging.getLogger("glane.serve")

MOST = 512
"""Documents that are written by one commit, but for a request that has more."""

Change = Callable[[Changes], Any]
"""What changes a search, and returns what is answered."""


class _Asked(NamedTuple):
    change: Change
    size: int
    answer: Future[Any]


class Writer:
    """Makes changes of an index, in the order in which they come.

    While one group is encoded and committed others wait, and make up the next. Each is acknowledged
    after it is on disk. One that is refused leaves the others alone.
    """

    def __init__(self, search: Changes, *, wait: float) -> None:
        """Wait for changes.

        Args:
            search: Loaded from the index; it takes every new state.
            wait: Seconds to wait for a writer of another process.
        """
        self._search = search
        self._wait = wait
        self._queue: SimpleQueue[_Asked] = SimpleQueue()
        self._thread = ThreadPoolExecutor(1, "writer")
        self._last: Future[None] | None = None

    def store(self, documents: Sequence[Mapping[str, Any]]) -> Future[int]:
        """Store documents; the future has how many are new or differ, once they are on disk."""
        return self._ask(lambda search: search.add(documents), len(documents))

    def delete(self, key: str) -> Future[bool]:
        """Delete the document that a path names; the future has whether there was one."""

        def change(search: Changes) -> bool:
            found = stored_key(search, key)
            if found is None:
                return False
            search.delete([found])
            return True

        return self._ask(change, 1)

    async def close(self, seconds: float) -> None:
        """Make what waits, and end; what takes longer than so many seconds is not waited for."""
        self._thread.shutdown(wait=False)
        if self._last is not None:
            await asyncio.wait([asyncio.wrap_future(self._last)], timeout=seconds)

    def _ask(self, change: Change, size: int) -> Future[Any]:
        answer: Future[Any] = Future()
        self._queue.put(_Asked(change, size, answer))
        self._last = self._thread.submit(self._commit)
        self._last.add_done_callback(_told)
        return answer

    def _waiting(self) -> list[_Asked]:
        """Return the changes that wait, in their order; none where an earlier commit took them."""
        group: list[_Asked] = []
        size = 0
        while size < MOST and not self._queue.empty():
            asked = self._queue.get()
            if asked.answer.set_running_or_notify_cancel():  # somebody still waits for it
                group.append(asked)
                size += asked.size
        return group

    def _commit(self) -> None:
        """Make the changes that wait and commit them together; answer each."""
        if not (group := self._waiting()):
            return
        made: list[tuple[_Asked, Any]] = []
        trouble: Exception = RuntimeError("a change failed for a reason that was not foreseen")
        try:
            with self._search.editing(wait=self._wait) as writer:
                made += [(asked, result) for asked in group for result in _changed(asked, writer)]
            for asked, result in made:
                asked.answer.set_result(result)
        except (GlaneError, OSError, MemoryError) as error:
            LOG.error("a commit failed: %s", error)
            trouble = error
        finally:  # nobody waits for ever
            for asked in group:
                if not asked.answer.done():
                    asked.answer.set_exception(trouble)


def _told(ran: Future[None]) -> None:
    """Tell of an error that nobody foresaw."""
    if (error := ran.exception()) is not None:
        LOG.error("a commit failed", exc_info=error)


def _changed(asked: _Asked, writer: Changes) -> list[Any]:
    """Make one change; return its result, or nothing where it was refused and is answered so."""
    try:
        return [asked.change(writer)]
    except GlaneError:
        raise
    except (TypeError, ValueError) as error:
        asked.answer.set_exception(error)
        return []


def stored_key(search: Answers, text: str) -> Key | None:
    """Return the id that a path or a query names: the text itself, else the integer that it is."""
    (key,) = as_stored(search.keys, [text])
    return key if key in search else None
