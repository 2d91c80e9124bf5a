"""Labels the questions that are made of documents, for a training that begins with a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from glane_trainer.mining.documents import Alone, miner_of, told
from glane_trainer.mining.mining import mine
from glane_trainer.mining.start import StartTeacher
from glane_trainer.model import Model
from glane_trainer.processes import launched
from glane_trainer.telling import stage, tell


def questions_file(out: Path) -> Path:
    """Return the file, beside the folder of a training, of questions with their negatives."""
    out = out.resolve()
    return out.with_name(f"{out.name}.questions.jsonl")


def label(alone: Alone, model: Model[Any], path: Path, seed: int, *, overwrite: bool) -> None:
    """Write the questions with negatives and scores, or leave what an equal call has written.

    Of several processes the first writes, and the others wait.

    Args:
        alone: The questions.
        model: As the training begins; it is moved to no other device.
        path: From `questions_file`.
        seed: Decides which negatives are drawn.
        overwrite: Whether a file of other questions may be replaced.

    Raises:
        FileExistsError: If there is one, and it may not.
    """
    processes = launched(model.device.type)
    if processes.is_first:
        _label(alone, model, path, seed, overwrite=overwrite)
    waited = torch.zeros(1, device=model.device)
    processes.share((waited,) if processes.is_first else None, 0, model.device)


def _label(alone: Alone, model: Model[Any], path: Path, seed: int, *, overwrite: bool) -> None:
    for line in told(alone.counts):
        tell(line)
    n_asked = len(alone.ground.asked)
    with stage(f"looking for negatives of {n_asked} questions, and scoring them"):
        miner = miner_of(alone, StartTeacher(model), seed)
        identity = miner.identity()
        if path.exists() and not overwrite and _mark(path) != identity:
            raise FileExistsError(
                f"{str(path)!r} holds questions of other documents or settings; pass --overwrite "
                "to replace it"
            )
        if not path.exists() or _mark(path) != identity:
            mine(miner, n_asked, path, overwrite=overwrite, mark=identity)


def _mark(path: Path) -> str | None:
    """Return what made a file; None where it is of something else."""
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline()
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record.get("mined") if isinstance(record, dict) else None
