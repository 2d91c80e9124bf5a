"""The part of a `Search` that says why: what the scores are made of, and what of a text to show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from glane.collection.records import read_record
from glane.hits import Key
from glane.model.preparation import check_texts
from glane.retrievers.answers import (
    Answers,
    Now,
    damage_named,
    documents_of,
    widths,
)
from glane.retrievers.excerpts import Excerpt, Excerpts
from glane.retrievers.explanation import Asked, Explanation, explain
from glane.retrievers.fusion import Fuse, FusionSettings


class Explains(Answers):
    """A search that explains its answers; safe from many threads."""

    def view(self) -> Explains:
        """Return what answers as this does now, whatever this becomes: all of one state."""
        made = Explains()
        made._fields, made._now = self._fields, self._now
        return made

    def explain(
        self,
        query: str,
        id: Key,
        *,
        document: Mapping[str, Any] | None = None,
        k: int = 10,
        candidates: int | None = None,
        fuse: Fuse | None = None,
        fuse_weight: float | None = None,
        prune: int | None = None,
        filter: str | Mapping[str, Any] | None = None,
        phrases: bool | None = None,
    ) -> Explanation:
        """Return why a document stands where it does for a query.

        BM25, TfIdf, Splade and SparseEmbed tell what each shared term adds, ColBERT which token of
        the document each token of the query is most similar to; with the places in the document's
        fields where the document is at hand. The shares of a stage add up to its score.

        Args:
            query: Any string.
            id: Of a stored document, which need not be among the hits.
            document: The document as it was added; by default the one that is kept, and where none
                is kept there are no places.
            k: Of the search that is explained, as `search` takes it.
            candidates: Likewise.
            fuse: Likewise.
            fuse_weight: Likewise.
            prune: Likewise.
            filter: Likewise.
            phrases: Likewise.

        Raises:
            TypeError: If the query is no string.
            ValueError: If the id is unknown, an option is wrong, or the document is another than
                the one that was added.
            IndexDamaged: If files of the index turn out to be damaged.

        >>> from glane import BM25, Search
        >>> search = Search(BM25(), on=["title", "text"])
        >>> leaf = {"id": "leaf", "title": "Leaves", "text": "Plants eat light."}
        >>> search.add([leaf])
        1
        >>> found = search.explain("what a plant eats", "leaf", document=leaf)
        >>> [(share.term, share.spans[0].text) for share in found.retriever.shares]
        [('plant', 'Plants'), ('eat', 'eat')]
        """
        now = self._now
        option = FusionSettings(fuse, fuse_weight, candidates, prune)
        asked = self._asked(now, query, k, option, filter, phrases)
        with damage_named(now):
            (number,) = now.collection.numbers([id])
            found = _document(now, int(number), document)
            self._check_document(now, int(number), id, document)
            return explain(now.collection, asked, int(number), found, self._fields.on)

    def explanations(
        self,
        query: str,
        ids: Iterable[Key],
        *,
        k: int = 10,
        candidates: int | None = None,
        fuse: Fuse | None = None,
        fuse_weight: float | None = None,
        prune: int | None = None,
        filter: str | Mapping[str, Any] | None = None,
        phrases: bool | None = None,
    ) -> list[Explanation]:
        """Return what `explain` does of several documents, searching once; arguments are its own.

        Raises:
            TypeError: If the query is no string, or `ids` holds something else than ids.
            ValueError: If an id is unknown, or an option is wrong.
            IndexDamaged: If files of the index turn out to be damaged.
        """
        now = self._now
        option = FusionSettings(fuse, fuse_weight, candidates, prune)
        asked = self._asked(now, query, k, option, filter, phrases)
        with damage_named(now):
            numbers, kept = now.collection.numbers(ids), now.collection.kept
            documents = [None] * len(numbers) if kept is None else kept.get(numbers)
            return [
                explain(now.collection, asked, number, document, self.on)
                for number, document in zip(numbers.tolist(), documents, strict=True)
            ]

    def _asked(
        self,
        now: Now,
        query: str,
        k: int,
        option: FusionSettings,
        filter: str | Mapping[str, Any] | None,
        phrases: bool | None,
    ) -> Asked:
        """Search once, for what is explained of it."""
        (text,) = check_texts([query], "query")
        ranking = now.collection.ranking(option)
        k, width = widths(now, k, ranking)
        n_found = width if now.collection.reranker is None else k
        ranked = self._ranked(now, [text], (n_found, width), ranking, filter, phrases)
        return Asked(text, ranking, ranked, width)

    def excerpts(self, query: str, keys: Iterable[Key]) -> list[Excerpt]:
        """Return of each document its title and what answers a query best, with the words marked.

        Args:
            query: Any string.
            keys: Ids of stored documents, which must be kept.

        Raises:
            TypeError: If the query is no string, or `keys` holds something else than ids.
            ValueError: If an id is unknown, or documents are not kept.
        """
        (text,) = check_texts([query], "query")
        now, names = self._now, list(keys)
        found = documents_of(now, names)
        with damage_named(now):
            numbers = now.collection.numbers(names)
            shown = Excerpts(now.collection, text, self._fields.on, numbers)
            pairs = zip(numbers.tolist(), found, strict=True)
            return [shown.of(number, document) for number, document in pairs]

    def _check_document(
        self, now: Now, number: int, id: Key, document: Mapping[str, Any] | None
    ) -> None:
        """Refuse a document whose text is another than that of the stored one.

        Raises:
            ValueError: If it is.
        """
        if document is None:
            return
        _, text = read_record({self._fields.key: id, **document}, self._fields.key, self.on, "it")
        if not now.collection.is_of(number, self._fields.content(document, text)):
            raise ValueError(
                f"the document given for {id!r} has another text than the one that was added; pass "
                "it as it was added"
            )


def _document(now: Now, number: int, given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the document that was given, else the kept one, else none."""
    if given is not None or now.collection.kept is None:
        return given
    return now.collection.kept.get(np.array([number]))[0]
