"""Tensors that are kept as a pickle: read in a process of its own, which runs none of its code."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from glane.errors import CheckpointError
from glane_trainer.bases.json_files import read_record
from glane_trainer.telling import stage
from glane_trainer.weights import read_tensors, write_tensors

WEIGHTS = "model.safetensors"
PICKLE = "pytorch_model.bin"
PARTS = "pytorch_model.bin.index.json"
OTHERS = (".bin", ".pt", ".dnn")
SMALL = ("*.json", "*.txt", "*.model")
"""What is copied beside converted weights."""


def read_any_tensors(folder: Path, name: str = WEIGHTS, pickle: str = PICKLE) -> dict[str, Tensor]:
    """Read the tensors of a folder, from a safetensors file or else from a pickle.

    Raises:
        CheckpointError: If there is neither, one is damaged, or a pickle holds other things.
    """
    if (folder / name).is_file():
        return read_tensors(folder / name)
    if (folder / pickle).is_file():
        return read_pickle(folder / pickle)
    raise CheckpointError(f"{str(folder)!r} has neither {name} nor {pickle}")


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Read a pickle of tensors by name.

    Raises:
        CheckpointError: If it holds anything else than tensors, or is damaged.
    """
    with tempfile.TemporaryDirectory() as scratch, stage(f"reading {path.name}, running no code"):
        target = Path(scratch) / WEIGHTS
        program = [sys.executable, "-m", "glane_trainer.bases.unpickling", str(path), str(target)]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1][:200]
            raise CheckpointError(
                f"{str(path)!r} is a pickle that holds more than tensors or is damaged, and is not "
                f"read: {reason}; save its tensors as {WEIGHTS} with its owner's library"
            )
        return read_tensors(target)


@contextmanager
def with_safetensors(folder: Path) -> Iterator[Path]:
    """Give a folder of a transformer whose weights are safetensors: itself, or a copy of it.

    Raises:
        CheckpointError: As `read_pickle`, or if it has no weights.
    """
    if any(folder.glob("model*.safetensors")):
        yield folder
        return
    pickles = _pickles(folder)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch)
        for pattern in SMALL:
            for path in folder.glob(pattern):
                shutil.copyfile(path, copy / path.name)
        tensors: dict[str, Tensor] = {}
        for path in pickles:
            tensors |= read_pickle(path)
        write_tensors(copy / WEIGHTS, tensors)
        yield copy


def _pickles(folder: Path) -> list[Path]:
    if (folder / PICKLE).is_file():
        return [folder / PICKLE]
    if (folder / PARTS).is_file():
        parts = read_record(folder / PARTS).get("weight_map")
        if isinstance(parts, dict):
            return sorted({folder / Path(str(name)).name for name in parts.values()})
    others = sorted(path.name for path in folder.glob("*") if path.suffix in OTHERS)
    told = f", and the pickle {others[0]!r} is none of a transformer" if others else ""
    raise CheckpointError(f"{str(folder)!r} has no {WEIGHTS}{told}")
