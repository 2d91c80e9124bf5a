"""Reads the JSON files of other libraries, of which all that is not understood is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from glane.errors import CheckpointError
from glane.model.schema import parse_json, read_small


def read_json(path: Path) -> Any:  # noqa: ANN401 (parsed JSON)
    """Return what a JSON file says.

    Raises:
        CheckpointError: If it is missing, or is not JSON.
    """
    return parse_json(read_small(path.parent, path.name), str(path))


def read_record(path: Path, known: Collection[str] | None = None) -> dict[str, Any]:
    """Return the object of a JSON file.

    Args:
        path: The file.
        known: Keys that are understood; None for any.

    Raises:
        CheckpointError: If it is missing, is not a JSON object, or has another key.
    """
    record = read_json(path)
    if not isinstance(record, dict):
        raise CheckpointError(f"{str(path)!r} must hold a JSON object")
    if known is not None:
        refuse_unknown(record, known, path)
    return record


def read_if_there(path: Path, known: Collection[str] | None = None) -> dict[str, Any]:
    """Return the object of a JSON file, or an empty one where there is no such file."""
    return read_record(path, known) if path.is_file() else {}


def refuse_unknown(record: Mapping[str, Any], known: Collection[str], path: Path) -> None:
    """Refuse keys that are not understood.

    Raises:
        CheckpointError: The message names them.
    """
    unknown = sorted(set(record) - set(known))
    if unknown:
        raise CheckpointError(
            f"{str(path)!r} says what glane does not understand, and does not pass over: {unknown}"
        )


def require(found: object, wanted: Collection[object], what: str, path: Path) -> None:
    """Refuse a value that glane has no counterpart for.

    Raises:
        CheckpointError: The message names it, and what would do.
    """
    if found not in wanted:
        choices = " or ".join(map(repr, wanted))
        raise CheckpointError(f"{str(path)!r}: {what} is {found!r}; glane can only do {choices}")


def text(record: Mapping[str, Any], key: str, path: Path, default: str = "") -> str:
    """Return a string of a record, or the default where it is missing or null."""
    value = record.get(key)
    value = default if value is None else value
    if not isinstance(value, str):
        raise CheckpointError(f"{str(path)!r}: {key} must be a string, got {value!r}")
    return value


def flag(record: Mapping[str, Any], key: str, path: Path, *, default: bool) -> bool:
    """Return a truth value of a record, or the default where it is missing or null."""
    value = record.get(key)
    value = default if value is None else value
    if not isinstance(value, bool):
        raise CheckpointError(f"{str(path)!r}: {key} must be true or false, got {value!r}")
    return value


def number(record: Mapping[str, Any], key: str, path: Path, default: int | None) -> int | None:
    """Return a whole number of at least 1, or the default where it is missing or null."""
    value = record.get(key)
    if value is None:
        return default
    if type(value) is not int or value < 1:
        raise CheckpointError(f"{str(path)!r}: {key} must be a number from 1, got {value!r}")
    return value


def names(record: Mapping[str, Any], key: str, path: Path, default: list[str]) -> list[str]:
    """Return a list of strings, or the default where it is missing or null."""
    value = record.get(key)
    value = default if value is None else value
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise CheckpointError(f"{str(path)!r}: {key} must be a list of strings, got {value!r}")
    return value
