"""One step of training over any number of examples, encoded a few at a time.

The loss of a step is of all its examples at once: every document of the batch is a negative of
every query, and FLOPS is of the mean over all texts. What does not fit into memory is encoded in
pieces, twice (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup", RepL4NLP 2021): first for the loss, and its gradient with respect to what the pieces are
encoded as; then again, with the same dropout, to send each piece its part.
Where a process has one piece it keeps the graph, and nothing is computed twice. Several processes
take the pieces in turn, tell each other what theirs are encoded as, and add up their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from glane.model.preparation import Batch, Role, TextPreparer
from glane_trainer.columns import Columns, columns_of
from glane_trainer.losses import Objective, ranking_loss
from glane_trainer.model import Model
from glane_trainer.processes import ALONE, Processes, Represented
from glane_trainer.sparsity import Sparsity


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """What a step may be told besides its texts.

    Attributes:
        known: Documents known to answer each anchor; they are no negatives of it.
        teacher_scores: Of each anchor's positive and negatives, for a loss that learns from them.
        objective: What the scores are to become.
        sparsity: How hard terms are pushed to 0, for models that have them.
        preparer: Text preparation other than the model's, for shorter documents in training.
        at_once: Examples that are encoded at once, at least 1; None for all.
        clip: Largest norm of the gradient.
        autocast: Type to compute the encoder in, or None for fp32.
        scaler: Scales the loss, where it is enabled, for fp16.
        processes: Which of several processes this is; each is given all texts of the step.
    """

    known: Sequence[frozenset[str]] = ()
    teacher_scores: Sequence[Sequence[float]] = ()
    objective: Objective = field(default_factory=Objective)
    sparsity: Sparsity = field(default_factory=Sparsity)
    preparer: TextPreparer | None = None
    at_once: int | None = None
    clip: float = 1.0
    autocast: torch.dtype | None = None
    scaler: torch.amp.GradScaler = field(
        default_factory=lambda: torch.amp.GradScaler("cpu", enabled=False)
    )
    processes: Processes = ALONE


PLAIN = StepOptions()
"""Contrastive, without regularisers, in fp32, all texts at once."""


class Piece(NamedTuple):
    """Some texts of one role that are encoded at once.

    Attributes:
        role: Theirs.
        positions: Among all texts of that role.
        batch: What the model is given.
    """

    role: Role
    positions: list[int]
    batch: Batch


class VirtualBatch(NamedTuple):
    """What one step learns from, tokenized: all that can be made before the model is needed.

    Attributes:
        columns: The documents, and whose they are.
        teacher_scores: Of each anchor's own documents.
        pieces: Queries first; each text is in one of them.
    """

    columns: Columns
    teacher_scores: Sequence[Sequence[float]]
    pieces: list[Piece]


def train_step(
    model: Model[Any],
    optimizer: Optimizer,
    anchor: Sequence[str],
    positive: Sequence[str],
    negative: Sequence[str | Sequence[str]],
    options: StepOptions = PLAIN,
) -> dict[str, float]:
    """Learn once from some examples, by default by the contrastive loss over all their documents.

    The scores are the model's own (`Model.rankings`), and so are its regularisers. Dropout follows
    from the state of torch's generator, which the step leaves in another: the same state before
    gives the same step, in however many processes.

    Args:
        model: In training mode, on any device.
        optimizer: Over the model's parameters.
        anchor: Queries, shape (n,); the same query should not come twice.
        positive: A document that answers each, shape (n,).
        negative: Documents that do not, one or a list for each query; an empty list is none.
        options: Loss, weights of the regularisers, memory, precision, and what is known.

    Returns:
        The `loss`, unscaled and with its regularisers, and what the kind of model tells besides.

    Raises:
        ValueError: If the lists are not equally long, a teacher's scores are missing, or the loss
            or its gradient is not finite; the weights are then as they were.
    """
    batch = virtual_batch(options.preparer or model.preparer, anchor, positive, negative, options)
    return learn(model, optimizer, batch, options)


def virtual_batch(
    preparer: TextPreparer,
    anchor: Sequence[str],
    positive: Sequence[str],
    negative: Sequence[str | Sequence[str]],
    options: StepOptions = PLAIN,
) -> VirtualBatch:
    """Return the texts of a step, each once, in pieces of texts of about one length.

    Raises:
        ValueError: If the lists are not equally long.
    """
    columns = columns_of(anchor, positive, negative, options.known)
    n_pieces = 1 if options.at_once is None else max(1, -(-len(anchor) // options.at_once))
    texts: dict[Role, Sequence[str]] = {"query": anchor, "document": columns.texts}
    pieces: list[Piece] = []
    for role, own in texts.items():
        rows = preparer.tokenize(own, role).rows
        order = sorted(range(len(rows)), key=lambda position: -len(rows[position]))
        size = max(1, -(-len(rows) // n_pieces))
        for begin in range(0, len(rows), size):
            positions = order[begin : begin + size]
            batch = preparer.batch([rows[position] for position in positions], role)
            pieces.append(Piece(role, positions, batch))
    return VirtualBatch(columns, options.teacher_scores, pieces)


def learn(
    model: Model[Any], optimizer: Optimizer, batch: VirtualBatch, options: StepOptions = PLAIN
) -> dict[str, float]:
    """Learn once from a batch of `virtual_batch`, as `train_step` does.

    Raises:
        ValueError: If a teacher's scores are missing, or the loss or its gradient is not finite;
            the weights are then as they were.
    """
    try:
        told = add_gradient(model, batch, options)
        update(optimizer, options)
    finally:
        optimizer.zero_grad(set_to_none=True)
    return told


def add_gradient(
    model: Model[Any], batch: VirtualBatch, options: StepOptions = PLAIN
) -> dict[str, float]:
    """Add the gradient of the loss of a batch to that of the parameters; return what is told.

    Raises:
        ValueError: If a teacher's scores are missing, or the loss is not finite; no gradient is
            added then.
    """
    processes, pieces = options.processes, batch.pieces
    seed = int(torch.randint(2**62, ()).item())
    n_own = -(-sum(piece.role == "query" for piece in pieces) // processes.number)
    encoded: list[Represented] = []
    for number, piece in enumerate(pieces):
        own = number % processes.number == processes.rank
        made = _encoded(model, piece, seed + number, options) if own else None
        if made is not None and n_own > 1:  # made again for its gradient
            made = tuple(part.detach() for part in made)
        encoded.append(processes.share(made, number % processes.number, model.device))
    queries, documents = (_Joined(pieces, encoded, role) for role in ("query", "document"))
    if n_own > 1:
        encoded = []
    loss, told = _loss(model, queries.rows(), documents.rows(), batch, options)
    options.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    for number in range(processes.rank, len(pieces), processes.number):
        piece = pieces[number]
        made = encoded[number] if encoded else _encoded(model, piece, seed + number, options)
        _send_back(made, (queries if piece.role == "query" else documents).gradient(number))
    processes.add_gradients(model)
    return {"loss": loss.item(), **{name: value.item() for name, value in told.items()}}


def update(optimizer: Optimizer, options: StepOptions = PLAIN) -> None:
    """Step the optimizer by the gradient that its parameters have, clipped.

    Raises:
        ValueError: If the gradient is not finite; the weights are then as they were. A scaler
            passes over such a gradient, and tries a smaller scale.
    """
    scaler = options.scaler
    scaler.unscale_(optimizer)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, options.clip)
    if not scaler.is_enabled() and not torch.isfinite(norm):
        raise ValueError(
            f"the gradient's norm is {norm.item()}; try a lower learning rate, or fp32"
        )
    scaler.step(optimizer)
    scaler.update()


def _encoded(model: Model[Any], piece: Piece, seed: int, options: StepOptions) -> Represented:
    """Return what a piece is encoded as, with its graph; its seed decides dropout.

    Both passes make a graph, so that they are the same computation, also where it was compiled.
    """
    torch.manual_seed(seed)
    wanted = options.autocast
    cast = torch.autocast(model.device.type, dtype=wanted, enabled=wanted is not None)
    with cast:
        return model.represent(piece.batch, piece.role)


def _loss(
    model: Model[Any],
    queries: Represented,
    documents: Represented,
    batch: VirtualBatch,
    options: StepOptions,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a batch, a finite scalar, and what is told besides.

    Raises:
        ValueError: If a teacher's scores are missing, or the loss is not finite.
    """
    pressure, told = model.pressures(queries, documents, options.sparsity)
    loss = pressure
    for name, scores in model.rankings(queries, documents).items():
        part = ranking_loss(scores, batch.columns, batch.teacher_scores, options.objective)
        loss = loss + part
        told |= {name: part.detach()} if name else {}
    if not torch.isfinite(loss.detach()):
        raise ValueError(f"the loss is {loss.item()}; try a lower learning rate, or fp32")
    return loss, told


class _Joined:
    """What all pieces of a role are encoded as, in one tensor for each part: leaves of a graph."""

    def __init__(self, pieces: Sequence[Piece], encoded: Sequence[Represented], role: Role) -> None:
        numbers = [number for number, piece in enumerate(pieces) if piece.role == role]
        found = [encoded[number] for number in numbers]
        self._leaves = [_joined(parts) for parts in zip(*found, strict=True)]
        positions = torch.tensor([p for number in numbers for p in pieces[number].positions])
        self._order = torch.argsort(positions).to(self._leaves[0].device)
        self._places: dict[int, list[tuple[slice, ...]]] = {}
        begin = 0
        for number, parts in zip(numbers, found, strict=True):
            self._places[number] = [_within(part, begin) for part in parts]
            begin += len(parts[0])

    def rows(self) -> Represented:
        """Return the parts, one row a text, in the order of the texts."""
        return tuple(leaf[self._order] for leaf in self._leaves)

    def gradient(self, number: int) -> list[Tensor | None]:
        """Return the gradient with respect to each part of a piece; None where there is none."""
        return [
            None if leaf.grad is None else leaf.grad[place]
            for leaf, place in zip(self._leaves, self._places[number], strict=True)
        ]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Return rows of several pieces in one leaf; where these are shorter they are filled up.

    What is filled up counts for nothing: 0, or -1 among numbers of terms.
    """
    shape = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    filler = -1 if parts[0].dtype == torch.int64 else 0
    joined = parts[0].new_full((sum(map(len, parts)), *shape), filler)
    begin = 0
    for part in parts:
        joined[_within(part, begin)] = part.detach()
        begin += len(part)
    return joined.requires_grad_(joined.is_floating_point())


def _within(part: Tensor, begin: int) -> tuple[slice, ...]:
    """Return where the rows of a piece lie among those of all."""
    return slice(begin, begin + len(part)), *(slice(size) for size in part.shape[1:])


def _send_back(made: Represented, gradients: Sequence[Tensor | None]) -> None:
    """Add to the parameters' gradient what follows from that of a piece."""
    pairs = [
        (part, gradient)
        for part, gradient in zip(made, gradients, strict=True)
        if gradient is not None and part.requires_grad
    ]
    if pairs:
        torch.autograd.backward([part for part, _ in pairs], [given for _, given in pairs])
