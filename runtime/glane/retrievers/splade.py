"""Splade: weighted terms of the model's vocabulary, on an exact inverted index."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from glane.errors import CheckpointError
from glane.hits import best
from glane.model.checkpoint import QUERY_WEIGHTS, Checkpoint
from glane.model.encoder import Encoder
from glane.model.preparation import Batch, Role, TextPreparer
from glane.postings.postings import Postings, weigh_as_it_is
from glane.ragged import join_lengths
from glane.retrievers.neural import Neural
from glane.retrievers.shares import Matches, of_terms, single_terms
from glane.threads import Guard
from glane.types import Ids, Scores
from glane.vectors import SparseVectors


class Tally:
    """Counts texts and their terms, from many threads.

    Attributes:
        n_texts: Texts so far.
        n_terms: Terms of them all.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.n_texts = self.n_terms = 0
        self._guard = Guard()

    def count(self, vectors: SparseVectors) -> None:
        """Count some texts more."""
        with self._guard:
            self.n_texts += len(vectors)
            self.n_terms += len(vectors.indices)


class Splade(Neural[SparseVectors, Postings]):
    """Finds documents by the terms that a model gives to them and to a query.

    A row holds a text's terms of highest weight, at most `query_terms` or `document_terms` of the
    checkpoint, by rising number, each weighing more than 0 (`splade_weights` of
    `glane.model.scoring`; Formal et al., SPLADE v2, 2021). The score is the sum over shared terms
    of both weights' product; a document that shares no term is no hit.

    Of an inference-free model a query's terms are its own tokens, weighed by a table: no model is
    called, none even loaded (as in Geng et al., "Towards Competitive Search Relevance For
    Inference-Free Learned Sparse Retrievers", 2024).

    Attributes:
        asked: How many queries were encoded, and how many terms they have.

    >>> from glane import Splade
    >>> splade = Splade.load(splade_folder)
    >>> splade.add(splade.encode_documents(["Plants eat light.", "Rivers run to the sea."]))
    array([0, 1])
    >>> splade.search(splade.encode_queries(["light for plants"]), k=2).ids.shape
    (1, 2)
    """

    kind = "splade"

    def __init__(self, encoder: Encoder) -> None:
        """Put an empty index behind an encoder; `load` is the usual way.

        Args:
            encoder: A SPLADE model.

        Raises:
            CheckpointError: If the model is inference-free and its table is missing or damaged.
        """
        super().__init__(encoder)
        self.asked = Tally()
        self._table = _read_table(encoder) if encoder.checkpoint.inference_free else None

    def decode(self, vectors: SparseVectors) -> list[dict[str, float]]:
        """Return the terms of each row by their names, with their weights, heaviest first."""
        return decode(vectors, self.encoder.preparer)

    def explain(self, query: str, number: int, text: str | None) -> Matches:
        """Return what the score of a query with a stored document is made of, a term each.

        See `Explaining.explain`.
        """
        asked = self.encode_queries([query])
        (score,) = self.index.scores_with(asked, number)
        shares = self.index.scores_with(single_terms(asked), number)
        return Matches(score, of_terms(self.encoder, asked, shares, query, text))

    def n_active_terms(self) -> int:
        """Return how many terms all stored documents have together."""
        return self.index.n_terms()

    def _encode(self, texts: Sequence[str], role: Role, progress: bool) -> SparseVectors:
        if role == "query" and self._table is not None:
            vectors = _look_up(self._table, self.encoder, texts)
        else:
            rows = self.encoder.map(texts, role, _rows, progress=progress)
            vectors = SparseVectors.concatenate(list(rows))
        if role == "query":
            self.asked.count(vectors)
        return vectors

    def _score(self, query: SparseVectors, document: SparseVectors) -> float:
        _, left, right = np.intersect1d(
            query.indices, document.indices, assume_unique=True, return_indices=True
        )
        return float(query.values[left] @ document.values[right])

    @classmethod
    def _new_index(cls, encoder: Encoder) -> Postings:
        return Postings(weigh_as_it_is)


def _rows(batch: Batch, outputs: list[Any]) -> list[SparseVectors]:
    vectors, _ = active_terms(*outputs)
    return [vectors[row : row + 1] for row in range(len(vectors))]


def _look_up(table: Scores, encoder: Encoder, texts: Sequence[str]) -> SparseVectors:
    """Return the distinct tokens of each query that the table gives a weight."""
    rows = [_heaviest(table, row, encoder.checkpoint) for row in encoder.tokenize(texts, "query")]
    terms = np.concatenate([np.empty(0, np.int64), *rows])
    return SparseVectors(
        join_lengths([len(row) for row in rows]), terms.astype(np.int32), table[terms]
    )


def _heaviest(table: Scores, tokens: Ids, checkpoint: Checkpoint) -> Ids:
    terms = np.unique(tokens)
    terms = terms[table[terms] > 0]
    return np.sort(terms[best(table[terms], terms, checkpoint.query_terms)])


def _read_table(encoder: Encoder) -> Scores:
    path = encoder.folder / QUERY_WEIGHTS
    if QUERY_WEIGHTS not in encoder.files.small:
        raise CheckpointError(f"{str(path)!r} cannot be read: it is missing")
    try:
        table = np.load(BytesIO(encoder.files.small[QUERY_WEIGHTS]), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from None
    n_tokens = encoder.preparer.vocabulary_size
    if table.dtype != np.float32 or table.ndim != 1 or len(table) < n_tokens:
        raise CheckpointError(
            f"{str(path)!r} must hold one float32 for each of the {n_tokens} tokens, got "
            f"{table.dtype} of shape {table.shape}"
        )
    if not (np.isfinite(table) & (table >= 0)).all():
        raise CheckpointError(f"{str(path)!r} holds a weight below 0, or none that is a number")
    return np.asarray(table)


def active_terms(terms: Ids, weights: Scores) -> tuple[SparseVectors, Ids]:
    """Return the terms of a batch whose weight is above 0, in rising order of their numbers.

    Args:
        terms: Shape (n, n_terms), no term twice in a row.
        weights: Shape (n, n_terms).

    Returns:
        The vectors, and where each of their entries stood in the arrays laid flat.
    """
    n_texts, n_terms = terms.shape
    order = np.argsort(terms, axis=1) + np.arange(n_texts)[:, None] * n_terms
    active = weights.ravel()[order] > 0
    places = order[active]
    vectors = SparseVectors(
        join_lengths(active.sum(axis=1)),
        terms.ravel()[places].astype(np.int32),
        weights.ravel()[places],
    )
    return vectors, places


def decode(vectors: SparseVectors, preparer: TextPreparer) -> list[dict[str, float]]:
    """Return the terms of each row by their names, with their weights, heaviest first."""
    rows = vectors.to_dicts(preparer.token)
    return [dict(sorted(row.items(), key=lambda pair: -pair[1])) for row in rows]
