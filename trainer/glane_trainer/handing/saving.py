"""Writes a checkpoint as a folder of another library, or says what of it that cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from glane.errors import CheckpointError, check_choice
from glane.store.folders import check_new, new_folder
from glane_trainer.handing.pylate import hand_to_pylate
from glane_trainer.handing.sentence_transformers import hand_to_sentence_transformers
from glane_trainer.handing.stanford import hand_to_stanford
from glane_trainer.handing.wanting import Handed
from glane_trainer.model import Model
from glane_trainer.models import load_model

FORMATS: dict[str, Callable[[Model[Any]], Handed]] = {
    "pylate": hand_to_pylate,
    "sentence-transformers": hand_to_sentence_transformers,
    "stanford": hand_to_stanford,
}


def save_as(
    format: str, checkpoint: str | Path, folder: str | Path, *, overwrite: bool = False
) -> tuple[str, list[str]]:
    """Write a checkpoint as a folder of another library, which scores as glane does.

    Args:
        format: One of `FORMATS`.
        checkpoint: Written by `Model.save`.
        folder: To write; it is there whole or not at all.
        overwrite: Whether a folder that is there may be replaced.

    Returns:
        The class of the library that opens the folder, and of which texts that makes other tokens
        than glane, a sentence each.

    Raises:
        ValueError: If there is no such format.
        CheckpointError: If a file of the checkpoint is missing or damaged, or it has what the
            format cannot hold; the message names all of that, and nothing is written.
        FileExistsError: If the folder exists and may not be replaced.
    """
    check_choice("format", format, FORMATS)
    check_new(folder, overwrite=overwrite)
    handed = FORMATS[format](load_model(checkpoint))
    if handed.lacking:
        reasons = "; ".join(handed.lacking)
        raise CheckpointError(f"{str(checkpoint)!r} cannot be saved as {format}: {reasons}")
    with new_folder(folder, overwrite=overwrite) as path:
        handed.write(path)
    return handed.opened_by, handed.remarks
