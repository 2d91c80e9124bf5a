"""All examples of one or several sources: of each a few bytes are in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from glane.types import Ids, Mask
from glane_trainer.examples import Example
from glane_trainer.sources import HAS_NEGATIVES, HAS_SCORES, Facts, InMemory, Source, query_key


@dataclass(frozen=True, slots=True)
class Table:
    """What is in memory of the examples of all sources, one after another.

    Attributes:
        keys: int64, shape (n,), `query_key` of each query.
        answers: int64, shape (n,), hash of each positive.
        has_negatives, has_scores: Boolean, shape (n,).
        starts: int64, shape (n_sources + 1,), where each source begins.
        n_own_negatives: Negatives that were an example's own positive; they are left out.
    """

    keys: Ids
    answers: Ids
    has_negatives: Mask
    has_scores: Mask
    starts: Ids
    n_own_negatives: int


class Examples(Sequence[Example]):
    """Examples to learn from, in their order; each is read when it is asked for.

    Attributes:
        weights: How much each source counts, above 0; None where all examples count alike.
        numbers: int32, which of all examples these are.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        weights: Sequence[float] | None,
        table: Table,
        numbers: npt.NDArray[np.int32],
    ) -> None:
        """Take what `read` and `of` have made."""
        self._sources, self._table = sources, table
        self.weights, self.numbers = weights, numbers

    @classmethod
    def read(cls, sources: Sequence[Source], weights: Sequence[float] | None = None) -> Examples:
        """Read and check all examples of some sources.

        Raises:
            OSError: If a file is missing, a folder, or not readable.
            ValueError: If an example is malformed; the message names file, line and field.
        """
        facts, starts = Facts(), [0]
        for source in sources:
            source.read(facts)
            starts.append(len(facts.keys))
        bits = np.asarray(facts.bits)
        table = Table(
            np.asarray(facts.keys, np.int64),
            np.asarray(facts.answers, np.int64),
            (bits & HAS_NEGATIVES) > 0,
            (bits & HAS_SCORES) > 0,
            np.array(starts),
            facts.n_own_negatives,
        )
        return cls(sources, weights, table, np.arange(starts[-1], dtype=np.int32))

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Examples:
        """Return examples that are in memory."""
        return examples if isinstance(examples, Examples) else cls.read([InMemory(examples)])

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, position: int) -> Example: ...
    @overload
    def __getitem__(self, position: slice) -> Examples: ...
    def __getitem__(self, position: int | slice) -> Example | Examples:
        if isinstance(position, slice):
            return self.taken(np.arange(len(self))[position])
        source, number = self._find(position)
        return source.example(number)

    def __iter__(self) -> Iterator[Example]:
        return (self[position] for position in range(len(self)))

    def taken(self, positions: npt.NDArray[np.integer[Any]] | Mask) -> Examples:
        """Return some of the examples: by their positions, or by a mask of all."""
        return Examples(self._sources, self.weights, self._table, self.numbers[positions])

    def place(self, position: int) -> str:
        """Return where an example was read, for messages."""
        source, number = self._find(position)
        return source.place(number)

    def source_of(self) -> npt.NDArray[np.int32]:
        """Return the number of each example's source, int32, shape (n,)."""
        sizes = np.diff(self._table.starts)
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[self.numbers]

    def told(self) -> Iterator[str]:
        """Yield a line on each source that has a name and some of the examples."""
        source_of, has_negatives = self.source_of(), self.has_negatives()
        for number, source in enumerate(self._sources):
            own = source_of == number
            if source.name and own.any():
                n_queries = len(np.unique(self.queries[own]))
                n_with = int(has_negatives[own].sum())
                yield (
                    f"{source.name}: {int(own.sum())} examples of {n_queries} queries, {n_with} "
                    f"with negatives of their own{_told_copy(source)}"
                )

    @cached_property
    def queries(self) -> npt.NDArray[np.int32]:
        """The number of each example's query, all spellings of one alike, int32, shape (n,).

        They count up from 0 as queries come first among the examples.
        """
        keys = self._table.keys[self.numbers]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        begins = np.ones(len(keys), bool)
        np.not_equal(keys[1:], keys[:-1], out=begins[1:])
        del keys
        by_key = np.cumsum(begins, dtype=np.int32) - np.int32(1)
        first = order[begins]  # the sort is stable: the first of those with a key
        rank = np.empty(len(first), np.int32)
        rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
        queries = np.empty(len(order), np.int32)
        queries[order] = rank[by_key]
        return queries

    @property
    def n_own_negatives(self) -> int:
        """Negatives of all sources that were an example's own positive, and are left out."""
        return self._table.n_own_negatives

    def has_negatives(self) -> Mask:
        """Return which examples have negatives of their own, shape (n,)."""
        return self._table.has_negatives[self.numbers]

    def has_scores(self) -> Mask:
        """Return which examples have a teacher's scores, shape (n,)."""
        return self._table.has_scores[self.numbers]

    def known(self, batch: Sequence[Example]) -> list[frozenset[str]]:
        """Return, for each of some examples, which of all their texts are known to answer it.

        They are the positives of other examples here that ask the same, however it is spelled.
        """
        texts: dict[int, list[str]] = {}
        for text in {text for e in batch for text in (e.positive, *e.negatives)}:
            texts.setdefault(hash(text), []).append(text)
        hashes = np.fromiter(texts, np.int64, len(texts))
        keys, answers = self._shared
        known = []
        for example in batch:
            key = query_key(example.anchor)
            low, high = np.searchsorted(keys, key), np.searchsorted(keys, key, side="right")
            found = hashes[np.isin(hashes, answers[low:high])].tolist()
            known.append(frozenset(text for value in found for text in texts[value]))
        return known

    def fingerprint(self) -> str:
        """Return the sha256, in hex, of the examples in their order."""
        digest = hashlib.sha256(repr(self.weights).encode())
        for source in self._sources:
            digest.update(source.fingerprint())
        digest.update(self.numbers.data)
        return digest.hexdigest()

    def ask(self, keys: Iterable[int]) -> Mask:
        """Return which examples ask one of some queries, by `query_key`, shape (n,)."""
        return np.isin(self._table.keys[self.numbers], np.array([*keys], np.int64))

    @cached_property
    def shares_query(self) -> Mask:
        """Which examples ask what another one asks, shape (n,)."""
        return np.bincount(self.queries)[self.queries] > 1

    @cached_property
    def _shared(self) -> tuple[Ids, Ids]:
        """Keys and answers of the queries with several examples, by key: others have one answer."""
        several = self.numbers[self.shares_query]
        keys, answers = (c[several] for c in (self._table.keys, self._table.answers))
        order = np.argsort(keys, kind="stable")
        return keys[order], answers[order]

    def _find(self, position: int) -> tuple[Source, int]:
        number = int(self.numbers[position])
        source = int(np.searchsorted(self._table.starts, number, side="right")) - 1
        return self._sources[source], number - int(self._table.starts[source])


def _told_copy(source: Source) -> str:
    """Return a remark on a copy that is large enough to be wondered at."""
    n_megabytes = source.n_copied() >> 20
    return f"; from a temporary copy of {n_megabytes} MiB" if n_megabytes else ""
