"""What all kinds of models share: text preparation, files, and encoding outside of training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from glane.errors import CheckpointError, no_folder
from glane.model.checkpoint import Checkpoint, Kind
from glane.model.preparation import Batch, Role, TextPreparer
from glane.model.progress import bar
from glane.store.folders import new_folder
from glane.types import Ids, Scores
from glane.vectors import SparseVectors, TermEmbeddings, TokenVectors
from glane_trainer.processes import Represented
from glane_trainer.settings import Sparsity
from glane_trainer.weights import position_limit, read_model, write_tensors

BATCH_TOKENS = 4096
"""Tokens encoded at once outside of training, padding included."""

NOT_OTHERS = """[
  {"idx": 0, "name": "0", "path": "", "type": "glane_checkpoint.to_be_read_after.glane_save_as"}
]
"""
"""`modules.json` of a checkpoint: PyLate and sentence-transformers would else take its encoder
alone, and draw a projection by chance. This class they refuse, by name."""

Vectors = TypeVar("Vectors", TokenVectors, SparseVectors, TermEmbeddings)


class Model(nn.Module, Generic[Vectors]):
    """An encoder of transformers, a text preparation, and what a kind of model makes of them.

    Attributes:
        kind: Which kind.
        encoder: Any encoder of transformers, without its pooler.
        preparer: The text preparation, the same object that the runtime uses.
    """

    kind: ClassVar[Kind]

    def __init__(self, encoder: PreTrainedModel, preparer: TextPreparer) -> None:
        """Join the parts.

        Raises:
            CheckpointError: If the tokenizer has more entries than the encoder, or a length is
                more than the encoder can read.
        """
        super().__init__()
        self.encoder = encoder
        self.preparer = preparer
        self._check()

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote, in evaluation mode, on the CPU.

        Raises:
            CheckpointError: If a file is missing or damaged, or this is another kind of model.
        """
        check_there(folder)
        preparer = TextPreparer.load(folder)
        kind = preparer.checkpoint.kind
        if kind != cls.kind:
            raise CheckpointError(f"{str(folder)!r} holds a {kind} model, expected {cls.kind}")
        transformer, others = read_model(folder)
        try:
            model = cls.restored(transformer, others, preparer)
        except CheckpointError as error:
            raise CheckpointError(f"{str(folder)!r}: {error}") from None
        if others:
            raise CheckpointError(f"Unknown weights in {str(folder)!r}: {sorted(others)[:3]}")
        return model.eval()

    @classmethod
    @abstractmethod
    def restored(
        cls, transformer: PreTrainedModel, others: dict[str, Tensor], preparer: TextPreparer
    ) -> Self:
        """Make the model from what a checkpoint holds.

        Args:
            transformer: An encoder or a masked language model.
            others: All other tensors of the file; those that are used are taken out.
            preparer: The checkpoint and its tokenizer.
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return the weights as they are written, the transformer's under its own names."""

    @abstractmethod
    def represent(self, batch: Batch, role: Role) -> Represented:
        """Return what a batch of texts is encoded as, with a gradient: what training learns by.

        Returns:
            Tensors with one row a text, the batch's own size in the other axes; what a row lacks
            is 0, or -1 among numbers of terms.
        """

    @abstractmethod
    def rankings(self, queries: Represented, documents: Represented) -> dict[str, Tensor]:
        """Return the scores that are to rank, each of shape (n_queries, n_documents), by name.

        Args:
            queries: From `represent`, one row each.
            documents: Likewise.

        Returns:
            The names are those by which the part of the loss is told; the main one's is empty.
        """

    def pressures(
        self,
        queries: Represented,
        documents: Represented,
        sparsity: Sparsity,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted regularisers of a batch, a scalar, and what is told of it."""
        return documents[0].new_zeros(()), {}

    @abstractmethod
    def rows(self, batch: Batch, role: Role) -> list[Any]:
        """Return what each text of a batch is encoded as."""

    @abstractmethod
    def joined(self, rows: Sequence[Any]) -> Vectors:
        """Return the rows of all texts as one representation; there may be none."""

    @abstractmethod
    def score(self, queries: Vectors, documents: Vectors) -> Scores:
        """Return the score of each query with each document, shape (n_queries, n_documents)."""

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write `glane.json`, `tokenizer.json`, `config.json` and `model.safetensors`.

        The transformer's weights keep the names transformers gives them, so that it too can load
        them. A `modules.json` beside keeps other libraries from reading less than all of it.

        Raises:
            FileExistsError: If the folder exists and may not be replaced.
        """
        with new_folder(folder, overwrite=overwrite) as path:
            self.write(path)

    def write(self, folder: Path) -> None:
        """Write the files of a checkpoint into a folder that is there."""
        self.checkpoint.write(folder)
        (folder / "tokenizer.json").write_text(self.preparer.tokenizer_json, encoding="utf-8")
        self.encoder.config.architectures = [type(self.transformer).__name__]
        self.encoder.config.to_json_file(folder / "config.json")
        write_tensors(folder / "model.safetensors", self.tensors())
        (folder / "modules.json").write_text(NOT_OTHERS, encoding="utf-8")

    @property
    def transformer(self) -> PreTrainedModel:
        """The model of transformers whose names and class the checkpoint has."""
        return self.encoder

    @property
    def checkpoint(self) -> Checkpoint:
        """Everything besides the weights and the tokenizer that changes a vector."""
        return self.preparer.checkpoint

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    def hidden(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the encoder's output.

        Args:
            input_ids: int64, shape (n, length).
            attention_mask: int64, shape (n, length), 1 where the model attends.

        Returns:
            Shape (n, length, hidden_size); what stands at padded positions means nothing.
        """
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def placed(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return a batch's three arrays as tensors where the weights lie."""
        ids, attention, score_mask = (torch.from_numpy(a).to(self.device) for a in batch)
        return ids, attention, score_mask

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        """Return the representations of queries, in float32.

        Raises:
            TypeError: If `queries` is one string, or holds something else than strings.
        """
        return self._encode(queries, "query")

    def encode_documents(self, documents: Sequence[str]) -> Vectors:
        """Return the representations of documents, in float32.

        Raises:
            TypeError: If `documents` is one string, or holds something else than strings.
        """
        return self._encode(documents, "document")

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

    def _encode(self, texts: Sequence[str], role: Role) -> Vectors:
        tokens = self.preparer.tokenize(texts, role)
        rows: list[Any] = [None] * len(texts)
        was_training = self.training
        self.eval()
        batches = list(length_batches(tokens.rows))
        told = bar(len(texts), "encoding", shown=len(batches) > 1)
        with torch.inference_mode(), told as done:
            for positions in batches:
                batch = self.preparer.batch([tokens.rows[i] for i in positions], role)
                for position, row in zip(positions, self.rows(batch, role), strict=True):
                    rows[position] = row
                done.update(len(positions))
        self.train(was_training)
        return self.joined(rows)

    def _check(self) -> None:
        config, checkpoint = self.encoder.config, self.checkpoint
        if self.preparer.vocabulary_size > config.vocab_size:
            raise CheckpointError(
                f"tokenizer.json has {self.preparer.vocabulary_size} entries, "
                f"the encoder only {config.vocab_size}"
            )
        limit = position_limit(self.encoder)
        for name in ("query_length", "document_length"):
            length = asdict(checkpoint)[name]
            if limit is not None and length > limit:
                raise CheckpointError(f"{name} is {length}, but the encoder reads {limit} tokens")


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


def check_there(folder: str | Path) -> None:
    """Refuse a checkpoint of which there is no folder.

    Raises:
        CheckpointError: If there is none.
    """
    if not Path(folder).is_dir():
        raise CheckpointError(f"{no_folder(folder)}; `glane train` makes checkpoints")
