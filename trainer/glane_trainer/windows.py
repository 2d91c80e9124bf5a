"""The batches behind one step of the optimizer, each with what it must know of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from glane_trainer.batches import Window
from glane_trainer.columns import columns_of
from glane_trainer.examples import Example
from glane_trainer.model import Model
from glane_trainer.sparse_steps import mean_weights, weigh
from glane_trainer.state import random_states, restore_random
from glane_trainer.steps import Means, StepOptions
from glane_trainer.terms import TermModel

Step = Callable[
    [Any, Optimizer, Sequence[str], Sequence[str], Sequence[Sequence[str]], StepOptions],
    dict[str, float],
]
"""A step function such as `train_colbert`; `Any` is the kind of model it trains."""


def learn_window(
    step: Step,
    model: Model[Any],
    optimizer: Optimizer,
    parts: Sequence[tuple[list[Example], StepOptions]],
) -> dict[str, float]:
    """Learn from all batches of a window, from `window_options`.

    Returns:
        What the step function returns, averaged over the examples.
    """
    sums: dict[str, float] = {}
    for batch, options in parts:
        logged = step(
            model,
            optimizer,
            [example.anchor for example in batch],
            [example.positive for example in batch],
            [example.negatives for example in batch],
            options,
        )
        for name, value in logged.items():
            sums[name] = sums.get(name, 0.0) + options.share * value
    return sums


def window_options(
    model: Model[Any], window: Window, known: Mapping[str, frozenset[str]], plain: StepOptions
) -> list[tuple[list[Example], StepOptions]]:
    """Return each batch of a window with its options.

    Args:
        model: In training mode.
        window: At least one batch.
        known: Every document known to answer a query, by the query's text.
        plain: What all batches have in common.
    """
    n_examples = sum(len(batch) for batch in window)
    parts = [
        (
            batch,
            replace(
                plain,
                known=[known[example.anchor] for example in batch],
                teacher_scores=[example.teacher_scores for example in batch],
                share=len(batch) / n_examples,
                update=number == len(window) - 1,
            ),
        )
        for number, batch in enumerate(window)
    ]
    means = _means(model, parts)
    return [(batch, replace(options, means=means)) for batch, options in parts]


def _means(model: Model[Any], parts: Sequence[tuple[list[Example], StepOptions]]) -> Means | None:
    """Return the mean term weights over the batches of one step, each by its share of the examples.

    The same dropout is drawn for them again when they are learned from, so that these are the
    very means of the weights that have the gradient.

    Returns:
        None for one batch, which is its own mean, and for models without terms.
    """
    if len(parts) == 1 or not isinstance(model, TermModel):
        return None
    before = random_states(model.device)
    sums: list[Tensor | float] = [0.0, 0.0]
    with torch.no_grad():
        for batch, options in parts:
            anchor, positive = [e.anchor for e in batch], [e.positive for e in batch]
            columns = columns_of(anchor, positive, [e.negatives for e in batch], ())
            means = mean_weights(weigh(model, anchor, columns.texts, options))
            sums = [s + options.share * mean for s, mean in zip(sums, means, strict=True)]
    restore_random(before, model.device)
    return Means(*sums)  # type: ignore[arg-type] # there are parts
