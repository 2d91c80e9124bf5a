"""How a projection begins: by chance, or along the directions of a base's own token vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from glane_trainer.colbert import ColBERT

SAMPLE = 256
"""Documents that decide the directions; a token vector each for tens of thousands of tokens."""


def random_projection(hidden_size: int, dim: int, seed: int) -> nn.Linear:
    """Return a projection of normal numbers, of variance 1 / hidden_size, which keeps cosines."""
    generator = torch.Generator().manual_seed(seed)
    return linear(torch.randn(dim, hidden_size, generator=generator) / hidden_size**0.5)


def linear(weight: Tensor) -> nn.Linear:
    """Return a linear layer without bias that holds a weight of shape (dim, hidden_size)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight.to(torch.float32))
    return layer


def principal_projection(model: ColBERT, texts: Sequence[str]) -> nn.Linear:
    """Return the projection onto the principal directions of the base's token vectors.

    Its rows are the first eigenvectors of the sum of v vᵀ over token vectors v of length 1, not
    centred: among all projections this one keeps their dot products best, in the mean square.

    Args:
        model: Its encoder is used, and the width of its vectors; its own projection is not.
        texts: Documents; about `SAMPLE` of them suffice.

    Raises:
        ValueError: If the vectors are to be wider than the encoder's, or there are no texts.
    """
    hidden_size, dim = int(model.encoder.config.hidden_size), model.checkpoint.dim
    if dim > hidden_size or not texts:
        raise ValueError(f"no {dim} principal directions in {hidden_size}, of {len(texts)} texts")
    plain = type(model)(model.encoder, None, model.preparer)
    vectors = plain.encode_documents(texts).values
    _, directions = np.linalg.eigh((vectors.T @ vectors).astype(np.float64))  # ascending
    return linear(torch.from_numpy(directions[:, ::-1][:, :dim].T.copy()))


def sample(texts: Sequence[str], seed: int) -> list[str]:
    """Return at most `SAMPLE` of the distinct texts, chosen by seed."""
    distinct = list(dict.fromkeys(texts))
    order = np.random.default_rng([seed, 2]).permutation(len(distinct))
    return [distinct[i] for i in order[:SAMPLE]]
