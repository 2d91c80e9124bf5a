"""One shard: an index that holds some documents of a collection, under the collection's numbers.

What it is asked is a function of one state of it, named in `ASKED`; who asks names the state by the
generations of all shards, so that a query that takes several turns is answered from one. A state
is kept as long as it is among the newest few.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from glane.collection.conditions import Condition
from glane.errors import StaleError
from glane.hits import NO_ID, Hits, Key
from glane.model.passages import Spans
from glane.postings.statistics import Totals
from glane.retrievers.answers import Now, damage_named
from glane.retrievers.collection import Collection, content_hashes
from glane.retrievers.contract import Reranker
from glane.retrievers.explaining import Explains
from glane.retrievers.lexical import Lexical
from glane.retrievers.passages import Passages
from glane.search import Search
from glane.store.segments import find_rows
from glane.threads import Guard
from glane.types import Floats, Ids, Mask, Scores
from glane.vectors import SparseVectors
from glane_scale.exchange import Counted, count

PLACES = 1 << 20
"""A passage is known outside its shard by its document's number times this, and its place in it."""

KEPT_STATES = 4

Generation = tuple[int, int]
"""A state of a shard's index: its number, and the checksum of what it holds."""

Generations = tuple[Generation, ...]
"""Of all shards: the name of a state of the collection."""


Stage = Any
"""A retriever of glane's own, perhaps in passages."""

Queries = Any
"""What a stage makes of queries."""


class Contents(NamedTuple):
    """What a shard holds in its newest state.

    Attributes:
        generation: Its state.
        next_id: Above all numbers of documents that it has ever held.
        n_documents: That it holds.
        n_rows: How many rows the model of each stage has there: of documents, or of passages.
        counted: Of its terms, where its retriever counts words.
    """

    generation: Generation
    next_id: int
    n_documents: int
    n_rows: dict[str, int]
    counted: Counted | None


class Request(NamedTuple):
    """A question to a shard.

    Attributes:
        state: The generations of all shards.
        own: Which of these is its own.
        name: In `ASKED`.
        arguments: What follows the collection there.
        totals: Of the collection's terms; None until the shard asks for them.
    """

    state: Generations
    own: int
    name: str
    arguments: tuple[Any, ...]
    totals: Totals | None = None


class Reply(NamedTuple):
    """What a shard answers.

    Attributes:
        value: The answer, where nothing is lacking.
        lacking: "totals": ask again with them; "state": its index is in another state.
    """

    value: Any
    lacking: Literal["", "totals", "state"] = ""


class Change(NamedTuple):
    """Documents to store, or to forget, in a state that was looked at.

    Attributes:
        generation: The state; another is refused.
        numbers: Of the documents to store, see `Collection.store`.
        records: The documents.
        keys: Id of each; of the documents to forget where there are no records.
        texts: What is searched of each.
    """

    generation: Generation
    numbers: Ids
    records: list[Mapping[str, Any]]
    keys: list[Key]
    texts: list[str]


class Shard:
    """An index that is asked from elsewhere; safe from many threads."""

    def __init__(self, folder: str | Path, threads: int | None = None) -> None:
        """Open the newest state.

        Args:
            folder: Of the index.
            threads: Threads to compute with; by default what the process may use.
        """
        self._search = Search.load(folder, threads=threads)
        self._states: dict[Generations, Now] = {}
        self._opened: dict[Generation, Now] = {}
        self._guard = Guard()
        self._remember()

    def contents(self, known: Generation | None = None) -> Contents | None:
        """Return what the newest state holds; None where that is the known one."""
        generation, now = self._newest()
        if generation == known:
            return None
        collection = now.collection
        own = collection.retriever
        return Contents(
            generation,
            collection.keys.rows.next_id,
            len(collection.keys),
            {place: len(_index(stage)) for place, stage in collection.stages().items()},
            count(own) if isinstance(own, Lexical) else None,
        )

    def ask(self, request: Request) -> Reply:
        """Answer a question from the state that it names."""
        now = self._state(request)
        if isinstance(now, Reply):
            return now
        with damage_named(now):
            return Reply(ASKED[request.name](now.collection, *request.arguments))

    def change(self, change: Change, wait: float = 0) -> None:
        """Store documents, or forget them, and commit that once.

        Raises:
            StaleError: If the index is in another state than the one that was looked at.
            LockedError: If somebody else writes to it.
        """
        self._remember()
        with self._search.editing(wait=wait) as writer:
            if _generation(writer) != change.generation:
                raise StaleError("a shard was written to by somebody else; send it again")
            if change.records:
                writer.store(change.records, change.keys, change.texts, numbers=change.numbers)
            else:
                writer.delete(change.keys)
        self._remember()

    def compact(self, wait: float = 0) -> None:
        """Drop what is left of deleted documents.

        Raises:
            LockedError: If somebody else writes to it.
        """
        self._remember()
        with self._search.editing(wait=wait) as writer:
            writer.compact()
        self._remember()

    def _newest(self) -> tuple[Generation, Now]:
        self._remember()  # what was opened before
        self._search.refresh()
        return self._remember()

    def _remember(self) -> tuple[Generation, Now]:
        """Keep what is open, so that it can be asked as long as it is among the newest few."""
        view = self._search.view()
        generation = _generation(view)
        with self._guard:
            now = self._opened.setdefault(generation, view.now)
            _forget_oldest(self._opened)
        return generation, now

    def _state(self, request: Request) -> Now | Reply:
        """Return the state that is asked, or what is lacking for it."""
        with self._guard:
            found = self._states.get(request.state)
            now = self._opened.get(request.state[request.own])
        if found is not None:
            return found
        if now is None:
            generation, newest = self._newest()
            if generation != request.state[request.own]:
                return Reply(None, "state")
            now = newest
        retriever = now.collection.retriever
        if isinstance(retriever, Lexical):
            if request.totals is None:
                return Reply(None, "totals")
            among = replace(now.collection, retriever=retriever.among(request.totals))
            now = replace(now, collection=among)
        with self._guard:
            self._states[request.state] = now
            _forget_oldest(self._states)
        return now


def _generation(view: Explains) -> Generation:
    """Return the name of the state that a search was opened in."""
    assert view.origin is not None, "it was loaded"
    manifest = view.origin.manifest
    return manifest.generation, zlib.crc32(manifest.to_bytes())


def _forget_oldest(states: dict[Any, Now]) -> None:
    while len(states) > KEPT_STATES:
        del states[next(iter(states))]


def _find(collection: Collection, keys: Sequence[Key]) -> Ids:
    return collection.keys.find(keys)


def _stored(collection: Collection) -> Ids:
    return collection.stored()


def _names(collection: Collection, numbers: Ids) -> tuple[Mask, list[Key]]:
    here = _here(collection, numbers)
    return here, collection.keys.names(numbers[here])


def _documents(collection: Collection, numbers: Ids) -> tuple[Mask, list[dict[str, Any]]]:
    here = _here(collection, numbers)
    assert collection.kept is not None, "who asks has looked"
    return here, collection.kept.get(numbers[here])


def _is_of(collection: Collection, number: int, content: str) -> bool:
    return bool(_here(collection, np.array([number]))[0]) and collection.is_of(number, content)


def _within(collection: Collection, condition: Condition) -> npt.NDArray[np.uint8]:
    """Return by number, packed, which documents here keep a condition."""
    return np.packbits(collection.within(condition))


def _compared(
    collection: Collection,
    records: Sequence[Mapping[str, Any]],
    keys: list[Key],
    content: list[str],
) -> tuple[Ids, Mask, Ids]:
    own = collection.snapshot()  # comparing enters words to filter by
    return own.compare(records, keys, content_hashes(content))[:3]


def _postings(
    collection: Collection,
    place: str,
    terms: Sequence[str] | None,
    queries: SparseVectors,
    k: int,
    within: Mask | None,
) -> Hits:
    """Return the best rows here; of words, terms are told by themselves."""
    stage = collection.stages()[place]
    own = _own_terms(stage, terms, queries)
    return _told(stage, _index(stage).search(own, k, _mask(stage, within)))


def _scores_with(
    collection: Collection,
    place: str,
    terms: Sequence[str] | None,
    queries: SparseVectors,
    key: int,
) -> list[float] | None:
    """Return each query's score with one row; None where it is not here."""
    stage = collection.stages()[place]
    _, own = _rows_here(stage, np.array([key]))
    if not len(own):
        return None
    scores: list[float] = _index(stage).scores_with(_own_terms(stage, terms, queries), int(own[0]))
    return scores


def _holding(collection: Collection, terms: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Return by number, packed, which documents here hold each of some terms."""
    retriever = collection.retriever
    assert isinstance(retriever, Lexical), "who asks has looked"
    return np.packbits(retriever.holding(terms))


def _rows(
    collection: Collection, place: str, step: str, queries: Queries, n: int, within: Mask | None
) -> Hits:
    """Return the best rows here by a step of an index that has several."""
    stage = collection.stages()[place]
    return _told(stage, getattr(_index(stage), step)(queries, n, _mask(stage, within)))


def _n_within(collection: Collection, place: str, within: Mask | None) -> int:
    stage = collection.stages()[place]
    return int(_index(stage).n_within(_mask(stage, within)))


def _scores(
    collection: Collection, place: str, options: Mapping[str, bool], query: Queries, keys: Ids
) -> tuple[Ids, Scores]:
    """Return places among some rows, rising, of those that are here, and their scores."""
    stage = collection.stages()[place]
    here, own = _rows_here(stage, keys)
    return here, _index(stage).scorer(**options)(query, own)


def _similarities(collection: Collection, place: str, query: Queries, key: int) -> Floats | None:
    """Return the products with the tokens of one row; None where it is not here."""
    stage = collection.stages()[place]
    _, own = _rows_here(stage, np.array([key]))
    if not len(own):
        return None
    found: Floats = _index(stage).similarities(query, int(own[0]))
    return found


def _reranked(collection: Collection, place: str, queries: Queries, hits: Hits, k: int) -> Hits:
    """Return the candidates that are here, in the order of their scores."""
    stage = collection.stages()[place]
    rows = []
    for query in range(len(hits)):
        ids, scores = hits.row(query)
        here = _here(collection, ids)
        rows.append((ids[here], scores[here]))
    own = Hits.of_ordered(rows, hits.ids.shape[1])
    assert isinstance(stage, Reranker), "who asks has looked"
    return stage.rerank(queries, own, k)


def _spans(collection: Collection, place: str, numbers: Ids) -> tuple[Mask, list[Spans]]:
    here = _here(collection, numbers)
    return here, _parted(collection, place).spans(numbers[here])


def _best_passages(
    collection: Collection, place: str, queries: Queries, numbers: Ids
) -> tuple[Mask, Ids]:
    """Return of the documents that are here the place of the best passage."""
    here = _here(collection, numbers)
    return here, _parted(collection, place).best(queries, numbers[here])[1]


ASKED: Mapping[str, Callable[..., Any]] = {
    "best passages": _best_passages,
    "compared": _compared,
    "documents": _documents,
    "find": _find,
    "holding": _holding,
    "is of": _is_of,
    "n within": _n_within,
    "names": _names,
    "postings": _postings,
    "reranked": _reranked,
    "rows": _rows,
    "scores": _scores,
    "scores with": _scores_with,
    "similarities": _similarities,
    "spans": _spans,
    "stored": _stored,
    "within": _within,
}
"""What a shard can be asked, by name: functions of a state of it."""


def _index(stage: Stage) -> Any:  # noqa: ANN401 (what holds the rows of its model)
    if isinstance(stage, Lexical):
        return stage.postings
    return stage.stage.index if isinstance(stage, Passages) else stage.index


def _parted(collection: Collection, place: str) -> Passages:
    stage = collection.stages()[place]
    assert isinstance(stage, Passages), "who asks has looked"
    return stage


def _here(collection: Collection, numbers: Ids) -> Mask:
    """Return which documents are here."""
    return find_rows(collection.keys.rows.parts, numbers) >= 0


def _mask(stage: Stage, within: Mask | None) -> Mask | None:
    """Return which rows of a stage's model may be hits, of the documents that may."""
    if within is None:
        return None
    return stage.passages_within(within) if isinstance(stage, Passages) else within


def _told(stage: Stage, hits: Hits) -> Hits:
    """Return hits with the rows as they are known outside."""
    if not isinstance(stage, Passages):
        return hits
    placement = stage.placement()
    found = hits.ids != NO_ID
    keys = hits.ids.copy()
    documents = placement.documents(hits.ids[found])
    places = hits.ids[found] - placement.firsts[placement.rows(documents)]
    keys[found] = documents * PLACES + places
    return Hits(keys, hits.scores)


def _rows_here(stage: Stage, keys: Ids) -> tuple[Ids, Ids]:
    """Return places of the rows that are here, and the numbers that the model knows them by."""
    rows = stage.tables()[""].parts
    if not isinstance(stage, Passages):
        here = np.flatnonzero(find_rows(rows, keys) >= 0)
        return here, keys[here]
    here = np.flatnonzero(find_rows(rows, keys // PLACES) >= 0)
    placement = stage.placement()
    firsts = placement.firsts[placement.rows(keys[here] // PLACES)]
    return here, firsts + keys[here] % PLACES


def _own_terms(stage: Stage, terms: Sequence[str] | None, queries: SparseVectors) -> SparseVectors:
    """Return queries by the numbers of the terms here; a term that no document has is left out."""
    if terms is None:
        return queries
    numbers = np.array(stage.numbers(terms), np.int32)
    known = numbers >= 0
    counts = np.concatenate([[0], np.cumsum(known)])
    indptr = counts[queries.indptr].astype(np.int64)
    return SparseVectors(indptr, numbers[known], queries.values[known])
