"""`Search`: your documents, your ids, and every stage behind one call."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from glane.dataset import join_fields
from glane.fusion import check_fusion, fuse
from glane.hits import Hit, Hits, check_k
from glane.retriever import Reranker, Retriever
from glane.text import check_texts, clean
from glane.vectors import TermEmbeddings, TokenVectors

Key = str | int

ENCODE_AT_ONCE = 512
"""Documents encoded before their vectors are put into the precision they are stored in."""

HASH_BYTES = 16


class Results(NamedTuple):
    """The best documents of each query, by the caller's own ids.

    Attributes:
        ids: One list a query, best first, at most k long.
        scores: The score of each.
    """

    ids: list[list[Key]]
    scores: list[list[float]]

    def to_lists(self) -> list[list[Hit]]:
        """Return one list a query of `{"id", "score"}`, best first."""
        return [
            [{"id": id, "score": score} for id, score in zip(*row, strict=True)]
            for row in zip(self.ids, self.scores, strict=True)
        ]


class Search:
    """A retriever and, where wanted, a reranker over documents given as dictionaries.

    Searching is safe from many threads; adding, deleting and saving are not.

    Attributes:
        retriever: First stage.
        reranker: Second stage, or None.
        key: Field of a document's id.
        on: Fields that are searched.
        keys: Id of each document number; None where the document was deleted or replaced.

    >>> from glane import BM25, Search
    >>> search = Search(BM25(), key="id", on=["title", "text"])
    >>> search.add([
    ...     {"id": "leaf", "title": "Leaves", "text": "Plants eat light."},
    ...     {"id": "sea", "title": "Rivers", "text": "They run to the sea."},
    ... ])
    >>> search.search(["how do plants eat light"], k=1).ids
    [['leaf']]
    """

    def __init__(
        self,
        retriever: Retriever,
        *,
        reranker: Reranker | None = None,
        key: str = "id",
        on: str | Sequence[str] = ("text",),
    ) -> None:
        """Make an empty search.

        Args:
            retriever: Finds the candidates; it must be empty.
            reranker: Orders them anew; it must be empty, and not the retriever itself.
            key: Field that holds a document's id, a string or an integer.
            on: Field or fields that are searched, joined by a space.

        Raises:
            TypeError: If the reranker cannot rerank.
            ValueError: If there is no field, or a stage already holds documents.
        """
        if reranker is not None and not isinstance(reranker, Reranker):
            raise TypeError(f"reranker must have `rerank`, {type(reranker).__name__} has not")
        self.retriever = retriever
        self.reranker = reranker
        self.key = key
        self.on = [on] if isinstance(on, str) else list(on)
        if not self.on:
            raise ValueError("on must name at least one field, got none")
        if any(len(stage) for stage in self._stages()):
            raise ValueError("retriever and reranker must be empty; add documents to the Search")
        self.keys: list[Key | None] = []
        self._numbers: dict[Key, int] = {}
        self._hashes: dict[Key, bytes] = {}

    def __len__(self) -> int:
        """Return how many documents are stored."""
        return len(self._numbers)

    def __contains__(self, key: object) -> bool:
        return key in self._numbers

    def add(self, documents: Iterable[Mapping[str, Any]], *, progress: bool = False) -> None:
        """Store documents; one whose id is stored already replaces it.

        One that is stored already with the very same text stays as it is and is not encoded again.
        Nothing is stored where this raises.

        Args:
            documents: Each with the key and the fields; a field that is missing or empty in some
                documents is empty text there.
            progress: Whether a bar runs on standard error where that is a terminal.

        Raises:
            ValueError: If a document lacks the key, a key is neither string nor integer, an id
                stands twice, a field is no text, or a field of `on` is in none of the documents
                (later additions may lack some of them, not all).
        """
        records = self._read(documents)
        hashes = {key: content_hash(text) for key, text in records.items()}
        new = {key: text for key, text in records.items() if self._hashes.get(key) != hashes[key]}
        if not new:
            return
        keys, texts = list(new), list(new.values())
        encoded = [_encode(stage, texts, progress) for stage in self._stages()]
        self.delete([key for key in keys if key in self._numbers])
        for stage, parts in zip(self._stages(), encoded, strict=True):
            numbers = np.concatenate([stage.add(part) for part in parts])
            if numbers[0] != len(self.keys):
                raise ValueError("documents were added to a stage behind the back of this Search")
        self._numbers.update({key: len(self.keys) + place for place, key in enumerate(keys)})
        self._hashes.update({key: hashes[key] for key in keys})
        self.keys += keys

    def delete(self, keys: Iterable[Key]) -> None:
        """Forget documents.

        Raises:
            ValueError: If an id is unknown, or stands twice; nothing is deleted then.
        """
        wanted = list(keys)
        unknown = [key for key in wanted if key not in self._numbers]
        if unknown:
            raise ValueError(f"unknown document {unknown[0]!r}")
        if len(set(wanted)) < len(wanted):
            raise ValueError("an id stands twice among those to delete")
        numbers = np.array([self._numbers.pop(key) for key in wanted], np.int64)
        for number in numbers:
            self.keys[number] = None
        for key in wanted:
            del self._hashes[key]
        for stage in self._stages():
            stage.delete(numbers)

    def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        candidates: int = 100,
        fuse: Literal["none", "rrf", "relative"] = "none",
        fuse_weight: float = 0.5,
    ) -> Results:
        """Return the k best documents for each query.

        Args:
            queries: Any strings.
            k: Documents wanted per query, at least 1.
            candidates: Documents that the retriever hands to the reranker, at least 1; k where
                that is more.
            fuse: How the scores of retriever and reranker are joined; "none" takes the
                reranker's alone.
            fuse_weight: Share of the retriever's score, in [0, 1].

        Raises:
            TypeError: If `queries` is one string, or holds something else than strings.
            ValueError: If `k` or `candidates` is below 1, or fusion is asked for without a
                reranker or with a wrong method or weight.
        """
        texts = check_texts(queries, "queries")
        check_k(k)
        check_k(candidates, "candidates")
        if fuse != "none":
            check_fusion(fuse, fuse_weight)
            if self.reranker is None:
                raise ValueError(f"fuse={fuse!r} needs a reranker")
        if self.reranker is None:
            return self._results(self.retriever.search(self.retriever.encode_queries(texts), k))
        width = max(k, candidates)
        first = self.retriever.search(self.retriever.encode_queries(texts), width)
        second = self.reranker.rerank(self.reranker.encode_queries(texts), first, width)
        if fuse == "none":
            return self._results(Hits(second.ids[:, :k], second.scores[:, :k]))
        return self._results(_fuse(first, second, k, fuse, fuse_weight))

    def save(self, folder: str | Path) -> None:
        """Write everything, a copy of the models included, into a folder.

        The folder appears whole or not at all; an index that is there is replaced.

        Raises:
            FileExistsError: If the folder holds something else than an index.
        """
        from glane.store import save

        save(self, folder)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        model: str | Path | None = None,
        reranker: str | Path | None = None,
        threads: int | None = None,
    ) -> Search:
        """Load what `save` wrote.

        Args:
            folder: The index.
            model: Model folder for the retriever in place of the index's own copy.
            reranker: Model folder for the reranker, likewise.
            threads: Threads to compute with; by default what the process may use.

        Raises:
            CheckpointError: If the index is missing or damaged, or a model is not the one that
                wrote it; the message then names both fingerprints.
        """
        from glane.store import load

        return load(folder, {"retriever": model, "reranker": reranker}, threads)

    def _stages(self) -> list[Retriever]:
        return [self.retriever] if self.reranker is None else [self.retriever, self.reranker]

    def _read(self, documents: Iterable[Mapping[str, Any]]) -> dict[Key, str]:
        """Return the text of each document by its key."""
        records = list(documents)
        keys = [_key(record, self.key, place) for place, record in enumerate(records)]
        seen: set[Key] = set()
        for key in keys:
            if key in seen:
                raise ValueError(f"document {key!r} stands twice")
            seen.add(key)
        missing = [field for field in self.on if not any(field in record for record in records)]
        if records and missing and (missing == self.on or not self.keys):
            raise ValueError(f"no document has the field {missing[0]!r}; `on` is {self.on}")
        texts = [join_fields(record, self.on) for record in records]
        return dict(zip(keys, texts, strict=True))

    def _results(self, hits: Hits) -> Results:
        rows = [hits.row(query) for query in range(len(hits.ids))]
        ids = [[self._key_of(number) for number in numbers.tolist()] for numbers, _ in rows]
        return Results(ids, [scores.tolist() for _, scores in rows])

    def _key_of(self, number: int) -> Key:
        key = self.keys[number]
        assert key is not None, "a deleted document was found"
        return key


_fuse = fuse  # `Search.search` has an argument of that name


def content_hash(text: str) -> bytes:
    """Return `HASH_BYTES` that differ where the text that is encoded differs."""
    return hashlib.blake2b(clean(text).encode("utf-8"), digest_size=HASH_BYTES).digest()


def _encode(stage: Retriever, texts: list[str], progress: bool) -> list[Any]:
    """Return what a stage stores of the texts, in parts."""
    name = type(stage).__name__
    hidden = None if progress else True  # None: tqdm hides the bar where there is no terminal
    parts = []
    with tqdm(total=len(texts), desc=f"{name} documents", disable=hidden, leave=False) as bar:
        for start in range(0, len(texts), ENCODE_AT_ONCE):
            vectors = stage.encode_documents(texts[start : start + ENCODE_AT_ONCE])
            halved = isinstance(vectors, TokenVectors | TermEmbeddings)
            parts.append(vectors.half() if halved else vectors)
            bar.update(len(vectors))
    return parts


def _key(record: Mapping[str, Any], field: str, place: int) -> Key:
    if field not in record:
        raise ValueError(f"the document at position {place} has no key {field!r}: {list(record)}")
    key = record[field]
    if isinstance(key, bool) or not isinstance(key, str | int):
        kind = type(key).__name__
        raise ValueError(f"the key {field!r} must be a string or an integer, got {kind}: {key!r}")
    return key
