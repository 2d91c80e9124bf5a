"""Texts that no index holds, ordered for a query by the scores that an index would give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from glane.hits import NO_SCORE, Hits, best, check_k
from glane.model.checkpoint import Checkpoint
from glane.model.devices import Device
from glane.model.preparation import check_texts
from glane.retrievers.collection import content_hashes
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.encoding import encode_documents
from glane.retrievers.lexical import Lexical
from glane.retrievers.passages import in_passages, plain
from glane.retrievers.registry import NEURAL
from glane.threads import Guard

CACHE_BYTES = 256 << 20
"""Bytes of encoded texts that are kept, as they would be stored."""

ENTRY_BYTES = 2048
"""What an encoded text takes besides its arrays, about."""


class TextReranker:
    """Orders any texts for a query, as a search over them would rank them by one stage alone.

    A text that is longer than its model reads is scored by its best passage, as in an index. What
    was encoded is kept by content, so that no text is encoded twice, up to a number of bytes; those
    that were not asked for the longest go first. Safe from many threads: two that need the same
    text encode it once.

    >>> from glane import TextReranker
    >>> reranker = TextReranker.load(model_folder)
    >>> reranker.rerank("light for plants", ["Plants eat light."])
    [(0, ...)]
    """

    def __init__(
        self, stage: Retriever, *, passages: bool = True, cache_bytes: int = CACHE_BYTES
    ) -> None:
        """Score by a stage; what it holds is not looked at, and it is not changed.

        Args:
            stage: As a search takes or has it (`Search.reranker`): its model, and how it stores,
                are taken.
            passages: Whether a text that is longer than a model reads is parted, as by `Search`.
            cache_bytes: Bytes of encoded texts to keep, as they would be stored, at least 0.

        Raises:
            TypeError: If the stage weighs words by the documents that it holds, as BM25 does.
            ValueError: If `cache_bytes` is below 0.
        """
        if isinstance(stage, Lexical):
            raise TypeError(
                f"{type(stage).__name__} weighs words by the documents of an index; texts that no "
                "index holds are scored by a model: pass ColBERT, Splade or SparseEmbed"
            )
        if cache_bytes < 0:
            raise ValueError(f"cache_bytes must be at least 0, got {cache_bytes}")
        empty = type(stage).from_record(stage.record(), stage.encoder)
        self._empty: Retriever = in_passages(empty) if passages else empty
        self._cache = _Cache(cache_bytes)

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        threads: int | None = None,
        device: Device = "auto",
        cache_bytes: int = CACHE_BYTES,
    ) -> Self:
        """Load an exported model; all kinds score texts, also those that rerank no index.

        Args:
            model: Folder written by `glane export`.
            threads: Threads to compute with; by default what the process may use.
            device: What the model runs on, see `Encoder`.
            cache_bytes: Bytes of encoded texts to keep, at least 0.

        Raises:
            CheckpointError: If the model is missing or damaged.
            ValueError: If `threads` is below 1, or `cache_bytes` below 0.
        """
        stage = NEURAL[Checkpoint.read(model).kind].load(model, threads=threads, device=device)
        return cls(stage, cache_bytes=cache_bytes)

    def __reduce__(self) -> tuple[Any, ...]:
        made = partial(type(self), passages=False, cache_bytes=self._cache.most_bytes)
        return made, (self._empty,)

    @property
    def folder(self) -> Path | None:
        """Folder of the model; None of a stage that has no model."""
        encoder = self._empty.encoder
        return None if encoder is None else encoder.folder

    @property
    def stage(self) -> Retriever:
        """What scores: a stage that holds nothing, with its `encoder`."""
        return self._empty

    def __repr__(self) -> str:
        return f"TextReranker({self._empty!r})"

    def rerank(
        self, query: str, texts: Sequence[str], k: int | None = None
    ) -> list[tuple[int, float]]:
        """Return the places of the k best texts, and their scores.

        Args:
            query: Any string.
            texts: Any strings, however long; the same one may be there more than once.
            k: Texts wanted, at least 1; None stands for all.

        Returns:
            Place in `texts` and score of each, best first; equal scores by lower place. A text that
            shares no term with the query, by a model of terms, scores 0.

        Raises:
            TypeError: If the query is no string, or `texts` is one string, or holds something else
                than strings.
            ValueError: If `k` is below 1.
        """
        (query,) = check_texts([query], "query")
        checked = check_texts(texts, "texts")
        k = len(checked) if k is None else check_k(k)
        if not checked:
            return []
        scores = self._scores(query, checked)
        order = best(scores, np.arange(len(scores)), k)
        return list(zip(order.tolist(), scores[order].tolist(), strict=True))

    def _scores(self, query: str, texts: Sequence[str]) -> Any:  # noqa: ANN401 (an array)
        """Return the score of each text: they become the documents of an index that is dropped."""
        keys = [row.tobytes() for row in content_hashes(texts)]
        rows = self._cache.rows(keys, lambda places: self._encoded([texts[p] for p in places]))
        stage = self._empty.snapshot()
        numbers = stage.add(type(rows[0]).concatenate(rows))
        asked = stage.encode_queries([query])
        if isinstance(stage, Reranker) and isinstance(plain(stage), Reranker):
            candidates = Hits(numbers[None], np.full((1, len(numbers)), NO_SCORE, np.float32))
            hits = stage.rerank(asked, candidates, len(numbers))
        else:
            hits = stage.search(asked, len(numbers))
        found, own = hits.row(0)
        scores = np.zeros(len(numbers), np.float32)
        scores[np.searchsorted(numbers, found)] = own
        return scores

    def _encoded(self, texts: Sequence[str]) -> list[tuple[Any, int]]:
        """Return what is encoded of each text, in memory of its own, and its bytes."""
        vectors, made = encode_documents(self._empty, texts, progress=False), []
        for place in range(len(texts)):
            row = type(vectors).concatenate([vectors[place : place + 1]])
            made.append((row, ENTRY_BYTES + _n_bytes(row)))
        return made


def _n_bytes(row: Any) -> int:  # noqa: ANN401 (rows, and what they are made of)
    """Return the bytes of the arrays of a row."""
    if isinstance(row, np.ndarray):
        return row.nbytes
    return sum(_n_bytes(getattr(row, part.name)) for part in fields(row))


class _Cache:
    """Encoded texts by their content, each made once, also where many threads ask for it."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._n_bytes = 0
        self._rows: dict[bytes, Future[Any]] = {}
        self._sizes: dict[bytes, int] = {}  # of those that are made, the last used last
        self._guard = Guard()

    def rows(
        self, keys: Sequence[bytes], make: Callable[[list[int]], list[tuple[Any, int]]]
    ) -> list[Any]:
        """Return the row of each key.

        Args:
            keys: Any; the same one may be there more than once.
            make: Makes rows, with their bytes, of the keys at some places.
        """
        own: dict[int, Future[Any]] = {}
        rows: list[Future[Any]] = []
        with self._guard:
            for place, key in enumerate(keys):
                if key not in self._rows:
                    own[place] = self._rows[key] = Future()
                elif key in self._sizes:
                    self._sizes[key] = self._sizes.pop(key)
                rows.append(self._rows[key])
        if own:
            self._make(keys, own, make)
        try:
            return [row.result() for row in rows]
        except CancelledError:  # another thread was to make one, and failed
            return self.rows(keys, make)

    def _make(
        self,
        keys: Sequence[bytes],
        own: dict[int, Future[Any]],
        make: Callable[[list[int]], list[tuple[Any, int]]],
    ) -> None:
        try:
            made = make(list(own))
            with self._guard:
                for place, (row, n_bytes) in zip(own, made, strict=True):
                    self._sizes[keys[place]] = n_bytes
                    self._n_bytes += n_bytes
                    own[place].set_result(row)
                self._drop()
        finally:
            with self._guard:
                for place, row in own.items():
                    if not row.done():
                        del self._rows[keys[place]]
                        row.cancel()

    def _drop(self) -> None:
        while self._n_bytes > self.most_bytes:
            key = next(iter(self._sizes))
            self._n_bytes -= self._sizes.pop(key)
            del self._rows[key]
