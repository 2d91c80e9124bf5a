"""Why a document was found: what each stage's score is made of, and where that stands in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from glane.collection.fields import joined_fields
from glane.hits import Hits, Key
from glane.retrievers.collection import Collection
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.fusion import Fuse, Ranked, Ranking, scaled
from glane.retrievers.passages import plain
from glane.retrievers.shares import Explaining, Match, Matches, Piece, only


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a document's field.

    Attributes:
        field: Name of the field.
        start: Its first character in the field's text, ...
        stop: ... and the one behind its last.
        text: The piece itself.
    """

    field: str
    start: int
    stop: int
    text: str


@dataclass(frozen=True, slots=True)
class Share:
    """What one term, or one token of the query, adds to a stage's score.

    Attributes:
        term: The term that query and document share, or the query's token.
        score: What it adds; of ColBERT, the similarity of the two tokens, in [-1, 1].
        query: Where it stands in the query, first character and the one behind the last; None of a
            marker, or of a word that a model added without one.
        matched: The token of the document that it was matched with, or the word that the model
            took the term from; None where the document is not at hand, or that is not known.
        spans: Where that stands in the document's fields; none of a marker.
    """

    term: str
    score: float
    query: Piece | None
    matched: str | None
    spans: list[Span]


@dataclass(frozen=True, slots=True)
class Part:
    """What one stage says of a document.

    Attributes:
        stage: Name of its class, such as "BM25".
        score: Its score; 0 where query and document share nothing.
        shares: What the score is the sum of, in the order of the query; none of a stage that does
            not tell.
        passage: What of the document was scored, a span for each field that it reaches into; none
            where all of it was, or the document is not at hand.
        share: What it adds to the score of a fused ranking; None where nothing is fused.
    """

    stage: str
    score: float
    shares: list[Share]
    passage: list[Span]
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a document stands where it does for a query.

    Attributes:
        id: Of the document.
        query: The query.
        score: That a search gives it, where it ranks it.
        rank: Its place among what the search ranks, from 1; None where it is not among that.
        fuse: How the stages' rankings are joined, "none" where one decides alone.
        retriever: What the first stage says.
        reranker: What the second one says; None where there is none.
        fields: Text of each searched field that the document has; none where it is not at hand.
    """

    id: Key
    query: str
    score: float | None
    rank: int | None
    fuse: Fuse
    retriever: Part
    reranker: Part | None
    fields: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return asdict(self)


class Asked(NamedTuple):
    """A search that is explained.

    Attributes:
        query: Any string.
        ranking: How it ranks.
        ranked: What each stage says of the query.
        width: Documents that it ranks.
    """

    query: str
    ranking: Ranking
    ranked: Ranked
    width: int


def explain(
    collection: Collection,
    asked: Asked,
    number: int,
    document: Mapping[str, Any] | None,
    on: Sequence[str],
) -> Explanation:
    """Return why a document stands where it does for a query.

    Args:
        collection: Holds it.
        asked: The search.
        number: Of the document.
        document: The document; None where it is not at hand.
        on: The fields that are searched.
    """
    (key,) = collection.keys.names(np.array([number]))
    query, ranking, ranked, width = asked
    hits = ranked.best(width, ranking)
    found = np.flatnonzero(hits.ids[0] == number)
    place = int(found[0]) if len(found) else None
    first = _part(collection.retriever, query, number, document, on)
    second = None
    if collection.reranker is not None:
        second = _part(collection.reranker, query, number, document, on)
    if place is not None and ranked.second is not None and ranking.fuse != "none":
        first, second = _fused(first, second, ranked, ranking, number)
    return Explanation(
        key,
        query,
        None if place is None else float(hits.scores[0, place]),
        None if place is None else place + 1,
        ranking.fuse,
        first,
        second,
        {} if document is None else {f.name: f.value for f in joined_fields(document, on)},
    )


def _part(
    stage: Retriever,
    query: str,
    number: int,
    document: Mapping[str, Any] | None,
    on: Sequence[str],
) -> Part:
    """Return what a stage says of a document."""
    name = type(plain(stage)).__name__
    fields = [] if document is None else joined_fields(document, on)
    text = None if document is None else " ".join(field.text for field in fields)
    if not isinstance(plain(stage), Explaining):
        return Part(name, _score(stage, query, number), [], [])
    found: Matches = stage.explain(query, number, text)  # type: ignore[attr-defined]

    def spans(pieces: Sequence[Piece]) -> list[Span]:
        made = []
        for start, stop in pieces:
            for field in fields:
                own = field.piece(start, stop)
                if own is not None:
                    made.append(Span(field.name, *own, field.value[slice(*own)]))
        return made

    def share(match: Match) -> Share:
        return Share(match.term, match.score, match.asked, match.matched, spans(match.pieces))

    shares = [share(match) for match in found.matches]
    return Part(name, found.score, shares, spans([found.passage] if found.passage else []))


def _score(stage: Retriever, query: str, number: int) -> float:
    """Return the score of a stage that does not tell what it is made of; 0 where it has none."""
    queries = stage.encode_queries([query])
    if isinstance(stage, Reranker):
        ids = np.array([[number]], np.int64)
        hits = stage.rerank(queries, Hits(ids, np.zeros((1, 1), np.float32)), 1)
    else:
        hits = stage.search(queries, 1, only(number, stage.tables()[""].next_id))
    return float(hits.scores[0, 0]) if hits.ids[0, 0] == number else 0.0


def _fused(
    first: Part, second: Part | None, ranked: Ranked, ranking: Ranking, number: int
) -> tuple[Part, Part | None]:
    """Return both parts with what they add to the fused score."""
    if ranked.second is None or second is None:
        return first, second
    both = scaled(ranked.first.row(0), ranked.second.row(0), ranking.method)
    at, weight = int(np.searchsorted(both.ids, number)), ranking.fuse_weight
    return (
        replace(first, share=weight * float(both.first[at])),
        replace(second, share=(1 - weight) * float(both.second[at])),
    )
