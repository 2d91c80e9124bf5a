"""What of a document to show for a query: its title, and the piece that answers best."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from glane.analysis.analyzer import Analyzer
from glane.analysis.locating import Place, locate
from glane.collection.fields import joined_fields
from glane.model.passages import SENTENCE
from glane.retrievers.collection import Collection
from glane.retrievers.lexical import Lexical
from glane.retrievers.passages import Passages
from glane.retrievers.shares import Piece
from glane.types import Ids

WIDTH = 240
"""Characters of a text that are shown at most."""

APART = 8
"""Characters between two places where a piece may begin, at least."""

TITLE = 120
"""Characters of a title that are shown at most."""

WORDS = Analyzer(language="auto")
"""What tells the words to mark where the retriever has no words of its own."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is shown of a document.

    Attributes:
        title: Text of the first of several searched fields, white space made single; empty where
            there is but one field.
        text: The piece, white space likewise made single.
        marks: Where words of the query stand in `text`, rising.
        is_begun: Whether the document's text begins before the piece, ...
        is_ended: ... and whether it ends with it.
    """

    title: str
    text: str
    marks: list[Piece]
    is_begun: bool
    is_ended: bool


class Excerpts:
    """What to show of stored documents for one query.

    Of a long document that is a piece of its best passage, by the last stage that scores passages;
    within it the piece that holds most of the query's terms.
    """

    def __init__(self, collection: Collection, query: str, on: Sequence[str], numbers: Ids) -> None:
        """Find out what is looked for, and the best passages.

        Args:
            collection: Holds the documents.
            query: Any string.
            on: The fields that are searched.
            numbers: Of the documents that `of` will be asked for.
        """
        self._on = on
        self._passages = _best_passages(collection, query, numbers)
        own = collection.retriever
        words = isinstance(own, Lexical) and own.analyzer.kind in ("words", "bigrams")
        self._analyzer = own.analyzer if isinstance(own, Lexical) and words else WORDS
        self._terms = {term for terms in self._analyzer.readings(query) for term in terms}

    def of(self, number: int, document: Mapping[str, Any]) -> Excerpt:
        """Return what to show of a document.

        Args:
            number: Of the document, one of those that were told.
            document: The document.
        """
        fields = joined_fields(document, self._on)
        text = " ".join(field.text for field in fields)
        titled = len(self._on) > 1 and len(fields) > 1 and fields[0].name == self._on[0]
        start = fields[1].start if titled else 0
        title = " ".join(text[: max(0, start - 1)].split())
        first, last = self._passages.get(number, (0, len(text)))
        first, last = (max(first, start), last) if last > start else (start, len(text))
        places = locate(self._analyzer, text, self._terms)
        begin, end = _window(text, places, first, last)
        shown, marks = _single_spaced(text[begin:end], [_inside(p, begin, end) for p in places])
        return Excerpt(_cut(title, TITLE), shown, marks, begin > start, end == len(text))


def _best_passages(collection: Collection, query: str, numbers: Ids) -> dict[int, Piece]:
    """Return where the best passage of each document lies, where a stage scores passages."""
    stages = (collection.reranker, collection.retriever)
    parted = next((stage for stage in stages if isinstance(stage, Passages)), None)
    if parted is None:
        return {}
    rising = np.unique(numbers)
    spans = parted.spans(rising)
    places = np.zeros(len(rising), np.int64)
    if any(len(each) > 1 for each in spans):
        _, places = parted.best(parted.encode_queries([query]), rising)
    pairs = zip(spans, places.tolist(), strict=True)
    pieces = [(int(first), int(last)) for first, last in (each[place] for each, place in pairs)]
    return dict(zip(rising.tolist(), pieces, strict=True))


def _window(text: str, places: Sequence[Place], first: int, last: int) -> Piece:
    """Return the piece of a passage with most of the terms: at a sentence, then at a word."""
    if last - first <= WIDTH:
        return first, last
    inside = (place for place in places if first <= place.start < last)
    own = sorted(inside, key=attrgetter("start"))
    starts = [place.start for place in own]

    def n_terms(begin: int) -> int:
        shown = own[bisect_left(starts, begin) : bisect_left(starts, begin + WIDTH)]
        return len({place.term for place in shown if place.stop <= begin + WIDTH})

    begin = max(_begins(text, own, first, last), key=n_terms)
    end = min(last, begin + WIDTH)
    space = text.rfind(" ", begin + WIDTH // 2, end)
    return begin, space if end < last and space > 0 else end


def _begins(text: str, places: Sequence[Place], first: int, last: int) -> list[int]:
    """Return where a piece may begin, rising and not too close: at sentences, or before a place."""
    begins = [found.end() for found in SENTENCE.finditer(text, first, last)]
    begins += [_word_before(text, place.start, first) for place in places]
    kept = [first]
    for begin in sorted(begins):
        if begin - kept[-1] >= APART:
            kept.append(begin)
    return kept


def _word_before(text: str, place: int, first: int) -> int:
    """Return where a word begins some characters before a place; there where none begins."""
    low = max(first, place - WIDTH // 4)
    space = re.search(r"\s", text[low:place])
    return low + space.end() if space and low > first else low


def _inside(place: Place, begin: int, end: int) -> Piece:
    return max(place.start, begin) - begin, min(place.stop, end) - begin


def _single_spaced(text: str, pieces: Sequence[Piece]) -> tuple[str, list[Piece]]:
    """Return a text with single spaces for all white space, and where pieces of it are then."""
    if text.rstrip() == " ".join(text.split()):
        return text.rstrip(), _joined(sorted({piece for piece in pieces if piece[0] < piece[1]}))
    kept = [not c.isspace() or (n > 0 and not text[n - 1].isspace()) for n, c in enumerate(text)]
    before = np.concatenate([[0], np.cumsum(kept)])
    shown = "".join(" " if c.isspace() else c for c, k in zip(text, kept, strict=True) if k)
    moved = {(int(before[low]), int(before[high])) for low, high in pieces if low < high}
    return shown.rstrip(), _joined(sorted(moved))


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Return pieces, rising, with those made one that overlap."""
    joined: list[Piece] = []
    for low, high in pieces:
        if joined and low < joined[-1][1]:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        else:
            joined.append((low, high))
    return joined


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "\u2026"
