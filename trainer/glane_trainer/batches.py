"""The order of the examples: a pure function of seed and epoch."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glane.types import Ids
from glane_trainer.examples import Example
from glane_trainer.many import Examples
from glane_trainer.settings import Settings

Rows = npt.NDArray[np.int32]

AT_ONCE = 1 << 16
"""Examples that are placed at once: each is an object meanwhile."""


class Part(NamedTuple):
    """The examples of one source.

    Attributes:
        source: Its number.
        positions: Among all examples, int32, shape (n,).
        queries: The number of each one's query, int32, shape (n,).
        quota: How many of them an epoch has.
    """

    source: int
    positions: Rows
    queries: Rows
    quota: int


class Order:
    """The batches of a whole run, in order: each is behind one step of the optimizer.

    A batch is of one source, so that the negatives of a query are of its kind. No query comes twice
    in a batch, however spelled: its other positives would be its negatives. Each example comes once
    an epoch. With weights, an epoch has as many examples, but of each source its share of them: of
    a source with less than its share, examples come again once all of it came; of one with more,
    the next epoch goes on where the last one ended.

    Attributes:
        epoch_ends: Steps done after each epoch.
        size: Examples in a batch; the last ones of an epoch may have fewer.
    """

    def __init__(self, examples: Examples, settings: Settings, n_processes: int = 1) -> None:
        """Count the steps; batches are made, and their examples read, when they are due.

        Args:
            examples: To learn from.
            settings: Of them `accumulation` and `batch_size` say how many are in a batch, and
                `n_negatives` how many negatives an example keeps: others every epoch.
            n_processes: That share a step; each has as many examples.
        """
        self._examples, self._settings = examples, settings
        self.size = settings.batch_size * settings.accumulation * n_processes
        self._parts = parts_of(examples)
        epochs = range(settings.epochs)
        self.epoch_ends = list(accumulate(len(self._bounds(epoch)[1]) for epoch in epochs))

    def batches_from(self, step: int) -> Iterator[list[Example]]:
        """Yield the batches that are left after some steps."""
        begin = 0
        for epoch, end in enumerate(self.epoch_ends):
            if step < end:
                ordered, bounds = self._bounds(epoch)
                for first, last in bounds[max(0, step - begin) :].tolist():
                    yield [self._example(int(p), epoch) for p in ordered[first:last]]
            begin = end

    def _bounds(self, epoch: int) -> tuple[Rows, Ids]:
        """Return the positions of an epoch's examples, and where each batch lies among them."""
        ordered, bounds, n_ordered = [np.empty(0, np.int32)], [np.empty((0, 2), np.int64)], 0
        for part in self._parts:
            rows = _rows(part, self._settings.seed, epoch)
            order, ends = batched(part.queries[rows], self.size)
            bounds.append(n_ordered + np.stack([ends - np.diff(ends, prepend=0), ends], 1))
            ordered.append(part.positions[rows if order is None else rows[order]])
            n_ordered += len(rows)
        found = np.concatenate(bounds)
        if len(self._parts) > 1:
            random = np.random.default_rng([self._settings.seed, 6, epoch])
            found = found[random.permutation(len(found))]
        return ordered[1] if len(ordered) == 2 else np.concatenate(ordered), found

    def _example(self, position: int, epoch: int) -> Example:
        """Return an example with some of its negatives, in their order, and their scores."""
        example, n_kept = self._examples[position], self._settings.n_negatives
        if len(example.negatives) <= n_kept:
            return example
        random = np.random.default_rng([self._settings.seed, 4, epoch, position])
        chosen = random.choice(len(example.negatives), n_kept, replace=False).tolist()
        return example.with_negatives(sorted(chosen))


def parts_of(examples: Examples) -> list[Part]:
    """Return the examples of each source that has some, and how many of them an epoch has."""
    source_of = examples.source_of()
    found = [
        (int(n), np.flatnonzero(source_of == n).astype(np.int32)) for n in np.unique(source_of)
    ]
    quotas = np.array([len(positions) for _, positions in found])
    if examples.weights is not None:
        weights = np.array([examples.weights[number] for number, _ in found])
        ends = np.cumsum(weights) / weights.sum() * len(examples)
        quotas = np.maximum(1, np.diff(np.round(ends), prepend=0)).astype(np.int64)
    return [
        Part(number, positions, examples.queries[positions], int(quota))
        for (number, positions), quota in zip(found, quotas, strict=True)
    ]


def _rows(part: Part, seed: int, epoch: int) -> Rows:
    """Return which examples of a source an epoch has, in their order.

    All of them follow one another in an order by chance, then all of them in another, and so on
    without an end; each epoch takes the next `quota`.
    """
    n_examples, begin = len(part.positions), epoch * part.quota
    rounds = range(begin // n_examples, -(-(begin + part.quota) // n_examples))
    every = np.arange(n_examples, dtype=np.int32)
    orders = [
        np.random.default_rng([seed, 1, number, part.source]).permutation(every)
        for number in rounds
    ]
    skipped = begin - rounds[0] * n_examples
    whole = orders[0] if len(orders) == 1 else np.concatenate(orders)
    return whole[skipped : skipped + part.quota]


def batched(queries: Rows, size: int) -> tuple[Ids | None, Ids]:
    """Return the order of examples that puts each batch together, and where each batch ends.

    The order is None where it is the one that there is: no query comes again.
    """
    n_examples = len(queries)
    if np.bincount(queries).max(initial=0) <= 1:
        return None, np.append(np.arange(size, n_examples, size), n_examples)
    places = places_of(queries, size)
    return np.argsort(places, kind="stable"), np.cumsum(np.bincount(places))


def places_of(queries: npt.NDArray[np.integer[Any]], size: int) -> Ids:
    """Return the number of each example's batch: the first with room and without its query.

    It is found without a search. A query's examples fill batches from the first that is
    open onwards, without a gap, so each has all the queries of the one after it, and only the
    first can become full: what is full is a run at the beginning, and what holds a query is a run
    from there.

    Args:
        queries: The number of each example's query, shape (n,).
        size: Examples in a batch, at least 1.

    >>> places_of(np.array([0, 0, 1, 2]), size=2)
    array([0, 1, 0, 1])
    """
    following = array("q", bytes(8 * (int(queries.max()) + 1)))
    places, sizes, n_full = array("q"), array("q"), 0
    for begin in range(0, len(queries), AT_ONCE):
        for query in queries[begin : begin + AT_ONCE].tolist():
            place = max(following[query], n_full)
            following[query] = place + 1
            if place == len(sizes):
                sizes.append(0)
            sizes[place] += 1
            if sizes[place] == size:
                n_full = place + 1
            places.append(place)
    return np.array(places, np.int64)
