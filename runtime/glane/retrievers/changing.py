"""What a search can be asked to change, wherever its documents lie."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from glane.hits import Key
from glane.retrievers.explaining import Explains


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
