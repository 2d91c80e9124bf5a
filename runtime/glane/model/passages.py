"""Where a document that is longer than a model reads is parted, so that all of it is read."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from glane.model.preparation import TextPreparer
from glane.types import Ids

RULES = 1
"""Version of the rules: an index says by which its passages were made."""

OVERLAP = 8
"""A passage begins at most the eighth part of one before the end of the one before it."""

SLACK = 32
"""One token in so many is kept free: apart, the words at a cut may have a token more."""

SENTENCE = re.compile(
    "[.!?\u2026\u0589\u061f\u06d4\u0964\u0965\u1362\u17d4][\"'\u00bb\u2019\u201d)\\]]*\\s+"
    '|[\u3002\uff01\uff1f\uff61][\u300d\u300f\uff09\u201d"]*\\s*|\\n\\s*'
)
"""What ends a sentence: a full stop with white space behind it, that of scripts without spaces, or
the end of a line."""


Spans = npt.NDArray[np.int32]
"""Where passages lie, shape (n_passages, 2): the first character, and the one behind the last."""


def part(preparer: TextPreparer, text: str) -> Spans:
    """Return where a document is parted; what the model reads at once is one passage.

    A passage is as long as the model reads, less a little. It ends with a sentence in its second
    half, else with a word, else with a token; the next one begins before that end, with a sentence
    where one begins there.

    Args:
        preparer: Of the model.
        text: Any string.

    Returns:
        At least one passage; together they hold every character.
    """
    tokens = preparer.places(text, "document")
    own = tokens[tokens[:, 0] >= 0]
    room = preparer.frames["document"].room
    if len(tokens) <= room:
        return _whole(text)
    room -= len(tokens) - len(own)
    size = max(1, room - room // SLACK - 1)
    while True:
        cuts = _cuts(text, own, size)
        begins = [0, *(int(own[begin, 0]) for _, begin in cuts)]
        ends = [*(int(own[end, 0]) for end, _ in cuts), len(text)]
        pieces = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
        if size == 1 or not preparer.tokenize(pieces, "document").n_truncated:
            return np.array([begins, ends], np.int32).T
        size -= 1 + size // SLACK  # characters that become many tokens did so once more


def _whole(text: str) -> Spans:
    return np.array([[0, len(text)]], np.int32)


def _cuts(text: str, tokens: Ids, size: int) -> list[tuple[int, int]]:
    """Return for each cut the token behind the passage's last, and the first of the next one."""
    sentences = _tokens_at(tokens, [found.end() for found in SENTENCE.finditer(text)])
    words = _words(text, tokens)
    cuts: list[tuple[int, int]] = []
    begin = 0
    while len(tokens) - begin > size:
        last = begin + size
        end = _last(sentences, begin + size // 2, last)
        end = end or _last(words, begin + size // 2, last) or last
        end = _whole_character(tokens, end, begin)
        low = max(begin + 1, end - size // OVERLAP)
        following = _first(sentences, low, end) or _first(words, low, end) or low
        begin = _whole_character(tokens, following, begin)
        cuts.append((end, begin))
    return cuts


def _whole_character(tokens: Ids, token: int, above: int) -> int:
    """Return the first token of the character that a token begins with, where it lies above."""
    first = int(np.searchsorted(tokens[:, 0], tokens[token, 0]))
    return first if first > above else token


def _tokens_at(tokens: Ids, characters: Sequence[int]) -> Ids:
    """Return the first token that begins at each of some characters, or behind it."""
    return np.unique(np.searchsorted(tokens[:, 0], characters))


def _words(text: str, tokens: Ids) -> Ids:
    """Return the tokens that have white space before them, or begin with it."""
    starts = tokens[:, 0].tolist()
    return np.flatnonzero(
        [text[at - 1 : at].isspace() or text[at : at + 1].isspace() for at in starts]
    )


def _last(places: Ids, low: int, high: int) -> int | None:
    """Return the last place above `low` and up to `high`."""
    found = int(np.searchsorted(places, high, side="right")) - 1
    return int(places[found]) if found >= 0 and places[found] > low else None


def _first(places: Ids, low: int, high: int) -> int | None:
    """Return the first place from `low` on and up to `high`."""
    found = int(np.searchsorted(places, low))
    return int(places[found]) if found < len(places) and places[found] <= high else None
