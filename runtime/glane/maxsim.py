"""MaxSim over stored token vectors: the kernel for ragged documents, and the index that uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glane.checkpoint import FORMAT_VERSION, Schema
from glane.codes import CodeKind, TokenCodes, check_kind, decode
from glane.hits import Hits, best, check_k
from glane.outlines import LEVELS, DocumentVectors, condensed, document_vectors
from glane.pooling import check_factor
from glane.scoring import NO_TOKENS_SCORE
from glane.stored import StoredVectors, check_width, rerank
from glane.types import Floats, Ids, Scores
from glane.vectors import TokenVectors

BLOCK_TOKENS = 8192
"""Document tokens scored at once: their similarities stay in the cache while they are reduced."""

QUERIES_AT_ONCE = 8

ROUNDING = np.float32(1e-3)
"""More than two ways of computing one score can differ by."""

Pick = Callable[[DocumentVectors], TokenCodes]

EXACT_UP_TO = 2000
"""Documents that are all scored exactly: in fewer, choosing candidates saves no time."""


def exact_scores(query: TokenVectors, documents: TokenCodes, rows: Ids) -> Scores:
    """Return `glane.scoring.maxsim` of one query with some documents, one document at a time.

    A matrix product rounds a row by its place among others. Here a document has no others: its
    score is the same bit for bit in whatever batch, index or order, and equal documents tie.

    Args:
        query: One row.
        documents: Of the same width.
        rows: Shape (n,), rows of documents.

    Returns:
        Shape (n,).
    """
    asked = np.asarray(query.values, np.float32).T
    scores = np.full(len(rows), NO_TOKENS_SCORE, np.float32)
    starts, stops = documents.offsets[:-1][rows].tolist(), documents.offsets[1:][rows].tolist()
    for place, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        if start < stop:
            similarities = decode(documents, slice(start, stop)) @ asked
            scores[place] = similarities.max(axis=0).sum()
    return scores


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStorage(Schema):
    """How an index stores documents: `token_vectors.json`.

    Attributes:
        format_version: Version of this schema.
        dim: Width of a vector.
        kind: What a component of a vector is stored as.
        pool: Tokens for one stored vector; 1 keeps each.
        outlines: Whether outlines are stored, from which a search picks its candidates.
    """

    file_name = "token_vectors.json"

    format_version: int = FORMAT_VERSION
    dim: int
    kind: CodeKind
    pool: int
    outlines: bool


def maxsim_scores(queries: TokenVectors, documents: TokenCodes) -> Scores:
    """Return `glane.scoring.maxsim` of every query with every document.

    Args:
        queries: Any number of tokens each, none included.
        documents: Likewise, of the same width; decoded to float32, a block at a time.

    Returns:
        Shape (n_queries, n_documents).
    """
    scores = np.full((len(queries), len(documents)), NO_TOKENS_SCORE, np.float32)
    filled = np.flatnonzero(np.diff(documents.offsets))
    vectors = np.asarray(queries.values, np.float32).T
    for block in _blocks(documents.offsets, filled):
        offsets = documents.offsets[block]
        stop = documents.offsets[block[-1] + 1]
        similarities = decode(documents, slice(offsets[0], stop)) @ vectors
        best = np.maximum.reduceat(similarities, offsets - offsets[0], axis=0)
        scores[:, block] = _sum_rows(best, queries.offsets).T
    return scores


class MaxSimIndex:
    """Token vectors of documents, searched and reranked by MaxSim.

    Numbers are given in order of writing and never reused.
    """

    def __init__(
        self, dim: int, *, kind: CodeKind = "float16", pool: int = 1, outlines: bool = False
    ) -> None:
        """Make an empty index.

        Args:
            dim: Width of a vector.
            kind: What a component of a vector is stored as.
            pool: Tokens of a document for one stored vector; 1 keeps each.
            outlines: Whether outlines are stored too, for `search` to pick candidates from; an
                index that only reranks needs none.

        Raises:
            ValueError: If the kind is unknown or cannot hold the width, or `pool` is below 1.
        """
        check_kind(kind, dim)
        check_factor(pool)
        self.storage = TokenStorage(dim=dim, kind=kind, pool=pool, outlines=outlines)
        nothing = TokenVectors(np.zeros(1, np.int64), np.empty((0, dim), np.float32))
        self._stored = StoredVectors(self._documents(nothing))

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.storage.dim

    def __len__(self) -> int:
        """Return how many documents are stored and not deleted."""
        return len(self._stored)

    def add(self, vectors: TokenVectors) -> Ids:
        """Store documents and return their numbers.

        Raises:
            ValueError: If the vectors have another width than the index.
        """
        check_width(vectors.dim, self.dim)
        return self._stored.add(self._documents(vectors))

    def delete(self, ids: Ids) -> None:
        """Forget documents.

        Raises:
            ValueError: If a number is not stored, or stands twice; nothing is deleted then.
        """
        self._stored.delete(ids)

    def search(self, queries: TokenVectors, k: int) -> Hits:
        """Return the k best documents for each query.

        All are scored, unless the index has outlines and more than `EXACT_UP_TO` documents: then
        their outlines choose candidates (`glane.outlines.LEVELS`), and these are scored.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number. Every score is exact
            over the vectors as stored.

        Raises:
            ValueError: If `k` is below 1.
        """
        check_k(k)
        choose = self._candidates if self._has_candidates() else self._near_best
        rows: list[tuple[Ids, Scores]] = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            group = queries[start : start + QUERIES_AT_ONCE]
            for number, ids in enumerate(choose(group, k)):
                rows.append((ids, self._exact(group[number : number + 1], ids)))
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
            ValueError: If `k` is below 1, the numbers of queries and of rows differ, or a
                candidate is not stored.
        """
        return rerank(queries, hits, k, self._exact)

    def save(self, folder: str | Path) -> None:
        """Write the index into a folder, made where it is missing."""
        self._stored.save(folder)
        self.storage.write(folder)

    @classmethod
    def load(cls, folder: str | Path) -> MaxSimIndex:
        """Map what `save` wrote.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        storage = TokenStorage.read(folder)
        index = cls(storage.dim, kind=storage.kind, pool=storage.pool, outlines=storage.outlines)
        vectors = DocumentVectors.load(folder, storage.kind, outlines=storage.outlines)
        index._stored = StoredVectors.load(folder, vectors)
        return index

    def _documents(self, vectors: TokenVectors) -> DocumentVectors:
        storage = self.storage
        return document_vectors(vectors, storage.kind, storage.pool, outlines=storage.outlines)

    def _has_candidates(self) -> bool:
        return self.storage.outlines and len(self) > EXACT_UP_TO

    def _near_best(self, queries: TokenVectors, k: int) -> list[Ids]:
        """Return each query's k best of all documents, and those as good but for rounding."""
        return [
            ids[scores >= _kth(scores, k) - ROUNDING]
            for ids, scores in self._scored_all(queries, lambda part: part.tokens)
        ]

    def _candidates(self, queries: TokenVectors, k: int) -> list[Ids]:
        """Return each query's candidates: by outlines of all, then by finer ones of fewer."""
        wanted = [level.keeps(len(self), k) for level in LEVELS]
        first, *finer = [condensed(queries, level.query_factor) for level in LEVELS]
        chosen = []
        for number, row in enumerate(self._scored_all(first, lambda part: part.outlines[0])):
            ids = _best(*row, wanted[0])
            for level, asked in enumerate(finer, start=1):
                scores = self._outlined(asked[number : number + 1], ids, level)
                ids = _best(ids, scores, wanted[level])
            chosen.append(ids)
        return chosen

    def _scored_all(self, queries: TokenVectors, pick: Pick) -> list[tuple[Ids, Scores]]:
        """Return the numbers of all documents and their scores, for each query."""
        alive = self._stored.alive()
        blocks = [maxsim_scores(queries, pick(part)) for part in self._stored.parts]
        return [(alive, row[alive]) for row in np.concatenate(blocks, axis=1)]

    def _outlined(self, query: TokenVectors, ids: Ids, level: int) -> Scores:
        """Return one query's scores with outlines, of numbers in rising order."""
        parts = [
            maxsim_scores(query, part.outlines[level][rows])[0]
            for part, rows in self._stored.split(ids)
        ]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def _exact(self, query: TokenVectors, ids: Ids) -> Scores:
        """Return one query's scores with documents, of numbers in rising order."""
        parts = [exact_scores(query, part.tokens, rows) for part, rows in self._stored.split(ids)]
        return np.concatenate([np.empty(0, np.float32), *parts])


def _kth(scores: Scores, k: int) -> np.float32:
    """Return the k-th highest score, or what is below all where there are fewer."""
    if k > len(scores):
        return np.float32(-np.inf)
    return np.float32(np.partition(scores, len(scores) - k)[len(scores) - k])


def _best(ids: Ids, scores: Scores, n: int) -> Ids:
    """Return the n documents of the highest scores, in rising order of their numbers."""
    return np.sort(ids[best(scores, ids, n)])


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
