"""The errors of glane, one tree.

    GlaneError
    ├── CheckpointError (ValueError)   a checkpoint or model folder that cannot be used
    │   └── IndexDamaged               an index that is missing, damaged, or of another version
    ├── LockedError (OSError)          somebody else is writing to the index
    ├── StaleError                     a state of a collection that is no longer at hand
    └── ParityError (ValueError)       an exported model that does not rank as its checkpoint does

A wrong argument raises Python's own `ValueError` or `TypeError`, a missing file
`FileNotFoundError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class GlaneError(Exception):
    """Something about a file, a folder or a model that glane was given."""


class CheckpointError(GlaneError, ValueError):
    """A checkpoint or model folder that is missing, damaged, or of another kind or version."""


class IndexDamaged(CheckpointError):
    """An index that is missing, damaged, or of another version, or was changed by somebody else."""


class LockedError(GlaneError, OSError):
    """Somebody else is writing to the index."""


class StaleError(GlaneError):
    """The state that an answer is to be of is no longer at hand; the newest one is to be taken."""


class ParityError(GlaneError, ValueError):
    """An exported model that does not rank as its checkpoint does."""


def option(name: str, argument: str | None = None) -> str:
    """Return how a message names an option of the command, and the library's argument of it.

    >>> option("lora"), option("overwrite", "overwrite=True")
    ('--lora (`lora`)', '--overwrite (`overwrite=True`)')
    """
    return f"--{name} (`{argument or name}`)"


def no_folder(path: str | Path) -> str:
    """Return what a message says of a path that was to be a folder."""
    if Path(path).exists():
        return f"{str(path)!r} is a file; expected a folder"
    return f"there is no folder {str(path)!r}"


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Refuse a value that is none of those that can be chosen.

    Raises:
        ValueError: The message names them.
    """
    if value not in (known := list(choices)):
        raise ValueError(f"{name} must be one of {known}, got {value!r}")
