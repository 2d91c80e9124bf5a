"""`Search`: your documents, your ids, and every stage behind one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tqdm import tqdm

from glane.evaluation.records import check_keys, is_key, read_records
from glane.fusion import check_fusion
from glane.fusion import fuse as fused
from glane.hits import Hits, Key, Results, check_k
from glane.model.preparation import check_texts, clean
from glane.retrievers.contract import Reranker, Retriever
from glane.store.documents import Documents
from glane.store.names import Hashes, Names
from glane.store.segments import places
from glane.types import Ids, Mask
from glane.vectors import TermEmbeddings, TokenVectors

if TYPE_CHECKING:
    from glane.saved import Origin


ENCODE_AT_ONCE = 512
"""Documents encoded before their vectors are put into the precision they are stored in."""

HASH_BYTES = 16


class Search:
    """A retriever and, where wanted, a reranker over documents given as dictionaries.

    Searching is safe from many threads; adding, deleting and saving are not.

    Attributes:
        retriever: First stage.
        reranker: Second stage, or None.
        key: Field of a document's id.
        on: Fields that are searched.
        keys: Id of each document, by its number.
        kept: The documents themselves, or None where they are not kept.
        origin: The index that it was loaded from or saved to last, or None.

    >>> from glane import BM25, Search
    >>> search = Search(BM25(), key="id", on=["title", "text"])
    >>> search.add([
    ...     {"id": "leaf", "title": "Leaves", "text": "Plants eat light."},
    ...     {"id": "sea", "title": "Rivers", "text": "They run to the sea."},
    ... ])
    2
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
        keep_documents: bool = False,
    ) -> None:
        """Make an empty search.

        Args:
            retriever: Finds the candidates; it must be empty.
            reranker: Orders them anew; it must be empty, and not the retriever itself.
            key: Field that holds a document's id, a string or an integer.
            on: Field or fields that are searched, joined by a space.
            keep_documents: Whether the documents are stored too, for `documents` to return.

        Raises:
            TypeError: If the reranker cannot rerank.
            ValueError: If there is no field, a stage already holds documents, or both stages are
                one object.
        """
        if reranker is not None and not isinstance(reranker, Reranker):
            raise TypeError(f"reranker must have `rerank`, {type(reranker).__name__} has not")
        if reranker is retriever:
            raise ValueError("retriever and reranker must be two objects; load the model twice")
        self.retriever = retriever
        self.reranker = reranker
        self.key = key
        self.on = [on] if isinstance(on, str) else list(on)
        if not self.on:
            raise ValueError("on must name at least one field, got none")
        if any(len(stage) for stage in self._stages()):
            raise ValueError("retriever and reranker must be empty; add documents to the Search")
        self.keys = Names()
        self.kept = Documents() if keep_documents else None
        self.origin: Origin | None = None

    def __len__(self) -> int:
        """Return how many documents are stored."""
        return len(self.keys)

    def __contains__(self, key: object) -> bool:
        return is_key(key) and bool(self.keys.find([key])[0] >= 0)

    def add(self, documents: Iterable[Mapping[str, Any]], *, progress: bool = False) -> int:
        """Store documents; one whose id is stored already replaces it.

        One that is stored already with the very same text stays as it is and is not encoded again.
        Nothing is stored where this raises.

        Args:
            documents: Each with the key and the fields; a field that is missing or empty in some
                documents is empty text there.
            progress: Whether a bar runs on standard error where that is a terminal.

        Returns:
            How many were stored: those that are new or have another text.

        Raises:
            TypeError: If `documents` is one dictionary.
            ValueError: If a document lacks the key, a key is neither string nor integer, an id
                stands twice, a field is no text, or a field of `on` is in none of the documents
                (later additions may lack some of them, not all).
        """
        if isinstance(documents, Mapping):
            raise TypeError("documents must be a list of dictionaries, got one dictionary")
        records = list(documents)
        keys, texts = read_records(records, self.key, self.on, first=not self.keys.rows.next_id)
        known = self.keys.find(keys)
        hashes = content_hashes(texts if self.kept is None else self.kept.written(records))
        new = np.flatnonzero(self._changed(known, hashes)).tolist()
        if not new:
            return 0
        texts = [texts[place] for place in new]
        encoded = [encode_documents(stage, texts, progress) for stage in self._stages()]
        replaced = known[new]
        self._forget(replaced[replaced >= 0])
        for stage, vectors in zip(self._stages(), encoded, strict=True):
            if stage.add(vectors)[0] != self.keys.rows.next_id:
                raise ValueError("documents were added to a stage behind the back of this Search")
        if self.kept is not None:
            self.kept.add([records[place] for place in new])
        self.keys.add([keys[place] for place in new], {"contents": hashes[new]})
        return len(new)

    def delete(self, keys: Iterable[Key]) -> None:
        """Forget documents.

        Raises:
            TypeError: If `keys` is one string, or holds something else than ids.
            ValueError: If an id is unknown, or stands twice; nothing is deleted then.
        """
        numbers = self._numbers(keys)
        if len(np.unique(numbers)) < len(numbers):
            raise ValueError("an id stands twice among those to delete")
        self._forget(numbers)

    def compact(self) -> None:
        """Drop what is left of deleted documents, and join what lies apart; answers stay."""
        for stage in self._stages():
            stage.compact()
        self.keys.rows.compact()
        if self.kept is not None:
            self.kept.rows.compact()

    def documents(self, keys: Iterable[Key]) -> list[dict[str, Any]]:
        """Return documents as they were added.

        Raises:
            TypeError: If `keys` is one string, or holds something else than ids.
            ValueError: If an id is unknown, or documents are not kept.
        """
        if self.kept is None:
            raise ValueError("documents are not kept; pass keep_documents=True")
        return self.kept.get(self._numbers(keys))

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
        return self._results(fused(first, second, k, fuse, fuse_weight))

    def save(self, folder: str | Path, *, link: bool = False) -> None:
        """Write into a folder: what is new where this was loaded from there, else everything.

        The new state is there whole or not at all; who has the old one open goes on with it.

        Args:
            folder: New, empty, or an index; another index is replaced.
            link: Whether an index that is made names its models' folders instead of holding
                copies; one that is changed goes on as it began.

        Raises:
            FileExistsError: If the folder holds something else than an index.
            LockedError: If somebody else is writing to it.
            CheckpointError: If it was written to since this was loaded from there.
        """
        from glane.saved import save

        save(self, folder, link=link)

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
        from glane.saved import load

        return load(folder, {"retriever": model, "reranker": reranker}, threads)

    @classmethod
    def edit(
        cls, folder: str | Path, *, threads: int | None = None
    ) -> AbstractContextManager[Search]:
        """Load an index as its only writer; it is saved when the block ends without an error.

        Args:
            folder: The index.
            threads: Threads to compute with; by default what the process may use.

        Raises:
            CheckpointError: If the index is missing or damaged.
            LockedError: If somebody else is writing to it.
        """
        from glane.saved import edit

        return edit(folder, threads)

    def _stages(self) -> list[Retriever]:
        return [self.retriever] if self.reranker is None else [self.retriever, self.reranker]

    def _numbers(self, keys: Iterable[Key]) -> Ids:
        wanted = check_keys(keys)
        numbers = self.keys.find(wanted)
        if (numbers < 0).any():
            raise ValueError(f"unknown document {wanted[int(numbers.argmin())]!r}")
        return numbers

    def _changed(self, known: Ids, hashes: Hashes) -> Mask:
        """Return which documents are not stored, or with another content."""
        changed = np.ones(len(known), np.bool_)
        stored = np.flatnonzero(known >= 0)
        found = places(self.keys.rows.parts, known[stored])
        for place, (part, row) in zip(stored.tolist(), found, strict=True):
            changed[place] = (part.arrays["contents"][row] != hashes[place]).any()
        return changed

    def _forget(self, numbers: Ids) -> None:
        for stage in self._stages():
            stage.delete(numbers)
        self.keys.rows.delete(numbers)
        if self.kept is not None:
            self.kept.rows.delete(numbers)

    def _results(self, hits: Hits) -> Results:
        rows = [hits.row(query) for query in range(len(hits.ids))]
        ids = [self.keys.names(numbers) for numbers, _ in rows]
        return Results(ids, [scores.tolist() for _, scores in rows])


def content_hashes(texts: Sequence[str]) -> Hashes:
    """Return numbers that differ where the text that is encoded differs, shape (n, 2)."""
    digests = [blake2b(clean(text).encode(), digest_size=HASH_BYTES).digest() for text in texts]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def encode_documents(stage: Retriever, texts: Sequence[str], progress: bool) -> Any:  # noqa: ANN401
    """Return what a stage stores of some texts, at least one.

    Args:
        stage: Whose `encode_documents` is called.
        texts: Any strings.
        progress: Whether a bar runs on standard error where that is a terminal.
    """
    name = type(stage).__name__
    hidden = None if progress else True  # None: tqdm hides the bar where there is no terminal
    parts = []
    with tqdm(total=len(texts), desc=f"{name} documents", disable=hidden, leave=False) as bar:
        for start in range(0, len(texts), ENCODE_AT_ONCE):
            vectors = stage.encode_documents(texts[start : start + ENCODE_AT_ONCE])
            halved = isinstance(vectors, TokenVectors | TermEmbeddings)
            parts.append(vectors.half() if halved else vectors)
            bar.update(len(vectors))
    return type(parts[0]).concatenate(parts)
