"""ColBERT: one vector per token from an exported model, MaxSim over stored documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from glane.checkpoint import CheckpointError
from glane.encoder import Encoder
from glane.hits import Hits
from glane.maxsim import MaxSimIndex, maxsim_scores
from glane.store.reading import open_state
from glane.store.retriever import load_tables, record_of, save_retriever
from glane.store.segments import Segments
from glane.text import Batch, Role, check_texts
from glane.types import Floats, Ids, Scores
from glane.vectors import TokenVectors, join_lengths


class ColBERT:
    """A reranker, and an exact retriever, over token vectors (Khattab and Zaharia, SIGIR 2020).

    Encoding and searching are safe from many threads; adding and deleting are not.

    >>> from glane import BM25, ColBERT
    >>> colbert, bm25 = ColBERT.load(model_folder), BM25()
    >>> texts = ["Plants eat light.", "Rivers run to the sea."]
    >>> added = colbert.add(colbert.encode_documents(texts)), bm25.add(bm25.encode_documents(texts))
    >>> hits = bm25.search(bm25.encode_queries(["light for plants"]), k=2)
    >>> colbert.rerank(colbert.encode_queries(["light for plants"]), hits, k=1).ids
    array([[0]])
    """

    kind: ClassVar[Literal["colbert"]] = "colbert"

    def __init__(self, encoder: Encoder) -> None:
        """Put an empty index behind an encoder; `load` is the usual way.

        Args:
            encoder: A ColBERT model.
        """
        self.encoder = encoder
        self.index = MaxSimIndex(encoder.checkpoint.dim)

    @classmethod
    def load(
        cls, model: str | Path, index: str | Path | None = None, *, threads: int | None = None
    ) -> ColBERT:
        """Load an exported model and, where given, vectors that `save` wrote.

        Args:
            model: Folder written by `glane export`.
            index: Folder written by `save`.
            threads: Threads to compute with; by default what the process may use.

        Raises:
            CheckpointError: If model or vectors are missing or damaged, the model is of another
                kind, or another made the vectors; the message then names both fingerprints.
        """
        made = cls(Encoder(model, cls.kind, threads))
        if index is not None:
            state = open_state(index)
            made.check_record(record_of(state, "retriever", made.kind), index)
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

    def check_record(self, record: Mapping[str, Any], index: str | Path) -> None:
        """Refuse vectors that another model has made.

        Raises:
            CheckpointError: The message names both fingerprints.
        """
        if record["fingerprint"] != self.encoder.fingerprint:
            raise CheckpointError(
                f"{str(index)!r} was written by the model {record['fingerprint']}, but "
                f"{str(self.encoder.folder)!r} is {self.encoder.fingerprint}; use that model, or "
                "index again"
            )

    def __len__(self) -> int:
        """Return how many documents are stored."""
        return len(self.index)

    def encode_queries(self, queries: Sequence[str], *, progress: bool = False) -> TokenVectors:
        """Return the token vectors of queries.

        Args:
            queries: Any strings; the empty one has its markers' vectors.
            progress: Whether a bar runs on standard error where that is a terminal.

        Returns:
            float32 vectors of length 1; one per token, markers and expansion included.

        Raises:
            TypeError: If `queries` is one string, or holds something else than strings.
        """
        return self._encode(check_texts(queries, "queries"), "query", progress)

    def encode_documents(self, documents: Sequence[str], *, progress: bool = False) -> TokenVectors:
        """Return the token vectors of documents.

        Args:
            documents: Any strings; what is longer than the model's length is cut, and counted in
                `encoder.n_truncated`.
            progress: Whether a bar runs on standard error where that is a terminal.

        Returns:
            float32 vectors of length 1; one per token that counts in the score.

        Raises:
            TypeError: If `documents` is one string, or holds something else than strings.
        """
        return self._encode(check_texts(documents, "documents"), "document", progress)

    def add(self, vectors: TokenVectors) -> Ids:
        """Store documents' vectors, as float16, and return their numbers, in order of writing.

        Raises:
            ValueError: If the vectors have another width than the model's.
        """
        return self.index.add(vectors)

    def delete(self, ids: Ids) -> None:
        """Forget documents.

        Raises:
            ValueError: If a number is not stored, or stands twice; nothing is deleted then.
        """
        self.index.delete(ids)

    def take(self, ids: Ids) -> TokenVectors:
        """Return the stored vectors of documents, given in rising order of their numbers.

        Raises:
            ValueError: If a number is not stored.
        """
        return self.index.take(ids)

    def compact(self) -> None:
        """Drop what is left of deleted documents; numbers stay."""
        self.index.rows.compact()

    def search(self, queries: TokenVectors, k: int) -> Hits:
        """Return the k best of all stored documents for each query, by exact MaxSim.

        Args:
            queries: From `encode_queries`.
            k: Documents wanted per query, at least 1; the index may hold fewer.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number.

        Raises:
            ValueError: If `k` is below 1.
        """
        return self.index.search(queries, k)

    def rerank(self, queries: TokenVectors, hits: Hits, k: int) -> Hits:
        """Order each query's hits anew by MaxSim over the stored vectors.

        Args:
            queries: From `encode_queries`, one for each row of hits.
            hits: Candidates from any retriever whose documents have the same numbers.
            k: Documents wanted per query, at least 1.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number.

        Raises:
            ValueError: If `k` is below 1, the numbers of queries and of rows differ, or a
                candidate is not stored.
        """
        return self.index.rerank(queries, hits, k)

    def scores(self, queries: Sequence[str], documents: Sequence[str]) -> Scores:
        """Return the MaxSim of each query with the document beside it; nothing is stored.

        Args:
            queries: Shape (n,).
            documents: Shape (n,).

        Returns:
            Shape (n,), in [-n_query_tokens, n_query_tokens].

        Raises:
            TypeError: If either is one string, or holds something else than strings.
            ValueError: If there are not as many queries as documents.
        """
        queries, documents = check_texts(queries, "queries"), check_texts(documents, "documents")
        if len(queries) != len(documents):
            raise ValueError(f"got {len(queries)} queries for {len(documents)} documents")
        asked, stored = self.encode_queries(queries), self.encode_documents(documents)
        pairs = [slice(row, row + 1) for row in range(len(asked))]
        scores = [maxsim_scores(asked[pair], stored[pair])[0, 0] for pair in pairs]
        return np.array(scores, np.float32)

    def _encode(self, texts: Sequence[str], role: Role, progress: bool) -> TokenVectors:
        rows = list(self.encoder.map(texts, role, _counted_vectors, progress=progress))
        nothing = np.empty((0, self.encoder.checkpoint.dim), np.float32)
        return TokenVectors(
            join_lengths([len(row) for row in rows]), np.concatenate([nothing, *rows])
        )


def _counted_vectors(batch: Batch, vectors: Floats) -> list[Floats]:
    return [row[mask] for row, mask in zip(vectors, batch.score_mask, strict=True)]
