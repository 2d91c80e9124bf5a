"""The order of the examples: a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from glane_trainer.examples import Example
from glane_trainer.settings import Settings


class Order:
    """The batches of a whole run, in order: each is behind one step of the optimizer.

    Attributes:
        epoch_ends: Steps done after each epoch.
    """

    def __init__(
        self, examples: Sequence[Example], settings: Settings, n_processes: int = 1
    ) -> None:
        """Count the steps; batches are made when they are due.

        Args:
            examples: To learn from.
            settings: Of them `accumulation` and `batch_size` say how many are in a batch.
            n_processes: That share a step; each has as many examples.
        """
        self._examples, self._settings = examples, settings
        self._size = settings.batch_size * settings.accumulation * n_processes
        anchors = [example.anchor for example in examples]
        sizes = count_batches(anchors, self._size, settings.seed, settings.epochs)
        self.epoch_ends = list(accumulate(sizes))

    def batches_from(self, step: int) -> Iterator[list[Example]]:
        """Yield the batches that are left after some steps."""
        settings, begin = self._settings, 0
        for epoch, end in enumerate(self.epoch_ends):
            if step < end:
                batches = epoch_batches(
                    self._examples, self._size, settings.n_negatives, settings.seed, epoch
                )
                yield from batches[max(0, step - begin) :]
            begin = end


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
    order = random.permutation(len(examples)).tolist()
    batches: list[list[Example]] = []
    places = _places([examples[position].anchor for position in order], batch_size)
    for position, place in zip(order, places, strict=True):
        if place == len(batches):
            batches.append([])
        batches[place].append(_with_negatives(examples[position], n_negatives, random))
    return batches


def count_batches(anchors: Sequence[str], batch_size: int, seed: int, epochs: int) -> list[int]:
    """Return the number of batches of each epoch, as `epoch_batches` makes them.

    Args:
        anchors: The query of each example.
        batch_size: Examples in a batch, at least 1.
        seed: As for `epoch_batches`.
        epochs: At least 0.

    >>> count_batches(["tea", "tea", "the sea"], batch_size=2, seed=0, epochs=2)
    [2, 2]
    """
    if len(set(anchors)) == len(anchors):
        return [-(-len(anchors) // batch_size)] * epochs
    counts = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, 1, epoch]).permutation(len(anchors))
        shuffled = [anchors[int(position)] for position in order]
        places = _places(shuffled, batch_size)
        counts.append(1 + max(places, default=-1))
    return counts


def _places(anchors: Sequence[str], batch_size: int) -> Iterator[int]:
    """Yield the number of each example's batch: the first with room and without its query.

    It is found without a search. A query's examples fill batches from the first that is
    open onwards, without a gap, so each has all the queries of the one after it, and only the
    first can become full: what is full is a run at the beginning, and what holds a query is a run
    from there.
    """
    sizes: list[int] = []
    n_full = 0
    following: dict[str, int] = {}
    for anchor in anchors:
        place = max(following.get(anchor, 0), n_full)
        following[anchor] = place + 1
        if place == len(sizes):
            sizes.append(0)
        sizes[place] += 1
        if sizes[place] == batch_size:
            n_full = place + 1
        yield place


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
