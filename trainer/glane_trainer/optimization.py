"""What is trained, how fast, and the optimizer's state as named tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from glane_trainer.settings import Settings

NEW = ("projection.", "query_weights")
"""Begins of the names of what no base has: it begins less well, and is trained faster."""

Weights = dict[str, Tensor]
"""A model's tensors on the CPU, by name."""


def freeze(encoder: nn.Module, n_layers: int | None) -> list[nn.Module]:
    """Keep an encoder's embeddings and first layers as they are.

    Args:
        encoder: Of transformers.
        n_layers: Layers to freeze; 0 freezes nothing, None the lower half.

    Returns:
        The modules that are frozen; they belong in evaluation mode, without dropout.

    Raises:
        ValueError: If the encoder has fewer layers.
    """
    layers = encoder_layers(encoder)
    n_frozen = len(layers) // 2 if n_layers is None else n_layers
    if n_frozen > len(layers):
        raise ValueError(f"freeze_layers is {n_frozen}, but the encoder has {len(layers)} layers")
    embeddings = getattr(encoder, "embeddings", None)
    frozen: list[nn.Module] = list(layers[:n_frozen])
    if n_frozen and isinstance(embeddings, nn.Module):
        frozen.append(embeddings)
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def encoder_layers(encoder: nn.Module) -> nn.ModuleList:
    """Return the layers of an encoder, wherever its kind keeps them; none if it hides them."""
    n_layers = getattr(encoder.config, "num_hidden_layers", 0)
    lists = (module for module in encoder.modules() if isinstance(module, nn.ModuleList))
    return next((found for found in lists if len(found) == n_layers), nn.ModuleList())


def make_optimizer(model: nn.Module, settings: Settings) -> AdamW:
    """Return AdamW over what is trained: the base, and with a rate of its own what is new."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[not name.startswith(NEW)].append(parameter)
    rates = {True: settings.learning_rate, False: settings.projection_learning_rate}
    used = [
        {"params": parameters, "lr": rates[base], "peak": rates[base]}
        for base, parameters in groups.items()
        if parameters
    ]
    if not used:
        raise ValueError("nothing is left to train: every layer is frozen, and nothing is new")
    return AdamW(used, weight_decay=settings.weight_decay)


def set_rates(optimizer: Optimizer, step: int, n_steps: int, warm_up: float) -> float:
    """Set the learning rates of a step and return the first.

    They rise in a line over the first `warm_up` of the steps and fall in a line to 0 after the
    last: a function of the step alone, so that there is nothing to resume.

    Args:
        optimizer: Its groups hold their highest rate as `peak`.
        step: From 0 to `n_steps` - 1.
        n_steps: Steps of the whole run.
        warm_up: Share of the steps.
    """
    rise = warm_up * n_steps
    factor = min((step + 1) / max(rise, 1), (n_steps - step) / max(n_steps - rise, 1), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    return float(optimizer.param_groups[0]["lr"])


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the moments and counters of an optimizer, named `<parameter>.<moment>`."""
    state = optimizer.state_dict()["state"]
    return {
        f"{n}.{name}": tensor for n, moments in state.items() for name, tensor in moments.items()
    }


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def weights(model: nn.Module) -> Weights:
    """Return a copy of a model's weights on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def mixed(start: Weights, trained: Weights, start_share: float) -> Weights:
    """Return weights between two of one model; equal weights stay as they are, bit for bit."""
    return {
        name: torch.lerp(trained[name], weight, start_share)
        if weight.is_floating_point()
        else trained[name]
        for name, weight in start.items()
    }
