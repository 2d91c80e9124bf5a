"""Which document a text is: one that equals it, or the only one that it is a part of."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from glane.model.preparation import clean

WINDOW = 12
"""Characters that documents are looked through for, step by step."""

SHORTEST = 2 * WINDOW - 1
"""Characters of a text that is looked for inside of documents: each place has a whole step."""


How = Literal["equal", "part", "several", "none"]
"""A text is a document's, a part of one's, in several that differ, or in none."""

Equal = dict[str, list[str]]
"""The ids of the documents that a text equals, by all that they say: copies are one."""


class Match(NamedTuple):
    """Which documents a text is.

    Attributes:
        how: How it was found.
        ids: Of the document that equals it and its copies, or of the one that it is a part of.
    """

    how: How
    ids: list[str]


class Document(NamedTuple):
    """A document of a collection.

    Attributes:
        id: Its id.
        title: Its first field that is searched, where there are several.
        text: The others.
    """

    id: str
    title: str
    text: str

    @property
    def whole(self) -> str:
        """Title and text, joined by a space."""
        return f"{self.title} {self.text}".strip()


def plain(text: str) -> str:
    r"""Return what two copies of a text have in common: NFKC, and single spaces inside alone.

    >>> plain(" a\u00a0cafe\u0301\n")
    'a café'
    """
    return " ".join(unicodedata.normalize("NFKC", clean(text)).split())


def noting_equal(documents: Iterable[Document], equal: Mapping[str, Equal]) -> Iterator[Document]:
    """Yield the documents, and note those that are a text, as a whole or without their title.

    Args:
        documents: In any order.
        equal: What is noted of each text, by what `plain` leaves of it.
    """
    for document in documents:
        whole = plain(document.whole)
        for text in {whole, plain(document.text), plain(document.title)}:
            if text in equal:
                equal[text].setdefault(whole, []).append(document.id)
        yield document


def settle(
    equal: Mapping[str, Equal], documents: Callable[[], Iterable[Document]]
) -> dict[str, Match]:
    """Return which documents each text is.

    Args:
        equal: What `noting_equal` has noted.
        documents: Gives them again; called where a text equals none.
    """
    others = [text for text, wholes in equal.items() if not wholes]
    parts = find_parts(others, documents()) if others else {}
    return {text: _match(wholes, parts.get(text, [])) for text, wholes in equal.items()}


def _match(equal: Equal, part: list[str]) -> Match:
    if len(equal) == 1:
        return Match("equal", next(iter(equal.values())))
    if len(part) == 1:
        return Match("part", part)
    return Match("several" if equal or part else "none", [])


def find_parts(texts: Iterable[str], documents: Iterable[Document]) -> dict[str, list[str]]:
    """Return which documents each text is a part of: two at most, as more are not told apart.

    A text of fewer than `SHORTEST` characters is not looked for: it is a part by chance.

    Args:
        texts: As `plain` leaves them.
        documents: In any order.
    """
    found: dict[str, list[str]] = {text: [] for text in texts if len(text) >= SHORTEST}
    windows: dict[str, list[str]] = {}
    for text in found:  # from its middle: many texts begin and end alike
        start = (len(text) - SHORTEST) // 2
        for window in {text[at : at + WINDOW] for at in range(start, start + WINDOW)}:
            windows.setdefault(window, []).append(text)
    for document in documents if found else ():
        whole = plain(document.whole)
        steps = {whole[at : at + WINDOW] for at in range(0, len(whole), WINDOW)}
        near = {text for step in steps & windows.keys() for text in windows[step]}
        for text in near:
            if len(found[text]) < 2 and text in whole:
                found[text].append(document.id)
    return found
