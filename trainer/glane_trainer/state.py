"""Checkpoints that a run continues from: safetensors and JSON, no pickle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from glane.errors import CheckpointError
from glane.store.folders import new_folder
from glane_trainer.weights import read_tensors, write_tensors

FOLDER = ".resume"
"""Where a run keeps its log and its checkpoint, inside the folder it is to write."""

LOG = "training.jsonl"
"""One line a record of the log: in that folder as the run goes, beside the weights at its end."""

TENSORS = ("optimizer", "start", "best")
"""Parts of a `State` that have a file of their own; so have factors, where there are any."""

Record = dict[str, float | int | None]


@dataclass(slots=True)
class Progress:
    """How far a run has come, and what it found; JSON.

    Attributes:
        step: Optimizer steps done.
        looks: What the held-out queries said, a `keep.Look` each: first of the start.
        best_step: Step of the best weights so far that may be kept, 0 before there are any.
        seconds: Time spent so far, earlier sessions included.
        log: One record a step and an evaluation.
        identity: Settings and data that may not change between sessions.
        scaler: State of the scaling of fp16.
    """

    step: int = 0
    looks: list[dict[str, Any]] = field(default_factory=list)
    best_step: int = 0
    seconds: float = 0.0
    log: list[Record] = field(default_factory=list)
    identity: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """Everything a run continues from, besides its data.

    Attributes:
        progress: Counters and log.
        optimizer: Moments and counters, named.
        start: Weights before the first step.
        best: Weights of `Progress.best_step`.
        factors: See `adapters`; empty where the encoder's own weights are trained.
    """

    progress: Progress
    optimizer: dict[str, Tensor]
    start: dict[str, Tensor]
    best: dict[str, Tensor]
    factors: dict[str, Tensor] = field(default_factory=dict)


class Writable(Protocol):
    """A model that writes its checkpoint's files."""

    def write(self, folder: Path) -> None:
        """Write into a folder that is there."""


def save_state(out: Path, model: Writable, state: State) -> None:
    """Write a run's checkpoint in the place of the last one; a kill leaves one of them whole."""
    with new_folder(out / FOLDER, overwrite=True) as folder:
        (folder / "model").mkdir()
        model.write(folder / "model")
        for name in TENSORS:
            write_tensors(folder / f"{name}.safetensors", getattr(state, name))
        if state.factors:
            write_tensors(folder / "factors.safetensors", state.factors)
        progress = {name: getattr(state.progress, name) for name in Progress.__slots__}
        log = progress.pop("log")
        progress["n_logged"] = len(log)
        (folder / "progress.json").write_text(json.dumps(progress) + "\n", encoding="utf-8")
        write_log(folder, log)


def load_state(out: Path) -> State:
    """Read a run's checkpoint, but for its model, which lies in `model_folder`.

    Raises:
        CheckpointError: If there is none, or a file is missing or damaged.
    """
    folder = model_folder(out).parent
    path = folder / "progress.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
        log = [json.loads(line) for line in lines[: record.pop("n_logged")]]
        progress = Progress(**record, log=log)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from None
    names = TENSORS if progress.identity.get("lora") is None else (*TENSORS, "factors")
    return State(progress, **{name: read_tensors(folder / f"{name}.safetensors") for name in names})


def write_log(folder: Path, log: Sequence[Record]) -> None:
    """Write a log into a folder that is there."""
    (folder / LOG).write_text("".join(map(_line, log)), encoding="utf-8")


def begin_log(out: Path, log: Sequence[Record]) -> None:
    """Let the log of a run that begins, or goes on, have what is known of it."""
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    write_log(out / FOLDER, log)


def append_log(out: Path, record: Record) -> None:
    """Add a record to the log of a run, where whoever looks finds it at once."""
    with (out / FOLDER / LOG).open("a", encoding="utf-8") as file:
        file.write(_line(record))


def is_log_alone(out: Path) -> bool:
    """Return whether a folder has nothing but the log of a run that saved no checkpoint."""
    names = [path.name for path in out.iterdir()] if out.is_dir() else []
    return names == [FOLDER] and [path.name for path in (out / FOLDER).iterdir()] == [LOG]


def drop_log(out: Path) -> None:
    """Remove a folder that has nothing but the log of a run that saved no checkpoint."""
    if is_log_alone(out):
        shutil.rmtree(out)


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"


def model_folder(out: str | Path) -> Path:
    """Return where the model of a run's checkpoint lies.

    Raises:
        CheckpointError: If there is no checkpoint.
    """
    folder = Path(out) / FOLDER / "model"
    if not folder.is_dir():
        raise CheckpointError(f"{str(out)!r} has no interrupted training to resume")
    return folder


def check_identity(then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with other settings or data.

    Raises:
        ValueError: If one differs; the message names it and both values.
    """
    for name in now:
        if then.get(name) != now[name]:
            raise ValueError(
                f"cannot resume: `{name}` was {then.get(name)!r} and is now {now[name]!r}"
            )
