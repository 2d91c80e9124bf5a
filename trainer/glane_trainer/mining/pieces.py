"""Questions that a text seems to answer, made of its own pieces: nobody asked them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from glane.model.passages import SENTENCE

Kind = Literal["title", "heading", "sentence", "crop"]

LEAST_TERMS, MOST_TERMS = 3, 64
"""Terms that a question may have."""

LEAST_REST = 8
"""Terms that are left of the text, at least; without them there is nothing to find it by."""

COPIED = 4
"""Terms from which on a piece is taken out of the text wherever it stands, not at its begin alone:
a shorter one may be a word of the language."""

MOST_HEADINGS = 3
"""Headings of a text that are used: the first."""

CROP = (6, 16)
"""Words of a crop; of a script without spaces, so many terms."""

DENSE = 4
"""Terms between two white spaces, on average, from which on a script is one without spaces."""

HEADING = re.compile(r"[ \t]{0,3}(#{1,6}[ \t]+)?(.*?)[ \t]*#*[ \t]*")
OPEN = ",;:\u3001\uff0c\uff1b\uff1a\u061b\u060c"
"""What does not end a heading."""

LONGER = 3
"""How many times as long as a heading without marks the line below it is, at least."""

Terms = Callable[[str], list[str]]
"""Gives the terms of a text, such as an `Analyzer`."""


class Piece(NamedTuple):
    """A question, and what of its text answers it.

    Attributes:
        query: The piece itself, on one line.
        answer: The text without it.
        kind: What it was.
    """

    query: str
    answer: str
    kind: Kind


def pieces_of(title: str, text: str, terms: Terms, random: np.random.Generator) -> list[Piece]:
    """Return questions that a document seems to answer; none where it is too short.

    They are its title, its first headings, each answered by the lines below it, and the sentence
    whose terms the rest repeats most, which is what the text is about; where there is neither title
    nor heading the first sentence too, and where there is no sentence at all a part of any place.

    Args:
        title: What it is called, or nothing.
        text: All else.
        terms: Gives the terms of a text, in any language.
        random: Draws the crop.
    """
    found = [Piece(one_line(title), without(text, title, terms), "title")]
    found += _headings(text)
    found = [piece for piece in found if _is_useful(piece, terms)]
    sentences = _sentences(text, terms)
    if sentences:
        others = sentences if found else sentences[1:]
        chosen = [] if found else sentences[:1]
        chosen += sorted(others, key=lambda sentence: -sentence.repeated)[:1]
        found += [sentence.piece(text) for sentence in chosen]
    if not found:
        found = [piece for piece in _crop(text, terms, random) if _is_useful(piece, terms)]
    return list({piece.query: piece for piece in found}.values())


def one_line(text: str) -> str:
    """Return a text with single blanks for its white space."""
    return " ".join(text.split())


def without(text: str, piece: str, terms: Terms) -> str:
    """Return a text without a piece that it may hold: what is asked is not to be copied.

    >>> without("Tea. Tea is drunk.", "Tea", str.split)
    'Tea is drunk.'
    """
    words = piece.split()
    if not words:
        return text.strip()
    same = r"\s+".join(map(re.escape, words))
    if len(terms(piece)) >= COPIED:
        rest = re.sub(same, " ", text, flags=re.IGNORECASE)
    else:
        rest = re.sub(rf"\A\s*{same}(?=[\W_]|\Z)", "", text, flags=re.IGNORECASE)
    return rest.strip() if rest == text else rest.lstrip(" \t\n.:;,-\u3002").rstrip()


def _is_useful(piece: Piece, terms: Terms) -> bool:
    n_terms = len(terms(piece.query))
    return LEAST_TERMS <= n_terms <= MOST_TERMS and len(terms(piece.answer)) >= LEAST_REST


def _headings(text: str) -> Iterator[Piece]:
    """Yield the first headings, each with what stands below it."""
    lines = [line for line in re.finditer(r"[^\r\n]+", text) if line[0].strip()]
    heads = []
    for line, below in pairwise(lines):
        if (name := _heading(line[0], below[0].strip())) is not None:
            heads.append((line.start(), line.end(), name))
    ends = [*(start for start, _, _ in heads[1:]), len(text)]
    for (_, begin, name), end in zip(heads[:MOST_HEADINGS], ends, strict=False):
        yield Piece(one_line(name), text[begin:end].strip(), "heading")


def _heading(line: str, below: str) -> str | None:
    """Return what a line is the heading of; None where it is none."""
    found = HEADING.fullmatch(line)
    if found is None or not found[2]:
        return None
    name = found[2].strip()
    if found[1]:
        return name
    whole = name[0].isalnum() and not name.endswith(tuple(OPEN)) and not SENTENCE.search(name + " ")
    return name if whole and len(below) >= LONGER * len(name) else None


class _Sentence(NamedTuple):
    """A sentence that may be a question.

    Attributes:
        query: The sentence on one line.
        begin: Its first character.
        end: The one behind its last.
        repeated: How much of it the rest of the text says again, a number to compare by.
    """

    query: str
    begin: int
    end: int
    repeated: float

    def piece(self, text: str) -> Piece:
        """Return it with the rest of its text."""
        return Piece(self.query, _rest(text, self.begin, self.end), "sentence")


def _sentences(text: str, terms: Terms) -> list[_Sentence]:
    """Return the sentences that are long enough, and leave enough, in their order."""
    ends = [*(found.end() for found in SENTENCE.finditer(text)), len(text)]
    spans = list(zip([0, *ends[:-1]], ends, strict=True))
    queries = [one_line(text[begin:end]).lstrip("#*-> ") for begin, end in spans]
    own = [terms(query) for query in queries]
    n_all = sum(map(len, own))
    n_with = Counter(term for each in own for term in set(each))
    found = []
    for (begin, end), query, each in zip(spans, queries, own, strict=True):
        if LEAST_TERMS <= len(each) <= MOST_TERMS and n_all - len(each) >= LEAST_REST:
            distinct = set(each)
            shared = sum(n_with[term] > 1 for term in distinct)
            found.append(_Sentence(query, begin, end, shared / (len(distinct) + LEAST_TERMS)))
    return found


def _crop(text: str, terms: Terms, random: np.random.Generator) -> Iterator[Piece]:
    """Yield a part of a text without sentences, drawn by chance; nothing where it is too short."""
    words = list(re.finditer(r"\S+", text))
    if words and len(terms(text)) > DENSE * len(words):
        words = list(re.finditer(r"\S", text))
    length = min(int(random.integers(*CROP, endpoint=True)), len(words) // 3)
    if length < 1:
        return
    first = int(random.integers(len(words) - length + 1))
    begin, end = words[first].start(), words[first + length - 1].end()
    while end < len(text) and _joins(text[end]):
        end += 1
    while begin > 0 and _joins(text[begin]):
        begin -= 1
    yield Piece(one_line(text[begin:end]), _rest(text, begin, end), "crop")


def _rest(text: str, begin: int, end: int) -> str:
    """Return what is left without some characters; a blank for the white space beside them."""
    before, behind = text[:begin], text[end:]
    spaced = before[-1:].isspace() or behind[:1].isspace() or text[end - 1].isspace()
    return (before.rstrip() + " " * spaced + behind.lstrip()).strip()


def _joins(character: str) -> bool:
    """Return whether a character belongs to the one before it."""
    return character == "\u200d" or unicodedata.category(character).startswith("M")
