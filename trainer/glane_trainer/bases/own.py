"""Reads a checkpoint of glane as a base, so that a model can be trained in stages."""

from __future__ import annotations

from pathlib import Path

from glane.model.checkpoint import Checkpoint
from glane.model.preparation import TextPreparer
from glane_trainer.bases.found import Found
from glane_trainer.projection import restored
from glane_trainer.rules import Rules
from glane_trainer.weights import read_some

OWN_TENSORS = ("projection.", "query_weights", "decoder.bias", "lm_head.bias")
"""How the names begin of tensors that a checkpoint has beside its transformer's."""


def is_own(folder: Path) -> bool:
    """Return whether a folder holds a checkpoint of glane, or an exported model."""
    return (folder / Checkpoint.file_name).is_file()


def read_own(name: str, folder: Path) -> Found:
    """Read a checkpoint of glane.

    Raises:
        CheckpointError: If a file is missing or damaged.
    """
    preparer = TextPreparer.load(folder)
    checkpoint = preparer.checkpoint
    tensors = read_some(folder / "model.safetensors", OWN_TENSORS)
    claimed, table = frozenset(tensors), tensors.pop("query_weights", None)
    rules = Rules(**{key: getattr(checkpoint, key) for key in Rules.__annotations__})  # type: ignore[typeddict-item]
    return Found(
        name=name,
        what=f"a {checkpoint.kind} checkpoint of glane",
        kind=checkpoint.kind,
        transformer=folder,
        tokenizer_json=preparer.tokenizer_json,
        rules=rules,
        projection=restored(checkpoint.projection_layers, tensors),
        table=table,
        own=True,
        claimed=claimed,
    )
