"""What the teachers of other libraries share: batches of like lengths, and what tells a model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from glane.types import Floats

BATCH = 32
"""Texts, or pairs of them, that are read at once: those of about the same length."""

T = TypeVar("T", str, tuple[str, str])


def in_batches(texts: Sequence[T], compute: Callable[[list[T]], Tensor]) -> Floats:
    """Return a row of numbers for each text, float32, computed batch by batch, longest first.

    Args:
        texts: Texts, or pairs of them, at least one.
        compute: Gives a row for each text of a batch.
    """
    lengths = [len(each) if isinstance(each, str) else sum(map(len, each)) for each in texts]
    order = np.argsort(-np.array(lengths), kind="stable")
    rows = []
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            batch = [texts[place] for place in order[start : start + BATCH].tolist()]
            rows.append(compute(batch).float().cpu().numpy())
    found = np.concatenate(rows)
    made = np.empty_like(found)
    made[order] = found
    return made


def placed(module: nn.Module, device: str) -> nn.Module:
    """Return a model on a device, without dropout."""
    return module.to(device).eval()


def digest_of(*modules: nn.Module) -> str:
    """Return the sha256, in hex, of the weights of some modules."""
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in module.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
