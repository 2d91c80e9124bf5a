"""The models, one class for each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glane.model.checkpoint import Checkpoint, Kind
from glane_trainer.colbert import ColBERT
from glane_trainer.model import Model
from glane_trainer.sparse_embed import SparseEmbed
from glane_trainer.splade import Splade

__all__ = ["MODELS", "ColBERT", "SparseEmbed", "Splade", "load_model"]

MODELS: dict[Kind, type[Model[Any]]] = {
    "colbert": ColBERT,
    "splade": Splade,
    "sparse-embed": SparseEmbed,
}


def load_model(folder: str | Path) -> Model[Any]:
    """Read a checkpoint of any kind, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: If a file is missing or damaged.
    """
    return MODELS[Checkpoint.read(folder).kind].load(folder)
