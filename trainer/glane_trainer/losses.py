"""The losses, over a matrix of scores: whatever model made it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from glane_trainer.columns import Columns, padded
from glane_trainer.settings import Loss, Objective

__all__ = ["Loss", "Objective", "contrastive_loss", "kl_loss", "margin_mse_loss", "ranking_loss"]


def ranking_loss(
    scores: Tensor,
    columns: Columns,
    teacher_scores: Sequence[Sequence[float]],
    objective: Objective,
) -> Tensor:
    """Return how far the scores of a batch are from what the objective asks.

    Args:
        scores: Shape (n_queries, n_texts).
        columns: What the columns of the scores are.
        teacher_scores: Of each query's positive and negatives, where the objective needs them.
        objective: The loss.

    Raises:
        ValueError: If a teacher's scores are missing, or not one for each positive and negative.
    """
    if objective.loss == "contrastive":
        return _contrastive(scores, columns, objective)
    present = columns.own >= 0
    if [len(row) for row in teacher_scores] != present.sum(-1).tolist():
        raise ValueError(
            f"the loss {objective.loss!r} needs `teacher_scores` of each positive and negative"
        )
    teacher = padded(teacher_scores, 0.0)
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


def contrastive_loss(scores: Tensor, targets: Tensor, masked: Tensor, temperature: float) -> Tensor:
    r"""Return how far the positives are from winning over all other documents of the batch.

    mean over queries i of -log(exp(s[i, t_i] / T) / sum over j not masked of exp(s[i, j] / T)),
    with in-batch and explicit negatives alike (Karpukhin et al., EMNLP 2020, eq. 2, with a
    temperature). Our deviation: a document known to answer the query is no negative of it.

    Args:
        scores: Shape (n_queries, n_documents).
        targets: int64, shape (n_queries,), the column t_i of each query's positive.
        masked: Boolean, shape (n_queries, n_documents), true where a document is left out; never
            at a target.
        temperature: T, above 0; smaller is sharper.

    Returns:
        A scalar, at least 0.

    >>> scores = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> contrastive_loss(scores, torch.arange(2), torch.zeros(2, 2, dtype=torch.bool), 1.0)
    tensor(0.3133)
    """
    logits = scores.masked_fill(masked, float("-inf")) / temperature
    return torch.nn.functional.cross_entropy(logits, targets)


def margin_mse_loss(scores: Tensor, teacher: Tensor, present: Tensor) -> Tensor:
    """Return how far the margins between positive and negatives are from a teacher's.

    mean over queries i and their negatives j of ((s[i, 0] - s[i, j]) - (t[i, 0] - t[i, j]))^2
    (Hofstätter et al., "Improving Efficient Neural Ranking Models with Cross-Architecture
    Knowledge Distillation", 2020, eq. 5).

    Args:
        scores: Of each query with its own documents, shape (n_queries, n_own), positive first.
        teacher: The teacher's, likewise.
        present: Boolean, shape (n_queries, n_own), false where a query has fewer negatives.

    Returns:
        A scalar, at least 0; 0 where no query has a negative.

    >>> both = torch.tensor([[True, True]])
    >>> margin_mse_loss(torch.tensor([[3.0, 1.0]]), torch.tensor([[5.0, 2.0]]), both)
    tensor(1.)
    """
    margins = scores[:, :1] - scores[:, 1:]  # (n_queries, n_own - 1)
    errors = (margins - (teacher[:, :1] - teacher[:, 1:])).square()
    n_pairs = present[:, 1:].sum()
    return torch.where(present[:, 1:], errors, 0.0).sum() / n_pairs.clamp(min=1)


def kl_loss(scores: Tensor, teacher: Tensor, present: Tensor) -> Tensor:
    """Return how far the model's choice among a query's own documents is from a teacher's.

    mean over queries i of sum over own documents j of p[i, j] · log(p[i, j] / q[i, j]), where p is
    the softmax of the teacher's scores and q that of the model's (Hinton et al., 2015; over a
    query's positive and negatives as in ColBERTv2, Santhanam et al., NAACL 2022, section 3.2).

    Args:
        scores: Of each query with its own documents, shape (n_queries, n_own), positive first.
        teacher: The teacher's, likewise.
        present: Boolean, shape (n_queries, n_own), false where a query has fewer negatives.

    Returns:
        A scalar, at least 0.

    >>> both = torch.tensor([[True, True]])
    >>> kl_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]]), both)
    tensor(0.)
    """
    least = torch.finfo(scores.dtype).min
    model_log = scores.masked_fill(~present, least).log_softmax(-1)
    teacher_log = teacher.masked_fill(~present, least).log_softmax(-1)
    distances = teacher_log.exp() * (teacher_log - model_log)
    return torch.where(present, distances, 0.0).sum(-1).mean()
