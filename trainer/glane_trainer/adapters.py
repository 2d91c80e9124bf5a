"""LoRA: two narrow factors beside each matrix of an encoder, trained in its place (`peft`).

A layer gives W x + 2 B A x, W frozen, A random and B 0 at first (Hu et al., "LoRA: Low-Rank
Adaptation of Large Language Models", 2021). An adapted encoder's `state_dict` is that of the plain
one which computes the same, W + 2 B A under the name of W, so that whoever keeps, mixes or writes
weights need not know of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from glane_trainer.model import Model
from glane_trainer.optimization import NEW

if TYPE_CHECKING:
    from peft.tuners.lora import Linear

ALPHA = 2
"""What the factors' product is multiplied by: alpha = `ALPHA` · rank, as LoRA calls it."""

FACTOR = ".lora_"
"""Part of the names of all that a layer has for its factors."""

BASE = ".base_layer."
"""Part of the names of a layer's own weights, once it has factors."""


def check_installed() -> None:
    """Refuse where `peft` is not installed.

    Raises:
        ModuleNotFoundError: If it is not.
    """
    if find_spec("peft") is None:
        raise ModuleNotFoundError(
            "--lora (`lora`) needs peft; run: pip install 'glane[lora]'", name="peft"
        )


def adapt(model: Model[Any], rank: int) -> None:
    """Put factors beside the matrices of all linear layers of a model's encoder.

    Of the model nothing else stays to be trained but what no base has: a projection, a table.

    Args:
        model: It gives what it gave before.
        rank: Rows of A and columns of B, at least 1.

    Raises:
        ModuleNotFoundError: If `peft` is not installed.
        ValueError: If there is no linear layer.
    """
    check_installed()
    from peft import LoraConfig, inject_adapter_in_model

    encoder = model.encoder
    linear = [name for name, module in encoder.named_modules() if type(module) is nn.Linear]
    if not linear:
        raise ValueError(
            f"lora is {rank}, but a {type(encoder).__name__} has no linear layers to put factors "
            "beside; leave out --lora (`lora`)"
        )
    config = LoraConfig(r=rank, lora_alpha=ALPHA * rank, target_modules=linear)
    inject_adapter_in_model(config, encoder)
    encoder.register_state_dict_post_hook(_as_plain)  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(FACTOR in name or name.startswith(NEW))


def merge(encoder: PreTrainedModel) -> None:
    """Make an adapted encoder a plain one that gives the same; leave a plain one alone."""
    for name, layer in list(_adapted(encoder)):
        layer.merge()
        encoder.set_submodule(name, layer.get_base_layer())


def factors(encoder: PreTrainedModel) -> dict[str, Tensor]:
    """Return the factors of an adapted encoder, by name; of a plain one nothing."""
    return {name: each for name, each in encoder.named_parameters() if FACTOR in name}


def restore(encoder: PreTrainedModel, start: dict[str, Tensor], saved: dict[str, Tensor]) -> None:
    """Give an adapted encoder the weights that it began with, and the factors that it had.

    Args:
        encoder: Adapted as the one was that they are of.
        start: `state_dict` of the model around it, before it was trained.
        saved: From `factors`.
    """
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            own = f"encoder.{name}".replace(BASE, ".")
            parameter.copy_(saved[name] if FACTOR in name else start[own])


def _as_plain(encoder: nn.Module, tensors: dict[str, Any], prefix: str, _: object) -> None:
    """Give the tensors of an adapted encoder the names and values of a plain one."""
    products = {
        f"{prefix}{name}.weight": layer.get_delta_weight("default").detach()
        for name, layer in _adapted(encoder)
    }
    for name in [name for name in tensors if name.startswith(prefix)]:
        tensor = tensors.pop(name)
        if FACTOR not in name:
            plain = name.replace(BASE, ".")
            tensors[plain] = tensor + products[plain] if plain in products else tensor


def _adapted(encoder: nn.Module) -> Iterator[tuple[str, Linear]]:
    """Yield the layers that have factors, with their names."""
    for name, module in encoder.named_modules():
        if hasattr(module, "lora_A"):
            yield name, cast("Linear", module)
