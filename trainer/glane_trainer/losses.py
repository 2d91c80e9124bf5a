"""The losses, over a matrix of scores: whatever model made it."""

from __future__ import annotations

import torch
from torch import Tensor


def contrastive_loss(scores: Tensor, targets: Tensor, masked: Tensor, temperature: float) -> Tensor:
    r"""Return how far the positives are from winning over all other documents of the batch.

    mean over queries i of -log(exp(s[i, t_i] / T) / sum over j not masked of exp(s[i, j] / T)),
    with in-batch and explicit negatives alike (Karpukhin et al., EMNLP 2020, eq. 2, with a
    temperature). Our deviation: a document known to answer the query is no negative of it.

    Args:
        scores: Shape (n_queries, n_documents).
        targets: int64, shape (n_queries,), the column t_i of each query's positive.
        masked: Boolean, shape (n_queries, n_documents), true where a document is left out; never
            at a target.
        temperature: T, above 0; smaller is sharper.

    Returns:
        A scalar, at least 0.

    >>> scores = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> contrastive_loss(scores, torch.arange(2), torch.zeros(2, 2, dtype=torch.bool), 1.0)
    tensor(0.3133)
    """
    logits = scores.masked_fill(masked, float("-inf")) / temperature
    return torch.nn.functional.cross_entropy(logits, targets)
