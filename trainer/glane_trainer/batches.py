"""The order of the examples: a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glane_trainer.data import Example

Window = list[list[Example]]
"""The batches behind one step of the optimizer."""


def epoch_batches(
    examples: Sequence[Example], batch_size: int, n_negatives: int, seed: int, epoch: int
) -> list[list[Example]]:
    """Return the batches of one epoch.

    Every example comes once, the last batches may be small, and no query comes twice in a batch:
    its other positives would be its negatives.

    Args:
        examples: Left as they are.
        batch_size: Examples in a batch, at least 1.
        n_negatives: Negatives kept of each example; another choice every epoch.
        seed: Same seed and epoch, same batches, whatever was drawn elsewhere.
        epoch: From 0.
    """
    random = np.random.default_rng([seed, 1, epoch])
    full: list[list[Example]] = []
    open_batches: list[dict[str, Example]] = []
    for position in random.permutation(len(examples)):
        example = _with_negatives(examples[position], n_negatives, random)
        batch = next((b for b in open_batches if example.anchor not in b), None)
        if batch is None:
            batch = {}
            open_batches.append(batch)
        batch[example.anchor] = example
        if len(batch) == batch_size:
            full.append(list(batch.values()))
            open_batches = [other for other in open_batches if other is not batch]
    return full + [list(batch.values()) for batch in open_batches]


def windows(batches: Sequence[list[Example]], accumulation: int) -> list[Window]:
    """Return the batches of each optimizer step; the last step may have fewer.

    >>> [len(window) for window in windows([[]] * 7, accumulation=4)]
    [4, 3]
    """
    return [list(batches[i : i + accumulation]) for i in range(0, len(batches), accumulation)]


def _with_negatives(example: Example, n_negatives: int, random: np.random.Generator) -> Example:
    """Return the example with some of its negatives, in their order, and their teacher scores."""
    if len(example.negatives) <= n_negatives:
        return example
    chosen = sorted(random.choice(len(example.negatives), n_negatives, replace=False).tolist())
    scores = example.teacher_scores
    return Example(
        example.anchor,
        example.positive,
        tuple(example.negatives[i] for i in chosen),
        (scores[0], *(scores[1 + i] for i in chosen)) if scores else (),
    )
