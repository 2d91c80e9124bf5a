"""Where something was measured: the CPU, what it can do, and the versions of what computed."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from glane.model.saturation import saturates

PACKAGES = ("glane", "numpy", "onnx", "onnxruntime", "tokenizers", "torch", "transformers")

CPU_FILE = Path("/proc/cpuinfo")

NAMES = ("model name", "Model", "Hardware", "cpu model")
FLAGS = ("flags", "Features")

INSTRUCTIONS = (
    *("avx", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "sve", "sve2", "bf16"),
)
"""What decides which products onnxruntime takes, as Linux spells it: x86, then Arm."""


def machine() -> dict[str, Any]:
    """Return the CPU, its instruction sets and the versions, for `parity.json`.

    Returns:
        `cpu`, `architecture`, `system` and `python` as the system calls them; `instructions`, those
        of `INSTRUCTIONS` that it has, in that order, or None where the system does not tell;
        `saturates`, whether its products of uint8 and int8 come out too small; `versions`.
    """
    entries = _entries()
    flags = next((set(entries[name].split()) for name in FLAGS if name in entries), None)
    name = next((entries[name] for name in NAMES if entries.get(name)), platform.processor())
    return {
        "cpu": name or platform.machine(),
        "architecture": platform.machine(),
        "instructions": None if flags is None else [one for one in INSTRUCTIONS if one in flags],
        "saturates": saturates(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def _entries() -> dict[str, str]:
    """Return what Linux says of the first CPU, by name; nothing on another system."""
    if not CPU_FILE.is_file():
        return {}
    first = CPU_FILE.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    pairs = [line.partition(":") for line in first.splitlines()]
    return {name.strip(): value.strip() for name, _, value in pairs}
