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
from glane.model.preparation import Batch, Role, TextPreparer
from glane.model.scoring import maxsim
from glane.ragged import join_lengths
from glane.types import Floats, Scores
from glane.vectors import TokenVectors
from glane_trainer.bases.found import Found
from glane_trainer.bases.starting import checkpoint_of, encoder_of, found_of, tell_of
from glane_trainer.model import Model
from glane_trainer.processes import Represented
from glane_trainer.projection import input_width_of, random_projection, restored, width_of
from glane_trainer.rules import Rules


class ColBERT(Model[TokenVectors]):
    """One vector per token, compared by MaxSim (Khattab and Zaharia, SIGIR 2020).

    Attributes:
        projection: To the checkpoint's `dim`: one linear layer without bias, or what the
            checkpoint's `projection_layers` say; None where the encoder is that wide.
    """

    kind = "colbert"

    def __init__(
        self, encoder: PreTrainedModel, projection: nn.Module | None, preparer: TextPreparer
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
        cls,
        base: str | Path | Found,
        *,
        dim: int | None = None,
        seed: int = 0,
        **rules: Unpack[Rules],
    ) -> Self:
        """Make a model of a base: a finished ColBERT with all that is its own, or a new one.

        Args:
            base: Folder or name on the Hugging Face hub, see `find_base`.
            dim: Width of a token vector; by default that of a finished ColBERT, or else the
                encoder's own, without a projection.
            seed: Decides a new projection, drawn as in `random_projection`.
            **rules: How texts become tokens, where that is to be other than the base has it.

        Raises:
            ValueError: If `dim` is below 1, or not that of a finished ColBERT.
            FileNotFoundError: If there is no such folder and the hub has no such model.
            CheckpointError: If a file is missing or damaged, or says what glane cannot do.
        """
        if dim is not None and dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        found = found_of(base)
        encoder = encoder_of(found)
        hidden_size = int(encoder.config.hidden_size)
        finished = found.kind == "colbert"
        projection = found.projection if finished else None
        width = hidden_size if projection is None else width_of(projection)
        if finished and dim not in (None, width):
            raise ValueError(f"dim of {found.name!r} is {width}, got {dim}; leave it out")
        if projection is not None and input_width_of(projection) != hidden_size:
            raise CheckpointError(f"the projection of {found.name!r} does not fit its encoder")
        dim = dim or width
        if not finished and dim != hidden_size:
            projection = random_projection(hidden_size, dim, seed)
        checkpoint = checkpoint_of(found, cls.kind, dim, encoder, rules)
        model = cls(encoder, projection, TextPreparer(checkpoint, found.tokenizer_json)).eval()
        tell_of(found, cls.kind, rules)
        return model

    @classmethod
    def restored(
        cls, transformer: PreTrainedModel, others: dict[str, Tensor], preparer: TextPreparer
    ) -> Self:
        """Make the model from what a checkpoint holds, see `Model.restored`."""
        try:
            projection = restored(preparer.checkpoint.projection_layers, others)
        except ValueError as error:
            raise CheckpointError(str(error)) from None
        hidden_size = int(transformer.config.hidden_size)
        width, dim = hidden_size, preparer.checkpoint.dim
        if projection is not None:
            width = width_of(projection)
        if width != dim:
            raise CheckpointError(f"its dim is {dim}, but its weights have {width}")
        return cls(transformer, projection, preparer)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights as they are written."""
        parts = {} if self.projection is None else self.projection.state_dict()
        projection = {f"projection.{name}": tensor for name, tensor in parts.items()}
        return {**self.encoder.state_dict(), **projection}

    @property
    def dim(self) -> int:
        """Width of a token vector."""
        if self.projection is not None:
            return width_of(self.projection)
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

    def represent(self, batch: Batch, role: Role) -> Represented:
        """Return vectors and score mask of a batch, see `Model.represent`."""
        return self.vectors(batch)

    def rankings(self, queries: Represented, documents: Represented) -> dict[str, Tensor]:
        """Return MaxSim divided by the number of the query's tokens.

        So that a temperature means the same for short and long queries.
        """
        vectors, mask = queries
        return {"": score_matrix(vectors, mask, *documents) / mask.sum(-1, keepdim=True)}

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
