"""What SPLADE and SparseEmbed share: a masked language model whose logits become term weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils import checkpoint
from transformers import PreTrainedModel

from glane.model.preparation import Batch, Role, TextPreparer
from glane.model.scoring import splade_weights
from glane.ragged import join_lengths
from glane.vectors import SparseVectors
from glane_trainer.bases.found import Found
from glane_trainer.bases.starting import checkpoint_of, masked_of
from glane_trainer.mlm import Pieces, take_apart, tensors_of
from glane_trainer.model import Model, Vectors
from glane_trainer.processes import Represented
from glane_trainer.rules import Rules
from glane_trainer.settings import DOCUMENT_TERMS, QUERY_TERMS, Sparsity
from glane_trainer.sparsity import flops, l1

PAIRS = 1 << 15
"""Pairs of a token and a term whose logit is made with its gradient at once: 48 MiB of products
where vectors are 384 wide."""


class TermModel(Model[Vectors]):
    """A model that weighs the terms of the vocabulary, one weight for each in each text.

    Attributes:
        head: See `Pieces`.
        decoder: See `Pieces`.
    """

    def __init__(self, pieces: Pieces, preparer: TextPreparer) -> None:
        """Join the parts.

        Raises:
            CheckpointError: If the tokenizer has more entries than the encoder, or a length is
                more than the encoder can read.
        """
        super().__init__(pieces.encoder, preparer)
        self.head = pieces.head
        self.decoder = pieces.decoder

    @classmethod
    def pieces_of(cls, found: Found) -> Pieces:
        """Read the masked language model of a base, taken apart.

        Raises:
            CheckpointError: If it is damaged, or cannot be taken apart.
        """
        if found.own and found.kind == cls.kind:
            model = cls.load(found.transformer)
            return Pieces(model.encoder, model.head, model.decoder)
        return take_apart(masked_of(found))

    @classmethod
    def preparer_of(cls, found: Found, pieces: Pieces, dim: int, rules: Rules) -> TextPreparer:
        """Return the text preparation of a model that begins with a base.

        Args:
            found: The base.
            pieces: Of it.
            dim: Width of a term's vector, 0 for none.
            rules: That were asked for.

        Raises:
            CheckpointError: If rules do not fit the kind.
        """
        usual = {"query_terms": QUERY_TERMS, "document_terms": DOCUMENT_TERMS}
        checkpoint = checkpoint_of(found, cls.kind, dim, pieces.encoder, rules, usual)
        return TextPreparer(checkpoint, found.tokenizer_json)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights as they are written."""
        return tensors_of(Pieces(self.encoder, self.head, self.decoder))

    @property
    def transformer(self) -> PreTrainedModel:
        """The masked language model, or the encoder where there was no head."""
        return self.encoder if self.head is None else self.head

    @property
    def n_vocabulary(self) -> int:
        """Terms there are."""
        return self.decoder.out_features

    def n_terms(self, role: Role) -> int:
        """Return how many terms a text may keep."""
        wanted = self.checkpoint.query_terms if role == "query" else self.checkpoint.document_terms
        return min(wanted, self.n_vocabulary)

    def transform(self, hidden: Tensor) -> Tensor:
        """Return what the decoder takes.

        Args:
            hidden: Of the encoder, shape (n, length, hidden_size).

        Returns:
            Shape (n, length, width): logits are its product with `decoder.weight`, (n_vocabulary,
            width), plus `decoder.bias`.
        """
        if self.head is None:
            return hidden
        return cast(Tensor, self.head(inputs_embeds=hidden).logits)

    def pressures(
        self, queries: Represented, documents: Represented, sparsity: Sparsity
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted regularisers of a batch, and what is told of its terms.

        They see all weights, before the lowest are cut: the first part of what is represented.

        Returns:
            A scalar; and the regularisers without their weights, `query_flops` (or `query_l1`)
            and `document_flops`, and the mean numbers of active terms of a text, `query_terms` and
            `document_terms`.
        """
        asked, stored = queries[0], documents[0]
        of_queries = (flops if sparsity.query_regulariser == "flops" else l1)(asked.mean(0))
        of_documents = flops(stored.mean(0))
        told = {
            f"query_{sparsity.query_regulariser}": of_queries.detach(),
            "document_flops": of_documents.detach(),
            "query_terms": (asked.detach() > 0).sum(-1).float().mean(),
            "document_terms": (stored.detach() > 0).sum(-1).float().mean(),
        }
        weight = sparsity.query_weight
        return weight * of_queries + sparsity.document_weight * of_documents, told

    @abstractmethod
    def weights(self, batch: Batch, role: Role) -> Tensor:
        """Return the weight of each term in each text, before the lowest are cut.

        Returns:
            float32, shape (n, n_vocabulary), at least 0.
        """

    def term_weights(self, transformed: Tensor, mask: Tensor) -> Tensor:
        """Return the weight of each term in each text, by `glane.model.scoring.splade_weights`.

        A term's gradient goes through the one token where its logit is highest. So that token is
        found first, for one text at a time and without a gradient, and only its logit is made
        again: of all logits, those of one text exist at once, and training is five times faster.

        Args:
            transformed: From `transform`, shape (n, length, width).
            mask: Boolean, shape (n, length), true where a token counts.

        Returns:
            float32, shape (n, n_vocabulary), at least 0.
        """
        if self.checkpoint.pooling == "sum":
            return self._summed(transformed, mask)
        tokens = transformed[mask]  # (n_tokens, width)
        with torch.no_grad():
            lengths = mask.sum(-1).tolist()
            find = self._active if tokens.device.type == "cpu" else self._active_at_once
            texts, terms, winners = find(tokens, lengths)
        logits = torch.cat(
            [
                checkpoint.checkpoint(self._logits, tokens, *part, use_reentrant=False)
                for part in zip(torch.split(winners, PAIRS), torch.split(terms, PAIRS), strict=True)
            ]
        )
        best = logits.new_zeros(len(mask), self.n_vocabulary).index_put((texts, terms), logits)
        only = mask.new_ones(len(mask), 1)
        activation = self.checkpoint.activation
        return cast(Tensor, splade_weights(best[:, None], only, xp=torch, activation=activation))

    def _summed(self, transformed: Tensor, mask: Tensor) -> Tensor:
        """Return the weights where all tokens count; logits are made again for the gradient."""
        rows = [
            checkpoint.checkpoint(self._sum, tokens[counts], use_reentrant=False)
            for tokens, counts in zip(transformed, mask, strict=True)
        ]
        return torch.stack(rows) if rows else transformed.new_empty((0, self.n_vocabulary))

    def _sum(self, tokens: Tensor) -> Tensor:
        """Return the weights of one text of its tokens, (n_tokens, width)."""
        logits = self.decoder(tokens).float()
        counts = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
        activation = self.checkpoint.activation
        return cast(
            Tensor,
            splade_weights(logits, counts, xp=torch, pooling="sum", activation=activation),
        )

    def _active(self, tokens: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return all terms with a weight: their texts, themselves, and the tokens they are of."""
        found = []
        for text, rows in enumerate(torch.split(tokens, lengths)):
            if not len(rows):
                continue
            logits = self.decoder(rows)  # (n_tokens, n_vocabulary)
            terms = (logits.amax(0) > 0).nonzero()[:, 0]
            winners = logits[:, terms].argmax(0)  # of few: far slower than the maximum itself
            first = sum(lengths[:text])
            found.append((torch.full_like(terms, text), terms, first + winners))
        none = torch.empty(0, dtype=torch.int64, device=tokens.device)
        texts, terms, winners = zip((none, none, none), *found, strict=True)
        return torch.cat(texts), torch.cat(terms), torch.cat(winners)

    def _active_at_once(self, tokens: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same without waiting for each text: where a device computes apart.

        There a maximum with its place costs no more than without; on a CPU it is far slower.
        """
        best = tokens.new_zeros(len(lengths), self.n_vocabulary)
        winners = torch.zeros_like(best, dtype=torch.int64)
        first = 0
        for text, rows in enumerate(torch.split(tokens, lengths)):
            if len(rows):
                best[text], own = self.decoder(rows).max(0)
                winners[text] = first + own
            first += len(rows)
        texts, terms = (best > 0).nonzero(as_tuple=True)
        return texts, terms, winners[texts, terms]

    def _logits(self, tokens: Tensor, winners: Tensor, terms: Tensor) -> Tensor:
        """Return the logit of one term for each of some tokens, in float32."""
        products = tokens[winners].float() * self.decoder.weight[terms].float()
        return products.sum(-1) + self.decoder.bias[terms]


def keep_top(weights: Tensor, k: int) -> Tensor:
    """Return the weights with all but the k highest of each row as 0; equal ones by lower number.

    Args:
        weights: Shape (n, n_vocabulary), at least 0.
        k: From 1 to n_vocabulary.

    >>> keep_top(torch.tensor([[1.0, 2.0, 1.0, 0.0]]), 2)
    tensor([[1., 2., 0., 0.]])
    """
    least = weights.topk(k).values[:, -1:]  # (n, 1)
    above, equal = weights > least, weights == least
    room = k - above.sum(-1, keepdim=True)
    kept = above | (equal & (equal.cumsum(-1) <= room))
    return torch.where(kept, weights, 0.0)


def level(model: TermModel[Any], texts: Sequence[str]) -> float:
    """Return the logit that as many terms reach in a document as it may keep, by the median.

    Args:
        model: With any bias; as it is, not trained further.
        texts: Documents; 0 is returned for none.
    """
    rows = model.preparer.tokenize(texts, "document").rows
    reached = []
    with torch.no_grad():
        for row in rows:
            input_ids, attention_mask, mask = model.placed(model.preparer.batch([row], "document"))
            tokens = model.transform(model.hidden(input_ids, attention_mask))[mask]
            if len(tokens):
                highest = model.decoder(tokens).amax(0)  # (n_vocabulary,)
                reached.append(highest.topk(model.n_terms("document")).values[-1])
    return float(torch.stack(reached).median()) if reached else 0.0


TermRow = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]
"""Terms of one text, ascending, and their weights, above 0."""


def term_rows(kept: Tensor) -> list[TermRow]:
    """Return terms, ascending, and weights of each row, 0 left out.

    Args:
        kept: Shape (n, n_vocabulary), at least 0.
    """
    rows = kept.cpu().numpy()
    found = [np.flatnonzero(row) for row in rows]
    return [(terms.astype(np.int32), row[terms]) for row, terms in zip(rows, found, strict=True)]


def join_terms(rows: Sequence[TermRow]) -> SparseVectors:
    """Return rows from `term_rows` as one representation."""
    return SparseVectors(
        join_lengths([len(terms) for terms, _ in rows]),
        np.concatenate([np.empty(0, np.int32), *(terms for terms, _ in rows)]),
        np.concatenate([np.empty(0, np.float32), *(values for _, values in rows)]),
    )
