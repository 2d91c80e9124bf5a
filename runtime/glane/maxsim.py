"""MaxSim over stored token vectors: the kernel for ragged documents, and the index that uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from glane.codes import CodeKind, TokenCodes, as_stored, check_kind, decode, encode
from glane.hits import Hits, best, check_k
from glane.outlines import (
    LEVELS,
    condensed,
    document_arrays,
    join_documents,
    left_by_second,
    n_left_by_first,
    outline_of,
    outlines,
    tokens_of,
)
from glane.pooling import check_factor, pool
from glane.product import product
from glane.scoring import NO_TOKENS_SCORE
from glane.store.segments import Arrays, Parts, Segments, locate, n_left, split
from glane.stored import check_width, rerank
from glane.types import Floats, Ids, Scores
from glane.vectors import TokenVectors

BLOCK_TOKENS = 8192
"""Document tokens scored at once: their similarities stay in the cache while they are reduced."""

QUERIES_AT_ONCE = 8

EXACT_UP_TO = 2000
"""Documents that are all scored exactly: in fewer, choosing candidates saves no time."""

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

    kind: CodeKind = "float16"
    pool: int = 1
    outlines: bool = False


def maxsim_scores(
    queries: TokenVectors, documents: TokenCodes, threads: int | None = None
) -> Scores:
    """Return `glane.scoring.maxsim` of every query with every document.

    Args:
        queries: Any number of tokens each, none included.
        documents: Likewise, of the same width; decoded to float32, a block at a time.
        threads: Threads to compute with; by default what the process may use.

    Returns:
        Shape (n_queries, n_documents).
    """
    scores = np.full((len(queries), len(documents)), NO_TOKENS_SCORE, np.float32)
    filled = np.flatnonzero(np.diff(documents.offsets))
    vectors = as_stored(queries.values, documents)
    for block in _blocks(documents.offsets, filled):
        offsets = documents.offsets[block]
        stop = documents.offsets[block[-1] + 1]
        decoded = decode(documents, slice(offsets[0], stop))
        similarities = product(decoded.values, vectors, threads)
        if decoded.scales is not None:
            similarities *= decoded.scales
        best = np.maximum.reduceat(similarities, offsets - offsets[0], axis=0)
        scores[:, block] = _sum_rows(best, queries.offsets).T
    return scores


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
        """Store documents and return their numbers.

        Raises:
            ValueError: If the vectors have another width than the index.
        """
        check_width(vectors.dim, self.dim)
        storage = self.storage
        tokens = encode(pool(vectors, storage.pool), storage.kind)
        made = outlines(vectors) if storage.outlines else []
        return self.rows.add(document_arrays(tokens, made), len(vectors))

    def delete(self, ids: Ids) -> None:
        """Forget documents.

        Raises:
            ValueError: If a number is not stored, or stands twice; nothing is deleted then.
        """
        self.rows.delete(ids)

    def search(self, queries: TokenVectors, k: int) -> Hits:
        """Return the k best documents for each query.

        All are scored, unless outlines are stored of more than `EXACT_UP_TO` documents: then these
        choose candidates (`glane.outlines`), and only candidates are scored.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number.

        Raises:
            ValueError: If `k` is below 1, or the queries have another width than the index.
        """
        check_k(k)
        check_width(queries.dim, self.dim)
        parts, threads = self.rows.parts, self.threads
        choose = self.storage.outlines and n_left(parts) > EXACT_UP_TO
        rows: list[tuple[Ids, Scores]] = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            group = queries[start : start + QUERIES_AT_ONCE]
            if not choose:
                rows += _score_all(parts, group, tokens_of, threads)
                continue
            for number, ids in enumerate(_candidates(parts, group, k, threads)):
                scores = _score(parts, group[number : number + 1], ids, tokens_of, threads)
                rows.append((ids, scores))
        return Hits.from_rows(rows, k)

    def rerank(self, queries: TokenVectors, hits: Hits, k: int) -> Hits:
        """Order each query's hits anew by MaxSim.

        Args:
            queries: One for each row of hits.
            hits: Candidates, of any width; their scores are not used.
            k: Documents wanted per query, at least 1.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number.

        Raises:
            ValueError: If `k` is below 1, the queries have another width than the index, their
                number and that of the rows differ, or a candidate is not stored.
        """
        check_width(queries.dim, self.dim)
        parts, threads = self.rows.parts, self.threads

        def score(query: TokenVectors, ids: Ids) -> Scores:
            return _score(parts, query, ids, tokens_of, threads)

        return rerank(queries, hits, k, score)

    def tables(self) -> dict[str, Segments]:
        """Return what is stored."""
        return {"": self.rows}


def _candidates(parts: Parts, queries: TokenVectors, k: int, threads: int | None) -> list[Ids]:
    """Return each query's candidates: by outlines of all, then by finer ones of fewer."""
    coarse, fine = (condensed(queries, level.query_factor) for level in LEVELS)
    n_tokens = np.diff(queries.offsets).tolist()
    wanted = n_left_by_first(n_left(parts), k)
    first, second = partial(outline_of, level=0), partial(outline_of, level=1)
    chosen = []
    for number, (ids, scores) in enumerate(_score_all(parts, coarse, first, threads)):
        ids = np.sort(ids[best(scores, ids, wanted)])
        scores = _score(parts, fine[number : number + 1], ids, second, threads)
        chosen.append(ids[left_by_second(scores, k, n_tokens[number])])
    return chosen


def _score_all(
    parts: Parts, queries: TokenVectors, pick: Pick, threads: int | None
) -> list[tuple[Ids, Scores]]:
    """Return the numbers of all documents and their scores, for each query."""
    ids = np.concatenate([np.empty(0, np.int64), *(part.ids[part.kept] for part in parts)])
    blocks = [maxsim_scores(queries, pick(part.arrays), threads)[:, part.kept] for part in parts]
    nothing = np.empty((len(queries), 0), np.float32)
    return [(ids, row) for row in np.concatenate([nothing, *blocks], axis=1)]


def _score(parts: Parts, query: TokenVectors, ids: Ids, pick: Pick, threads: int | None) -> Scores:
    """Return one query's scores with documents, given in rising order of their numbers."""
    scores = [
        maxsim_scores(query, pick(part.arrays)[rows], threads)[0]
        for part, rows in split(parts, locate(parts, ids))
    ]
    return np.concatenate([np.empty(0, np.float32), *scores])


def _blocks(offsets: Ids, filled: Ids) -> list[Ids]:
    """Split the rows that are not empty into runs of about `BLOCK_TOKENS` tokens."""
    if len(filled) == 0:
        return []
    cuts = np.flatnonzero(np.diff(offsets[filled] // BLOCK_TOKENS)) + 1
    return np.split(filled, cuts)


def _sum_rows(best: Floats, offsets: Ids) -> Floats:
    """Sum the columns (n_documents, n_query_tokens) that belong to each query; none sum to 0."""
    sums = np.zeros((len(best), len(offsets) - 1), np.float32)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        sums[:, filled] = np.add.reduceat(best, offsets[filled], axis=1)
    return sums
