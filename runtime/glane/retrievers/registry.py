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

GROUP = "glane.retrievers"
"""Entry points of other packages: the name is the retriever's `kind`, the value its class."""

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


def names() -> list[str]:
    """Return the names of all retrievers, those of other packages last."""
    from importlib.metadata import entry_points  # late: it takes a third as long as numpy

    return list(dict.fromkeys([*LEXICAL, *NEURAL, *sorted(entry_points(group=GROUP).names)]))


def _own() -> dict[str, type[Retriever]]:
    return {**LEXICAL, **NEURAL}


def find(name: str) -> type[Retriever]:
    """Return the class of a retriever; those of glane go before others of the same name.

    Raises:
        ValueError: If there is none of that name, or it does not keep the contract.
    """
    own = _own()
    if name in own:
        return own[name]
    from importlib.metadata import entry_points

    found = entry_points(group=GROUP, name=name)
    if not found:
        raise ValueError(f"unknown retriever {name!r}; there are {names()}")
    kind: type[Retriever] = next(iter(found)).load()
    missing = [each for each in MEMBERS if not hasattr(kind, each)]
    if missing:
        raise ValueError(f"the class of the retriever {name!r} lacks {', '.join(missing)}")
    if getattr(kind, "kind", None) != name:
        raise ValueError(f"{kind.__name__}, the retriever {name!r}, must have `kind` = {name!r}")
    return kind


MEMBERS = (
    *("encode_documents", "encode_queries", "add", "delete", "search", "compact", "snapshot"),
    *("record", "from_record", "tables", "__len__"),
)
"""What a retriever's class has, besides its `kind`."""


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
    """Return the name by which the command line and an index find a retriever's very class.

    Raises:
        TypeError: If they would find another or none; a subclass would come back as its parent.
    """
    kind = type(retriever)
    name = str(getattr(kind, "kind", None))
    own = _own()  # asked first: looking through the packages is a third of a small commit
    if own.get(name) is kind or (name not in own and name in names() and find(name) is kind):
        return name
    raise TypeError(
        f"{kind.__name__} cannot be saved: an index would not find its class again; give it a "
        f"`kind` of its own, and name it in an entry point of the group {GROUP!r}"
    )
