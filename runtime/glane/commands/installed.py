"""What is installed: versions, and what each extra of glane lacks."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version

COMMANDS = {
    "train": "train",
    "mine": "train",
    "average": "train",
    "save-as": "train",
    "export": "export",
    "serve": "serve",
    "mcp": "mcp",
    "demo": "demo",
}
"""The extra that each command needs."""

SERVES = {
    "data": "Parquet files, files elsewhere (s3://, gs://, https://)",
    "fast": "faster BM25, TfIdf and sparse search in a long-lived process",
    "stem": "faster stemming",
    "eval": "measures that ir-measures has",
    "lora": "glane train --lora",
    "ray": "glane index --ray, glane serve --ray",
    "qdrant": "glane push qdrant",
    "postgres": "glane push postgres",
    **{
        extra: ", ".join(f"glane {name}" for name, other in COMMANDS.items() if other == extra)
        for extra in COMMANDS.values()
    },
}
"""What each extra is for."""

WITHOUT_GPU = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
"""What spares a machine without a GPU gigabytes of CUDA, if it comes first."""


def version_of(package: str) -> str | None:
    """Return the version of a package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def extras(requirements: list[str] | None = None) -> dict[str, list[str]]:
    """Return the packages of each extra of `SERVES`, in that order.

    Args:
        requirements: As a wheel's metadata has them; by default those of glane.
    """
    found: dict[str, list[str]] = {extra: [] for extra in SERVES}
    for line in requires("glane") or [] if requirements is None else requirements:
        named = re.fullmatch(r"""([\w.-]+)[^;]*;\s*extra == ['"]([\w-]+)['"]""", line)
        if named and named[2] in found:
            found[named[2]].append(named[1])
    return found


def lacking(what: str, extra: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return the error that says what something needs, and how to install it.

    Args:
        what: As a user calls it.
        extra: That brings what it needs.
        error: What importing it gave.
    """
    return ModuleNotFoundError(f"{what} needs {error.name}: {install(extra)}", name=error.name)


def install(extra: str) -> str:
    """Return the line that installs an extra."""
    return f"pip install 'glane[{extra}]'"
