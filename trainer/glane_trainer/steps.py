"""One step of training, for our loop and for yours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from glane.model.preparation import TextPreparer
from glane_trainer.colbert import ColBERT, score_matrix
from glane_trainer.columns import Columns, columns_of, padded
from glane_trainer.losses import Objective, contrastive_loss, kl_loss, margin_mse_loss
from glane_trainer.sparsity import Sparsity

if TYPE_CHECKING:
    from glane_trainer.model import Model


class Means(NamedTuple):
    """Term weights, averaged over the texts behind one step of the optimizer.

    Attributes:
        queries: Shape (n_vocabulary,).
        documents: Shape (n_vocabulary,).
    """

    queries: Tensor
    documents: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """What a step may be told besides its texts.

    Attributes:
        known: Documents known to answer each anchor; they are no negatives of it.
        teacher_scores: Of each anchor's positive and negatives, for a loss that learns from them.
        objective: What the scores are to become.
        sparsity: How hard terms are pushed to 0, for models that have them.
        means: Over all batches of the step, for `sparsity`; by default over this batch.
        preparer: Text preparation other than the model's, for shorter documents in training.
        share: Weight of this batch in the step: its part of the examples accumulated.
        update: Whether the optimizer steps now; otherwise the gradients wait for the next call.
        clip: Largest norm of the gradient.
        autocast: Type to compute the encoder in, or None for fp32.
        scaler: Scales the loss, for fp16.
    """

    known: Sequence[frozenset[str]] = ()
    teacher_scores: Sequence[Sequence[float]] = ()
    objective: Objective = field(default_factory=Objective)
    sparsity: Sparsity = field(default_factory=Sparsity)
    means: Means | None = None
    preparer: TextPreparer | None = None
    share: float = 1.0
    update: bool = True
    clip: float = 1.0
    autocast: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None


PLAIN = StepOptions()
"""A step of its own: contrastive, without regularisers, in fp32."""


def train_colbert(
    model: ColBERT,
    optimizer: Optimizer,
    anchor: Sequence[str],
    positive: Sequence[str],
    negative: Sequence[str | Sequence[str]],
    options: StepOptions = PLAIN,
) -> dict[str, float]:
    """Learn from one batch, by default by the contrastive loss over all documents in it.

    The score is MaxSim divided by the number of the query's tokens, so that a temperature means
    the same for short and long queries.

    Args:
        model: In training mode, on any device.
        optimizer: Over the model's parameters.
        anchor: Queries, shape (n,); the same query should not come twice.
        positive: A document that answers each, shape (n,).
        negative: Documents that do not, one or a list for each query; an empty list is none.
        options: Loss, accumulation, precision, and what is known.

    Returns:
        The batch's `loss`, unscaled.

    Raises:
        ValueError: If the lists are not equally long, a teacher's scores are missing, or the loss
            is not finite; the weights are then as they were.
    """
    columns = columns_of(anchor, positive, negative, options.known)
    preparer = options.preparer or model.preparer
    with autocast(model, options):
        queries, query_mask = model.vectors(preparer.encode(anchor, "query"))
        documents, document_mask = model.vectors(preparer.encode(columns.texts, "document"))
    scores = score_matrix(queries, query_mask, documents, document_mask)
    scores = scores / query_mask.sum(-1, keepdim=True)  # (n_queries, n_texts)
    loss = ranking_loss(scores, columns, options)
    learn(loss, optimizer, options)
    return {"loss": loss.item()}


def autocast(model: Model[Any], options: StepOptions) -> torch.autocast:
    """Return the context in which the encoder computes."""
    wanted = options.autocast
    return torch.autocast(model.device.type, dtype=wanted, enabled=wanted is not None)


def ranking_loss(scores: Tensor, columns: Columns, options: StepOptions) -> Tensor:
    """Return how far the scores of a batch are from what the objective asks.

    Args:
        scores: Shape (n_queries, n_texts).
        columns: What the columns of the scores are.
        options: The objective, and a teacher's scores where it needs them.

    Raises:
        ValueError: If they are missing, or are not one for each positive and negative.
    """
    objective = options.objective
    if objective.loss == "contrastive":
        return _contrastive(scores, columns, objective)
    present = columns.own >= 0
    teacher = padded(options.teacher_scores, 0.0)
    n_wanted = present.sum(-1).tolist()
    if [len(row) for row in options.teacher_scores] != n_wanted:
        raise ValueError(
            f"the loss {objective.loss!r} needs `teacher_scores` of each positive and negative"
        )
    chosen = scores.gather(1, columns.own.clamp(min=0).to(scores.device))  # (n_queries, n_own)
    distil = kl_loss if objective.loss == "kl" else margin_mse_loss
    loss = distil(
        chosen / objective.temperature,
        teacher.to(scores) / objective.teacher_temperature,
        present.to(scores.device),
    )
    if objective.contrastive_weight:
        loss = loss + objective.contrastive_weight * _contrastive(scores, columns, objective)
    return loss


def _contrastive(scores: Tensor, columns: Columns, objective: Objective) -> Tensor:
    targets, masked = columns.targets.to(scores.device), columns.masked.to(scores.device)
    return contrastive_loss(scores, targets, masked, objective.temperature)


def learn(loss: Tensor, optimizer: Optimizer, options: StepOptions) -> None:
    """Add the gradient of a loss, and step where it is due; what every kind of model shares.

    Raises:
        ValueError: If the loss or its gradient is not finite; the weights are then as they were.
            A scaler passes over such a gradient, and tries a smaller scale.
    """
    if not torch.isfinite(loss.detach()):
        optimizer.zero_grad(set_to_none=True)
        raise ValueError(f"the loss is {loss.item()}; try a lower learning rate, or fp32")
    scaler = options.scaler or torch.amp.GradScaler("cpu", enabled=False)
    scaler.scale(loss * options.share).backward()  # type: ignore[no-untyped-call]
    if options.update:
        scaler.unscale_(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, options.clip)
        if options.scaler is None and not torch.isfinite(norm):
            optimizer.zero_grad(set_to_none=True)
            raise ValueError(
                f"the gradient's norm is {norm.item()}; try a lower learning rate, or fp32"
            )
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
