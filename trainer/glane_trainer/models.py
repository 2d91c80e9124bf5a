"""ColBERT in PyTorch: any encoder, a projection, vectors of length 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from glane.checkpoint import Checkpoint, CheckpointError
from glane.folders import new_folder
from glane.maxsim import maxsim_scores
from glane.scoring import maxsim
from glane.text import Batch, Role, TextPreparer
from glane.types import Ids, Scores
from glane.vectors import TokenVectors, join_lengths
from glane_trainer.weights import position_limit, read_base, read_encoder, write_tensors

BATCH_TOKENS = 4096
"""Tokens encoded at once outside of training, padding included."""


class Rules(TypedDict, total=False):
    """How texts become tokens: fields of `glane.checkpoint.Checkpoint`, with its defaults."""

    query_length: int
    document_length: int
    query_prefix: str
    document_prefix: str
    query_expansion: bool
    attend_to_expansion: bool
    skip_punctuation: bool


class ColBERT(nn.Module):
    """One vector per token, compared by MaxSim (Khattab and Zaharia, SIGIR 2020).

    Attributes:
        encoder: Any encoder of transformers, without its pooler.
        projection: To the checkpoint's `dim`, without bias; None where the encoder is that wide.
        preparer: The text preparation, the same object that the runtime uses.
    """

    def __init__(
        self, encoder: PreTrainedModel, projection: nn.Linear | None, preparer: TextPreparer
    ) -> None:
        """Join the parts; `from_base` and `load` are the usual ways.

        Raises:
            CheckpointError: If the tokenizer has more entries than the encoder, or a length is
                more than the encoder can read.
        """
        super().__init__()
        self.encoder = encoder
        self.projection = projection
        self.preparer = preparer
        self._check()

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
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote, in evaluation mode, on the CPU.

        Raises:
            CheckpointError: If a file is missing or damaged, or this is another kind of model.
        """
        preparer = TextPreparer.load(folder)
        if preparer.checkpoint.kind != "colbert":
            raise CheckpointError(
                f"{str(folder)!r} holds a {preparer.checkpoint.kind} model, expected colbert"
            )
        encoder, others = read_encoder(folder)
        weight = others.pop("projection.weight", None)
        if others:
            raise CheckpointError(f"Unknown weights in {str(folder)!r}: {sorted(others)[:3]}")
        width = len(weight) if weight is not None else int(encoder.config.hidden_size)
        if width != preparer.checkpoint.dim:
            dim = preparer.checkpoint.dim
            raise CheckpointError(
                f"{str(folder)!r}: its dim is {dim}, but its weights have {width}"
            )
        projection = linear(weight) if weight is not None else None
        return cls(encoder, projection, preparer).eval()

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write `glane.json`, `tokenizer.json`, `config.json` and `model.safetensors`.

        The encoder's weights keep the names transformers gives them, so that it too can load them.

        Raises:
            FileExistsError: If the folder exists and may not be replaced.
        """
        with new_folder(folder, overwrite=overwrite) as path:
            self.write(path)

    def write(self, folder: Path) -> None:
        """Write the files of a checkpoint into a folder that is there."""
        self.checkpoint.write(folder)
        (folder / "tokenizer.json").write_text(self.preparer.tokenizer_json, encoding="utf-8")
        self.encoder.config.architectures = [type(self.encoder).__name__]
        self.encoder.config.to_json_file(folder / "config.json")
        tensors = dict(self.encoder.state_dict())
        if self.projection is not None:
            tensors["projection.weight"] = self.projection.weight
        write_tensors(folder / "model.safetensors", tensors)

    @property
    def checkpoint(self) -> Checkpoint:
        """Everything besides the weights and the tokenizer that changes a vector."""
        return self.preparer.checkpoint

    @property
    def dim(self) -> int:
        """Width of a token vector."""
        if self.projection is not None:
            return self.projection.out_features
        return int(self.encoder.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return a vector of length 1 for each token.

        Args:
            input_ids: int64, shape (n, length).
            attention_mask: int64, shape (n, length), 1 where the model attends.

        Returns:
            float32, shape (n, length, dim); what stands at padded positions means nothing.
        """
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.projection is not None:
            hidden = self.projection(hidden)  # (n, length, dim)
        return nn.functional.normalize(hidden.float(), dim=-1)

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the vectors of a batch, (n, length, dim), and its score mask, (n, length)."""
        input_ids, attention_mask, score_mask = (
            torch.from_numpy(array).to(self.device) for array in batch
        )
        return self(input_ids, attention_mask), score_mask

    def encode_queries(self, queries: Sequence[str]) -> TokenVectors:
        """Return the token vectors of queries, in float32.

        Raises:
            TypeError: If `queries` is one string, or holds something else than strings.
        """
        return self._encode(queries, "query")

    def encode_documents(self, documents: Sequence[str]) -> TokenVectors:
        """Return the token vectors of documents, in float32.

        Raises:
            TypeError: If `documents` is one string, or holds something else than strings.
        """
        return self._encode(documents, "document")

    def score(self, queries: TokenVectors, documents: TokenVectors) -> Scores:
        """Return the MaxSim of each query with each document, shape (n_queries, n_documents)."""
        return maxsim_scores(queries, documents)

    def scores(self, queries: Sequence[str], documents: Sequence[str]) -> Scores:
        """Return the score of each pair of a query and the document at the same position.

        Raises:
            ValueError: If there are not as many queries as documents.
        """
        if len(queries) != len(documents):
            raise ValueError(f"got {len(queries)} queries for {len(documents)} documents")
        asked, stored = self.encode_queries(queries), self.encode_documents(documents)
        pairs = [slice(row, row + 1) for row in range(len(asked))]
        scores = [self.score(asked[pair], stored[pair])[0, 0] for pair in pairs]
        return np.array(scores, np.float32)

    def _encode(self, texts: Sequence[str], role: Role) -> TokenVectors:
        tokens = self.preparer.tokenize(texts, role)
        empty = np.empty((0, self.dim), np.float32)
        rows = [empty] * len(texts)
        was_training = self.training
        self.eval()
        with torch.inference_mode():
            for positions in length_batches(tokens.rows):
                batch = self.preparer.batch([tokens.rows[i] for i in positions], role)
                values = self.vectors(batch)[0].cpu().numpy()
                for position, value, mask in zip(positions, values, batch.score_mask, strict=True):
                    rows[position] = value[mask]
        self.train(was_training)
        return TokenVectors(
            join_lengths([len(row) for row in rows]), np.concatenate([empty, *rows])
        )

    def _check(self) -> None:
        config, checkpoint = self.encoder.config, self.checkpoint
        if self.preparer.vocabulary_size > config.vocab_size:
            raise CheckpointError(
                f"tokenizer.json has {self.preparer.vocabulary_size} entries, "
                f"the encoder only {config.vocab_size}"
            )
        limit = position_limit(config)
        for name in ("query_length", "document_length"):
            length = asdict(checkpoint)[name]
            if limit is not None and length > limit:
                raise CheckpointError(f"{name} is {length}, but the encoder reads {limit} tokens")


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


def random_projection(hidden_size: int, dim: int, seed: int) -> nn.Linear:
    """Return a projection of normal numbers, of variance 1 / hidden_size, which keeps cosines."""
    generator = torch.Generator().manual_seed(seed)
    return linear(torch.randn(dim, hidden_size, generator=generator) / hidden_size**0.5)


def linear(weight: Tensor) -> nn.Linear:
    """Return a linear layer without bias that holds a weight of shape (dim, hidden_size)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight.to(torch.float32))
    return layer


def length_batches(rows: Sequence[Ids], batch_tokens: int = BATCH_TOKENS) -> Iterator[Ids]:
    """Yield the positions of rows to encode together: longest first, within a token budget.

    A row longer than the budget goes alone.
    """
    lengths = np.array([len(row) for row in rows], np.int64)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        n_rows = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + n_rows]
        start += n_rows
