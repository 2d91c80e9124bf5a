"""How a projection begins: by chance, or along the directions of a base's own token vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from glane.types import Floats

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


def principal_directions(vectors: Floats, dim: int) -> Floats:
    """Return the directions along which vectors are widest.

    They are the first eigenvectors of the sum of v vᵀ over the vectors v, not centred: among all
    projections this one keeps their dot products best, in the mean square.

    Args:
        vectors: Shape (n, width), at least one.
        dim: From 1 to width.

    Returns:
        Rows of length 1, at right angles, float32, shape (dim, width), widest first.

    Raises:
        ValueError: If there are no vectors, or `dim` is outside its range.

    >>> principal_directions(np.array([[2.0, 0.0], [0.0, 1.0]], np.float32), 1).round(3) ** 2
    array([[1., 0.]], dtype=float32)
    """
    n_vectors, width = vectors.shape
    if not 1 <= dim <= width or not n_vectors:
        raise ValueError(f"no {dim} principal directions in {width}, of {n_vectors} vectors")
    _, directions = np.linalg.eigh((vectors.T @ vectors).astype(np.float64))  # ascending
    return directions[:, ::-1][:, :dim].T.astype(np.float32)


def sample(texts: Sequence[str], seed: int) -> list[str]:
    """Return at most `SAMPLE` of the distinct texts, chosen by seed."""
    distinct = list(dict.fromkeys(texts))
    order = np.random.default_rng([seed, 2]).permutation(len(distinct))
    return [distinct[i] for i in order[:SAMPLE]]
