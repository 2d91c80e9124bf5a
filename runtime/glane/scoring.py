"""The definitions of the scores, a few lines each, over numpy or torch arrays alike.

`xp` is the array module, `numpy` or `torch`: a loss differentiates through the very definition
that search is tested against. The fast kernels live elsewhere.
"""

from typing import Any

NO_TOKENS_SCORE = -10_000.0
"""MaxSim of a document that has no token: finite, and below every score of unit vectors."""


def maxsim(queries: Any, documents: Any, query_mask: Any, document_mask: Any, *, xp: Any) -> Any:  # noqa: ANN401 (arrays of either module)
    r"""Return how well each query's tokens are covered by a document's tokens.

    sum over query tokens i of max over document tokens j of q_i · d_j (Khattab and Zaharia, SIGIR
    2020, eq. 3). A masked document token never wins the maximum; a masked query token adds 0; a
    document with no token left scores `NO_TOKENS_SCORE`.

    Args:
        queries: Shape (..., n_query_tokens, dim).
        documents: Shape (..., n_document_tokens, dim); leading axes broadcast with the queries'.
        query_mask: Boolean, shape (..., n_query_tokens), true where a token counts.
        document_mask: Boolean, shape (..., n_document_tokens).
        xp: The array module of all four, `numpy` or `torch`.

    Returns:
        Scores, shape (...), in [-n_query_tokens, n_query_tokens] for unit vectors.
    """
    similarities = xp.matmul(queries, xp.swapaxes(documents, -1, -2))
    if documents.shape[-2] == 0:
        return similarities.sum((-1, -2)) + NO_TOKENS_SCORE
    similarities = xp.where(document_mask[..., None, :], similarities, NO_TOKENS_SCORE)
    best = xp.amax(similarities, -1)
    total = xp.where(query_mask, best, 0.0).sum(-1)
    return xp.where(document_mask.any(-1), total, NO_TOKENS_SCORE)
