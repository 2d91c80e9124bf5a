"""What an index keeps of a retriever: a record that makes an empty one, and its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from glane.errors import IndexDamaged
from glane.store.reading import State
from glane.store.segments import Segments
from glane.store.writing import Content, save


class Stored(Protocol):
    """What an index can keep."""

    def record(self) -> dict[str, Any]:
        """Return what makes an equal, empty retriever, as JSON."""
        ...

    def tables(self) -> dict[str, Segments]:
        """Return what is stored, by name; the documents' own rows have the empty name."""
        ...


def save_retriever(retriever: Stored, folder: str | Path) -> None:
    """Write a retriever alone into a folder; an index that is there is replaced.

    Raises:
        FileExistsError: If the folder holds something else than an index.
    """
    settings = {"stages": {"retriever": retriever.record()}}
    save(folder, Content(settings, placed(retriever, "retriever")))


def placed(retriever: Stored, place: str) -> dict[str, Segments]:
    """Return the tables of a retriever, as they are called in an index.

    Args:
        retriever: What is kept.
        place: The stage that it is, "retriever" or "reranker".
    """
    tables = retriever.tables().items()
    return {f"{place}.{name}" if name else place: rows for name, rows in tables}


def load_tables(retriever: Stored, state: State, place: str) -> None:
    """Fill an empty retriever with what is stored of it.

    Raises:
        IndexDamaged: If the index has no such table.
    """
    for name, rows in placed(retriever, place).items():
        state.fill(name, rows)


def record_of(state: State, place: str, kind: str | None = None) -> dict[str, Any]:
    """Return what an index says of a stage.

    Args:
        state: The index.
        place: The stage, "retriever" or "reranker".
        kind: The kind that it must be; None for any.

    Raises:
        IndexDamaged: If it has none, or one of another kind.
    """
    stages = state.manifest.settings.get("stages")
    record = stages.get(place) if isinstance(stages, dict) else None
    if record is None:
        raise IndexDamaged(f"{str(state.folder)!r} has no {place}; index again with one")
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        raise IndexDamaged(f"{str(state.folder)!r} is damaged: its {place} has no kind")
    if kind is not None and record["kind"] != kind:
        raise IndexDamaged(f"{str(state.folder)!r} must hold {kind!r}, got {record['kind']!r}")
    return dict(record)
