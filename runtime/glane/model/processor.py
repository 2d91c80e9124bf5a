"""What this processor is and can do, as Linux or macOS tells it."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import NamedTuple

CPU_FILE = Path("/proc/cpuinfo")

SYSCTL = Path("/usr/sbin/sysctl")

NAMES = ("model name", "Model", "Hardware", "cpu model", "machdep.cpu.brand_string")
FLAGS = ("flags", "Features")

INSTRUCTIONS = (
    *("avx", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "sve", "sve2", "bf16"),
)
"""What decides which products onnxruntime takes, as Linux spells it: x86, then Arm."""

ON_MACOS = {
    "hw.optional.avx1_0": "avx",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.avx512vnni": "avx512_vnni",
    "hw.optional.neon": "asimd",
    "hw.optional.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
}
"""How macOS spells them."""


class Processor(NamedTuple):
    """A processor.

    Attributes:
        name: As the system calls it.
        instructions: Those of `INSTRUCTIONS` that it has, in that order; None where the system does
            not tell.
    """

    name: str
    instructions: list[str] | None


def processor() -> Processor:
    """Return the processor that this process runs on."""
    entries = _entries()
    name = next((entries[name] for name in NAMES if entries.get(name)), platform.processor())
    return Processor(name or platform.machine(), instructions_in(entries))


def instructions_in(entries: dict[str, str]) -> list[str] | None:
    """Return the instructions that entries of a system tell of; None where they tell of none."""
    flags = next((set(entries[name].split()) for name in FLAGS if name in entries), None)
    if flags is None and entries.keys() & ON_MACOS.keys():
        flags = {flag for name, flag in ON_MACOS.items() if entries.get(name) == "1"}
    return None if flags is None else [one for one in INSTRUCTIONS if one in flags]


def parsed(text: str) -> dict[str, str]:
    """Return lines of `name: value` by name."""
    pairs = [line.partition(":") for line in text.splitlines()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _entries() -> dict[str, str]:
    """Return what the system says of the first CPU, by name; nothing where it says nothing."""
    if CPU_FILE.is_file():
        text = CPU_FILE.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    elif SYSCTL.is_file():
        argv = [str(SYSCTL), "machdep.cpu", "hw.optional"]
        text = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    else:
        return {}
    return parsed(text)
