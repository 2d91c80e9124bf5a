"""What ColBERT, Splade and SparseEmbed share: an exported model, and an index of its vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np

from glane.errors import CheckpointError
from glane.hits import Hits, rerank
from glane.model.checkpoint import Kind
from glane.model.devices import Device
from glane.model.encoder import Encoder
from glane.model.preparation import Role, check_texts
from glane.retrievers.recent import Recent
from glane.store.reading import open_state
from glane.store.segments import Segments
from glane.store.stage import load_tables, record_of, save_retriever
from glane.types import Ids, Mask, Scores
from glane.vectors import V


class VectorIndex(Protocol):
    """Stores documents' vectors and finds the best of them."""

    def __len__(self) -> int:
        """Return how many documents are stored."""
        ...

    def add(self, vectors: Any, /) -> Ids:  # noqa: ANN401
        """Store documents and return their numbers."""
        ...

    def delete(self, ids: Ids) -> None:
        """Forget documents."""

    def search(self, queries: Any, k: int, within: Mask | None = None) -> Hits:  # noqa: ANN401
        """Return the k best documents for each query, of those within."""
        ...

    def snapshot(self) -> Self:
        """Return an equal index; changes of one leave the other alone, and nothing is copied."""
        ...

    def tables(self) -> dict[str, Segments]:
        """Return what is stored, by name."""
        ...


class ScoringIndex(VectorIndex, Protocol):
    """One that can also score chosen documents, which is what reranking needs."""

    def scorer(self) -> Callable[[Any, Ids], Scores]:
        """Return the function that scores one query with stored documents, as they are now.

        It takes the query's row and the documents' numbers, rising, and raises `ValueError` for
        one that is not stored.
        """
        ...


I = TypeVar("I", bound=VectorIndex)  # noqa: E741
S = TypeVar("S", bound=ScoringIndex)


class Neural(ABC, Generic[V, I]):
    """A retriever over the vectors of an exported model; a subclass says which.

    Encoding and searching are safe from many threads; adding and deleting are not.

    Attributes:
        encoder: The model.
        index: Documents' vectors.
    """

    kind: ClassVar[Kind]
    encoder: Encoder

    def __init__(self, encoder: Encoder) -> None:
        """Put an empty index behind an encoder; `load` is the usual way.

        Args:
            encoder: A model of this kind.
        """
        self.encoder = encoder
        self.index: I = self._new_index(encoder)
        self._recent: Recent[V] = Recent()

    @classmethod
    def load(
        cls,
        model: str | Path,
        index: str | Path | None = None,
        *,
        threads: int | None = None,
        device: Device = "auto",
    ) -> Self:
        """Load an exported model and, where given, vectors that `save` wrote.

        Args:
            model: Folder written by `glane export`.
            index: Folder written by `save`.
            threads: Threads to compute with; by default what the process may use.
            device: What the model runs on, see `Encoder`.

        Raises:
            CheckpointError: If model or vectors are missing or damaged, the model is of another
                kind, or another made the vectors; the message then names both fingerprints.
        """
        encoder = Encoder(model, cls.kind, threads, device)
        if index is None:
            return cls(encoder)
        state = open_state(index)
        made = cls.from_record(record_of(state, "retriever", cls.kind), encoder)
        load_tables(made, state, "retriever")
        return made

    def save(self, folder: str | Path) -> None:
        """Write the stored vectors and the model's fingerprint into a folder.

        Args:
            folder: New, empty, or an index, which is replaced.

        Raises:
            FileExistsError: If the folder holds something else.
        """
        save_retriever(self, folder)

    def record(self) -> dict[str, Any]:
        """Return which model's vectors are stored, as JSON."""
        return {"kind": self.kind, "fingerprint": self.encoder.fingerprint}

    def tables(self) -> dict[str, Segments]:
        """Return what is stored."""
        return self.index.tables()

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        model: str | Path | Encoder | None = None,
        threads: int | None = None,
    ) -> Self:
        """Make the empty retriever that `record` told of.

        Args:
            record: From `record`.
            model: The model that made what is stored: its folder, or loaded.
            threads: Threads to compute with where the model is loaded here.

        Raises:
            CheckpointError: If there is no model, or it is another; the message then names both
                fingerprints.
        """
        if model is None:
            raise CheckpointError(f"a {cls.kind} needs the model that made what is stored")
        encoder = model if isinstance(model, Encoder) else Encoder(model, cls.kind, threads)
        if record["fingerprint"] != encoder.fingerprint:
            raise CheckpointError(
                f"what is stored was written by the model {record['fingerprint']}, but "
                f"{str(encoder.folder)!r} is {encoder.fingerprint}; use that model, or index again"
            )
        return cls(encoder)

    def snapshot(self) -> Self:
        """Return an equal retriever: changes of one leave the other alone; nothing is copied."""
        made = copy(self)
        made.index = self.index.snapshot()
        return made

    def compact(self) -> None:
        """Drop what is left of deleted documents; numbers stay."""
        for rows in self.index.tables().values():
            rows.compact()

    def __len__(self) -> int:
        """Return how many documents are stored."""
        return len(self.index)

    def __repr__(self) -> str:
        folder = str(self.encoder.folder)
        return f"{type(self).__name__}({len(self)} documents, model={folder!r})"

    def encode_queries(self, queries: Sequence[str], *, progress: bool = False) -> V:
        """Return the vectors of queries.

        Args:
            queries: Any strings; the empty one is its markers alone.
            progress: Whether a bar runs on standard error where that is a terminal.

        Returns:
            One row a query, float32; the class says what a row holds.

        Raises:
            TypeError: If `queries` is one string, or holds something else than strings.
        """
        texts = check_texts(queries, "queries")
        if len(texts) == 1:
            return self._recent.of(texts[0], lambda text: self._encode([text], "query", progress))
        return self._encode(texts, "query", progress)

    def encode_documents(self, documents: Sequence[str], *, progress: bool = False) -> V:
        """Return the vectors of documents.

        Args:
            documents: Any strings; what is longer than the model's length is cut, and counted in
                `encoder.n_truncated`.
            progress: Whether a bar runs on standard error where that is a terminal.

        Returns:
            One row a document, float32; the class says what a row holds.

        Raises:
            TypeError: If `documents` is one string, or holds something else than strings.
        """
        return self._encode(check_texts(documents, "documents"), "document", progress)

    def add(self, vectors: V) -> Ids:
        """Store documents' vectors and return their numbers, in order of writing.

        Raises:
            ValueError: If the vectors have another width than the model's.
        """
        return self.index.add(vectors)

    def delete(self, ids: Ids) -> None:
        """Forget documents.

        Raises:
            ValueError: If a number is not stored, or appears twice; nothing is deleted then.
        """
        self.index.delete(ids)

    def search(self, queries: V, k: int, within: Mask | None = None) -> Hits:
        """Return the k best of all stored documents for each query.

        Args:
            queries: From `encode_queries`.
            k: Documents wanted per query, at least 1; the index may hold fewer.
            within: By number, which documents may be hits; None for all.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number.

        Raises:
            ValueError: If `k` is below 1.
        """
        return self.index.search(queries, k, within)

    def scores(self, queries: Sequence[str], documents: Sequence[str]) -> Scores:
        """Return the score of each query with the document beside it; nothing is stored.

        Returns:
            Shape (n,), for as many of each.

        Raises:
            TypeError: If either is one string, or holds something else than strings.
            ValueError: If there are not as many queries as documents.
        """
        queries, documents = check_texts(queries, "queries"), check_texts(documents, "documents")
        if len(queries) != len(documents):
            raise ValueError(f"got {len(queries)} queries for {len(documents)} documents")
        asked, stored = self.encode_queries(queries), self.encode_documents(documents)
        pairs = [slice(row, row + 1) for row in range(len(queries))]
        return np.array([self._score(asked[pair], stored[pair]) for pair in pairs], np.float32)

    @abstractmethod
    def _encode(self, texts: Sequence[str], role: Role, progress: bool) -> V:
        """Return the vectors of texts in one role."""

    @abstractmethod
    def _score(self, query: V, document: V) -> float:
        """Return the score of one query with one document."""

    @classmethod
    @abstractmethod
    def _new_index(cls, encoder: Encoder) -> I:
        """Return an empty index for the vectors of a model."""


class NeuralReranker(Neural[V, S]):
    """One whose index scores chosen documents: it also orders the candidates of another."""

    def rerank(self, queries: V, hits: Hits, k: int) -> Hits:
        """Order each query's hits anew by the stored vectors.

        Args:
            queries: From `encode_queries`, one for each row of hits.
            hits: Candidates, of any width, from any retriever whose documents have the same
                numbers; their scores are not used.
            k: Documents wanted per query, at least 1.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number.

        Raises:
            ValueError: If `k` is below 1, the numbers of queries and of rows differ, the queries
                have another width than the model's, or a candidate is not stored.
        """
        return rerank(queries, hits, k, self.index.scorer())
