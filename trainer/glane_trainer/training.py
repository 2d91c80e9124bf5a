"""Trains a model: the entry, above the loop in `run.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from glane.errors import check_choice
from glane.store.folders import check_new
from glane_trainer import state
from glane_trainer.data import TrainingData
from glane_trainer.model import Model
from glane_trainer.report import Result
from glane_trainer.run import Diverged, Run
from glane_trainer.settings import DEFAULTS, Settings

Mode = Literal["new", "overwrite", "resume"]


def train(
    model: Model[Any],
    data: TrainingData,
    out: str | Path,
    settings: Settings | None = None,
    mode: Mode = "new",
    beside: Mapping[str, str] = {},
) -> Result:
    """Train a model and write the best of what was measured, its log and a picture of it.

    Args:
        model: Untrained, or, to resume, loaded from `state.model_folder(out)`.
        data: From `read_data`.
        out: Folder to write; until the end it holds only what a resume needs, or what it held.
        settings: How to train; by default as `DEFAULTS` says for the kind of model.
        mode: Whether the folder must be new, may be replaced, or holds what to continue.
        beside: Texts of further files that are written into the folder, by name.

    Returns:
        What was done; `model` then has the weights that were written, in evaluation mode.

    Raises:
        FileExistsError: If `out` exists, in mode "new".
        ValueError: If `mode` is unknown, a setting does not fit the model, the device or the run
            to resume, or the loss is no longer finite; what was good until then has been written.
        CheckpointError: If there is nothing to resume, in mode "resume".
        KeyboardInterrupt: After Ctrl-C, or `interrupt.Terminated` after SIGTERM where that is
            handled; what a resume needs has been written.
    """
    check_choice("mode", mode, get_args(Mode))
    if mode != "resume":
        may_replace = mode == "overwrite" or state.is_log_alone(Path(out))
        check_new(out, overwrite=may_replace, argument='mode="overwrite"')
    run = Run(model, data, Path(out), settings or DEFAULTS[model.checkpoint.kind])
    run.beside = beside
    if mode == "resume":
        run.restore()
    try:
        run.finish_steps()
        return run.write()
    except KeyboardInterrupt as stop:
        raise type(stop)(run.stop()) from None
    except Diverged as error:
        raise ValueError(f"{error}; {run.salvage()}") from None
    finally:
        run.trackers.end()
