"""Documents in every stage of a search, under one numbering: stored, deleted, ranked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from glane.collection.conditions import Condition
from glane.collection.fields import chosen
from glane.collection.records import check_keys
from glane.hits import Hits, Key, Results
from glane.model.model_files import FUSION
from glane.model.preparation import clean
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.fusion import (
    UNSAID,
    FusionSettings,
    Ranked,
    Ranking,
    decide,
    read_model_fusion,
)
from glane.retrievers.lexical import Lexical
from glane.retrievers.passages import store_again
from glane.retrievers.phrases import Quoting
from glane.retrievers.pruning import rerank_pruned
from glane.retrievers.timing import Timings, timed
from glane.store.documents import Documents
from glane.store.names import Hashes, Names
from glane.store.reading import State
from glane.store.segments import Arrays, Segments, ids_left, places
from glane.store.stage import placed
from glane.store.values import Values
from glane.types import Ids, Mask

STAGES = ("retriever", "reranker")

HASH_BYTES = 16

Encode = Callable[[Retriever, Sequence[int]], Any]
"""Makes what a stage stores of some of the documents, given by their places."""


class Compared(NamedTuple):
    """How documents differ from what is stored.

    Attributes:
        known: Number that each has now, -1 where it is not stored.
        is_new: Whether another text is stored of it, or none.
        again: Places of those that differ in what is kept or filtered by alone, by rising number.
        columns: What they are filtered by, or None.
    """

    known: Ids
    is_new: Mask
    again: Ids
    columns: Arrays | None


@dataclass(frozen=True, slots=True)
class Collection:
    """All that a search answers from: a document has one number in every part.

    Attributes:
        retriever: First stage.
        reranker: Second stage, or None.
        keys: Id of each document, by its number.
        kept: The documents themselves, or None where they are not kept.
        values: What they are filtered by, or None where that is nothing.
        fusion: How the stages' rankings are joined, where a search does not say.
    """

    retriever: Retriever
    reranker: Reranker | None
    keys: Names
    kept: Documents | None
    values: Values | None = None
    fusion: FusionSettings = UNSAID

    def ranking(self, option: FusionSettings) -> Ranking:
        """Return how a search ranks, and who said it.

        Args:
            option: What is asked of this search.

        Raises:
            ValueError: If fusion is asked for without a reranker.
            CheckpointError: If the reranker's model says what cannot be said of fusion.
        """
        if self.reranker is None:
            return decide(option, self.fusion, reranks=False)
        encoder, model = self.reranker.encoder, UNSAID
        if encoder is not None:
            model = read_model_fusion(encoder.files.small.get(FUSION), encoder.folder)
        return decide(option, self.fusion, model, reranks=True)

    def stages(self) -> dict[str, Retriever]:
        """Return the stages that there are, by their place."""
        pairs = zip(STAGES, (self.retriever, self.reranker), strict=True)
        return {place: stage for place, stage in pairs if stage is not None}

    def snapshot(self) -> Collection:
        """Return an equal collection to be changed; nothing is copied."""
        reranker = None if self.reranker is None else self.reranker.snapshot()
        kept = None if self.kept is None else self.kept.snapshot()
        values = None if self.values is None else self.values.snapshot()
        retriever, keys = self.retriever.snapshot(), self.keys.snapshot()
        return Collection(retriever, reranker, keys, kept, values, self.fusion)

    def tables(self) -> dict[str, Segments]:
        """Return what is stored, by the names that it has in an index."""
        tables = {"keys": self.keys.rows}
        for place, stage in self.stages().items():
            tables |= placed(stage, place)
        tables |= {} if self.values is None else self.values.tables()
        return tables | ({} if self.kept is None else {"documents": self.kept.rows})

    def filled(self, state: State) -> Collection:
        """Return an equal collection whose tables are those of an index."""
        made = self.snapshot()
        for name, rows in made.tables().items():
            state.fill(name, rows)
        return made

    def n_unsaved_bytes(self) -> int:
        """Return the bytes of what lies in memory and not yet on a disk."""
        return sum(part.unsaved_bytes for rows in self.tables().values() for part in rows.parts)

    def stored(self) -> Ids:
        """Return the numbers of all documents, rising."""
        return ids_left(self.keys.rows.parts)

    def numbers(self, keys: Iterable[Key]) -> Ids:
        """Return the numbers of stored documents.

        Raises:
            TypeError: If `keys` is one string, or holds something else than ids.
            ValueError: If an id is unknown.
        """
        wanted = check_keys(keys)
        numbers = self.keys.find(wanted)
        if (numbers < 0).any():
            raise ValueError(f"unknown document {wanted[int(numbers.argmin())]!r}")
        return numbers

    def store(
        self,
        records: Sequence[Mapping[str, Any]],
        keys: Sequence[Key],
        hashes: Hashes,
        encode: Encode,
        numbers: Ids | None = None,
    ) -> int:
        """Store documents; return how many are new or differ from what was stored.

        One with another text is encoded; of one that differs in what is kept or filtered by, what
        was encoded is stored again under a new number.

        Args:
            records: The documents.
            keys: Id of each, no id twice.
            hashes: Of what is encoded of each (`content_hashes`).
            encode: Makes what a stage stores.
            numbers: Of those that will be stored, rising, above all that were given before: first
                those that differ in what is kept alone; None for the next.

        Raises:
            ValueError: If a document cannot be kept as it is, or the stages number documents
                differently.
        """
        written = None if self.kept is None else self.kept.written(records)
        known, is_new, again, columns = self.compare(records, keys, hashes)
        self._number_next(numbers)
        new = np.flatnonzero(is_new)
        rows = new.tolist()
        encoded = [encode(stage, rows) if rows else None for stage in self.stages().values()]
        for stage, vectors in zip(self.stages().values(), encoded, strict=True):
            if len(again):
                store_again(stage, known[again])
            if vectors is not None:
                stage.add(vectors)
        stored: Ids = np.concatenate([again, new])
        if not len(stored):
            return 0
        if self.kept is not None and written is not None:
            self.kept.add([written[row] for row in stored.tolist()])
        if self.values is not None and columns is not None:
            self.values.add(columns, stored)
        beside = {"contents": hashes[stored]}
        self.keys.add([keys[row] for row in stored.tolist()], beside)
        self.forget(known[stored][known[stored] >= 0])
        if len({rows.next_id for rows in self._document_tables()}) > 1:
            raise ValueError("a stage numbered the documents otherwise than by 0, 1, 2, ...")
        return len(stored)

    def compare(
        self, records: Sequence[Mapping[str, Any]], keys: Sequence[Key], hashes: Hashes
    ) -> Compared:
        """Return how documents differ from what is stored; arguments are those of `store`."""
        columns = None if self.values is None else self.values.encode(self._filtered(records))
        known = self.keys.find(keys)
        is_new = self._is_new(known, hashes)
        return Compared(known, is_new, self._again(records, columns, known, is_new), columns)

    def to_delete(self, keys: Iterable[Key]) -> Ids:
        """Return the numbers of stored documents that are to be deleted.

        Raises:
            TypeError: If `keys` is one string, or holds something else than ids.
            ValueError: If an id is unknown, or appears twice.
        """
        numbers = self.numbers(keys)
        if len(np.unique(numbers)) < len(numbers):
            raise ValueError("an id appears twice among those to delete")
        return numbers

    def others(self, numbers: Ids) -> Ids:
        """Return the numbers of all documents but some."""
        return np.setdiff1d(self.stored(), numbers)

    def compact(self) -> None:
        """Drop what is left of deleted documents, and join what lies apart; answers stay."""
        for stage in self.stages().values():
            stage.compact()
        self.keys.rows.compact()
        if self.kept is not None:
            self.kept.rows.compact()
        if self.values is not None:
            self.values.rows.compact()

    def within(self, condition: Condition) -> Mask:
        """Return by number which documents keep a condition.

        Raises:
            ValueError: If nothing can be filtered by, or the condition does not fit the fields.
        """
        if self.values is None:
            raise ValueError(
                "there is no field to filter by; name some when the index is made, as in fields="
                '{"year": "int"} or --fields year:int'
            )
        values = self.values
        return values.remembered(repr(condition), lambda: condition.kept(values))

    def ranked(
        self,
        texts: list[str],
        k: int,
        width: int,
        ranking: Ranking,
        within: Mask | None = None,
        timings: Timings | None = None,
        quoted: Sequence[str] = (),
    ) -> Ranked:
        """Return what each stage says, before it is joined.

        Args:
            texts: The queries.
            k: Documents wanted.
            width: Documents that the retriever hands to the reranker, at least k.
            ranking: How they will be joined, which decides when pruning ends.
            within: By number, which documents may be found; None for all.
            timings: What each stage takes is added to it.
            quoted: Fields of which one must hold what a query has in quotes, if the retriever is
                lexical; without any, quotes are read as text.

        Raises:
            ValueError: If a phrase is looked for, and documents are not kept.
        """
        with timed(timings, "encode"):
            queries = self.retriever.encode_queries(texts)
        n_found = k if self.reranker is None else width
        with timed(timings, "retrieve"):
            if quoted and isinstance(self.retriever, Lexical):
                quoting = Quoting(self.retriever, self.kept, quoted)
                first = quoting.search(texts, queries, n_found, within)
            else:
                some = () if within is None else (within,)
                first = self.retriever.search(queries, n_found, *some)
        if self.reranker is None:
            return Ranked(first, None)
        with timed(timings, "encode"):
            asked = self.reranker.encode_queries(texts)
        with timed(timings, "rerank"):
            if ranking.prune is not None:
                return Ranked(first, rerank_pruned(self.reranker, asked, first, k, ranking))
            return Ranked(first, self.reranker.rerank(asked, first, width))

    def named(self, hits: Hits) -> Results:
        """Return hits by the documents' ids."""
        rows = [hits.row(query) for query in range(len(hits.ids))]
        ids = [self.keys.names(numbers) for numbers, _ in rows]
        return Results(ids, [scores.tolist() for _, scores in rows])

    def is_of(self, number: int, content: str) -> bool:
        """Return whether what was encoded of a stored document is this (`Fields.content`)."""
        return not self._is_new(np.array([number]), content_hashes([content]))[0]

    def _is_new(self, known: Ids, hashes: Hashes) -> Mask:
        """Return which documents are not stored, or with another text."""
        is_new = np.ones(len(known), np.bool_)
        stored = np.flatnonzero(known >= 0)
        is_new[stored] = (stored_hashes(self.keys, known[stored]) != hashes[stored]).any(axis=1)
        return is_new

    def _filtered(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the values of the documents' fields that can be filtered by."""
        types = {} if self.values is None else self.values.types
        return [chosen(record, types) for record in records]

    def _again(
        self,
        records: Sequence[Mapping[str, Any]],
        columns: Arrays | None,
        known: Ids,
        is_new: Mask,
    ) -> Ids:
        """Return which documents differ in what is kept or filtered by, by rising number."""
        rows = np.flatnonzero(~is_new)
        equal = np.ones(len(rows), np.bool_)
        if self.kept is not None:
            equal &= self.kept.equal(known[rows], [records[row] for row in rows.tolist()])
        if self.values is not None and columns is not None:
            equal &= self.values.equal(known[rows], columns, rows)
        rows = rows[~equal]
        return rows[np.argsort(known[rows])]

    def _document_tables(self) -> list[Segments]:
        kept = [] if self.kept is None else [self.kept.rows]
        stages = [stage.tables()[""] for stage in self.stages().values()]
        values = [] if self.values is None else [self.values.rows]
        return [self.keys.rows, *stages, *kept, *values]

    def _number_next(self, numbers: Ids | None) -> None:
        """Give the next documents these numbers, in every table; None for those that are due."""
        if numbers is not None:
            for table in self._document_tables():
                table.number_next(numbers)

    def forget(self, numbers: Ids) -> None:
        """Forget documents by their numbers.

        Raises:
            ValueError: If one is not stored, or appears twice.
        """
        for stage in self.stages().values():
            stage.delete(numbers)
        self.keys.rows.delete(numbers)
        if self.kept is not None:
            self.kept.rows.delete(numbers)
        if self.values is not None:
            self.values.rows.delete(numbers)


def content_hashes(contents: Sequence[str]) -> Hashes:
    """Return numbers that differ where what is encoded differs, shape (n, 2).

    Args:
        contents: What `Fields.content` says of each document: its text, where no field is boosted.
    """
    digests = [blake2b(clean(each).encode(), digest_size=HASH_BYTES).digest() for each in contents]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def stored_hashes(keys: Names, numbers: Ids) -> Hashes:
    """Return the `content_hashes` of stored documents, shape (n, 2).

    Args:
        keys: Of the collection.
        numbers: Of the documents.
    """
    rows = [part.arrays["contents"][row] for part, row in places(keys.rows.parts, numbers)]
    return np.array(rows, np.uint64).reshape(-1, 2)


def check_stages(retriever: Retriever, reranker: Reranker | None) -> None:
    """Refuse stages that cannot be those of one search.

    Raises:
        TypeError: If one does not keep the contract, or the reranker cannot rerank.
        ValueError: If one holds documents, or both are one object.
    """
    for name, stage in (("retriever", retriever), ("reranker", reranker)):
        if stage is not None and not isinstance(stage, Retriever):
            kind = type(stage).__name__
            raise TypeError(f"{name} must keep the contract of `glane.Retriever`, {kind} does not")
    if reranker is not None and not isinstance(reranker, Reranker):
        raise TypeError(f"reranker must have `rerank`, {type(reranker).__name__} has not")
    if reranker is retriever:
        raise ValueError("retriever and reranker must be two objects; load the model twice")
    if len(retriever) or (reranker is not None and len(reranker)):
        raise ValueError("retriever and reranker must be empty; add documents to the Search")
