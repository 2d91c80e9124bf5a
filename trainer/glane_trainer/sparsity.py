"""What keeps most term weights at 0, and the alarm where that went wrong."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from glane.model.checkpoint import Checkpoint
from glane_trainer.settings import Regulariser, Sparsity

__all__ = ["CROWDED", "Regulariser", "Sparsity", "complaint", "flops", "l1"]

CROWDED = 0.9
"""Share of the vocabulary above which a text's terms say nothing any more."""


def flops(mean: Tensor) -> Tensor:
    """Return the sum over terms of (mean weight over texts)² (Paria et al., ICLR 2020, eq. 4).

    It is what a search with such texts costs, smoothed: a term that many texts have weighs most.

    Args:
        mean: Over texts, shape (n_vocabulary,).
    """
    return mean.square().sum()


def l1(mean: Tensor) -> Tensor:
    """Return the sum over terms of the mean weight, the L1 norm of a text's weights on average.

    Args:
        mean: Over texts, shape (n_vocabulary,).
    """
    return mean.sum()


def complaint(record: Mapping[str, float], checkpoint: Checkpoint, n_vocabulary: int) -> str:
    """Return what is wrong with the numbers of active terms, or nothing.

    Args:
        record: What a step logged; `query_terms` and `document_terms` count.
        checkpoint: How many terms are kept.
        n_vocabulary: Terms there are.

    >>> complaint({"query_terms": 0.0}, Checkpoint(dim=8), 100)
    'no term is active (query_terms 0): lower the weight of the regulariser'
    """
    for name in ("query_terms", "document_terms"):
        active, kept = record.get(name), getattr(checkpoint, name)
        if active == 0:
            return f"no term is active ({name} 0): lower the weight of the regulariser"
        if active is not None and active >= kept and active > CROWDED * n_vocabulary:
            return f"nearly all terms are active ({name}): raise the weight of the regulariser"
    return ""
