"""One step of training of the models that have terms: SPLADE and SparseEmbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from glane.model.scoring import sparse_dot
from glane_trainer.columns import columns_of
from glane_trainer.sparse_embed import SparseEmbed, embed_score_matrix
from glane_trainer.sparsity import flops, l1
from glane_trainer.splade import Splade
from glane_trainer.steps import PLAIN, Means, StepOptions, autocast, learn, ranking_loss
from glane_trainer.terms import TermModel, keep_top


class Weighed(NamedTuple):
    """Term weights of a batch, before the lowest are cut.

    Attributes:
        queries: Shape (n_queries, n_vocabulary).
        documents: Shape (n_texts, n_vocabulary).
    """

    queries: Tensor
    documents: Tensor


def train_splade(
    model: Splade,
    optimizer: Optimizer,
    anchor: Sequence[str],
    positive: Sequence[str],
    negative: Sequence[str | Sequence[str]],
    options: StepOptions = PLAIN,
) -> dict[str, float]:
    """Learn from one batch: to rank, and to do so with few terms.

    The score is the dot product of the weights that a search has, those of the
    `checkpoint.query_terms` and `document_terms` highest terms. The regularisers see all weights,
    but not the queries of an inference-free model, whose terms are their tokens.

    Args:
        model: In training mode, on any device.
        optimizer: Over the model's parameters.
        anchor: Queries, shape (n,); the same query should not come twice.
        positive: A document that answers each, shape (n,).
        negative: Documents that do not, one or a list for each query; an empty list is none.
        options: Loss, weights of the regularisers, accumulation, precision, and what is known.

    Returns:
        The batch's `loss`, unscaled and with its regularisers; these without their weights,
        `query_flops` (or `query_l1`) and `document_flops`; and the mean numbers of active terms
        of a text, `query_terms` and `document_terms`.

    Raises:
        ValueError: If the lists are not equally long, a teacher's scores are missing, or the loss
            is not finite; the weights are then as they were.
    """
    columns = columns_of(anchor, positive, negative, options.known)
    weighed = weigh(model, anchor, columns.texts, options)
    queries = keep_top(weighed.queries, model.n_terms("query"))
    documents = keep_top(weighed.documents, model.n_terms("document"))
    loss = ranking_loss(sparse_dot(queries, documents, xp=torch), columns, options)
    if model.query_weights is not None:
        options = replace(options, sparsity=replace(options.sparsity, query_weight=0.0))
    pressure, logged = regularised(weighed, options)
    loss = loss + pressure
    learn(loss, optimizer, options)
    return {"loss": loss.item(), **logged}


def train_sparse_embed(
    model: SparseEmbed,
    optimizer: Optimizer,
    anchor: Sequence[str],
    positive: Sequence[str],
    negative: Sequence[str | Sequence[str]],
    options: StepOptions = PLAIN,
) -> dict[str, float]:
    """Learn from one batch: to rank by vectors of shared terms, and by their weights alone.

    The loss is the sum of the same ranking loss over both scores, SparseEmbed's and SPLADE's, and
    of the regularisers of `train_splade`.

    Args:
        model: In training mode, on any device.
        optimizer: Over the model's parameters.
        anchor: Queries, shape (n,); the same query should not come twice.
        positive: A document that answers each, shape (n,).
        negative: Documents that do not, one or a list for each query; an empty list is none.
        options: As for `train_splade`.

    Returns:
        As `train_splade`, and the part of the weights' ranking in the loss, `sparse_loss`.

    Raises:
        ValueError: If the lists are not equally long, a teacher's scores are missing, or the loss
            is not finite; the weights are then as they were.
    """
    columns = columns_of(anchor, positive, negative, options.known)
    preparer = options.preparer or model.preparer
    with autocast(model, options):
        queries = model.embedded(preparer.encode(anchor, "query"), "query")
        documents = model.embedded(preparer.encode(columns.texts, "document"), "document")
    dense = ranking_loss(embed_score_matrix(queries, documents), columns, options)
    scores = sparse_dot(queries.kept, documents.kept, xp=torch)
    sparse = ranking_loss(scores, columns, options)
    pressure, logged = regularised(Weighed(queries.weights, documents.weights), options)
    loss = dense + sparse + pressure
    learn(loss, optimizer, options)
    return {"loss": loss.item(), "sparse_loss": sparse.item(), **logged}


def weigh(
    model: TermModel[Any], queries: Sequence[str], documents: Sequence[str], options: StepOptions
) -> Weighed:
    """Return the term weights of a batch's texts."""
    preparer = options.preparer or model.preparer
    with autocast(model, options):
        return Weighed(
            model.weights(preparer.encode(queries, "query"), "query"),
            model.weights(preparer.encode(documents, "document"), "document"),
        )


def mean_weights(weighed: Weighed) -> Means:
    """Return the mean term weights of a batch."""
    return Means(weighed.queries.mean(0), weighed.documents.mean(0))


def regularised(weighed: Weighed, options: StepOptions) -> tuple[Tensor, dict[str, float]]:
    """Return the weighed regularisers of a batch, and what is logged of its terms.

    FLOPS is of the mean over all texts behind one step of the optimizer: `options.means` where
    batches are accumulated, through which this batch has its own part of the gradient. (Training
    on several machines at once would have to gather that mean; there is none.)
    """
    sparsity, batch = options.sparsity, mean_weights(weighed)
    means = options.means or Means(*(mean.detach() for mean in batch))
    # The value of the whole step, the gradient of this batch.
    queries, documents = (
        whole + (part - part.detach()) for whole, part in zip(means, batch, strict=True)
    )
    of_queries = (flops if sparsity.query_regulariser == "flops" else l1)(queries)
    of_documents = flops(documents)
    logged = {
        f"query_{sparsity.query_regulariser}": of_queries.item(),
        "document_flops": of_documents.item(),
        "query_terms": _active(weighed.queries),
        "document_terms": _active(weighed.documents),
    }
    return sparsity.query_weight * of_queries + sparsity.document_weight * of_documents, logged


def _active(weights: Tensor) -> float:
    """Return how many terms a text has on average."""
    return (weights.detach() > 0).sum(-1).float().mean().item()
