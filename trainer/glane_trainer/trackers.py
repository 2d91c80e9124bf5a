"""Tells what accelerate knows of a training as it goes: TensorBoard, wandb, MLflow and others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glane_trainer.state import Record

RUNS = "runs"
"""Folder, beside the one that a run writes, of what trackers keep in files: a folder a run."""

PROJECT = "glane"
"""What a training belongs to, at trackers that keep nothing in such files."""

PACKAGES = {"comet_ml": "comet-ml"}
"""Packages that are not called like their tracker."""


class Trackers:
    """The trackers that are told of a run."""

    def __init__(self, names: Sequence[str], out: Path, settings: Mapping[str, Any]) -> None:
        """Begin to tell them.

        Args:
            names: As accelerate calls them, such as "tensorboard" and "wandb".
            out: Folder of the run.
            settings: Of the run; they may be nested.

        Raises:
            ValueError: If accelerate knows no such tracker.
            ModuleNotFoundError: If accelerate, or the tracker's own package, is not installed.
        """
        self._trackers = [_tracker(name, out) for name in dict.fromkeys(names)]
        for tracker in self._trackers:
            tracker.start()
            tracker.store_init_configuration(_plain(settings))

    def tell(self, record: Record) -> None:
        """Tell of a step, or a measurement: numbers by name, with the `step`."""
        values = {name: value for name, value in record.items() if name != "step"}
        for tracker in self._trackers:
            tracker.log(values, step=record["step"])

    def end(self) -> None:
        """Let them write what they have not written yet."""
        for tracker in self._trackers:
            tracker.finish()


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that cannot be told.

    Raises:
        ValueError: If accelerate knows no such tracker.
        ModuleNotFoundError: If accelerate, or the tracker's own package, is not installed.
    """
    if not names:
        return
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    there = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            known = sorted(LOGGER_TYPE_TO_CLASS)
            raise ValueError(f"report_to must name trackers of {known}, got {name!r}")
        if name not in there:
            package = PACKAGES.get(name, name)
            raise ModuleNotFoundError(f"--report-to {name} needs {package}: pip install {package}")


def _tracker(name: str, out: Path) -> Any:  # noqa: ANN401 (accelerate has no types)
    check_trackers([name])
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    kind = LOGGER_TYPE_TO_CLASS[name]
    if kind.requires_logging_directory:
        folder = out.resolve()
        (folder.parent / RUNS).mkdir(parents=True, exist_ok=True)
        return kind(folder.name, os.fspath(folder.parent / RUNS))
    return kind(PROJECT)


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without nesting, of the types that all trackers take."""
    plain: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            plain |= _plain(value)
        else:
            plain[name] = value if isinstance(value, bool | int | float | str) else str(value)
    return plain
