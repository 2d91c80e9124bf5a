"""The models, one class for each kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from glane.errors import CheckpointError
from glane.model.checkpoint import Checkpoint, Kind
from glane_trainer.bases.finding import find_base
from glane_trainer.bases.found import Found
from glane_trainer.colbert import ColBERT
from glane_trainer.model import Model, check_there
from glane_trainer.sparse_embed import SparseEmbed
from glane_trainer.splade import Splade

__all__ = ["MODELS", "ColBERT", "SparseEmbed", "Splade", "load_model", "open_model"]

MODELS: dict[Kind, type[Model[Any]]] = {
    "colbert": ColBERT,
    "splade": Splade,
    "sparse-embed": SparseEmbed,
}

FROM_BASE: dict[Kind, Callable[[Found], Model[Any]]] = {
    "colbert": ColBERT.from_base,
    "splade": Splade.from_base,
    "sparse-embed": SparseEmbed.from_base,
}


def load_model(folder: str | Path) -> Model[Any]:
    """Read a checkpoint of any kind, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: If a file is missing or damaged.
    """
    check_there(folder)
    return MODELS[Checkpoint.read(folder).kind].load(folder)


def open_model(name: str | Path) -> Model[Any]:
    """Read a finished model of any library, in evaluation mode, on the CPU.

    Args:
        name: A checkpoint of glane, or a folder or a name on the Hugging Face hub as `find_base`
            takes it.

    Raises:
        FileNotFoundError: If there is no such folder and the hub has no such model.
        CheckpointError: If a file is missing or damaged, says what glane cannot do, or this is an
            encoder and no finished model.
    """
    if (Path(name) / Checkpoint.file_name).is_file():
        return load_model(name)
    found = find_base(name)
    if found.kind is None:
        raise CheckpointError(
            f"{found.name!r} is {found.what}: an encoder, and no finished model; make one of it "
            f"with `glane train colbert --base {found.name}`"
        )
    return FROM_BASE[found.kind](found)
