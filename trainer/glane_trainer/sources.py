"""Where examples are read from, one at a time: a file, or a list that is in memory."""

from __future__ import annotations

import hashlib
import json
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from glane.collection.pairs import Fields, Reader, pair_rows
from glane.collection.spelling import spelling
from glane.collection.stored import Stored
from glane_trainer.examples import Example, examples_of, scores_of, without_its_positive

HAS_NEGATIVES, HAS_SCORES = 1, 2
"""What is noted of an example, as bits."""


def query_key(anchor: str) -> int:
    """Return a number that all spellings of a query have in common, in this process alone."""
    return hash(spelling(anchor))


class Facts:
    """What is in memory of each example, in order: 17 bytes.

    Attributes:
        keys: `query_key` of its query.
        answers: Hash of its positive.
        bits: `HAS_NEGATIVES`, `HAS_SCORES`, both or none.
        n_own_negatives: Negatives that were the example's own positive.
    """

    def __init__(self) -> None:
        """Begin with no example."""
        self.keys, self.answers, self.bits = array("q"), array("q"), array("B")
        self.n_own_negatives = 0

    def note(
        self, anchor: str, positives: Iterable[str], negatives: Sequence[str], scored: bool
    ) -> None:
        """Note an example for each positive."""
        key = query_key(anchor)
        for positive in positives:
            n_own = _count_own(positive, negatives)
            self.n_own_negatives += n_own
            self.keys.append(key)
            self.answers.append(hash(positive))
            has_negatives = HAS_NEGATIVES if n_own < len(negatives) else 0
            self.bits.append(has_negatives | (HAS_SCORES if scored else 0))


def _count_own(positive: str, negatives: Sequence[str]) -> int:
    own, n_own = positive.strip(), 0
    for text in negatives:
        if text.strip() == own:
            n_own += 1
    return n_own


class Source(Protocol):
    """Examples by their numbers, from 0."""

    def read(self, facts: Facts) -> None:
        """Read and check all of them, once, and note what is kept in memory."""

    def example(self, number: int) -> Example:
        """Return one, without negatives that are its own positive."""
        ...

    def place(self, number: int) -> str:
        """Return where one was read, for messages."""
        ...

    def fingerprint(self) -> bytes:
        """Return the sha256 of all of them."""
        ...


class InMemory:
    """A list of examples."""

    def __init__(self, examples: Iterable[Example]) -> None:
        """Take the examples."""
        self._examples = list(examples)

    def read(self, facts: Facts) -> None:
        """Note all of them."""
        for e in self._examples:
            facts.note(e.anchor, [e.positive], e.negatives, bool(e.teacher_scores))

    def example(self, number: int) -> Example:
        """Return one, without negatives that are its own positive."""
        return without_its_positive(self._examples[number])

    def place(self, number: int) -> str:
        """Return where one was read, for messages."""
        return self._examples[number].place

    def fingerprint(self) -> bytes:
        """Return the sha256 of all of them."""
        digest = hashlib.sha256()
        for e in self._examples:
            row = [e.anchor, e.positive, e.negatives, e.teacher_scores]
            digest.update(json.dumps(row).encode() + b"\n")
        return digest.digest()


class InFile:
    """Pairs, triples or lists of a file, which are read when they are asked for."""

    def __init__(self, path: str | Path, fields: Fields) -> None:
        """Take a file; nothing is opened yet.

        Args:
            path: As `glane.collection.rows.Rows` takes it.
            fields: Which fields hold what.
        """
        self._stored = Stored(pair_rows(path, fields))
        self._reader = Reader(self._stored.name, fields)
        self._records = array("i")

    def read(self, facts: Facts) -> None:
        """Read and check all of them, once, and note what is kept in memory.

        Raises:
            OSError: If the file is missing, a folder, or not readable.
            ValueError: If a record is malformed; the message names file, line and field.
        """
        for number, record in enumerate(self._stored.read()):
            try:
                pair = self._reader.pair(record)
                scored = bool(scores_of(pair))
            except ValueError as error:
                raise ValueError(f"{self._stored.here()}: {error}") from None
            facts.note(pair.anchor, pair.positives, pair.negatives, scored)
            for _ in pair.positives:
                self._records.append(number)
        self._reader.finish()

    def example(self, number: int) -> Example:
        """Return one, without negatives that are its own positive.

        Raises:
            ValueError: If the file was changed since it was read.
        """
        record = self._records[number]
        pair = self._reader.pair(self._stored[record])
        which = number - bisect_left(self._records, record)
        return without_its_positive(examples_of(pair)[which])

    def place(self, number: int) -> str:
        """Return where one was read, for messages."""
        return self._stored.place(self._records[number])

    def fingerprint(self) -> bytes:
        """Return the sha256 of all that was read."""
        return self._stored.fingerprint()
