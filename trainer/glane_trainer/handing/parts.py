"""Parts that the folders of other libraries have in common: the encoder, the layers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from glane_trainer.colbert import ColBERT
from glane_trainer.handing.tokens import write_json
from glane_trainer.model import Model
from glane_trainer.projection import Layer, linear
from glane_trainer.weights import write_tensors


class Entry(NamedTuple):
    """A module of `modules.json`.

    Attributes:
        path: Its folder, "" for the root.
        type: Its class.
    """

    path: str
    type: str


def write_modules(folder: Path, entries: Sequence[Entry]) -> None:
    """Write `modules.json`, and make the folders."""
    for entry in entries:
        (folder / entry.path).mkdir(exist_ok=True)
    named = [
        {"idx": number, "name": str(number), "path": entry.path, "type": entry.type}
        for number, entry in enumerate(entries)
    ]
    write_json(folder / "modules.json", named)


def write_encoder(
    folder: Path, model: Model[Any], tensors: dict[str, Tensor], architecture: str
) -> None:
    """Write `config.json` and `model.safetensors`."""
    config = model.encoder.config.to_dict()
    write_json(folder / "config.json", {**config, "architectures": [architecture]})
    write_tensors(folder / "model.safetensors", tensors)


def layers_of(model: ColBERT) -> list[Layer]:
    """Return the layers of a projection; none where the encoder's vectors are taken as they are."""
    projection = model.projection
    if projection is None:
        return []
    found = list(projection) if isinstance(projection, nn.Sequential) else [projection]
    return [_layer(each) for each in found]


def identity(width: int) -> Layer:
    """Return a layer that changes nothing, for a library that cannot do without one."""
    return _layer(linear(torch.eye(width)))


def write_layer(folder: Path, layer: Layer, **more: Any) -> None:  # noqa: ANN401 (JSON)
    """Write a `Dense` into its folder.

    Args:
        folder: Which is there.
        layer: Activation, weights, residual.
        **more: Further keys of its `config.json`.
    """
    kind = type(layer.activation)
    config = {
        "in_features": layer.n_in,
        "out_features": layer.n_out,
        "bias": layer.has_bias,
        "activation_function": f"{kind.__module__}.{kind.__qualname__}",
        **more,
        "use_residual": layer.adds_input,
    }
    write_json(folder / "config.json", config)
    write_tensors(folder / "model.safetensors", dict(layer.state_dict()))


def _layer(given: nn.Module) -> Layer:
    if isinstance(given, Layer):
        return given
    assert isinstance(given, nn.Linear)
    return Layer(given, "identity", adds_input=False, residual=None)
