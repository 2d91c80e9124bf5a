"""ColBERT: one vector per token from an exported model, MaxSim over stored documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np

from glane.maxsim.index import MaxSimIndex, TokenStorage
from glane.maxsim.kernel import maxsim_scores
from glane.maxsim.pooling import each_text, first_of_cluster, ward
from glane.model.encoder import Encoder
from glane.model.preparation import Batch, Role
from glane.ragged import join_lengths
from glane.retrievers.neural import NeuralReranker
from glane.retrievers.shares import Match, Matches
from glane.types import Floats, Ids
from glane.vectors import TokenVectors


class ColBERT(NeuralReranker[TokenVectors, MaxSimIndex]):
    """A reranker, and a retriever, over token vectors (Khattab and Zaharia, SIGIR 2020).

    A query's row holds one float32 vector of length 1 per token, markers and expansion included; a
    document's one per token that counts in the score, stored as int8 unless `store_as` says
    otherwise. Scores lie in [-n_query_tokens, n_query_tokens].

    >>> from glane import BM25, ColBERT
    >>> colbert, bm25 = ColBERT.load(model_folder), BM25()
    >>> texts = ["Plants eat light.", "Rivers run to the sea."]
    >>> added = colbert.add(colbert.encode_documents(texts)), bm25.add(bm25.encode_documents(texts))
    >>> hits = bm25.search(bm25.encode_queries(["light for plants"]), k=2)
    >>> colbert.rerank(colbert.encode_queries(["light for plants"]), hits, k=1).ids
    array([[0]])
    """

    kind = "colbert"

    def store_as(self, storage: TokenStorage) -> None:
        """Say how documents will be stored; by default as int8, without outlines.

        Raises:
            ValueError: If documents were stored already, the kind is unknown or cannot hold the
                model's width, or the pool is below 1.
        """
        if self.index.rows.next_id:
            raise ValueError("documents were stored already; index them again")
        self.index = MaxSimIndex(self.index.dim, storage, self.encoder.threads)

    def record(self) -> dict[str, Any]:
        """Return which model's vectors are stored, and how, as JSON."""
        return {**super().record(), "storage": asdict(self.index.storage)}

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        model: str | Path | Encoder | None = None,
        threads: int | None = None,
    ) -> Self:
        """Make the empty retriever that `record` told of; see `Neural.from_record`."""
        made = super().from_record(record, model, threads)
        made.store_as(TokenStorage(**record["storage"]))
        return made

    def explain(self, query: str, number: int, text: str | None) -> Matches:
        """Return which stored token each token of a query is most similar to.

        See `Explaining.explain`.
        """
        vectors = self.encode_queries([query])
        score = float(self.index.scorer()(vectors, np.array([number]))[0])
        similar = self.index.similarities(vectors, number)
        if not similar.shape[1]:
            return Matches(score, [])
        asked = self.encoder.preparer.read(query, "query").counted()
        tokens = None if text is None else self.encoder.preparer.read(text, "document").counted()
        best = similar.argmax(axis=1)
        winners = best if text is None else self._winners(vectors, text, best, similar.shape[1])
        matches = []
        for row, (name, winner) in enumerate(zip(asked.names, winners.tolist(), strict=True)):
            piece = None if tokens is None else tokens.piece(winner)
            matched = None if tokens is None else tokens.names[winner]
            share = float(similar[row, best[row]])
            pieces = [] if piece is None else [piece]
            matches.append(Match(name, share, asked.piece(row), matched, pieces))
        return Matches(score, matches)

    def _winners(self, query: TokenVectors, text: str, best: Ids, n_stored: int) -> Ids:
        """Return which of a document's tokens stands for each query token's best stored vector.

        Where vectors were pooled, that is the most similar of those that were put together.
        """
        factor = self.index.storage.pool
        if factor == 1:
            return best
        (values,) = each_text(self.encode_documents([text]).half())
        first = first_of_cluster(ward(values), len(values), n_stored)
        together = np.unique(first)[best][:, None] == first
        similar = np.where(together, query.values @ values.T, -np.inf)
        return np.asarray(similar.argmax(axis=1), np.int64)

    def _encode(self, texts: Sequence[str], role: Role, progress: bool) -> TokenVectors:
        rows = self.encoder.map(texts, role, _counted_vectors, progress=progress)
        return _laid_out(rows, self.encoder.checkpoint.dim)

    def _score(self, query: TokenVectors, document: TokenVectors) -> float:
        return float(maxsim_scores(query, document)[0, 0])

    @classmethod
    def _new_index(cls, encoder: Encoder) -> MaxSimIndex:
        return MaxSimIndex(encoder.checkpoint.dim, threads=encoder.threads)


def _laid_out(rows: Iterable[Floats], dim: int) -> TokenVectors:
    """Lay rows end to end in an array that grows, so that they are in memory once."""
    values, lengths = np.empty((0, dim), np.float32), []
    start = 0
    for row in rows:
        stop = start + len(row)
        if stop > len(values):
            values.resize((stop + stop // 8, dim), refcheck=False)
        values[start:stop] = row
        lengths.append(len(row))
        start = stop
    values.resize((start, dim), refcheck=False)
    return TokenVectors(join_lengths(lengths), values)


def _counted_vectors(batch: Batch, outputs: list[Any]) -> list[Floats]:
    return [row[mask] for row, mask in zip(outputs[0], batch.score_mask, strict=True)]
