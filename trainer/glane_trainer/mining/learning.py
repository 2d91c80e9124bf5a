"""Labels the questions that are made of documents, for a training that begins with a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch

from glane_trainer.mining.documents import Alone, miner_of, told
from glane_trainer.mining.mining import mine
from glane_trainer.mining.start import StartTeacher
from glane_trainer.model import Model
from glane_trainer.processes import launched
from glane_trainer.telling import stage, tell


class Labelling(NamedTuple):
    """How questions are labelled.

    Attributes:
        scored: Whether the model scores with BM25; else BM25 alone ranks, and nothing is encoded.
        seed: Decides which negatives are drawn.
    """

    scored: bool
    seed: int


def questions_file(out: Path) -> Path:
    """Return the file, beside the folder of a training, of questions with their negatives."""
    out = out.resolve()
    return out.with_name(f"{out.name}.questions.jsonl")


def label(
    alone: Alone, model: Model[Any], path: Path, choice: Labelling, *, overwrite: bool
) -> None:
    """Write the questions with negatives and scores, or leave what an equal call has written.

    Of several processes the first writes, and the others wait.

    Args:
        alone: The questions.
        model: As the training begins, where it is to compute.
        path: From `questions_file`.
        choice: How they are labelled.
        overwrite: Whether a file of other questions may be replaced.

    Raises:
        FileExistsError: If there is one, and it may not.
    """
    processes = launched(model.device.type)
    if processes.is_first:
        teacher = StartTeacher(model) if choice.scored else None
        _label(alone, teacher, path, choice.seed, overwrite=overwrite)
    waited = torch.zeros(1, device=model.device)
    processes.share((waited,) if processes.is_first else None, 0, model.device)


def _label(
    alone: Alone, teacher: StartTeacher | None, path: Path, seed: int, *, overwrite: bool
) -> None:
    for line in told(alone.counts):
        tell(line)
    n_asked = len(alone.ground.asked)
    with stage(f"looking for negatives of {n_asked} questions"):
        miner = miner_of(alone, teacher, seed)
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
