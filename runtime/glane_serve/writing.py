"""The one writer: changes that wait are made together, committed once, and then acknowledged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, NamedTuple

from glane.collection.ids import as_stored
from glane.errors import GlaneError
from glane.hits import Key
from glane.retrievers.answers import Answers
from glane.search import Search

LOG = logging.getLogger("glane.serve")

MOST = 512
"""Documents that are written by one commit, but for a request that has more."""

Change = Callable[[Search], Any]
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

    def __init__(self, search: Search, *, wait: float) -> None:
        """Begin to wait for changes.

        Args:
            search: Loaded from the index; it takes every new state.
            wait: Seconds to wait for a writer of another process.
        """
        self._search = search
        self._wait = wait
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="writer")
        self._thread.start()

    def store(self, documents: Sequence[Mapping[str, Any]]) -> Future[int]:
        """Store documents; the future has how many are new or differ, once they are on disk."""
        return self._ask(lambda search: search.add(documents), len(documents))

    def delete(self, key: str) -> Future[bool]:
        """Delete the document that a path names; the future has whether there was one."""

        def change(search: Search) -> bool:
            found = stored_key(search, key)
            if found is None:
                return False
            search.delete([found])
            return True

        return self._ask(change, 1)

    def close(self) -> None:
        """Make what waits, and end."""
        self._queue.put(None)
        self._thread.join()

    @property
    def n_waiting(self) -> int:
        """How many changes wait."""
        return self._queue.qsize()

    def _ask(self, change: Change, size: int) -> Future[Any]:
        answer: Future[Any] = Future()
        self._queue.put(_Asked(change, size, answer))
        return answer

    def _work(self) -> None:
        goes_on = True
        while goes_on:
            group, goes_on = self._next()
            if group:
                self._commit(group)

    def _next(self) -> tuple[list[_Asked], bool]:
        """Wait for changes; return those that are there, and whether more may come."""
        group: list[_Asked] = []
        size = 0
        while not group or (size < MOST and not self._queue.empty()):
            asked = self._queue.get()
            if asked is None:
                return group, False
            group.append(asked)
            size += asked.size
        return group, True

    def _commit(self, group: list[_Asked]) -> None:
        """Make a group of changes and commit them; answer each."""
        made: list[tuple[_Asked, Any]] = []
        try:
            with self._search.editing(wait=self._wait) as writer:
                made += [(asked, result) for asked in group for result in _changed(asked, writer)]
        except (GlaneError, OSError, MemoryError) as error:
            LOG.error("a commit failed: %s", error)
            for asked in group:
                if not asked.answer.done():
                    asked.answer.set_exception(error)
            return
        for asked, result in made:
            asked.answer.set_result(result)


def _changed(asked: _Asked, writer: Search) -> list[Any]:
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
