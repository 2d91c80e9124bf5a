"""What a model runs on: the CPU, or what the installed build of onnxruntime offers besides."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast, get_args

from glane.errors import CheckpointError

Device = Literal["auto", "cpu", "cuda", "coreml"]

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""What onnxruntime calls each."""

CURES = {
    "cuda": "it needs an NVIDIA GPU and onnxruntime-gpu in the place of onnxruntime: "
    "pip uninstall -y onnxruntime; pip install onnxruntime-gpu",
    "coreml": "it needs macOS, where onnxruntime has it",
    "cpu": "install onnxruntime again",
}

BUILDS = ("onnxruntime", "onnxruntime_gpu")
"""What the builds are called where they are installed."""

BOTH = (
    "onnxruntime and onnxruntime-gpu are both installed, and each has overwritten files of the "
    "other: pip uninstall -y onnxruntime onnxruntime-gpu; pip install onnxruntime-gpu"
)

VARIABLE = "GLANE_DEVICE"
"""Decides what "auto" is, in all of a process and its commands."""

LOG = logging.getLogger("glane")


def check_device(device: str) -> Device:
    """Return a device that is known by name; "auto" becomes what `GLANE_DEVICE` says, if anything.

    Raises:
        ValueError: If it is none of them.
    """
    names = get_args(Device)
    asked = os.environ.get(VARIABLE) or device if device == "auto" else device
    if asked not in names:
        where = "" if asked == device else f"{VARIABLE} as "
        raise ValueError(f"device must be one of {list(names)}, got {where}{asked!r}")
    return cast(Device, asked)


def providers(device: Device, available: Sequence[str], place: Path) -> list[str]:
    """Return what onnxruntime is to run a model on, in order; what one lacks the next does.

    Args:
        device: Of `check_device`. "auto" is CUDA where this build has it, else the CPU.
        available: What this build of onnxruntime has.
        place: The folder that the package lies in.

    Raises:
        CheckpointError: If it has not what is asked for; the message says what to install.
    """
    if device == "auto":
        device = "cuda" if PROVIDERS["cuda"] in available else "cpu"
    both = len(installed(place)) == len(BUILDS)
    if PROVIDERS[device] not in available:
        cure = BOTH if both and device == "cuda" else CURES[device]
        raise CheckpointError(f"device {device!r} is not there: {cure}")
    if both:
        LOG.warning(BOTH)
    return list(dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]]))


def check_used(device: Device, used: Sequence[str]) -> None:
    """Refuse a session that does not run on what was asked for, as where a driver is missing.

    Raises:
        CheckpointError: The message says what it needs.
    """
    if device in ("auto", "cpu") or used[0] == PROVIDERS[device]:
        return
    raise CheckpointError(f"device {device!r} cannot be used here: {CURES[device]}")


def installed(place: Path) -> list[str]:
    """Return which builds of onnxruntime are installed in a folder of packages.

    By names of folders: `importlib.metadata` takes longer to import than onnxruntime itself.
    """
    names = {name.partition("-")[0] for name in os.listdir(place) if name.endswith(".dist-info")}
    return [build for build in BUILDS if build in names]
