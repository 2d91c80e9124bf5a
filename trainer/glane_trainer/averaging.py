"""The mean of several trainings from one start: often better than each (Wortsman et al., 2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from glane.errors import CheckpointError
from glane.store.folders import check_new
from glane_trainer.model import Model
from glane_trainer.models import load_model
from glane_trainer.optimization import Weights, weights


def average(
    checkpoints: Sequence[str | Path], out: str | Path, *, overwrite: bool = False
) -> list[float]:
    """Write the checkpoint whose weights are the mean of others' ("Model soups", ICML 2022).

    That is a good model only where these began with the same weights: a new projection too, which
    `--projection pca` makes of the documents, and `random` of the seed. What the trainings found of
    fusion is not carried over: the mean ranks another way.

    Args:
        checkpoints: Folders, at least two.
        out: Folder to write.
        overwrite: Whether a folder that is there may be replaced.

    Returns:
        How far each is from the mean: the length of the difference of all weights, by the length of
        the mean.

    Raises:
        ValueError: If there are fewer than two.
        CheckpointError: If a checkpoint is missing or damaged, or they are not of one kind, with
            one tokenizer and the same rules and shapes.
        FileExistsError: If `out` may not be replaced.
    """
    if len(checkpoints) < 2:
        raise ValueError(f"two checkpoints are averaged at least, got {len(checkpoints)}")
    check_new(out, overwrite=overwrite)
    model = load_model(checkpoints[0])
    found = [weights(model)]
    for folder in checkpoints[1:]:
        other = load_model(folder)
        _check_alike(model, other, checkpoints[0], folder)
        found.append(weights(other))
    mean = {
        name: torch.stack([each[name].double() for each in found]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in found[0].items()
    }
    model.load_state_dict(mean)
    model.save(out, overwrite=overwrite)
    return [_length(_difference(each, mean)) / _length(mean) for each in found]


def _check_alike(first: Model[Any], other: Model[Any], named: str | Path, also: str | Path) -> None:
    """Refuse models whose weights have no mean.

    Raises:
        CheckpointError: If they are of other rules, or have other shapes.
    """
    for what, one, another in (
        ("rules", replace(first.checkpoint, base=""), replace(other.checkpoint, base="")),
        ("tokenizers", first.preparer.tokenizer_json, other.preparer.tokenizer_json),
        ("shapes", _shapes(first), _shapes(other)),
    ):
        if one != another:
            raise CheckpointError(
                f"{str(named)!r} and {str(also)!r} have other {what}: only checkpoints that began "
                "alike can be averaged"
            )


def _shapes(model: Model[Any]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def _difference(one: Weights, another: Weights) -> Weights:
    return {name: tensor.double() - another[name].double() for name, tensor in one.items()}


def _length(of: Weights) -> float:
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in of.values()))
