"""MaxSim over stored token vectors: the kernel for ragged documents, and the index that uses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glane.hits import Hits, check_k
from glane.scoring import NO_TOKENS_SCORE
from glane.stored import StoredVectors, check_width, rerank
from glane.types import Floats, Ids, Scores
from glane.vectors import TokenVectors

BLOCK_TOKENS = 8192
"""Document tokens scored at once: their similarities stay in the cache while they are reduced."""

QUERIES_AT_ONCE = 8

HALF_BITS = np.uint32(0x8FFFE000).view(np.int32)
"""The sign, and where the other 15 bits of a float16 stand after a shift left by 13."""


def maxsim_scores(queries: TokenVectors, documents: TokenVectors) -> Scores:
    """Return `glane.scoring.maxsim` of every query with every document.

    Args:
        queries: Any number of tokens each, none included.
        documents: Likewise; float16 is scored as float32.

    Returns:
        Shape (n_queries, n_documents).
    """
    scores = np.full((len(queries), len(documents)), NO_TOKENS_SCORE, np.float32)
    filled = np.flatnonzero(np.diff(documents.offsets))
    vectors = np.asarray(queries.values, np.float32).T
    for block in _blocks(documents.offsets, filled):
        offsets = documents.offsets[block]
        stop = documents.offsets[block[-1] + 1]
        tokens = widened(documents.values[offsets[0] : stop])
        similarities = tokens @ vectors
        best = np.maximum.reduceat(similarities, offsets - offsets[0], axis=0)
        scores[:, block] = _sum_rows(best, queries.offsets).T
    return scores


def widened(values: Floats) -> Floats:
    """Return finite float16 values as float32, six times faster than numpy converts them.

    Sign, exponent and fraction are moved to their places in a float32; the exponent's bias, 15
    against 127, is made up for by 2 ** 112, which is exact, for subnormal numbers too.

    Args:
        values: float16, or what is float32 already and comes back as it is.
    """
    if values.dtype != np.float16:
        return np.asarray(values, np.float32)
    bits = np.ascontiguousarray(values).view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= HALF_BITS
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    return wide


class MaxSimIndex:
    """Token vectors of documents, kept as float16, searched and reranked by exact MaxSim.

    Numbers are given in order of writing and never reused.
    """

    def __init__(self, dim: int) -> None:
        """Make an empty index.

        Args:
            dim: Width of a vector.
        """
        nothing = TokenVectors(np.zeros(1, np.int64), np.empty((0, dim), np.float16))
        self.dim = dim
        self._stored = StoredVectors(nothing)

    def __len__(self) -> int:
        """Return how many documents are stored and not deleted."""
        return len(self._stored)

    def add(self, vectors: TokenVectors) -> Ids:
        """Store documents and return their numbers.

        Raises:
            ValueError: If the vectors have another width than the index.
        """
        check_width(vectors.dim, self.dim)
        return self._stored.add(vectors.half())

    def delete(self, ids: Ids) -> None:
        """Forget documents.

        Raises:
            ValueError: If a number is not stored, or stands twice; nothing is deleted then.
        """
        self._stored.delete(ids)

    def search(self, queries: TokenVectors, k: int) -> Hits:
        """Return the k best documents for each query, by scoring them all.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number.

        Raises:
            ValueError: If `k` is below 1.
        """
        check_k(k)
        alive = self._stored.alive()
        rows = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            group = queries[start : start + QUERIES_AT_ONCE]
            blocks = [maxsim_scores(group, part) for part in self._stored.parts]
            rows += [(alive, row[alive]) for row in np.concatenate(blocks, axis=1)]
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

        def score(query: TokenVectors, ids: Ids) -> Scores:
            chosen = [part[rows] for part, rows in self._stored.split(ids)]
            if not chosen:
                return np.empty(0, np.float32)
            scores: Scores = maxsim_scores(query, TokenVectors.concatenate(chosen))[0]
            return scores

        return rerank(queries, hits, k, score)

    def save(self, folder: str | Path) -> None:
        """Write the index into a folder, made where it is missing."""
        self._stored.save(folder)

    @classmethod
    def load(cls, folder: str | Path) -> MaxSimIndex:
        """Map what `save` wrote.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        vectors = TokenVectors.load(folder)
        index = cls(vectors.dim)
        index._stored = StoredVectors.load(folder, vectors)
        return index


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
