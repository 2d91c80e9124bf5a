"""What every retriever and reranker can do, and how they are found by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from glane.bm25 import BM25
from glane.colbert import ColBERT
from glane.encoder import Encoder
from glane.hits import Hits
from glane.store.segments import Segments
from glane.tfidf import TfIdf
from glane.types import Ids


class Retriever(Protocol):
    """Finds the best of its documents; representations go in and hits come out.

    `Any` stands for the retriever's own representation: `SparseVectors` or `TokenVectors`.
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
class Neural(Retriever, Protocol):
    """A retriever whose representations a model computes: none is computed twice."""

    @property
    def encoder(self) -> Encoder:
        """The model."""
        ...

    def take(self, ids: Ids) -> Any:  # noqa: ANN401
        """Return what is stored of documents, given in rising order of their numbers."""


@runtime_checkable
class Reranker(Retriever, Protocol):
    """A retriever that can also order the candidates of another."""

    def rerank(self, queries: Any, hits: Hits, k: int) -> Hits:  # noqa: ANN401
        """Order each query's hits anew."""
        ...


LEXICAL: dict[str, type[BM25] | type[TfIdf]] = {"bm25": BM25, "tfidf": TfIdf}
NEURAL: dict[str, type[ColBERT]] = {"colbert": ColBERT}


def name_of(retriever: Retriever) -> str:
    """Return the name by which the command line and an index know a retriever.

    Raises:
        TypeError: If it is none of glane's.
    """
    for name, kind in {**LEXICAL, **NEURAL}.items():
        if isinstance(retriever, kind):
            return name
    raise TypeError(f"{type(retriever).__name__} is none of {[*LEXICAL, *NEURAL]}")
