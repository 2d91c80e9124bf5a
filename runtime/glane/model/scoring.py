"""The definitions of the scores, a few lines each, over numpy or torch arrays alike.

`xp` is the array module, `numpy` or `torch`: a loss differentiates through the very definition
that search is tested against. The fast kernels live elsewhere.
"""

from typing import Any

from glane.model.checkpoint import Activation, Pooling

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


def splade_weights(
    logits: Any,  # noqa: ANN401 (arrays of either module)
    mask: Any,  # noqa: ANN401
    *,
    xp: Any,  # noqa: ANN401
    pooling: Pooling = "max",
    activation: Activation = "relu",
) -> Any:  # noqa: ANN401
    r"""Return the weight of each term of the vocabulary in each text.

    w_t = log(1 + ReLU(max over positions i of logit_it)), which is max over i of
    log(1 + ReLU(logit_it)) (Formal et al., SPLADE v2, 2021, eq. 6), since both functions rise: the
    maximum goes first, so that the rest is done once for all positions. With `pooling` "sum", the
    sum over i of the same (Formal et al., SPLADE, SIGIR 2021, eq. 1); with `activation`
    "log1p_relu", log(1 + log(1 + ReLU(logit_it))) in its place (Geng et al., 2025).

    Args:
        logits: Of the masked language model, shape (..., n_tokens, n_vocabulary).
        mask: Boolean, shape (..., n_tokens), true where a token counts.
        xp: The array module of both, `numpy` or `torch`.
        pooling: How the tokens' weights become one.
        activation: What is done with a logit before log(1 + x).

    Returns:
        Weights, shape (..., n_vocabulary), at least 0; a text with no token has none.
    """
    if logits.shape[-2] == 0:
        return logits.sum(-2)
    kept = xp.where(mask[..., None], logits, 0.0)
    if pooling == "max":
        return saturated(xp.amax(kept, -2), activation, xp=xp)
    return saturated(kept, activation, xp=xp).sum(-2)


def saturated(logits: Any, activation: Activation, *, xp: Any) -> Any:  # noqa: ANN401
    """Return log(1 + ReLU(x)) of each logit, or log(1 + log(1 + ReLU(x))), of any shape."""
    once = xp.log1p(xp.where(logits > 0, logits, 0.0))
    return xp.log1p(once) if activation == "log1p_relu" else once


def sparse_dot(queries: Any, documents: Any, *, xp: Any) -> Any:  # noqa: ANN401
    """Return the sum over terms of query weight times document weight.

    Args:
        queries: Shape (n_queries, n_vocabulary), 0 where a term is absent.
        documents: Shape (n_documents, n_vocabulary).
        xp: The array module of both, `numpy` or `torch`.

    Returns:
        Scores, shape (n_queries, n_documents).
    """
    return xp.matmul(queries, xp.swapaxes(documents, -1, -2))


def sparse_embed_score(
    query_terms: Any,  # noqa: ANN401
    document_terms: Any,  # noqa: ANN401
    query_embeddings: Any,  # noqa: ANN401
    document_embeddings: Any,  # noqa: ANN401
    *,
    xp: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Return the sum over shared terms t of e_t(query) · e_t(document).

    Kong et al., "SparseEmbed: Learning Sparse Lexical Representations with Contextual Embeddings
    for Retrieval", SIGIR 2023, eq. 5.

    Args:
        query_terms: Term numbers, shape (..., n_query_terms), each once in a row; below 0 where a
            row is short, which matches nothing.
        document_terms: Shape (..., n_document_terms), likewise; leading axes broadcast.
        query_embeddings: Shape (..., n_query_terms, dim).
        document_embeddings: Shape (..., n_document_terms, dim).
        xp: The array module of all four, `numpy` or `torch`.

    Returns:
        Scores, shape (...), 0 where no term is shared.
    """
    shared = query_terms[..., :, None] == document_terms[..., None, :]
    shared = shared & (query_terms[..., :, None] >= 0)
    products = xp.matmul(query_embeddings, xp.swapaxes(document_embeddings, -1, -2))
    return xp.where(shared, products, 0.0).sum((-1, -2))
