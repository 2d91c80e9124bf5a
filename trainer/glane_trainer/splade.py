"""SPLADE in PyTorch: a text is the terms that a masked language model predicts for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from glane.errors import CheckpointError
from glane.model.preparation import Batch, Role, TextPreparer
from glane.model.scoring import sparse_dot
from glane.types import Scores
from glane.vectors import SparseVectors
from glane_trainer.bases.found import Found
from glane_trainer.bases.starting import found_of, tell_of
from glane_trainer.mlm import Pieces, bias_name, take_apart
from glane_trainer.processes import Represented
from glane_trainer.rules import Rules
from glane_trainer.settings import Sparsity
from glane_trainer.terms import TermModel, TermRow, join_terms, keep_top, term_rows


class Splade(TermModel[SparseVectors]):
    """One weight per term of the vocabulary, compared by dot product (Formal et al., SPLADE v2).

    An inference-free model weighs a query's own tokens by a table instead, without expansion
    (Geng et al., "Towards Competitive Search Relevance for Inference-Free Learned Sparse
    Retrievers", 2024).

    Attributes:
        query_weights: The table before its negative weights become 0, shape (n_vocabulary,); None
            where queries go through the model.
    """

    kind = "splade"

    def __init__(
        self, pieces: Pieces, preparer: TextPreparer, query_weights: Tensor | None = None
    ) -> None:
        """Join the parts; `from_base` and `load` are the usual ways.

        Raises:
            CheckpointError: If the parts do not fit, or a length is more than the encoder reads.
        """
        super().__init__(pieces, preparer)
        self.query_weights = None if query_weights is None else nn.Parameter(query_weights)

    @classmethod
    def from_base(cls, base: str | Path | Found, **rules: Unpack[Rules]) -> Self:
        """Make a model of a base: a finished SPLADE with all that is its own, or a new one.

        A new one is made of a masked language model, or of an encoder, which gets a decoder: its
        own input embeddings, without a transform before it. A new inference-free model weighs
        every token 1 at first; see `idf_weights` for better.

        Args:
            base: Folder or name on the Hugging Face hub, see `find_base`.
            **rules: How texts become tokens, and how many terms are kept, where that is to be
                other than the base has it.

        Raises:
            FileNotFoundError: If there is no such folder and the hub has no such model.
            CheckpointError: If a file is missing or damaged, or says what glane cannot do.
        """
        found = found_of(base)
        pieces = cls.pieces_of(found)
        preparer = cls.preparer_of(found, pieces, 0, rules)
        n_vocabulary = pieces.decoder.out_features
        table = None
        if preparer.checkpoint.inference_free:
            given = found.table if found.kind == cls.kind else None
            table = torch.ones(n_vocabulary) if given is None else _fitted(given, n_vocabulary)
        model = cls(pieces, preparer, table).eval()
        tell_of(found, cls.kind, rules)
        return model

    @classmethod
    def restored(
        cls, transformer: PreTrainedModel, others: dict[str, Tensor], preparer: TextPreparer
    ) -> Self:
        """Make the model from what a checkpoint holds, see `Model.restored`."""
        pieces = take_apart(transformer, others.pop(bias_name(transformer), None))
        table = others.pop("query_weights", None)
        if (table is not None) != preparer.checkpoint.inference_free:
            raise CheckpointError("`inference_free` and the weights disagree")
        return cls(pieces, preparer, table)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights as they are written."""
        table = {} if self.query_weights is None else {"query_weights": self.query_weights}
        return {**super().tensors(), **table}

    def weights(self, batch: Batch, role: Role) -> Tensor:
        """Return the weight of each term in each text, before the lowest are cut.

        Returns:
            float32, shape (n, n_vocabulary), at least 0.
        """
        input_ids, attention_mask, score_mask = self.placed(batch)
        if role == "query" and self.query_weights is not None:
            table = self.query_table()
            present = table.new_zeros(len(input_ids), self.n_vocabulary)
            counts = attention_mask.to(table.dtype)
            return present.scatter_reduce(1, input_ids, counts, "amax") * table  # (n, n_vocabulary)
        hidden = self.hidden(input_ids, attention_mask)
        return self.term_weights(self.transform(hidden), score_mask)

    def represent(self, batch: Batch, role: Role) -> Represented:
        """Return the weights of a batch, see `Model.represent`."""
        return (self.weights(batch, role),)

    def rankings(self, queries: Represented, documents: Represented) -> dict[str, Tensor]:
        """Return the dot products of the weights that a search has."""
        asked = keep_top(queries[0], self.n_terms("query"))
        stored = keep_top(documents[0], self.n_terms("document"))
        return {"": sparse_dot(asked, stored, xp=torch)}

    def pressures(
        self, queries: Represented, documents: Represented, sparsity: Sparsity
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the regularisers, see `TermModel.pressures`; a table is not pushed down."""
        if self.query_weights is not None:
            sparsity = replace(sparsity, query_weight=0.0)
        return super().pressures(queries, documents, sparsity)

    def query_table(self) -> Tensor:
        """Return the weight of each token in a query of an inference-free model.

        Returns:
            Shape (n_vocabulary,), at least 0.

        Raises:
            ValueError: If the model is not inference-free.
        """
        if self.query_weights is None:
            raise ValueError("this model has no table: it is not inference-free")
        return self.query_weights.clamp(min=0)

    def rows(self, batch: Batch, role: Role) -> list[TermRow]:
        """Return terms and weights of each text."""
        return term_rows(keep_top(self.weights(batch, role), self.n_terms(role)))

    def joined(self, rows: Sequence[TermRow]) -> SparseVectors:
        """Return terms and weights of all texts."""
        return join_terms(rows)

    def score(self, queries: SparseVectors, documents: SparseVectors) -> Scores:
        """Return the dot product of each query with each document, (n_queries, n_documents)."""
        scores = np.zeros((len(queries), len(documents)), np.float32)
        numbers = np.repeat(np.arange(len(documents)), np.diff(documents.indptr))
        weights = np.zeros(self.n_vocabulary, np.float32)
        for row in range(len(queries)):
            query = queries[row : row + 1]
            weights[:] = 0
            weights[query.indices] = query.values
            products = weights[documents.indices] * documents.values
            scores[row] = np.bincount(numbers, products, minlength=len(documents))
        return scores


def _fitted(table: Tensor, n_vocabulary: int) -> Tensor:
    """Return a table with 0 for terms beyond its end, which no text has."""
    if len(table) > n_vocabulary:
        raise CheckpointError(
            f"the table for queries has {len(table)} weights, but there are {n_vocabulary} terms"
        )
    return nn.functional.pad(table.detach().float(), (0, n_vocabulary - len(table)))


def idf_weights(model: Splade, documents: Sequence[str]) -> Tensor:
    """Return where the table of an inference-free model begins: rare tokens weigh more.

    w_t = log((N + 1) / (df_t + 1)) over its mean for the tokens that the documents have, with df_t
    the number of the N documents that have token t (idf without the smoothing that keeps BM25's
    above 0, as a table may have zeros).

    Args:
        model: Prepares the texts.
        documents: To count in; none leave every token at 1.

    Returns:
        Shape (n_vocabulary,), about 1.
    """
    tokens = model.preparer.tokenize(documents, "document").rows
    counts = Counter(token for row in tokens for token in set(row.tolist()))
    frequencies = torch.zeros(model.n_vocabulary)
    if counts:
        frequencies[list(counts)] = torch.tensor(list(counts.values()), dtype=torch.float32)
    idf = torch.log((len(documents) + 1) / (frequencies + 1))
    mean = idf[frequencies > 0].mean() if counts else torch.tensor(0.0)
    return idf / mean if mean > 0 else torch.ones(model.n_vocabulary)
