"""How often documents hold each term: a word is analysed once, and numpy counts."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from glane.analysis.analyzer import CACHED_LENGTH, Analyzer
from glane.analysis.vocabulary import Vocabulary
from glane.analysis.words import unspaced
from glane.ragged import groups, join_lengths, take_rows
from glane.types import Ids
from glane.vectors import SparseVectors

CACHED_WORDS = 1 << 17
"""Words of documents whose terms are remembered while they are counted."""

BLOCK_TERMS = 1 << 19
"""Terms counted at once; a document that has more is counted alone."""

BLOCK_CHARACTERS = 1 << 18
"""Characters whose n-grams are counted at once, likewise."""

Numbers = npt.NDArray[np.int64]


class TermCounter:
    """Counts the terms of documents and enters those that are new into a vocabulary.

    A word is analysed once and remembered, up to `CACHED_WORDS`; then all are forgotten. For one
    thread at a time.

    Attributes:
        analyzer: How texts become terms.
        vocabulary: Where terms have their numbers.
    """

    def __init__(self, analyzer: Analyzer, vocabulary: Vocabulary) -> None:
        """Remember no word yet."""
        self.analyzer = analyzer
        self.vocabulary = vocabulary
        self._words = _WordTerms(analyzer, vocabulary)

    def __reduce__(self) -> tuple[type, tuple[Analyzer, Vocabulary]]:
        return type(self), (self.analyzer, self.vocabulary)

    def count(self, texts: Sequence[str]) -> SparseVectors:
        """Return how often each document holds each of its terms, in order of first appearance."""
        words, self._words = self._words, _WordTerms(self.analyzer, self.vocabulary)
        whole = self.analyzer.kind == "char" and type(self.analyzer) is Analyzer
        blocks = self._blocks_of_texts(texts, words) if whole else _blocks_of_words(texts, words)
        counted = SparseVectors.concatenate([_counted(*block) for block in blocks])
        self._words = words  # it was away: what an error leaves half done is forgotten
        return counted

    def _blocks_of_texts(
        self, texts: Sequence[str], words: _WordTerms
    ) -> Iterator[tuple[Numbers, Ids]]:
        """Yield the numbers of the n-grams of some texts, back to back, and the texts' offsets."""
        start, n_characters = 0, 0
        for stop, text in enumerate(texts, 1):
            n_characters += len(text)
            if n_characters < BLOCK_CHARACTERS and stop < len(texts):
                continue
            block = texts[start:stop]
            grams = _grams(block, self.analyzer, self.vocabulary)
            yield from _blocks_of_words(block, words) if grams is None else [grams]
            start, n_characters = stop, 0


class _WordTerms(dict[str, int]):
    """The place of each known word in a table of the numbers of its terms.

    Attributes:
        n_new: Characters of the words that are not in the table yet.
    """

    def __init__(self, analyzer: Analyzer, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.analyzer = analyzer
        self.vocabulary = vocabulary
        self.n_new = 0
        self._new: list[str] = []
        self._lengths = array("q")
        self._numbers = array("q")

    def __missing__(self, word: str) -> int:
        place = self[word] = len(self._lengths) + len(self._new)
        self._new.append(word)
        self.n_new += len(word)
        return place

    def take(self, rows: Sequence[Ids]) -> tuple[Numbers, Ids]:
        """Return the numbers of the terms of rows of words, back to back, and the rows' offsets."""
        self._analyse_new()
        lengths, numbers = np.array(self._lengths), np.array(self._numbers)
        places = np.concatenate([np.empty(0, np.int64), *rows])
        ends, positions = take_rows(join_lengths(lengths), places)
        if len(lengths) > CACHED_WORDS or len(numbers) > BLOCK_TERMS:
            self.clear()
            self._lengths, self._numbers = array("q"), array("q")
        return numbers[positions], ends[join_lengths([len(row) for row in rows])]

    def _analyse_new(self) -> None:
        terms = self.analyzer.terms_of_each(self._new)
        self._lengths.extend(map(len, terms))
        self._numbers.extend(self.vocabulary.enter_all(list(chain.from_iterable(terms))))
        for word in self._new:
            if len(word) > CACHED_LENGTH:
                del self[word]
        self._new, self.n_new = [], 0


def _blocks_of_words(texts: Sequence[str], words: _WordTerms) -> Iterator[tuple[Numbers, Ids]]:
    """Yield the numbers of the terms of some texts, back to back, and the texts' offsets."""
    rows: list[Ids] = []
    n_words = 0
    for text in texts:
        found = words.analyzer.words(text)
        rows.append(np.fromiter(map(words.__getitem__, found), np.int64, len(found)))
        n_words += len(found)
        if n_words + words.n_new > BLOCK_TERMS:
            yield words.take(rows)
            rows, n_words = [], 0
    yield words.take(rows)


def _grams(
    texts: Sequence[str], analyzer: Analyzer, vocabulary: Vocabulary
) -> tuple[Numbers, Ids] | None:
    """Return the numbers of the n-grams of whole texts, as `Analyzer.terms` orders them.

    A character becomes a small number, and an n-gram an integer of them: only the distinct ones
    are made as strings. None where they need more than 64 bits, a text is shorter than n, or
    `Analyzer.terms` has more than n-grams: in scripts without spaces, or of words shorter than n.
    """
    low, high = analyzer.ngrams
    padded = [f" {words[0]} " if words else "" for words in map(analyzer.words, texts)]
    lengths = np.array([len(text) for text in padded])
    joined = "".join(padded)
    codes = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
    distinct = np.unique(codes)
    bits = len(distinct).bit_length()
    plain = low <= 3 and not unspaced().search(joined)
    if not plain or bits * high > 64 or ((lengths > 0) & (lengths < low)).any():
        return None
    sizes = np.arange(low, high + 1)
    n_grams = np.maximum(lengths[:, None] - sizes + 1, 0)  # of each text and size
    ends = join_lengths(n_grams.ravel())
    shift = np.repeat(join_lengths(lengths)[:-1], len(sizes)) - ends[:-1]
    starts = np.arange(ends[-1]) + np.repeat(shift, n_grams.ravel())
    size = np.repeat(np.tile(sizes, len(texts)), n_grams.ravel())
    keys = _windows(np.searchsorted(distinct, codes) + 1, bits, sizes)[size - low, starts]
    order, begins = groups(keys)
    numbers = _entered(joined, starts, size, order[begins], vocabulary)
    found = np.empty(len(keys), np.int64)
    found[order] = np.repeat(numbers, np.diff(np.append(begins, len(keys))))
    return found, ends[:: len(sizes)]


def _windows(codes: Ids, bits: int, sizes: Ids) -> npt.NDArray[np.uint64]:
    """Return the integer of each window of each size, shape (n_sizes, n_characters).

    Codes begin with 1: a shorter window is another integer. Those that reach beyond the end are 0.
    """
    made = np.zeros((len(sizes), len(codes)), np.uint64)
    window = np.zeros(len(codes), np.uint64)
    for place in range(int(sizes[-1])):
        window = window[: len(codes) - place] << np.uint64(bits)
        window |= codes[place:].astype(np.uint64)
        if place + 1 >= sizes[0]:
            made[place + 1 - sizes[0], : len(window)] = window
    return made


def _entered(text: str, starts: Ids, sizes: Ids, firsts: Ids, vocabulary: Vocabulary) -> Numbers:
    """Return the number of each distinct n-gram; new ones are entered as they first appear.

    Args:
        text: All texts.
        starts: Of each n-gram, in order of appearance.
        sizes: Likewise.
        firsts: Where each distinct one is among these for the first time.
        vocabulary: Where they are entered.
    """
    order = np.argsort(firsts)
    begins = starts[firsts[order]]
    ends = begins + sizes[firsts[order]]
    pieces = zip(begins.tolist(), ends.tolist(), strict=True)
    numbers = np.empty(len(firsts), np.int64)
    numbers[order] = vocabulary.enter_all([text[begin:end] for begin, end in pieces])
    return numbers


def _counted(numbers: Numbers, offsets: Ids) -> SparseVectors:
    """Return how often each number stands in each row, in order of first appearance."""
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order, begins = groups(owners * (1 + numbers.max(initial=0)) + numbers)
    counts = np.zeros(len(numbers), np.float32)
    counts[order[begins]] = np.diff(np.append(begins, len(order)))
    firsts = np.flatnonzero(counts)
    return SparseVectors(
        join_lengths(np.bincount(owners[firsts], minlength=len(offsets) - 1)),
        numbers[firsts].astype(np.int32),
        counts[firsts],
    )
