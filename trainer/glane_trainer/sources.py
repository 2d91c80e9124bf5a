"""Where examples are read from, one at a time: a file, or a list that is in memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from glane.collection.by_id import ById, IdReader, id_rows
from glane.collection.pairs import Fields, Pair, Reader, pair_rows
from glane.collection.spelling import spelling
from glane.collection.stored import Stored
from glane_trainer.examples import Example, examples_of, scores_of, without_its_positive
from glane_trainer.hashing import sha256_of

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

    def note(self, pair: Pair, *, scored: bool) -> None:
        """Note an example for each positive of a pair."""
        key = query_key(pair.anchor)
        for positive in pair.positives:
            n_own = _count_own(positive, pair.negatives)
            self.add(key, hash(positive), n_own < len(pair.negatives), scored, n_own)

    def add(self, key: int, answer: int, listed: bool, scored: bool, n_own: int) -> None:
        """Note one example: `n_own` negatives are its positive; whether others are `listed`."""
        self.n_own_negatives += n_own
        self.keys.append(key)
        self.answers.append(answer)
        self.bits.append(HAS_NEGATIVES * listed | HAS_SCORES * scored)


def _count_own(positive: str, negatives: Sequence[str]) -> int:
    own, n_own = positive.strip(), 0
    for text in negatives:
        if text.strip() == own:
            n_own += 1
    return n_own


class Source(Protocol):
    """Examples by their numbers, from 0.

    Attributes:
        name: How messages call it.
    """

    name: str

    def read(self, facts: Facts) -> None:
        """Read and check all of them, once, and note what is kept in memory."""

    def example(self, number: int) -> Example:
        """Return one, without negatives that are its own positive."""
        ...

    def place(self, number: int) -> str:
        """Return where one was read, for messages."""
        ...

    def n_copied(self) -> int:
        """Return the bytes of a temporary copy that they are read from, 0 for none."""
        ...

    def fingerprint(self) -> bytes:
        """Return bytes that follow from all of them."""
        ...


class InMemory:
    """A list of examples.

    Attributes:
        name: How messages call it.
    """

    def __init__(self, examples: Iterable[Example], name: str = "") -> None:
        """Take the examples."""
        self._examples, self.name = list(examples), name

    def read(self, facts: Facts) -> None:
        """Note all of them."""
        for e in self._examples:
            pair = Pair(e.anchor, (e.positive,), e.negatives, e.place, {})
            facts.note(pair, scored=bool(e.teacher_scores))

    def example(self, number: int) -> Example:
        """Return one, without negatives that are its own positive."""
        return without_its_positive(self._examples[number])

    def place(self, number: int) -> str:
        """Return where one was read, for messages."""
        return self._examples[number].place

    def n_copied(self) -> int:
        """There is no copy."""
        return 0

    def fingerprint(self) -> bytes:
        """Return the sha256 of all of them."""
        rows = ([e.anchor, e.positive, e.negatives, e.teacher_scores] for e in self._examples)
        return sha256_of(rows).digest()


class Texts(NamedTuple):
    """The texts that triples name by ids.

    Attributes:
        queries: By their ids; `query_key` is kept of each.
        documents: By their ids; the hash is kept of each.
    """

    queries: ById
    documents: ById

    def note(self, pair: Pair, facts: Facts, *, scored: bool) -> None:
        """Note an example for each positive of a pair of ids, without reading their texts.

        Raises:
            ValueError: If there is no text of an id.
        """
        queries, documents = self
        key = int(queries.hashes[queries.number(pair.anchor)])
        positives, negatives = (
            [int(documents.hashes[documents.number(id)]) for id in ids]
            for ids in (pair.positives, pair.negatives)
        )
        for answer in positives:
            n_own = negatives.count(answer)
            facts.add(key, answer, n_own < len(negatives), scored, n_own)

    def named_by(self, pair: Pair) -> Pair:
        """Return a pair of ids as a pair of texts."""
        positives, negatives = (
            tuple(self.documents.text(id) for id in ids) for ids in (pair.positives, pair.negatives)
        )
        anchor = self.queries.text(pair.anchor)
        return pair._replace(anchor=anchor, positives=positives, negatives=negatives)

    def fingerprint(self) -> bytes:
        """Return the sha256 of both files."""
        return self.queries.fingerprint() + self.documents.fingerprint()


class InFile:
    """Pairs, triples or lists of a file, which are read when they are asked for.

    Attributes:
        name: How messages call it.
    """

    def __init__(self, path: str | Path, fields: Fields, texts: Texts | None = None) -> None:
        """Take a file; nothing of it is opened yet.

        Args:
            path: As `glane.collection.rows.Rows` takes it.
            fields: Which fields hold what.
            texts: What the file names by ids; None where it has the texts themselves.
        """
        self._texts = texts
        self._stored = Stored(pair_rows(path, fields) if texts is None else id_rows(path))
        self.name = self._stored.name
        by_text = Reader(self._stored.name, fields)
        self._reader: Reader | IdReader = by_text if texts is None else IdReader(fields)
        self._records = array("i")

    def read(self, facts: Facts) -> None:
        """Read and check all of them, once, and note what is kept in memory.

        Raises:
            OSError: If the file is missing, a folder, or not readable.
            ValueError: If a record is malformed, or names what is not there; the message names
                file, line, and field or id.
        """
        for number, record in enumerate(self._stored.read()):
            try:
                pair = self._reader.pair(record)
                scored = bool(scores_of(pair))
                if self._texts is None:
                    facts.note(pair, scored=scored)
                else:
                    self._texts.note(pair, facts, scored=scored)
            except ValueError as error:
                raise ValueError(f"{self._stored.here()}: {error}") from None
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
        if self._texts is not None:
            pair = self._texts.named_by(pair)
        which = number - bisect_left(self._records, record)
        return without_its_positive(examples_of(pair)[which])

    def place(self, number: int) -> str:
        """Return where one was read, for messages."""
        return self._stored.place(self._records[number])

    def n_copied(self) -> int:
        """Return the bytes of a temporary copy that they are read from, 0 for none."""
        return self._stored.n_copied()

    def fingerprint(self) -> bytes:
        """Return the sha256 of all that was read, of each file."""
        others = b"" if self._texts is None else self._texts.fingerprint()
        return self._stored.fingerprint() + others
