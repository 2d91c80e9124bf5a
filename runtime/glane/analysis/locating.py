"""Where the terms of a text stand in it: what a search shows as the words that matched."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from glane.analysis.analyzer import IN, STOPPED, Analyzer, known_words
from glane.analysis.folding import FOLDED_APART, fold
from glane.analysis.words import is_unspaced

CHUNK = re.compile(r"(?:[\x00-\x7f]+(?=\s))|\s+|\S+")
"""A text in pieces that are folded apart: ASCII up to a space, other words, other spaces."""


class Place(NamedTuple):
    """A term of a text.

    Attributes:
        term: As the analyzer makes it.
        start: Its first character in the text as it was given, ...
        stop: ... and the one behind its last.
    """

    term: str
    start: int
    stop: int


def locate(analyzer: Analyzer, text: str, wanted: Set[str] | None = None) -> list[Place]:
    """Return where each term of a document stands, by place, as often as it is found.

    A term that is a part of a word, as a stem is, has the place of the word; an n-gram has its own.

    Args:
        analyzer: How the text became terms.
        text: Any string.
        wanted: The terms that are asked for; None for all.

    >>> locate(Analyzer(), "Caf\u00e9s & plants")
    [Place(term='caf\u00e9', start=0, stop=5), Place(term='plant', start=8, stop=14)]
    """
    words = analyzer.words(text)
    folded = _folded(text, _language(analyzer, words))
    if analyzer.kind == "words":
        return _of_words(analyzer, words, folded, wanted)
    runs = words[0].split(" ") if analyzer.kind == "char" and words else words
    found = sorted(_of_runs(analyzer, runs, folded), key=lambda place: place[1:])
    return [place for place in found if wanted is None or place.term in wanted]


class _Folded(NamedTuple):
    """A text as its words are compared, and where each character comes from.

    Attributes:
        text: The folded text.
        starts: Where each of its characters begins in the text as it was given, ...
        stops: ... and ends.
    """

    text: str
    starts: Sequence[int]
    stops: Sequence[int]

    def place(self, term: str, start: int, stop: int) -> Place:
        """Return the place of some of its characters, at least one."""
        return Place(term, self.starts[start], self.stops[stop - 1])


def _folded(text: str, language: str) -> _Folded:
    if text.isascii() and len(made := fold(text, language)) == len(text):
        return _Folded(made, range(len(text)), range(1, len(text) + 1))
    characters: list[str] = []
    starts: list[int] = []
    stops: list[int] = []
    for start, stop in _pieces(text, language):
        made = fold(text[start:stop], language)
        characters.append(made)
        alike = text[start:stop].isascii() or stop - start == 1
        if alike and len(made) == stop - start:
            starts += range(start, stop)
            stops += range(start + 1, stop + 1)
        else:
            starts += [start] * len(made)
            stops += [stop] * len(made)
    return _Folded("".join(characters), starts, stops)


def _pieces(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Yield runs of characters that are folded together, as short as that allows."""
    for chunk in CHUNK.finditer(text):
        start, stop = chunk.span()
        if chunk[0].isascii():
            yield start, stop
            continue
        pieces = list(_clusters(text, start, stop))
        made = "".join(fold(text[begin:end], language) for begin, end in pieces)
        yield from pieces if made == fold(chunk[0], language) else [(start, stop)]


def _clusters(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield each character with the marks that follow it."""
    begin = start
    for place in range(start + 1, stop):
        if unicodedata.category(text[place])[0] not in "MC":
            yield begin, place
            begin = place
    yield begin, stop


def _language(analyzer: Analyzer, words: list[str]) -> str:
    """Return the language that the text was folded in."""
    if analyzer.kind != "words" or analyzer.language not in ("auto", *FOLDED_APART):
        return "none"
    tags = {word.partition(IN)[2] for word in words if IN in word}
    return next((name for name in FOLDED_APART if name in {*tags, analyzer.language}), "none")


def _starts(words: Sequence[str], text: str) -> list[int]:
    """Return where each word begins, one after the other; -1 for a spelling that is not there.

    (Only the whole text has it then, not the pieces that were folded apart.)
    """
    starts: list[int] = []
    begin = 0
    for word in words:
        at = text.find(word, begin)
        starts.append(at)
        if at >= 0:
            begin = at + len(word)
    return starts


def _of_words(
    analyzer: Analyzer, words: Sequence[str], folded: _Folded, wanted: Set[str] | None
) -> list[Place]:
    terms_of = _terms_of_each(analyzer, words, wanted)
    is_tagged = analyzer.language == "auto"
    plains = [word.partition(IN)[0] for word in words] if is_tagged else words
    found: list[Place] = []
    for word, plain, at in zip(words, plains, _starts(plains, folded.text), strict=True):
        if at >= 0 and word in terms_of:
            for term in terms_of[word]:
                found += _of_word(term, plain, folded, at)
    return found


def _terms_of_each(
    analyzer: Analyzer, words: Sequence[str], wanted: Set[str] | None
) -> dict[str, list[str]]:
    """Return the terms that are asked for, each once, of each word that has some.

    A term of an English word of ASCII begins as the word does, so that most words need not be
    stemmed to be told apart.
    """
    known, each = known_words(analyzer), set(words)
    if wanted is None:
        return {word: list(dict.fromkeys(known[word])) for word in each}
    if analyzer.language in ("english", "none") and analyzer.rules != 1:
        begins = {term.removeprefix(STOPPED)[:1] for term in wanted}
        each = {word for word in each if word[0] in begins or not word.isascii()}
    return {
        word: [term for term in dict.fromkeys(terms) if term in wanted]
        for word in each
        if not wanted.isdisjoint(terms := known[word])
    }


def _of_word(term: str, word: str, folded: _Folded, start: int) -> list[Place]:
    if not is_unspaced(word):
        return [folded.place(term, start, start + len(word))]
    return [folded.place(term, start + at, start + at + len(term)) for at in _all(term, word)]


def _of_runs(analyzer: Analyzer, runs: list[str], folded: _Folded) -> Iterator[Place]:
    """Yield the places of n-grams, which may hold the spaces around a run, and between two."""
    starts = _starts(runs, folded.text)
    whole = analyzer.kind == "char"
    groups = [list(range(len(runs)))] if whole else [[number] for number in range(len(runs))]
    for group in groups:
        joined = f" {' '.join(runs[number] for number in group)} "
        origins: list[int | None] = [None]
        for number in group:
            start, length = starts[number], len(runs[number])
            origins += range(start, start + length) if start >= 0 else [None] * length
            origins.append(None)
        for term in dict.fromkeys(analyzer.terms(" ".join(runs[number] for number in group))):
            for at in _all(term, joined):
                own = [place for place in origins[at : at + len(term)] if place is not None]
                if own:
                    yield folded.place(term, own[0], own[-1] + 1)


def _all(term: str, text: str) -> Iterator[int]:
    """Yield where a term stands in a text, overlapping ones included."""
    at = text.find(term)
    while at >= 0:
        yield at
        at = text.find(term, at + 1)
