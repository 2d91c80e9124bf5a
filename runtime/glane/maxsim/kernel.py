"""The kernel of MaxSim over ragged documents, tested against `glane.model.scoring.maxsim`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glane.maxsim.gemm import product
from glane.maxsim.integers import integer_product, query_codes
from glane.maxsim.quantization import TokenCodes, as_stored, unsigned, widened
from glane.model.scoring import NO_TOKENS_SCORE
from glane.types import Floats, Ids, Scores
from glane.vectors import TokenVectors

BLOCK_TOKENS = 4096
"""Document tokens scored at once, at most: they stay in the cache while they are reduced, and their
memory is kept by the allocator, which gives larger pieces back each time."""

BLOCK_SIMILARITIES = 1 << 18
"""Similarities computed at once, for the same reason: fewer document tokens for many queries, down
to an eighth."""

Similarities = Callable[[slice], Scores]
"""Returns the products of a run of documents' tokens with all query tokens, in shape
(n_query_tokens, n_tokens)."""


def maxsim_scores(
    queries: TokenVectors, documents: TokenCodes, threads: int | None = None
) -> Scores:
    """Return `glane.model.scoring.maxsim` of every query with every document.

    Args:
        queries: Any number of tokens each, none included.
        documents: Likewise, of the same width; as vectors, for exact scores, or as codes, for
            those of the query's `query_codes`.
        threads: Threads to compute with; by default what the process may use.

    Returns:
        Shape (n_queries, n_documents).
    """
    scores = np.full((len(queries), len(documents)), NO_TOKENS_SCORE, np.float32)
    filled = np.flatnonzero(np.diff(documents.offsets))
    similarities = similarities_with(queries.values, documents, threads)
    for block in _blocks(documents.offsets, filled, len(queries.values)):
        offsets = documents.offsets[block]
        stop = documents.offsets[block[-1] + 1]
        each = similarities(slice(offsets[0], stop))
        best = np.maximum.reduceat(each, offsets - offsets[0], axis=1)
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
        return lambda tokens: product(asked, widened(values[tokens]), threads)
    codes = query_codes(asked)
    return lambda tokens: integer_product(codes, unsigned(documents, tokens), threads)


def _blocks(offsets: Ids, filled: Ids, n_query_tokens: int) -> list[Ids]:
    """Split the rows that are not empty into runs of about as many tokens as are scored at once."""
    if len(filled) == 0:
        return []
    fitting = min(BLOCK_TOKENS, BLOCK_SIMILARITIES // max(n_query_tokens, 1))
    cuts = np.flatnonzero(np.diff(offsets[filled] // max(fitting, BLOCK_TOKENS // 8))) + 1
    return np.split(filled, cuts)


def _sum_rows(best: Floats, offsets: Ids) -> Floats:
    """Sum the rows (n_query_tokens, n_documents) that belong to each query; none sum to 0."""
    sums = np.zeros((len(offsets) - 1, best.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        sums[filled] = np.add.reduceat(best, offsets[filled], axis=0)
    return sums
