"""Where something was measured: the CPU, what it can do, and the versions of what computed."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from glane.model.processor import processor
from glane.model.saturation import saturates

PACKAGES = ("glane", "numpy", "onnx", "onnxruntime", "tokenizers", "torch", "transformers")


def machine() -> dict[str, Any]:
    """Return the CPU, its instruction sets and the versions, for `parity.json`.

    Returns:
        `cpu`, `architecture`, `system` and `python` as the system calls them; `instructions` of
        `glane.model.processor`; `saturates`, whether its products of uint8 and int8 come out
        too small; `versions`.
    """
    name, instructions = processor()
    return {
        "cpu": name,
        "architecture": platform.machine(),
        "instructions": instructions,
        "saturates": saturates(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }
