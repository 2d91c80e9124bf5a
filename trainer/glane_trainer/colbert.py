"""ColBERT in PyTorch: any encoder, a projection, vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from glane.errors import CheckpointError
from glane.maxsim.kernel import maxsim_scores
from glane.model.checkpoint import Checkpoint
from glane.model.preparation import Batch, Role, TextPreparer
from glane.model.scoring import maxsim
from glane.ragged import join_lengths
from glane.types import Floats, Scores
from glane.vectors import TokenVectors
from glane_trainer.model import Model, Rules
from glane_trainer.projection import linear, random_projection
from glane_trainer.weights import read_base


class ColBERT(Model[TokenVectors]):
    """One vector per token, compared by MaxSim (Khattab and Zaharia, SIGIR 2020).

    Attributes:
        projection: To the checkpoint's `dim`, without bias; None where the encoder is that wide.
    """

    kind = "colbert"

    def __init__(
        self, encoder: PreTrainedModel, projection: nn.Linear | None, preparer: TextPreparer
    ) -> None:
        """Join the parts; `from_base` and `load` are the usual ways.

        Raises:
            CheckpointError: If the tokenizer has more entries than the encoder, or a length is
                more than the encoder can read.
        """
        super().__init__(encoder, preparer)
        self.projection = projection

    @classmethod
    def from_base(
        cls, base: str | Path, *, dim: int | None = None, seed: int = 0, **rules: Unpack[Rules]
    ) -> Self:
        """Make an untrained model of an encoder.

        Args:
            base: Folder or name on the Hugging Face hub, see `read_base`.
            dim: Width of a token vector; by default the encoder's own, without a projection.
            seed: Decides the projection, drawn as in `random_projection`.
            **rules: How texts become tokens.

        Raises:
            ValueError: If `dim` is below 1.
            FileNotFoundError: If there is no such folder and the hub has no such model.
            CheckpointError: If the weights are a pickle, or a file is missing or damaged.
        """
        if dim is not None and dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        encoder, tokenizer_json = read_base(base)
        hidden_size = int(encoder.config.hidden_size)
        checkpoint = Checkpoint(dim=dim or hidden_size, base=str(base), **rules)
        projection = None
        if checkpoint.dim != hidden_size:
            projection = random_projection(hidden_size, checkpoint.dim, seed)
        return cls(encoder, projection, TextPreparer(checkpoint, tokenizer_json)).eval()

    @classmethod
    def restored(
        cls, transformer: PreTrainedModel, others: dict[str, Tensor], preparer: TextPreparer
    ) -> Self:
        """Make the model from what a checkpoint holds, see `Model.restored`."""
        weight = others.pop("projection.weight", None)
        width = len(weight) if weight is not None else int(transformer.config.hidden_size)
        dim = preparer.checkpoint.dim
        if width != dim:
            raise CheckpointError(f"its dim is {dim}, but its weights have {width}")
        return cls(transformer, linear(weight) if weight is not None else None, preparer)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights as they are written."""
        tensors = dict(self.encoder.state_dict())
        if self.projection is not None:
            tensors["projection.weight"] = self.projection.weight
        return tensors

    @property
    def dim(self) -> int:
        """Width of a token vector."""
        if self.projection is not None:
            return self.projection.out_features
        return int(self.encoder.config.hidden_size)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return a vector of length 1 for each token.

        Args:
            input_ids: int64, shape (n, length).
            attention_mask: int64, shape (n, length), 1 where the model attends.

        Returns:
            float32, shape (n, length, dim); what stands at padded positions means nothing.
        """
        hidden = self.hidden(input_ids, attention_mask)
        if self.projection is not None:
            hidden = self.projection(hidden)  # (n, length, dim)
        return nn.functional.normalize(hidden.float(), dim=-1)

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the vectors of a batch, (n, length, dim), and its score mask, (n, length)."""
        input_ids, attention_mask, score_mask = self.placed(batch)
        return self(input_ids, attention_mask), score_mask

    def rows(self, batch: Batch, role: Role) -> list[Floats]:
        """Return the token vectors of each text."""
        values = self.vectors(batch)[0].cpu().numpy()
        return [value[mask] for value, mask in zip(values, batch.score_mask, strict=True)]

    def joined(self, rows: Sequence[Floats]) -> TokenVectors:
        """Return the token vectors of all texts."""
        empty = np.empty((0, self.dim), np.float32)
        return TokenVectors(
            join_lengths([len(row) for row in rows]), np.concatenate([empty, *rows])
        )

    def score(self, queries: TokenVectors, documents: TokenVectors) -> Scores:
        """Return the MaxSim of each query with each document, shape (n_queries, n_documents)."""
        return maxsim_scores(queries, documents)


def score_matrix(
    queries: Tensor, query_mask: Tensor, documents: Tensor, document_mask: Tensor
) -> Tensor:
    """Return the MaxSim of each query with each document, in one differentiable tensor.

    Args:
        queries: Shape (n_queries, n_query_tokens, dim).
        query_mask: Boolean, shape (n_queries, n_query_tokens).
        documents: Shape (n_documents, n_document_tokens, dim).
        document_mask: Boolean, shape (n_documents, n_document_tokens).

    Returns:
        Shape (n_queries, n_documents).
    """
    # One query at a time: a product of all with all would copy the documents for every query.
    rows = [
        maxsim(query, documents, mask, document_mask, xp=torch)
        for query, mask in zip(queries, query_mask, strict=True)
    ]
    return torch.stack(rows) if rows else queries.new_empty((0, len(documents)))
