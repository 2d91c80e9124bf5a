"""What every retriever and reranker can do, and how they are found by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from glane.bm25 import BM25
from glane.checkpoint import Checkpoint, CheckpointError
from glane.colbert import ColBERT
from glane.hits import Hits
from glane.sparse_embed import SparseEmbed
from glane.splade import Splade
from glane.store.segments import Segments
from glane.tfidf import TfIdf
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


LEXICAL: dict[str, type[BM25] | type[TfIdf]] = {"bm25": BM25, "tfidf": TfIdf}
NEURAL: dict[str, type[ColBERT] | type[Splade] | type[SparseEmbed]] = {
    "splade": Splade,
    "sparse-embed": SparseEmbed,
    "colbert": ColBERT,
}
RERANKERS: dict[str, type[ColBERT] | type[SparseEmbed]] = {
    "sparse-embed": SparseEmbed,
    "colbert": ColBERT,
}


def load_reranker(model: str | Path, threads: int | None = None) -> ColBERT | SparseEmbed:
    """Load an exported model as the reranker that its `glane.json` says it is.

    Raises:
        CheckpointError: If the model cannot be loaded, or is of a kind that does not rerank.
    """
    kind = Checkpoint.read(model).kind
    if kind not in RERANKERS:
        raise CheckpointError(
            f"{str(model)!r} holds a {kind} model, which does not rerank; expected one of "
            f"{list(RERANKERS)}"
        )
    return RERANKERS[kind].load(model, threads=threads)


def name_of(retriever: Retriever) -> str:
    """Return the name by which the command line and an index know a retriever.

    Raises:
        TypeError: If it is none of glane's.
    """
    for name, kind in {**LEXICAL, **NEURAL}.items():
        if isinstance(retriever, kind):
            return name
    raise TypeError(f"{type(retriever).__name__} is none of {[*LEXICAL, *NEURAL]}")
