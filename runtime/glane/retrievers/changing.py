"""What a search can be asked to change, wherever its documents lie."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from glane.errors import StaleError
from glane.hits import Key
from glane.retrievers.explaining import Explains

TURNS = 3
"""How often something is read where the documents change under it."""

T = TypeVar("T")


class Changes(Explains):
    """A search whose documents come and go; safe from many threads."""

    @abstractmethod
    def add(self, documents: Iterable[Mapping[str, Any]], /) -> int:
        """Store documents, and return how many are new or differ."""

    @abstractmethod
    def delete(self, keys: Iterable[Key], /) -> None:
        """Forget documents."""

    @abstractmethod
    def refresh(self) -> bool:
        """Take the newest state, and return whether there was one."""

    @abstractmethod
    def editing(self, *, wait: float = 0) -> AbstractContextManager[Changes]:
        """Be the only writer while the block runs, for at most so many seconds' waiting."""

    def read(self, call: Callable[[Explains], T]) -> T:
        """Return what a function reads, all of it from one state.

        Where that state is gone before the end, it is called again with the newest.

        Args:
            call: Takes what answers from one state.

        Raises:
            StaleError: If that happens again and again.
        """
        for _ in range(TURNS - 1):
            try:
                return call(self.view())
            except StaleError:
                self.refresh()
        return call(self.view())
