"""What keeps most term weights at 0, and the alarm where that went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from glane.model.checkpoint import Checkpoint

Regulariser = Literal["flops", "l1"]

CROWDED = 0.9
"""Share of the vocabulary above which a text's terms say nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsity:
    """How hard term weights are pushed to 0.

    Attributes:
        query_weight: Of the queries' regulariser in the loss.
        document_weight: Of the documents' FLOPS in the loss.
        query_regulariser: For queries, see `flops` and `l1`; documents have FLOPS.
        rise: Share of the steps over which both weights rise from 0, as a square (Formal et al.,
            SPLADE, SIGIR 2021, section 4); 0 for none.
    """

    query_weight: float = 0.0
    document_weight: float = 0.0
    query_regulariser: Regulariser = "flops"
    rise: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what is out of range.

        Raises:
            ValueError: The message names the setting.
        """
        for name in ("query_weight", "document_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.rise <= 1:
            raise ValueError(f"rise must be from 0 to 1, got {self.rise}")

    def risen(self, step: int, n_steps: int) -> Sparsity:
        """Return the weights that hold at a step, min(1, (step + 1) / (rise · n_steps))² of them.

        >>> full = Sparsity(document_weight=1.0, rise=0.5)
        >>> [full.risen(step, 8).document_weight for step in (0, 1, 3, 7)]
        [0.0625, 0.25, 1.0, 1.0]
        """
        share = min(1.0, (step + 1) / max(self.rise * n_steps, 1)) ** 2
        return replace(
            self,
            query_weight=share * self.query_weight,
            document_weight=share * self.document_weight,
        )


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
