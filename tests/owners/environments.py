"""Environments of the owners' libraries: `python -m tests.owners.environments FOLDER`.

Each has the CPU build of torch first, from where pip finds it, so that no library brings another:
PyLate's `fast-plaid` pins one with CUDA. PyLate's models need neither it nor its other indexes.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

TORCH = "torch==2.13.0"


class Wanted(NamedTuple):
    """What an environment holds.

    Attributes:
        packages: With all that they need.
        alone: Without what they need.
    """

    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()


ENVIRONMENTS = {
    "st": Wanted(("sentence-transformers==6.2.0", "transformers==5.24.0")),
    "pylate": Wanted(
        (
            "sentence-transformers==5.3.0",
            "transformers==5.3.0",
            "datasets==5.2.0",
            "accelerate==1.15.0",
            "pandas==3.1.1",
        ),
        ("pylate==1.6.0",),
    ),
    "cherche": Wanted(("neural-cherche==1.4.3", "transformers==4.57.6")),
}


def make(folder: Path) -> None:
    """Make the environments that are not there yet, each by its name in a folder."""
    for name, wanted in ENVIRONMENTS.items():
        place, ready = folder / name, folder / name / "ready"
        if ready.exists():
            continue
        venv.create(place, with_pip=True, clear=True)
        _install(place, TORCH)
        held = place / "held.txt"  # the very build, as in torch==2.13.0+cpu
        held.write_text(_run(place, "-m", "pip", "freeze", "--all"))
        _install(place, "-c", str(held), *wanted.packages)
        if wanted.alone:
            _install(place, "--no-deps", *wanted.alone)
        ready.touch()


def python(folder: Path, name: str) -> Path:
    """Return the interpreter of an environment."""
    return folder / name / "bin" / "python"


def _install(place: Path, *packages: str) -> None:
    _run(place, "-m", "pip", "install", "--quiet", *packages)


def _run(place: Path, *arguments: str) -> str:
    command = [str(place / "bin" / "python"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    make(Path(sys.argv[1]))
