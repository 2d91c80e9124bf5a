"""The manifest: one small file that says what an index is made of; renaming it is the commit."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from glane.errors import CheckpointError

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
SEAL = ',\n "crc32": "'
"""Before the checksum of all that stands before, in the last line."""


class FileEntry(NamedTuple):
    """Length in bytes and checksum (zlib's CRC-32) of a file."""

    n_bytes: int
    crc32: int


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment on disk: `segment_folder` holds one `.npy` an array."""

    name: str
    n_rows: int
    n_deleted: int


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A `Segments` on disk.

    Attributes:
        next_id: The number of the next row.
        segments: Its segments, in order of their numbers.
        deleted: Files that hold the numbers of deleted rows.
    """

    next_id: int
    segments: list[SegmentEntry]
    deleted: list[str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One state of an index.

    Attributes:
        generation: 1 for the first state, 1 more for each further.
        settings: What makes the stages that search it.
        tables: What is stored, by name.
        files: Every file but the manifest, by its path in the index.
    """

    generation: int
    settings: dict[str, Any]
    tables: dict[str, TableEntry]
    files: dict[str, FileEntry]

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        record = {"format_version": FORMAT_VERSION, **asdict(self)}
        text = json.dumps(record, ensure_ascii=False, indent=1)
        body = text.removesuffix("\n}").encode("utf-8")
        return body + f'{SEAL}{zlib.crc32(body):08x}"\n}}\n'.encode()


def segment_folder(table: str, name: str) -> str:
    """Return where a segment lies in an index."""
    return f"segments/{table}-{name}"


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an index.

    Raises:
        CheckpointError: If it is missing, damaged, or of another version.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"{str(folder)!r} has no {MANIFEST}; is it an index?") from None
    try:
        record = json.loads(content)
        version = record.pop("format_version")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{str(path)!r} is damaged: {error!r}") from None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{str(path)!r} has format_version {version!r}; this version of glane reads "
            f"{FORMAT_VERSION}. Upgrade glane, or index into another folder."
        )
    body, _, seal = content.rpartition(SEAL.encode())
    if seal != f'{zlib.crc32(body):08x}"\n}}\n'.encode():
        raise CheckpointError(f"{str(path)!r} is damaged: its checksum is another")
    tables = {
        name: TableEntry(
            table["next_id"],
            [SegmentEntry(**segment) for segment in table["segments"]],
            table["deleted"],
        )
        for name, table in record["tables"].items()
    }
    files = {name: FileEntry(*entry) for name, entry in record["files"].items()}
    return Manifest(record["generation"], record["settings"], tables, files)
