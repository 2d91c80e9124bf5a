"""An index whose documents an engine holds: what the engine is asked, and what its answer means.

`glane push` writes the documents (`glane_engines`); here are the encoders of queries, and what both
must agree on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glane.hits import Hits, Key, check_k
from glane.retrievers.bm25 import BM25
from glane.retrievers.colbert import ColBERT
from glane.retrievers.fusion import FusionSettings, Ranked, Ranking
from glane.retrievers.passages import plain
from glane.retrievers.splade import Splade
from glane.retrievers.tfidf import TfIdf
from glane.search import Search
from glane.vectors import SparseVectors, TokenVectors

WIDER = 4
"""How many times as many passages are asked for where the best were of too few documents."""


class Found(NamedTuple):
    """A document, or a passage of one, that an engine found.

    Attributes:
        number: Of the document.
        key: Its id.
        n_points: How many passages the engine holds of it.
        score: That the engine gives it.
    """

    number: int
    key: Key
    n_points: int
    score: float


class Pushed:
    """An index of which an engine holds the documents.

    Attributes:
        search: The index; its encoders read queries.
        retriever: What gives terms their weights.
        reranker: What gives tokens their vectors; None where there is none.
        state: Stands for all that decides what an engine holds.
    """

    def __init__(self, index: str | Path | Search, threads: int | None = None) -> None:
        """Open an index.

        Args:
            index: Its folder, or a search that was loaded from one.
            threads: Threads to compute with; by default what the process may use.

        Raises:
            CheckpointError: If the index is missing or damaged.
            ValueError: If the search lies in no folder, or it has a stage that no engine can
                hold: the retriever is none of BM25, TfIdf and SPLADE, or the reranker no ColBERT.
        """
        search = index if isinstance(index, Search) else Search.load(index, threads=threads)
        retriever = plain(search.retriever)
        reranker = None if search.reranker is None else plain(search.reranker)
        if not isinstance(retriever, BM25 | TfIdf | Splade):
            raise ValueError(
                f"{type(retriever).__name__} has no sparse vectors for an engine; make the index "
                "with the retriever bm25, tfidf or splade"
            )
        if not isinstance(reranker, ColBERT | None):
            raise ValueError(
                f"{type(reranker).__name__} has no token vectors for an engine; make the index "
                "with a ColBERT as its reranker, or without one"
            )
        self.search, self.retriever, self.reranker = search, retriever, reranker
        self.state = state_of(search)

    def ranking(self, option: FusionSettings) -> Ranking:
        """Return how a search ranks, and who said it; see `Search.ranking`."""
        return self.search.ranking(option)

    def terms(self, queries: Sequence[str]) -> SparseVectors:
        """Return what the terms of queries weigh; an engine multiplies them with a document's."""
        encoded = self.retriever.encode_queries(queries)
        return (
            encoded if isinstance(self.retriever, Splade) else self.retriever.weigh_queries(encoded)
        )

    def tokens(self, queries: Sequence[str]) -> TokenVectors:
        """Return the token vectors of queries; an engine scores them by MaxSim.

        Raises:
            ValueError: If the index has no reranker.
        """
        if self.reranker is None:
            raise ValueError("the index has no reranker, and so no token vectors")
        return self.reranker.encode_queries(queries)

    def check(self, held: Mapping[str, object] | None, name: str) -> None:
        """Refuse what an engine holds of another index, or of another state of this one.

        Args:
            held: What `glane push` noted beside the documents; None where it noted nothing.
            name: What holds them.

        Raises:
            ValueError: If it is not this state of this index, whole.
        """
        if held is None:
            raise ValueError(f"{name} holds no documents of glane push")
        if held.get("state") != self.state:
            raise ValueError(
                f"{name} holds another index, or another state of this one; push the index again"
            )
        if held.get("finished") is not True:
            raise ValueError(f"{name} holds a part of the index; the same glane push goes on")


def width(k: int, ranking: Ranking) -> int:
    """Return how many documents are found to be reranked, as a search has it.

    Args:
        k: Documents wanted, at least 1.
        ranking: How the search ranks.
    """
    return max(check_k(k), ranking.candidates)


def best_of_documents(found: Sequence[Found]) -> dict[int, Found]:
    """Return the best passage of each document, by number, best first.

    Args:
        found: Best first.
    """
    best: dict[int, Found] = {}
    for each in found:
        best.setdefault(each.number, each)
    return best


def ranked(
    first: Sequence[Found], second: Sequence[Found] | None, k: int, how: Ranking
) -> tuple[list[Key], list[float]]:
    """Return the best documents of one query and their scores, as a search would, fused or not.

    Args:
        first: What the retriever says, best first; each document once.
        second: What the reranker says of passages of the same documents, best first; None where
            there is none.
        k: Documents wanted, at least 1.
        how: How the search ranks.
    """
    keys = {each.number: each.key for each in first}
    again = None if second is None else _hits(list(best_of_documents(second).values()))
    numbers, scores = Ranked(_hits(first), again).best(k, how).row(0)
    return [keys[number] for number in numbers.tolist()], scores.tolist()


def state_of(search: Search) -> str:
    """Return what stands for all of an index that decides what an engine holds of it.

    That is its settings, but those of fusion, and what is stored, by the files' checksums.

    Raises:
        ValueError: If the search lies in no folder, or changed since.
    """
    if search.origin is None or not search.is_saved:
        raise ValueError(f"{search!r} lies in no folder as it is; save it first")
    manifest = search.origin.manifest
    settings = {n: v for n, v in manifest.settings["search"].items() if n != "fusion"}
    tables = {name: asdict(table) for name, table in manifest.tables.items()}
    files = {name: entry for name, entry in manifest.files.items() if name.startswith("segments/")}
    told = [settings, manifest.settings["stages"], tables, files]
    return blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).hexdigest()


def _hits(found: Sequence[Found]) -> Hits:
    ids = np.array([each.number for each in found], np.int64)
    scores = np.array([each.score for each in found], np.float32)
    return Hits.from_rows([(ids, scores)], max(1, len(found)))
