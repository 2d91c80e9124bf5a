"""What a stage says of one query and one document: the shares that its score is the sum of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from glane.analysis.locating import Place
from glane.model.encoder import Encoder
from glane.model.origins import origins
from glane.model.preparation import Reading, Role
from glane.types import Ids, Mask
from glane.vectors import SparseVectors

Piece = tuple[int, int]
"""First character of a piece of a text, and the one behind its last."""


@dataclass(frozen=True, slots=True)
class Match:
    """One share of a score.

    Attributes:
        term: The term that query and document share, or the query's token.
        score: What it adds to the score.
        asked: Where it stands in the query; None of a marker, or a word that a model added.
        matched: The document's token or word that it was matched with; None where no text of the
            document is at hand, or a model added the word and does not say for which.
        pieces: Where that stands in the text of the document, none of a marker.
    """

    term: str
    score: float
    asked: Piece | None
    matched: str | None
    pieces: list[Piece]

    def shifted(self, by: int) -> Match:
        """Return the same for a text that has so many characters before it."""
        return replace(self, pieces=[(start + by, stop + by) for start, stop in self.pieces])


@dataclass(frozen=True, slots=True)
class Matches:
    """What a stage's score is made of.

    Attributes:
        score: The stage's score; 0 where the two share nothing.
        matches: Its shares, in the order of the query; together they are the score.
        passage: Which piece of the text was scored; None for all of it.
    """

    score: float
    matches: list[Match]
    passage: Piece | None = None


@runtime_checkable
class Explaining(Protocol):
    """A stage that says what its scores are made of."""

    def explain(self, query: str, number: int, text: str | None) -> Matches:
        """Return what the score of a query with a stored document is made of.

        Args:
            query: Any string.
            number: Of the document.
            text: What was encoded of it, for the places; None where that is not at hand.

        Raises:
            ValueError: If the number is not stored.
        """
        ...


def single_terms(query: SparseVectors) -> SparseVectors:
    """Return a row for each term of one query."""
    rows = np.arange(len(query.indices) + 1, dtype=np.int64)
    return SparseVectors(rows, query.indices, query.values)


def only(number: int, n_numbers: int) -> Mask:
    """Return the mask that leaves one document of so many numbers."""
    within = np.zeros(n_numbers, np.bool_)
    within[number] = True
    return within


def by_term(places: Iterable[Place]) -> dict[str, list[Piece]]:
    """Return where each term stands."""
    found: dict[str, list[Piece]] = {}
    for term, start, stop in places:
        found.setdefault(term, []).append((start, stop))
    return found


def matched_text(text: str | None, pieces: list[Piece]) -> str | None:
    """Return the first of some pieces of a text."""
    return text[slice(*pieces[0])] if text is not None and pieces else None


def of_terms(
    encoder: Encoder, query: SparseVectors, shares: list[float], asked: str, text: str | None
) -> list[Match]:
    """Return the shares of a model's terms, with the words that they come from.

    Args:
        encoder: The model.
        query: Its terms of the query, one row.
        shares: What each adds to the score.
        asked: The query.
        text: What was encoded of the document; None where that is not at hand.
    """
    kept = [place for place, share in enumerate(shares) if share]
    terms = query.indices[kept].astype(np.int64)
    in_query = _sources(encoder, asked, "query", terms)
    in_text = [None] * len(terms) if text is None else _sources(encoder, text, "document", terms)
    return [
        Match(
            encoder.preparer.token(int(term)),
            shares[place],
            None if source is None else source.piece,
            None if origin is None else origin.name,
            [] if origin is None or origin.piece is None else [origin.piece],
        )
        for place, term, source, origin in zip(kept, terms, in_query, in_text, strict=True)
    ]


class _Source(NamedTuple):
    name: str
    piece: Piece | None


def _sources(encoder: Encoder, text: str, role: Role, terms: Ids) -> list[_Source | None]:
    """Return the token that each term of a text comes from; None where that is not known."""
    reading = encoder.preparer.read(text, role)
    if role == "query" and encoder.checkpoint.inference_free:
        tokens = [np.flatnonzero(reading.ids == term)[:1] for term in terms]
        found = np.array([own[0] if len(own) else -1 for own in tokens], np.int64)
    else:
        told = origins(encoder, text, role, terms) if len(terms) else terms
        found = np.full(len(terms), -1) if told is None else told
    return [None if token < 0 else _source(reading, text, token) for token in found.tolist()]


def _source(reading: Reading, text: str, token: int) -> _Source:
    piece = reading.piece(token)
    return _Source(reading.names[token] if piece is None else text[slice(*piece)], piece)
