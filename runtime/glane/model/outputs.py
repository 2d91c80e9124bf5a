"""What a model's graph must give for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glane.errors import CheckpointError
from glane.model.checkpoint import Checkpoint
from glane.model.preparation import Batch

Array = npt.NDArray[Any]


def check_outputs(
    outputs: Sequence[Array], batch: Batch, checkpoint: Checkpoint, name: str
) -> None:
    """Refuse what is not the vectors that `glane.json` promises.

    Args:
        outputs: Of a colbert, token vectors (n, length, dim); of a splade, terms and weights
            (n, n_terms); of a sparse-embed, also embeddings (n, n_terms, dim).
        batch: What they were made of.
        checkpoint: The model's `glane.json`.
        name: The model, for messages.

    Raises:
        CheckpointError: If their number, shapes or types are others, or a number that counts is
            not finite.
    """
    wanted = _wanted(outputs, batch, checkpoint)
    found = [(output.dtype.name, output.shape) for output in outputs]
    if found != wanted:
        raise CheckpointError(
            f"{name} gives {_described(found)}, but its glane.json wants {_described(wanted)}"
        )
    for numbers in _counting(outputs, batch, checkpoint):
        if not np.isfinite(numbers).all():
            raise CheckpointError(f"{name} is broken: it gives a number that is not finite")
    if checkpoint.kind != "colbert" and outputs[0].min(initial=0) < 0:
        raise CheckpointError(f"{name} is broken: it gives a term whose number is below 0")


Form = list[tuple[str, tuple[int, ...]]]


def _wanted(outputs: Sequence[Array], batch: Batch, checkpoint: Checkpoint) -> Form:
    """Return the types and shapes that fit; the number of terms is the graph's."""
    n_texts, length = batch.input_ids.shape
    if checkpoint.kind == "colbert":
        return [("float32", (n_texts, length, checkpoint.dim))]
    n_terms = outputs[0].shape[1] if outputs and outputs[0].ndim == 2 else 1
    terms: Form = [("int64", (n_texts, n_terms)), ("float32", (n_texts, n_terms))]
    embeddings: Form = [("float32", (n_texts, n_terms, checkpoint.dim))]
    return terms + (embeddings if checkpoint.kind == "sparse-embed" else [])


def _counting(outputs: Sequence[Array], batch: Batch, checkpoint: Checkpoint) -> list[Array]:
    """Return the numbers that become part of a vector."""
    if checkpoint.kind == "colbert":
        return [outputs[0][batch.score_mask]]
    _, weights, *embeddings = outputs
    return [weights, *(values[weights > 0] for values in embeddings)]


def _described(form: Form) -> str:
    return ", ".join(f"{dtype} of shape {shape}" for dtype, shape in form) or "nothing"
