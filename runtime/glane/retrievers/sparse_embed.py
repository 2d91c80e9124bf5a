"""SparseEmbed: weighted terms choose candidates, and one vector per shared term orders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from glane.hits import check_k
from glane.model.encoder import Encoder
from glane.model.preparation import Batch, Role
from glane.postings.term_embeddings import CANDIDATES, TermEmbeddingIndex, sparse_embed_scores
from glane.retrievers.neural import NeuralReranker
from glane.retrievers.shares import Matches, of_terms, single_terms
from glane.retrievers.splade import Tally, active_terms, decode
from glane.vectors import SparseVectors, TermEmbeddings


class SparseEmbed(NeuralReranker[TermEmbeddings, TermEmbeddingIndex]):
    """A retriever, and a reranker, over weighted terms with one vector each.

    After Kong et al., "SparseEmbed", SIGIR 2023. A row holds a text's terms and weights, as
    Splade's, and one float32 vector per term, stored as float16. Searching, the weights choose
    `index.candidates` documents (1,000, or k where that is more), as Splade would; an index keeps
    that number. The score is then the sum over shared terms of the product of their vectors
    (`glane.model.scoring.sparse_embed_score`). A document that shares no term is no hit, and as a
    candidate scores 0.

    Attributes:
        asked: How many queries were encoded, and how many terms they have.

    >>> from glane import SparseEmbed
    >>> sparse_embed = SparseEmbed.load(sparse_embed_folder)
    >>> sparse_embed.add(sparse_embed.encode_documents(["Plants eat light.", "Rivers run."]))
    array([0, 1])
    >>> sparse_embed.search(sparse_embed.encode_queries(["light for plants"]), k=2).ids.shape
    (1, 2)
    """

    kind = "sparse-embed"

    def __init__(self, encoder: Encoder) -> None:
        """Put an empty index behind an encoder; `load` is the usual way.

        Args:
            encoder: A SparseEmbed model.
        """
        super().__init__(encoder)
        self.asked = Tally()

    def explain(self, query: str, number: int, text: str | None) -> Matches:
        """Return what the score of a query with a stored document is made of, a term each.

        See `Explaining.explain`.
        """
        asked = self.encode_queries([query])
        numbers = np.array([number])
        score = self.index.scorer()
        each = TermEmbeddings(single_terms(asked.terms), asked.embeddings)
        rows = [each[place : place + 1] for place in range(len(each))]
        shares = [float(score(row, numbers)[0]) for row in rows]
        matches = of_terms(self.encoder, asked.terms, shares, query, text)
        return Matches(float(score(asked, numbers)[0]), matches)

    def n_active_terms(self) -> int:
        """Return how many terms all stored documents have together."""
        return self.index.n_terms()

    def record(self) -> dict[str, Any]:
        """Return which model's vectors are stored, and how many candidates are chosen, as JSON."""
        return {**super().record(), "candidates": check_k(self.index.candidates, "candidates")}

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        model: str | Path | Encoder | None = None,
        threads: int | None = None,
    ) -> Self:
        """Make the empty retriever that `record` told of; see `Neural.from_record`."""
        made = super().from_record(record, model, threads)
        candidates = record.get("candidates", CANDIDATES)  # older records have none
        made.index.candidates = check_k(candidates, "candidates")
        return made

    def decode(self, vectors: TermEmbeddings) -> list[dict[str, float]]:
        """Return the terms of each row by their names, with their weights, heaviest first."""
        return decode(vectors.terms, self.encoder.preparer)

    def _encode(self, texts: Sequence[str], role: Role, progress: bool) -> TermEmbeddings:
        rows = self.encoder.map(texts, role, _rows, progress=progress)
        nothing = np.empty((0, self.encoder.checkpoint.dim), np.float32)
        vectors = TermEmbeddings.concatenate(
            [TermEmbeddings(SparseVectors.concatenate([]), nothing), *rows]
        )
        if role == "query":
            self.asked.count(vectors.terms)
        return vectors

    def _score(self, query: TermEmbeddings, document: TermEmbeddings) -> float:
        return float(sparse_embed_scores(query, document, np.zeros(1, np.int64))[0])

    @classmethod
    def _new_index(cls, encoder: Encoder) -> TermEmbeddingIndex:
        return TermEmbeddingIndex(encoder.checkpoint.dim)


def _rows(batch: Batch, outputs: list[Any]) -> list[TermEmbeddings]:
    terms, weights, embeddings = outputs
    vectors, places = active_terms(terms, weights)
    made = TermEmbeddings(vectors, embeddings.reshape(-1, embeddings.shape[-1])[places])
    return [made[row : row + 1] for row in range(len(made))]
