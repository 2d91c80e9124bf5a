"""SparseEmbed in PyTorch: SPLADE's terms, each with a vector of what it means in its text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self, Unpack

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from glane.errors import CheckpointError
from glane.model.preparation import Batch, Role, TextPreparer
from glane.model.scoring import sparse_dot
from glane.postings.term_embeddings import sparse_embed_scores
from glane.types import Scores
from glane.vectors import TermEmbeddings
from glane_trainer.bases.found import Found
from glane_trainer.bases.starting import found_of, tell_of
from glane_trainer.mlm import Pieces, bias_name, take_apart
from glane_trainer.processes import Represented
from glane_trainer.projection import linear, random_projection
from glane_trainer.rules import Rules
from glane_trainer.settings import DIMS
from glane_trainer.terms import TermModel, TermRow, join_terms, keep_top

EmbedRow = tuple[TermRow, npt.NDArray[np.float32]]
"""Terms and weights of one text, and their embeddings, shape (n_terms, dim)."""


class Embedded(NamedTuple):
    """A batch of n texts.

    Attributes:
        weights: Of all terms, before the lowest are cut, shape (n, n_vocabulary).
        kept: Weights of those that a text keeps, the others 0, shape (n, n_vocabulary).
        terms: Their numbers, shape (n, n_terms), highest weight first; -1 where a row is short.
        embeddings: Their vectors, float32, at least 0, shape (n, n_terms, dim).
    """

    weights: Tensor
    kept: Tensor
    terms: Tensor
    embeddings: Tensor


class SparseEmbed(TermModel[TermEmbeddings]):
    """A weight and a vector per term, compared where terms are shared (Kong et al., SIGIR 2023).

    The vector of term t is w_t · ReLU(W · sum over positions i of softmax_i(logit_it) · h_i), with
    h the encoder's output and w_t the term's weight. We deviate from the paper in three things.
    There a vector is not multiplied by w_t and has to learn how much its term matters; here the
    score begins near SPLADE's, as sum of w_t · w_t · (how alike the term's contexts are). Queries
    too have as many terms as the checkpoint says, by weight. And the terms' own score, SPLADE's,
    is trained beside it with the same weight (see `rankings`): search takes its
    candidates by that.

    Attributes:
        projection: W, to the checkpoint's `dim`, without bias.
    """

    kind = "sparse-embed"

    def __init__(self, pieces: Pieces, projection: nn.Linear, preparer: TextPreparer) -> None:
        """Join the parts; `from_base` and `load` are the usual ways.

        Raises:
            CheckpointError: If the parts do not fit, or a length is more than the encoder reads.
        """
        super().__init__(pieces, preparer)
        self.projection = projection

    @classmethod
    def from_base(
        cls,
        base: str | Path | Found,
        *,
        dim: int | None = None,
        seed: int = 0,
        **rules: Unpack[Rules],
    ) -> Self:
        """Make a model of a base: a finished SparseEmbed with all that is its own, or a new one.

        A new one is made of a masked language model, or of an encoder, which gets a decoder: its
        own input embeddings, without a transform before it. The projection is random: the dot
        product of two vectors then rises with their cosine before it, ReLU included (Cho and Saul,
        NeurIPS 2009), and is about 1 at most.

        Args:
            base: Folder or name on the Hugging Face hub, see `find_base`.
            dim: Width of a term's vector; by default that of a finished SparseEmbed, or else 64.
            seed: Decides a new projection.
            **rules: How texts become tokens, and how many terms are kept, where that is to be
                other than the base has it.

        Raises:
            ValueError: If `dim` is not that of a finished SparseEmbed.
            FileNotFoundError: If there is no such folder and the hub has no such model.
            CheckpointError: If a file is missing or damaged, says what glane cannot do, or `dim`
                is below 1.
        """
        found = found_of(base)
        pieces = cls.pieces_of(found)
        hidden_size = int(pieces.encoder.config.hidden_size)
        own = found.projection if found.kind == cls.kind else None
        if isinstance(own, nn.Linear):
            if dim not in (None, own.out_features):
                raise ValueError(
                    f"dim of {found.name!r} is {own.out_features}, got {dim}; leave it out"
                )
            if own.in_features != hidden_size:
                raise CheckpointError(f"the projection of {found.name!r} does not fit its encoder")
            preparer = cls.preparer_of(found, pieces, own.out_features, rules)
            projection = own
        else:
            dim = DIMS["sparse-embed"] if dim is None else dim
            preparer = cls.preparer_of(found, pieces, dim, rules)
            weight = random_projection(hidden_size, dim, seed).weight.detach() / dim**0.5
            projection = linear(weight)
        model = cls(pieces, projection, preparer).eval()
        tell_of(found, cls.kind, rules)
        return model

    @classmethod
    def restored(
        cls, transformer: PreTrainedModel, others: dict[str, Tensor], preparer: TextPreparer
    ) -> Self:
        """Make the model from what a checkpoint holds, see `Model.restored`."""
        weight = others.pop("projection.weight", None)
        width, dim = len(weight) if weight is not None else 0, preparer.checkpoint.dim
        if weight is None or width != dim:
            raise CheckpointError(f"its dim is {dim}, but its weights have {width}")
        pieces = take_apart(transformer, others.pop(bias_name(transformer), None))
        return cls(pieces, linear(weight), preparer)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights as they are written."""
        return {**super().tensors(), "projection.weight": self.projection.weight}

    def embedded(self, batch: Batch, role: Role) -> Embedded:
        """Return weights, terms and vectors of a batch."""
        input_ids, attention_mask, mask = self.placed(batch)
        hidden = self.hidden(input_ids, attention_mask)  # (n, length, hidden_size)
        transformed = self.transform(hidden)  # (n, length, width)
        weights = self.term_weights(transformed, mask)
        kept = keep_top(weights, self.n_terms(role))
        n_terms = max(1, int((kept > 0).sum(-1).max()))
        values, terms = kept.topk(n_terms)  # (n, n_terms)
        logits = self.decoder.weight[terms] @ transformed.transpose(1, 2)  # (n, n_terms, length)
        # The decoder's bias is the same at all positions: the softmax does not see it.
        logits = logits.masked_fill(~mask[:, None], torch.finfo(logits.dtype).min)
        pooled = logits.softmax(-1) @ hidden.to(logits.dtype)  # (n, n_terms, hidden_size)
        embeddings = values[..., None] * self.projection(pooled).relu().float()
        return Embedded(weights, kept, terms.masked_fill(values == 0, -1), embeddings)

    def weights(self, batch: Batch, role: Role) -> Tensor:
        """Return the weight of each term in each text, before the lowest are cut.

        Returns:
            float32, shape (n, n_vocabulary), at least 0.
        """
        input_ids, attention_mask, mask = self.placed(batch)
        return self.term_weights(self.transform(self.hidden(input_ids, attention_mask)), mask)

    def represent(self, batch: Batch, role: Role) -> Represented:
        """Return the parts of `Embedded`, see `Model.represent`."""
        return self.embedded(batch, role)

    def rankings(self, queries: Represented, documents: Represented) -> dict[str, Tensor]:
        """Return the scores by vectors of shared terms, and those by their weights alone.

        Both are learned with the same loss: a search takes its candidates by the weights.
        """
        asked, stored = Embedded(*queries), Embedded(*documents)
        return {
            "": embed_score_matrix(asked, stored),
            "sparse_loss": sparse_dot(asked.kept, stored.kept, xp=torch),
        }

    def rows(self, batch: Batch, role: Role) -> list[EmbedRow]:
        """Return terms, weights and vectors of each text."""
        _, kept, terms, embeddings = (part.cpu().numpy() for part in self.embedded(batch, role))
        rows = []
        for weights, found, vectors in zip(kept, terms, embeddings, strict=True):
            order = np.argsort(found)[(found < 0).sum() :]
            numbers = found[order].astype(np.int32)
            rows.append(((numbers, weights[numbers]), vectors[order]))
        return rows

    def joined(self, rows: Sequence[EmbedRow]) -> TermEmbeddings:
        """Return terms, weights and vectors of all texts."""
        none = np.empty((0, self.checkpoint.dim), np.float32)
        return TermEmbeddings(
            join_terms([terms for terms, _ in rows]),
            np.concatenate([none, *(vectors for _, vectors in rows)]),
        )

    def score(self, queries: TermEmbeddings, documents: TermEmbeddings) -> Scores:
        """Return the sum over shared terms of the dot products of their vectors.

        Returns:
            Shape (n_queries, n_documents).
        """
        rows = np.arange(len(documents))
        scores = [
            sparse_embed_scores(queries[number : number + 1], documents, rows)
            for number in range(len(queries))
        ]
        return np.array(scores, np.float32).reshape(len(queries), len(documents))


def embed_score_matrix(queries: Embedded, documents: Embedded) -> Tensor:
    """Return `glane.model.scoring.sparse_embed_score` of each query with each document.

    Comparing all terms of all pairs would cost n_queries · n_documents · n_terms². Instead the
    vectors of a document's terms are looked up by the query's terms: a table says where in a
    document's row a term stands, and past its end, where it has a vector of zeros, for others.

    Returns:
        Shape (n_queries, n_documents), differentiable.
    """
    n_documents, n_terms = documents.terms.shape
    n_vocabulary = documents.weights.shape[1]
    places = torch.arange(n_terms, device=documents.terms.device).expand(n_documents, -1)
    # One more column takes what stands at -1, on both sides, and matches nothing.
    table = places.new_full((n_documents, n_vocabulary + 1), n_terms)
    table = table.scatter(1, documents.terms.where(documents.terms >= 0, n_vocabulary), places)
    table[:, n_vocabulary] = n_terms
    vectors = nn.functional.pad(documents.embeddings, (0, 0, 0, 1))  # (n_documents, n_terms + 1, d)
    rows = torch.arange(n_documents, device=places.device)[:, None]
    scores = [
        torch.einsum("td,ntd->n", own, vectors[rows, table[:, terms]])
        for terms, own in zip(queries.terms, queries.embeddings, strict=True)
    ]
    return torch.stack(scores) if scores else vectors.new_empty(0, n_documents)
