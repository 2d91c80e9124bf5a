"""The kernel of MaxSim over ragged documents, tested against `glane.model.scoring.maxsim`."""

from __future__ import annotations

import numpy as np

from glane.maxsim.gemm import product
from glane.maxsim.quantization import TokenCodes, as_stored, decode
from glane.model.scoring import NO_TOKENS_SCORE
from glane.types import Floats, Ids, Scores
from glane.vectors import TokenVectors

BLOCK_TOKENS = 2048
"""Document tokens scored at once: their vectors and similarities stay in the cache while they are
reduced, and their memory is kept by the allocator, which gives larger pieces back each time."""


def maxsim_scores(
    queries: TokenVectors, documents: TokenCodes, threads: int | None = None
) -> Scores:
    """Return `glane.model.scoring.maxsim` of every query with every document.

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
