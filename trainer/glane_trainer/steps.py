"""One step of training, for our loop and for yours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from glane.text import TextPreparer
from glane_trainer.losses import contrastive_loss
from glane_trainer.models import ColBERT, score_matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """What a step may be told besides its texts.

    Attributes:
        known: Documents known to answer each anchor; they are no negatives of it.
        temperature: See `contrastive_loss`.
        preparer: Text preparation other than the model's, for shorter documents in training.
        share: Weight of this batch in the step: its part of the examples accumulated.
        update: Whether the optimizer steps now; otherwise the gradients wait for the next call.
        clip: Largest norm of the gradient.
        autocast: Type to compute the encoder in, or None for fp32.
        scaler: Scales the loss, for fp16.
    """

    known: Sequence[frozenset[str]] = ()
    temperature: float = 0.02
    preparer: TextPreparer | None = None
    share: float = 1.0
    update: bool = True
    clip: float = 1.0
    autocast: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None


class Columns(NamedTuple):
    """The documents of a batch, each text once.

    Attributes:
        texts: Distinct documents.
        targets: int64, shape (n_queries,), the position of each query's positive.
        masked: Boolean, shape (n_queries, n_texts), true where a document is known to answer the
            query but is not its target.
    """

    texts: list[str]
    targets: Tensor
    masked: Tensor


def train_colbert(
    model: ColBERT,
    optimizer: Optimizer,
    anchor: Sequence[str],
    positive: Sequence[str],
    negative: Sequence[str | Sequence[str]],
    options: StepOptions = StepOptions(),
) -> dict[str, float]:
    """Learn from one batch by the contrastive loss over all documents in it.

    The score is MaxSim divided by the number of the query's tokens, so that `temperature` means
    the same for short and long queries.

    Args:
        model: In training mode, on any device.
        optimizer: Over the model's parameters.
        anchor: Queries, shape (n,); the same query should not come twice.
        positive: A document that answers each, shape (n,).
        negative: Documents that do not, one or a list for each query; an empty list is none.
        options: Accumulation, precision, and what is known.

    Returns:
        The batch's `loss`, unscaled.

    Raises:
        ValueError: If the lists are not equally long, or the loss is not finite; the weights
            are then as they were.
    """
    if not len(anchor) == len(positive) == len(negative):
        sizes = (len(anchor), len(positive), len(negative))
        raise ValueError(f"a step needs as many anchors as positives and negatives, got {sizes}")
    columns = columns_of(anchor, positive, negative, options.known)

    def loss() -> Tensor:
        preparer = options.preparer or model.preparer
        with torch.autocast(
            model.device.type, dtype=options.autocast, enabled=options.autocast is not None
        ):
            queries, query_mask = model.vectors(preparer.encode(anchor, "query"))
            documents, document_mask = model.vectors(preparer.encode(columns.texts, "document"))
        scores = score_matrix(queries, query_mask, documents, document_mask)
        scores = scores / query_mask.sum(-1, keepdim=True)  # (n_queries, n_texts)
        targets, masked = columns.targets.to(model.device), columns.masked.to(model.device)
        return contrastive_loss(scores, targets, masked, options.temperature)

    return {"loss": learn(loss, optimizer, options)}


def learn(loss: Callable[[], Tensor], optimizer: Optimizer, options: StepOptions) -> float:
    """Add the gradient of a loss, and step where it is due; what every kind of model shares.

    Raises:
        ValueError: If the loss is not finite.
    """
    value = loss()
    number = float(value.detach())
    if not torch.isfinite(value.detach()):
        raise ValueError(f"the loss is {number}; try a lower learning rate, or fp32")
    scaler = options.scaler or torch.amp.GradScaler("cpu", enabled=False)
    scaler.scale(value * options.share).backward()  # type: ignore[no-untyped-call]
    if options.update:
        scaler.unscale_(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, options.clip)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
    return number


def columns_of(
    anchor: Sequence[str],
    positive: Sequence[str],
    negative: Sequence[str | Sequence[str]],
    known: Sequence[frozenset[str]],
) -> Columns:
    """Return the distinct documents of a batch, and which of them each query may not push away.

    Args:
        anchor: Shape (n,).
        positive: Shape (n,).
        negative: Shape (n,), one or a list for each.
        known: Documents known to answer each anchor, shape (n,), or nothing.
    """
    explicit = [[texts] if isinstance(texts, str) else texts for texts in negative]
    texts = list(dict.fromkeys([*positive, *(text for row in explicit for text in row)]))
    answers = [set(known[row]) if known else set() for row in range(len(anchor))]
    for row, query in enumerate(anchor):
        answers[row] |= {p for q, p in zip(anchor, positive, strict=True) if q == query}
    masked = torch.tensor([[text in row for text in texts] for row in answers], dtype=torch.bool)
    targets = torch.tensor([texts.index(text) for text in positive], dtype=torch.int64)
    masked[torch.arange(len(anchor)), targets] = False
    return Columns(texts, targets, masked)
