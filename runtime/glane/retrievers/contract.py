"""What every retriever and reranker can do; imports none of them.

To add a retriever: a class that keeps this contract and, where it is to be found by name, a line in
`registry.py` or an entry point of the group `glane.retrievers` in a package of one's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from glane.hits import Hits
from glane.store.segments import Segments
from glane.types import Ids


class Retriever(Protocol):
    """Finds the best of its documents; representations go in and hits come out.

    `Any` stands for the retriever's own representation: `SparseVectors`, `TokenVectors` or
    `TermEmbeddings`.
    """

    def encode_documents(self, documents: Sequence[str]) -> Any:  # noqa: ANN401
        """Return the representations of documents."""

    def encode_queries(self, queries: Sequence[str]) -> Any:  # noqa: ANN401
        """Return the representations of queries."""

    def add(self, vectors: Any) -> Ids:  # noqa: ANN401
        """Store documents and return their numbers."""
        ...

    def delete(self, ids: Ids) -> None:
        """Forget documents."""

    def search(self, queries: Any, k: int) -> Hits:  # noqa: ANN401
        """Return the k best documents for each query."""
        ...

    def compact(self) -> None:
        """Drop what is left of deleted documents."""

    def save(self, folder: str | Path) -> None:
        """Write what is stored into a folder."""

    def record(self) -> dict[str, Any]:
        """Return what makes an equal, empty retriever, as JSON."""
        ...

    def tables(self) -> dict[str, Segments]:
        """Return what is stored, by name."""
        ...

    def __len__(self) -> int:
        """Return how many documents are stored."""
        ...


@runtime_checkable
class Reranker(Retriever, Protocol):
    """A retriever that can also order the candidates of another."""

    def rerank(self, queries: Any, hits: Hits, k: int) -> Hits:  # noqa: ANN401
        """Order each query's hits anew."""
        ...
