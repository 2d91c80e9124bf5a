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


ACTIVATIONS: dict[str, type[nn.Module]] = {
    kind.__name__.lower(): kind
    for kind in (
        nn.Identity,
        nn.ELU,
        nn.GELU,
        nn.Hardswish,
        nn.Hardtanh,
        nn.LeakyReLU,
        nn.Mish,
        nn.ReLU,
        nn.ReLU6,
        nn.SELU,
        nn.SiLU,
        nn.Sigmoid,
        nn.Softplus,
        nn.Softsign,
        nn.Tanh,
        nn.Tanhshrink,
    )
}
"""Activations by their names in `glane.json`, each with torch's own settings."""

RESIDUAL = " residual"
"""What is put behind the name of an activation, in `glane.json`, where there is a residual."""


class Layer(nn.Module):
    """activation(W x + b), and the residual: plus x, or plus R x where the widths differ.

    Attributes:
        linear: W and b.
        activation: Without parameters.
        residual: R; None where the input is added as it is, or nothing is.
    """

    def __init__(
        self, linear: nn.Linear, activation: str, *, adds_input: bool, residual: nn.Linear | None
    ) -> None:
        """Join the parts.

        Raises:
            ValueError: If the activation is not known, or the residual does not fit.
        """
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"the activation {activation!r} is not known; there are {sorted(ACTIVATIONS)}"
            )
        square = linear.in_features == linear.out_features
        if (residual is not None) != (adds_input and not square):
            raise ValueError("the weights of the residual do not fit the layer")
        self.linear = linear
        self.name = activation
        self.activation = ACTIVATIONS[activation]()
        self.adds_input = adds_input
        self.residual = residual

    @classmethod
    def of(
        cls,
        weight: Tensor,
        bias: Tensor | None,
        activation: str,
        *,
        residual: bool,
        residual_weight: Tensor | None,
    ) -> Layer:
        """Make the layer of its weights, (n_out, n_in), (n_out,) and (n_out, n_in).

        Raises:
            ValueError: As the class, or if the weights do not fit each other.
        """
        if bias is not None and len(bias) != len(weight):
            raise ValueError(f"a bias of {len(bias)} numbers does not fit {len(weight)} outputs")
        made = linear(weight)
        if bias is not None:
            made.bias = nn.Parameter(bias.to(torch.float32))
        added = None if residual_weight is None else linear(residual_weight)
        return cls(made, activation, adds_input=residual, residual=added)

    @property
    def n_in(self) -> int:
        """Width of its input."""
        return self.linear.in_features

    @property
    def n_out(self) -> int:
        """Width of its output."""
        return self.linear.out_features

    @property
    def has_bias(self) -> bool:
        """Whether b is there."""
        return self.linear.bias is not None

    def spelled(self) -> str:
        """Return the layer as `glane.json` has it."""
        return self.name + (RESIDUAL if self.adds_input else "")

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output, (..., n_out), of its input, (..., n_in)."""
        out: Tensor = self.activation(self.linear(x))
        if not self.adds_input:
            return out
        return out + (x if self.residual is None else self.residual(x))


def spelled(layers: Sequence[Layer]) -> list[str]:
    """Return layers as `glane.json` has them: nothing for one that is a plain projection."""
    words = [layer.spelled() for layer in layers]
    plain = words == ["identity"] and not layers[0].has_bias
    return [] if plain else words


def restored(words: Sequence[str], others: dict[str, Tensor]) -> nn.Module | None:
    """Return a projection of its words in `glane.json`, taking its tensors out of others.

    Raises:
        ValueError: If the words and the tensors do not fit.
    """
    if not words:
        weight = others.pop("projection.weight", None)
        return None if weight is None else linear(weight)
    layers = []
    for number, word in enumerate(words):
        prefix = f"projection.{number}."
        if f"{prefix}linear.weight" not in others:
            raise ValueError(f"the weights of layer {number} of its projection are missing")
        layers.append(
            Layer.of(
                others.pop(f"{prefix}linear.weight"),
                others.pop(f"{prefix}linear.bias", None),
                word.removesuffix(RESIDUAL),
                residual=word.endswith(RESIDUAL),
                residual_weight=others.pop(f"{prefix}residual.weight", None),
            )
        )
    return nn.Sequential(*layers)


def width_of(projection: nn.Module) -> int:
    """Return the width of what a projection gives."""
    last = projection[-1] if isinstance(projection, nn.Sequential) else projection
    return last.n_out if isinstance(last, Layer) else int(last.out_features)  # type: ignore[arg-type]


def input_width_of(projection: nn.Module) -> int:
    """Return the width of what a projection takes."""
    first = projection[0] if isinstance(projection, nn.Sequential) else projection
    return first.n_in if isinstance(first, Layer) else int(first.in_features)  # type: ignore[arg-type]
