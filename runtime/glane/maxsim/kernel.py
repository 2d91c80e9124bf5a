"""The kernel of MaxSim over ragged documents, tested against `glane.model.scoring.maxsim`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from glane.maxsim.gemm import product
from glane.maxsim.integers import integer_product, query_codes
from glane.maxsim.quantization import TokenCodes, as_stored, unsigned, widened
from glane.model.scoring import NO_TOKENS_SCORE
from glane.ragged import join_lengths, join_runs
from glane.types import Floats, Ids, Scores
from glane.vectors import TokenVectors

BLOCK_TOKENS = 4096
"""Document tokens scored at once, at most: they stay in the cache while they are reduced, and their
memory is kept by the allocator, which gives larger pieces back each time."""

BLOCK_SIMILARITIES = 1 << 18
"""Similarities computed at once, for the same reason: fewer document tokens for many queries, down
to an eighth."""

Similarities = Callable[[Sequence[slice]], Scores]
"""Returns the products of runs of documents' tokens with all query tokens, in shape
(n_query_tokens, n_tokens)."""


def maxsim_scores(
    queries: TokenVectors,
    documents: TokenCodes,
    threads: int | None = None,
    rows: Ids | None = None,
) -> Scores:
    """Return `glane.model.scoring.maxsim` of every query with every document, or with some.

    Args:
        queries: Any number of tokens each, none included.
        documents: Likewise, of the same width; as vectors, for exact scores, or as codes, for
            those of the query's `query_codes`.
        threads: Threads to compute with; by default what the process may use.
        rows: The documents that are scored, in this order; they are read a block at a time. None
            for all.

    Returns:
        Shape (n_queries, n_documents).
    """
    rows = np.arange(len(documents)) if rows is None else rows
    starts, stops = documents.offsets[rows], documents.offsets[rows + 1]
    offsets = join_lengths(stops - starts)
    scores = np.full((len(queries), len(rows)), NO_TOKENS_SCORE, np.float32)
    filled = np.flatnonzero(np.diff(offsets))
    similarities = similarities_with(queries.values, documents, threads)
    for block in _blocks(offsets, filled, len(queries.values)):
        each = similarities(_runs(starts[block], stops[block]))
        best = np.maximum.reduceat(each, offsets[block] - offsets[block[0]], axis=1)
        scores[:, block] = _sum_rows(best, queries.offsets)
    return scores


def similarities_with(
    vectors: Floats, documents: TokenCodes, threads: int | None = None
) -> Similarities:
    """Return how similarities with some query vectors are computed, for every use of them.

    Args:
        vectors: Shape (n_query_tokens, dim).
        documents: Of the same width.
        threads: Threads to compute with; by default what the process may use.
    """
    asked = as_stored(vectors, documents)
    if isinstance(documents, TokenVectors):
        values = documents.values
        return lambda runs: product(asked, widened(join_runs(values, runs)), threads)
    codes = query_codes(asked)
    return lambda runs: integer_product(codes, unsigned(documents, runs), threads)


def _blocks(offsets: Ids, filled: Ids, n_query_tokens: int) -> list[Ids]:
    """Split the rows that are not empty into runs of about as many tokens as are scored at once."""
    if len(filled) == 0:
        return []
    fitting = min(BLOCK_TOKENS, BLOCK_SIMILARITIES // max(n_query_tokens, 1))
    cuts = np.flatnonzero(np.diff(offsets[filled] // max(fitting, BLOCK_TOKENS // 8))) + 1
    return np.split(filled, cuts)


def _runs(starts: Ids, stops: Ids) -> list[slice]:
    """Return rows that are not empty as slices, one for those that lie back to back."""
    cuts = np.flatnonzero(starts[1:] != stops[:-1]) + 1
    firsts, lasts = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(starts)]]) - 1
    return list(map(slice, starts[firsts].tolist(), stops[lasts].tolist()))


def _sum_rows(best: Floats, offsets: Ids) -> Floats:
    """Sum the rows (n_query_tokens, n_documents) that belong to each query; none sum to 0."""
    sums = np.zeros((len(offsets) - 1, best.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        sums[filled] = np.add.reduceat(best, offsets[filled], axis=0)
    return sums
