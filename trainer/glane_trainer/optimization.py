"""What is trained, how fast, and the optimizer's state as named tensors."""

from __future__ import annotations

from itertools import takewhile

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from transformers import PreTrainedModel

from glane.errors import CheckpointError
from glane_trainer.settings import Settings

NEW = ("projection.", "query_weights")
"""Begins of the names of what no base has: it begins less well, and is trained faster."""

Weights = dict[str, Tensor]
"""A model's tensors on the CPU, by name."""


def freeze(encoder: PreTrainedModel, n_layers: int | None) -> list[nn.Module]:
    """Keep an encoder's embeddings and first layers as they are.

    Args:
        encoder: Of transformers.
        n_layers: Layers to freeze, and with them all that comes before the first; 0 freezes
            nothing, None the lower half. Where layers share their weights, as ALBERT's do, None
            freezes as many as can be frozen without the upper half.

    Returns:
        The modules that are frozen, layers first; they belong in evaluation mode, without dropout.

    Raises:
        ValueError: If the encoder has fewer layers, if its layers cannot be found, or if a layer
            that is to be frozen shares its weights with one that is not.
    """
    total = int(getattr(encoder.config, "num_hidden_layers", 0))
    wanted = total // 2 if n_layers is None else n_layers
    if n_layers == 0 or (wanted == 0 and total):
        return []
    lists = layer_lists(encoder)
    if wanted > total:
        raise ValueError(f"freeze_layers is {wanted}, but the encoder has {total} layers")
    shared = total // len(lists[0])  # layers that share the weights of each entry
    if wanted % shared and n_layers is not None:
        raise ValueError(
            f"freeze_layers is {wanted}, but every {shared} layers of this encoder share their "
            f"weights: pass a multiple of {shared}"
        )
    frozen = [layer for layers in lists for layer in layers[: wanted // shared]]
    frozen += _before(encoder, lists[0])
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def recompute(encoder: PreTrainedModel) -> None:
    """Have an encoder's layers compute their inner values again for the gradient.

    Raises:
        ValueError: If that is not possible with it.
    """
    if not encoder.supports_gradient_checkpointing:
        raise ValueError(
            f"the layers of a {type(encoder).__name__} cannot be computed again for the gradient; "
            "leave out --recompute (`recompute`), and lower --batch-size, with --accumulation"
        )
    # Its older name is deprecated where there is a newer one.
    named = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
    enable = next(getattr(encoder, name) for name in named if hasattr(encoder, name))
    enable({"use_reentrant": False})


def layer_lists(encoder: PreTrainedModel) -> list[nn.ModuleList]:
    """Return the layers of an encoder, in order, wherever its kind keeps them.

    Most have one list; XLM has one for attention, one for what follows, and two for their norms.
    ALBERT's has an entry for each group of layers that share their weights.

    Raises:
        ValueError: If there is none of the right length.
    """
    config = encoder.config
    n_layers = int(getattr(config, "num_hidden_layers", 0))
    for length in (n_layers, int(getattr(config, "num_hidden_groups", 0))):
        found = _lists_of(encoder, length) if length and n_layers % length == 0 else []
        if found:
            return found
    raise ValueError(
        f"the layers of a {type(encoder).__name__} cannot be found to freeze some; pass "
        "--freeze-layers 0 (`freeze_layers=0`) to train all of them"
    )


def _lists_of(module: nn.Module, length: int) -> list[nn.ModuleList]:
    """Return the lists of a length that are not inside one another, in order."""
    if isinstance(module, nn.ModuleList) and len(module) == length:
        return [module]
    return [found for child in module.children() for found in _lists_of(child, length)]


def _before(encoder: PreTrainedModel, layers: nn.ModuleList) -> list[nn.Module]:
    """Return what is used before the layers: it is registered before them, on the way down.

    Raises:
        ValueError: If the input embeddings are not among it.
    """
    found: list[nn.Module] = []
    module: nn.Module = encoder
    while module is not layers:
        *before, module = _children_up_to(module, layers)
        found += [child for child in before if any(True for _ in child.parameters())]
    embeddings = encoder.get_input_embeddings()
    if not any(embeddings is inner for child in found for inner in child.modules()):
        raise ValueError(
            f"the embeddings of a {type(encoder).__name__} cannot be found to freeze them; pass "
            "--freeze-layers 0 (`freeze_layers=0`) to train all of it"
        )
    return found


def _children_up_to(module: nn.Module, inner: nn.Module) -> list[nn.Module]:
    """Return the children of a module up to the one that holds another, it included."""
    children = list(module.children())
    before = list(takewhile(lambda c: all(inner is not m for m in c.modules()), children))
    return children[: len(before) + 1]


def make_optimizer(model: nn.Module, settings: Settings) -> AdamW:
    """Return AdamW over what is trained.

    What is new has a rate of its own, and biases and norms are not decayed, so there are up to four
    groups of named parameters, the base's first.

    Raises:
        ValueError: If nothing is left to train.
    """
    groups: dict[tuple[bool, bool], list[tuple[str, nn.Parameter]]] = {
        (new, plain): [] for new in (False, True) for plain in (False, True)
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            new = name.startswith(NEW)
            groups[new, parameter.ndim < 2 and not new].append((name, parameter))
    rates = {False: settings.learning_rate, True: settings.projection_learning_rate}
    used = [
        {
            "params": parameters,
            "lr": rates[new],
            "peak": rates[new],
            "weight_decay": 0.0 if plain else settings.weight_decay,
        }
        for (new, plain), parameters in groups.items()
        if parameters
    ]
    if not used:
        raise ValueError("nothing is left to train: every layer is frozen, and nothing is new")
    return AdamW(used)


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
    """Return the moments and counters of an optimizer of `make_optimizer`.

    They are named `<parameter>.<moment>`.
    """
    state, names = optimizer.state_dict()["state"], _parameter_names(optimizer)
    return {
        f"{names[n]}.{name}": tensor
        for n, moments in state.items()
        for name, tensor in moments.items()
    }


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` returned.

    Raises:
        CheckpointError: If a tensor belongs to no parameter.
    """
    numbers = {name: number for number, name in enumerate(_parameter_names(optimizer))}
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        parameter, _, name = key.rpartition(".")
        if parameter not in numbers:
            raise CheckpointError(
                f"the optimizer's checkpoint holds {key!r}, but no such parameter is trained; it "
                "was written by another version of glane: begin again"
            )
        state.setdefault(numbers[parameter], {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _parameter_names(optimizer: Optimizer) -> list[str]:
    """Return the name of each parameter in the order of the optimizer's own numbers."""
    return [name for group in optimizer.param_groups for name in group["param_names"]]


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
