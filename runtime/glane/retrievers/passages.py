"""Documents longer than a model reads: stored in passages, and scored by the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from glane.errors import CheckpointError, IndexDamaged
from glane.hits import NO_ID, NO_SCORE, Hits, check_k
from glane.model.encoder import Encoder
from glane.model.passages import RULES, Spans, part
from glane.model.preparation import check_texts, clean
from glane.ragged import join_lengths
from glane.retrievers.contract import Retriever
from glane.retrievers.neural import Neural, NeuralReranker
from glane.retrievers.passage_vectors import PassageVectors, Placement, join_passages
from glane.retrievers.registry import find
from glane.retrievers.shares import Explaining, Matches
from glane.store.segments import (
    Arrays,
    Parts,
    Segments,
    ids_left,
    places,
)
from glane.types import Ids, Mask

R = TypeVar("R", bound=Retriever)

WIDER = 4
"""How many times as many passages are looked for where the best were of too few documents."""


class Passages:
    """A neural retriever over passages, which has the numbers, hits and lengths of documents.

    A text that its model reads at once is one passage, and stored as the retriever alone would.
    Of a longer one every passage is stored, and the best gives the score.

    Attributes:
        stage: The retriever; its documents are the passages.
        rows: Which passages each document has, and where they lie in its text.
    """

    def __init__(self, stage: Neural[Any, Any]) -> None:
        """Put passages before a retriever, which must be empty."""
        self.stage = stage
        self.rows = Segments(join_passages)
        self._placed: tuple[Parts, Placement] | None = None

    @property
    def encoder(self) -> Encoder:
        """The model."""
        return self.stage.encoder

    def __len__(self) -> int:
        """Return how many documents are stored."""
        return len(self.rows)

    def __repr__(self) -> str:
        return f"{self.stage!r} in passages"

    def n_passages(self) -> int:
        """Return how many passages the stored documents have together."""
        return len(self.stage)

    def encode_queries(self, queries: Sequence[str]) -> Any:  # noqa: ANN401
        """Return the representations of queries, as the retriever's own."""
        return self.stage.encode_queries(queries)

    def encode_documents(self, documents: Sequence[str]) -> PassageVectors:
        """Return the representations of the documents' passages.

        Args:
            documents: Any strings, however long.

        Raises:
            TypeError: If `documents` is one string, or holds something else than strings.
        """
        texts = [clean(text) for text in check_texts(documents, "documents")]
        found = [part(self.encoder.preparer, text) for text in texts]
        pieces = [
            text[start:stop]
            for text, spans in zip(texts, found, strict=True)
            for start, stop in spans.tolist()
        ]
        offsets = join_lengths([len(spans) for spans in found])
        spans = np.concatenate([np.empty((0, 2), np.int32), *found])
        return PassageVectors(offsets, spans, self.stage.encode_documents(pieces))

    def add(self, vectors: PassageVectors) -> Ids:
        """Store documents and return their numbers, in order of writing."""
        numbers = self.stage.add(vectors.vectors)
        firsts = numbers[vectors.offsets[:-1]] if len(vectors) else numbers
        arrays: Arrays = {"offsets": vectors.offsets, "spans": vectors.spans, "firsts": firsts}
        return self.rows.add(arrays, len(vectors))

    def again(self, ids: Ids) -> Ids:
        """Store documents again, as they are, under new numbers, which are returned.

        Args:
            ids: Numbers of stored documents, rising.
        """
        passages = self.stage.tables()[""].copy_rows(self.placement().passages(ids))
        spans = self.spans(ids)
        offsets = join_lengths([len(each) for each in spans])
        arrays: Arrays = {
            "offsets": offsets,
            "spans": np.concatenate([np.empty((0, 2), np.int32), *spans]),
            "firsts": passages[offsets[:-1]],
        }
        return self.rows.add(arrays, len(ids))

    def delete(self, ids: Ids) -> None:
        """Forget documents.

        Raises:
            ValueError: If a number is not stored, or appears twice; nothing is deleted then.
        """
        placement = self.placement()
        self.rows.delete(ids)
        self.stage.delete(placement.passages(np.asarray(ids, np.int64).ravel()))

    def search(self, queries: Any, k: int, within: Mask | None = None) -> Hits:  # noqa: ANN401
        """Return the k documents of the best passages for each query.

        Args:
            queries: From `encode_queries`.
            k: At least 1.
            within: By number, shape (numbers given,), which documents may be hits; None for all.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number.
        """
        k = check_k(k)
        placement, n_passages = self.placement(), len(self.stage)
        own = None if within is None else self.passages_within(within)
        width = k if n_passages == len(self) else min(2 * k, max(k, n_passages))
        while True:
            found = self.stage.search(queries, width, own)
            hits = placement.by_document(found, k)
            if width >= n_passages or _is_enough(found, hits, width, k):
                return hits
            width = min(WIDER * width, n_passages)

    def spans(self, ids: Ids) -> list[Spans]:
        """Return where the passages of documents lie in their texts, shape (n_passages, 2) each.

        Args:
            ids: Numbers of stored documents.

        Raises:
            ValueError: If a number is not stored.
        """
        return [
            segment.arrays["spans"][slice(*segment.arrays["offsets"][row : row + 2])]
            for segment, row in places(self.rows.parts, ids)
        ]

    def placement(self) -> Placement:
        """Return which passages are whose, of the documents that are left.

        Raises:
            IndexDamaged: If the stored passages are not those of the documents.
        """
        parts = self.rows.parts
        if self._placed is None or self._placed[0] is not parts:
            placement = Placement.of(parts)
            stored = ids_left(self.stage.tables()[""].parts)
            if not np.array_equal(stored, placement.passages(placement.ids)):
                raise IndexDamaged("the index is damaged: its passages are not of its documents")
            self._placed = parts, placement
        return self._placed[1]

    def best(self, queries: Any, ids: Ids) -> tuple[Ids, Ids]:  # noqa: ANN401
        """Return the best passage of each of some documents for one query.

        Args:
            queries: From `encode_queries`, one row.
            ids: Numbers of stored documents, rising.

        Returns:
            The number that the retriever knows each passage by, and its place among those of its
            document, from 0; the first where none has a score, or several have the best.
        """
        placement = self.placement()
        rows = placement.rows(ids)
        firsts = placement.firsts[rows]
        found = firsts.copy()
        parted = ids[placement.counts[rows] > 1]
        if len(parted):
            passages = placement.passages(parted)
            within = np.zeros(self.stage.tables()[""].next_id, np.bool_)
            within[passages] = True
            ranked, _ = self.stage.search(queries, len(passages), within).row(0)
            documents, best = np.unique(placement.documents(ranked), return_index=True)
            found[np.searchsorted(ids, documents)] = ranked[best]
        return found, found - firsts

    def rerank(self, queries: Any, hits: Hits, k: int) -> Hits:  # noqa: ANN401
        """Order each query's hits anew, each by its best passage; see `NeuralReranker.rerank`.

        Raises:
            TypeError: If the retriever does not rerank.
        """
        if not isinstance(self.stage, NeuralReranker):
            raise TypeError(f"{type(self.stage).__name__} does not rerank")
        k = check_k(k)
        placement = self.placement()
        rows = [placement.passages(np.sort(hits.row(query)[0])) for query in range(len(hits))]
        width = max([1, *map(len, rows)])
        ids = np.full((len(rows), width), NO_ID, np.int64)
        for query, row in enumerate(rows):
            ids[query, : len(row)] = row
        candidates = Hits(ids, np.full(ids.shape, NO_SCORE, np.float32))
        return placement.by_document(self.stage.rerank(queries, candidates, width), k)

    def explain(self, query: str, number: int, text: str | None) -> Matches:
        """Return what the score of a query with a document's best passage is made of.

        See `Explaining.explain`.

        Raises:
            ValueError: If the number is not stored.
            TypeError: If the retriever does not explain.
        """
        if not isinstance(self.stage, Explaining):
            raise TypeError(f"{type(self.stage).__name__} does not explain its scores")
        passages, places = self.best(self.encode_queries([query]), np.array([number]))
        passage, place = int(passages[0]), int(places[0])
        start, stop = self.spans(np.array([number]))[0][place].tolist()
        own = None if text is None else clean(text)[start:stop]
        found = self.stage.explain(query, passage, own)
        matches = [match.shifted(start) for match in found.matches]
        return Matches(found.score, matches, (start, stop))

    def compact(self) -> None:
        """Drop what is left of deleted documents; numbers stay."""
        self.stage.compact()
        self.rows.compact()

    def snapshot(self) -> Self:
        """Return an equal retriever: changes of one leave the other alone; nothing is copied."""
        made = copy(self)
        made.stage, made.rows = self.stage.snapshot(), self.rows.snapshot()
        return made

    def record(self) -> dict[str, Any]:
        """Return what makes an equal, empty retriever, as JSON."""
        return {**self.stage.record(), "passages": RULES}

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        model: str | Path | Encoder | None = None,
        threads: int | None = None,
    ) -> Self:
        """Make the empty retriever that `record` told of; see `Neural.from_record`.

        Raises:
            CheckpointError: If the model is missing or another, or the passages were made by rules
                that are not known here.
        """
        if record["passages"] != RULES:
            raise CheckpointError(
                f"its passages were made by the rules {record['passages']!r}, and this version "
                f"knows {RULES}; install a newer one, or index again"
            )
        stage = find(str(record["kind"])).from_record(record, model, threads)
        if not isinstance(stage, Neural):
            raise CheckpointError(f"a {record['kind']} has no passages; index again")
        return cls(stage)

    def tables(self) -> dict[str, Segments]:
        """Return what is stored: the documents' passages, and what the retriever has of them."""
        own = {name or "passages": rows for name, rows in self.stage.tables().items()}
        return {"": self.rows, **own}

    def passages_within(self, within: Mask) -> Mask:
        """Return by the passages' numbers which may be hits, of the documents that may."""
        placement = self.placement()
        own = np.zeros(self.stage.tables()[""].next_id, np.bool_)
        own[placement.passages(placement.ids[within[placement.ids]])] = True
        return own


def in_passages(stage: R) -> R | Passages:
    """Return a stage that stores long documents in passages, where a model makes its vectors."""
    return Passages(stage) if isinstance(stage, Neural) else stage


def plain(stage: Retriever) -> Retriever:
    """Return the stage itself, or what stores its passages."""
    return stage.stage if isinstance(stage, Passages) else stage


def store_again(stage: Retriever, ids: Ids) -> Ids:
    """Store documents of a stage again, as they are, under new numbers, which are returned.

    Args:
        stage: Any.
        ids: Numbers of stored documents, rising.
    """
    if isinstance(stage, Passages):
        return stage.again(ids)
    return stage.tables()[""].copy_rows(ids)


def _is_enough(found: Hits, hits: Hits, width: int, k: int) -> bool:
    """Return whether no wider look would find another document for any query."""
    full = (hits.ids != NO_ID).sum(axis=1) >= k
    ended = (found.ids != NO_ID).sum(axis=1) < width
    return bool((full | ended).all())
