"""Retrievers and rerankers by the names that the command line and an index know them by."""

from __future__ import annotations

from pathlib import Path

from glane.errors import CheckpointError
from glane.model.checkpoint import Checkpoint
from glane.retrievers.bm25 import BM25
from glane.retrievers.colbert import ColBERT
from glane.retrievers.contract import Retriever
from glane.retrievers.sparse_embed import SparseEmbed
from glane.retrievers.splade import Splade
from glane.retrievers.tfidf import TfIdf

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
