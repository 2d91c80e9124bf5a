"""Token vectors of documents: how they are stored, searched and scored by MaxSim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from glane.hits import Hits, check_k
from glane.maxsim.kernel import maxsim_scores, similarities_with
from glane.maxsim.outlines import LEVELS, condensed, left_by_second, n_left_by_first, outlines
from glane.maxsim.pooling import check_factor, pool
from glane.maxsim.quantization import (
    CodedVectors,
    CodeKind,
    TokenCodes,
    check_kind,
    check_tokens,
    encode,
)
from glane.store.columns import Column
from glane.store.segments import (
    Arrays,
    Columns,
    Parts,
    Segment,
    Segments,
    ids_left,
    join_ragged,
    locate,
    n_left,
    places,
    rows_within,
    split,
)
from glane.types import Floats, Ids, Mask, Scores, unshared
from glane.vectors import TokenVectors

QUERIES_AT_ONCE = 8

EXACT_UP_TO = 2000
"""Documents that are all scored exactly: in fewer, choosing candidates saves no time."""

FEW_OF = 4
"""Of so many documents one: then only those that are left are scored, else all in one product."""

Pick = Callable[[Arrays], TokenCodes]
"""Which of a segment's vectors are scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStorage:
    """How documents are stored.

    Attributes:
        kind: What a component of a vector is stored as.
        pool: Tokens of a document for one stored vector, at least 1, which keeps each.
        outlines: Whether outlines are stored too, for `search` to choose candidates by; an index
            that only reranks needs none.
    """

    kind: CodeKind = "int8"
    pool: int = 1
    outlines: bool = False


class MaxSimIndex:
    """Token vectors of documents, searched and reranked by MaxSim.

    Numbers are given in order of writing and never reused.

    Attributes:
        dim: Width of a vector.
        storage: How documents are stored.
        threads: Threads to compute with; None for what the process may use.
        rows: Where they are.
    """

    def __init__(
        self, dim: int, storage: TokenStorage = TokenStorage(), threads: int | None = None
    ) -> None:
        """Make an empty index.

        Args:
            dim: Width of a vector.
            storage: How documents are stored.
            threads: Threads to compute with; by default what the process may use.

        Raises:
            ValueError: If the kind is unknown or cannot hold the width, or the pool is below 1.
        """
        check_kind(storage.kind, dim)
        check_factor(storage.pool)
        self.dim, self.storage, self.threads = dim, storage, threads
        self.rows = Segments(join_documents)

    def __len__(self) -> int:
        """Return how many documents are stored and not deleted."""
        return len(self.rows)

    def add(self, vectors: TokenVectors) -> Ids:
        """Store documents and return their numbers; the arrays given are not kept.

        Raises:
            TypeError: If `vectors` are not `TokenVectors`.
            ValueError: If they have another width than the index, offsets that fall, or a
                component that is not finite or larger than 65,504.
        """
        check_tokens(vectors, self.dim, "vectors")
        storage = self.storage
        tokens = encode(pool(vectors, storage.pool), storage.kind)
        made = outlines(vectors) if storage.outlines else []
        arrays = unshared(document_arrays(tokens, made), vectors.offsets, vectors.values)
        return self.rows.add(arrays, len(vectors))

    def delete(self, ids: Ids) -> None:
        """Forget documents.

        Raises:
            ValueError: If a number is not stored, or appears twice; nothing is deleted then.
        """
        self.rows.delete(ids)

    def search(self, queries: TokenVectors, k: int, within: Mask | None = None) -> Hits:
        """Return the k best documents for each query.

        All are scored, unless outlines are stored of more than `EXACT_UP_TO` documents: then these
        choose candidates (`glane.maxsim.outlines`), and only candidates are scored.

        Args:
            queries: Of the index's width.
            k: At least 1.
            within: By number, which documents may be hits; None for all.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number.

        Raises:
            TypeError: If `k` is not an integer, or `queries` are not `TokenVectors`.
            ValueError: If `k` is below 1, or the queries are broken, as in `add`.
        """
        k = check_k(k)
        check_tokens(queries, self.dim, "queries")
        n_documents = self.n_within(within) if self.storage.outlines else 0
        if n_documents <= EXACT_UP_TO:
            return self.exact(queries, k, within)
        coarse, fine = condensed(queries, [level.query_factor for level in LEVELS])
        leaders = self.leaders(coarse, n_left_by_first(n_documents, k), within)
        estimate, score = self.scorer(outlined=True), self.scorer()
        rows = []
        for number, n_tokens in enumerate(np.diff(queries.offsets).tolist()):
            own, ids = slice(number, number + 1), np.sort(leaders.row(number)[0])
            ids = ids[left_by_second(estimate(fine[own], ids), k, n_tokens)]
            rows.append((ids, score(queries[own], ids)))
        return Hits.from_rows(rows, k)

    def n_within(self, within: Mask | None) -> int:
        """Return how many documents may be hits."""
        return n_left(self._within(within))

    def exact(self, queries: TokenVectors, k: int, within: Mask | None = None) -> Hits:
        """Return what `search` does where all documents are scored."""
        parts, threads = self._within(within), self.threads
        few = _ids_if_few(parts)
        rows: list[tuple[Ids, Scores]] = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            group = queries[start : start + QUERIES_AT_ONCE]
            if few is None:
                rows += _score_all(parts, group, tokens_of, threads)
                continue
            each = [group[number : number + 1] for number in range(len(group))]
            rows += [(few, _score(parts, query, few, tokens_of, threads)) for query in each]
        return Hits.from_rows(rows, k)

    def leaders(self, queries: TokenVectors, n: int, within: Mask | None = None) -> Hits:
        """Return the n documents that the first level of outlines gives the highest scores.

        Args:
            queries: `condensed` for that level.
            n: At least 1.
            within: As in `search`.
        """
        parts, first = self._within(within), partial(outline_of, level=0)
        rows: list[tuple[Ids, Scores]] = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            group = queries[start : start + QUERIES_AT_ONCE]
            rows += _score_all(parts, group, first, self.threads)
        return Hits.from_rows(rows, n)

    def scorer(self, *, outlined: bool = False) -> Callable[[TokenVectors, Ids], Scores]:
        """Return the function that scores one query with stored documents, as they are now.

        It takes the query's row and the documents' numbers, rising; a number that is not stored,
        or vectors of another width, are a `ValueError`.

        Args:
            outlined: Whether it estimates the scores by the second level of outlines, of queries
                `condensed` for that level.
        """
        parts = self.rows.parts

        def score(query: TokenVectors, ids: Ids) -> Scores:
            check_tokens(query, self.dim, "queries")
            return _score(parts, query, ids, tokens_of, self.threads)

        def estimate(query: TokenVectors, ids: Ids) -> Scores:
            return _score(parts, query, ids, partial(outline_of, level=1), self.threads)

        return estimate if outlined else score

    def similarities(self, query: TokenVectors, number: int) -> Floats:
        """Return the products of one query's tokens with the stored vectors of a document.

        Args:
            query: Of the index's width, one row.
            number: Of the document.

        Returns:
            float32, shape (n_query_tokens, n_stored).

        Raises:
            ValueError: If the number is not stored, or the query has another width.
        """
        check_tokens(query, self.dim, "queries")
        stored = self.stored(number)
        return similarities_with(query.values, stored, self.threads)([slice(None)])

    def stored(self, number: int) -> TokenCodes:
        """Return what is stored of a document, one row.

        Raises:
            ValueError: If the number is not stored.
        """
        ((part, row),) = places(self.rows.parts, [number])
        return tokens_of(part.arrays)[row : row + 1]

    def snapshot(self) -> Self:
        """Return an equal index; changes of one leave the other alone, and nothing is copied."""
        made = copy(self)
        made.rows = self.rows.snapshot()
        return made

    def tables(self) -> dict[str, Segments]:
        """Return what is stored."""
        return {"": self.rows}

    def _within(self, within: Mask | None) -> Parts:
        """Return the documents that may be hits."""
        parts = self.rows.parts
        if within is None:
            return parts
        return tuple(part.only(own) for part, own in split(parts, rows_within(parts, within)))


def _ids_if_few(parts: Parts) -> Ids | None:
    """Return the numbers of the documents left where that are so few that each is read alone."""
    if n_left(parts) * FEW_OF > sum(part.n_rows for part in parts):
        return None
    return ids_left(parts)


def _score_all(
    parts: Parts, queries: TokenVectors, pick: Pick, threads: int | None
) -> list[tuple[Ids, Scores]]:
    """Return the numbers of all documents and their scores, for each query."""
    ids = ids_left(parts)
    blocks = [maxsim_scores(queries, pick(part.arrays), threads)[:, part.kept] for part in parts]
    nothing = np.empty((len(queries), 0), np.float32)
    return [(ids, row) for row in np.concatenate([nothing, *blocks], axis=1)]


def _score(parts: Parts, query: TokenVectors, ids: Ids, pick: Pick, threads: int | None) -> Scores:
    """Return one query's scores with documents, given in rising order of their numbers."""
    scores = [
        maxsim_scores(query, pick(part.arrays), threads, rows)[0]
        for part, rows in split(parts, locate(parts, ids))
    ]
    return np.concatenate([np.empty(0, np.float32), *scores])


def document_arrays(tokens: TokenCodes, outlines: Sequence[CodedVectors]) -> Arrays:
    """Return what is stored of documents as named arrays.

    Args:
        tokens: Their token vectors.
        outlines: From `outlines`, or none.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, codes in (("tokens", tokens), *((f"outline{n}", o) for n, o in enumerate(outlines))):
        arrays |= {f"{name}.{each.name}": getattr(codes, each.name) for each in fields(codes)}
    return arrays


def tokens_of(arrays: Arrays) -> TokenCodes:
    """Return the token vectors among the arrays of documents."""
    if "tokens.values" in arrays:
        return TokenVectors(arrays["tokens.offsets"], arrays["tokens.values"])
    return _coded(arrays, "tokens")


def outline_of(arrays: Arrays, level: int) -> CodedVectors:
    """Return the outlines of a level among the arrays of documents."""
    return _coded(arrays, f"outline{level}")


def join_documents(parts: Sequence[Segment]) -> Columns:
    """Return the arrays of the documents that are left in some segments, in order."""
    groups: dict[str, list[str]] = {}
    for name in parts[0].arrays:
        groups.setdefault(name.partition(".")[0], []).append(name)
    joined: dict[str, npt.NDArray[Any] | Column] = {}
    for group, names in groups.items():
        offsets = f"{group}.offsets"
        joined |= join_ragged(parts, offsets, *(name for name in names if name != offsets))
    return joined


def _coded(arrays: Arrays, name: str) -> CodedVectors:
    return CodedVectors(*(arrays[f"{name}.{each.name}"] for each in fields(CodedVectors)))
