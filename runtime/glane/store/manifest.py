"""The manifest: one small file that says what an index is made of; renaming it is the commit."""

from __future__ import annotations

import json
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from glane.errors import IndexDamaged, no_folder

MANIFEST = "manifest.json"
SHARDS = "shards.json"
"""Names the shards of a folder that holds several indexes of one collection."""

DRAFT = "draft.json"
"""The manifest of an index that is still being made; readers do not look at it."""

FORMAT_VERSION = 2
READ_VERSIONS = (1, 2)
"""Version 1 kept each array of a segment in an `.npy` file of its own."""

SEAL = ',\n "crc32": "'
"""Before the checksum of all that stands before, in the last line."""

MOST_BYTES = 1 << 26
"""A longer manifest is not read: that of an index of a hundred segments has some kilobytes."""

TABLE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_-]+)?")
SEGMENT = re.compile(r"[0-9a-f]{16}")
FILE = re.compile(
    r"segments/[a-z0-9_.-]+\.(safetensors|npy)"
    r"|segments/[a-z0-9_.-]+/[A-Za-z0-9_.-]+\.npy"
    r"|models/[0-9a-z-]+/[A-Za-z0-9_-][A-Za-z0-9_.-]*"
)
"""Where the files of an index lie: never outside of it."""


Block = TypeVar("Block", bytes, memoryview, bytes | memoryview)


class FileEntry(NamedTuple):
    """Length in bytes and checksum (zlib's CRC-32) of a file."""

    n_bytes: int
    crc32: int


class Counted:
    """Length and checksum of a content, counted as it goes by."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._n_bytes = self._crc32 = 0

    @property
    def entry(self) -> FileEntry:
        """What has gone by so far."""
        return FileEntry(self._n_bytes, self._crc32)

    def of(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield blocks, and count them."""
        for block in blocks:
            self._n_bytes += len(block)
            self._crc32 = zlib.crc32(block, self._crc32)
            yield block


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment on disk: `segment_path` names its file."""

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
        generation: 1 for the first state, more for each further.
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


def segment_path(table: str, name: str) -> str:
    """Return where a segment lies in an index."""
    return f"segments/{table}-{name}.safetensors"


def segment_folder(table: str, name: str) -> str:
    """Return where a segment of version 1 lies: a folder with one `.npy` an array."""
    return f"segments/{table}-{name}"


def read_manifest(folder: Path, name: str = MANIFEST) -> Manifest:
    """Read the manifest of an index.

    Args:
        folder: The index.
        name: `MANIFEST`, or `DRAFT`.

    Raises:
        IndexDamaged: If it is missing, damaged, or of another version.
    """
    path = folder / name
    content = _content(path, folder)
    try:
        record = json.loads(content)
        version = record.pop("format_version")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise IndexDamaged(f"{str(path)!r} is damaged: {type(error).__name__}: {error}") from None
    if version not in READ_VERSIONS or isinstance(version, bool):
        raise IndexDamaged(
            f"{str(path)!r} has format_version {version!r}; this version of glane reads "
            f"{' and '.join(map(str, READ_VERSIONS))}. Upgrade glane, or index into another folder."
        )
    body, _, seal = content.rpartition(SEAL.encode())
    if seal != f'{zlib.crc32(body):08x}"\n}}\n'.encode():
        raise IndexDamaged(f"{str(path)!r} is damaged: its checksum differs")
    record.pop("crc32", None)
    try:
        return _manifest(record)
    except _WrongError as wrong:
        raise IndexDamaged(f"{str(path)!r} is damaged: {wrong}") from None


def _content(path: Path, folder: Path) -> bytes:
    """Read a regular file of bounded length; anything else could keep the reader for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        if not folder.is_dir():
            raise IndexDamaged(f"{no_folder(folder)}; `glane index` makes indexes") from None
        hint = "is it an index?"
        if path.name == MANIFEST and (folder / DRAFT).is_file():
            hint = "indexing was stopped before its end; the same command goes on from there"
        if (folder / SHARDS).is_file():
            hint = "it holds the shards of an index: `glane serve FOLDER --ray ADDRESS` serves them"
        raise IndexDamaged(f"{str(folder)!r} has no {path.name}; {hint}") from None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise IndexDamaged(f"{str(path)!r} is not a regular file")
        if status.st_size > MOST_BYTES:
            raise IndexDamaged(f"{str(path)!r} has {status.st_size} bytes, more than {MOST_BYTES}")
        return file.read(MOST_BYTES)


class _WrongError(Exception):
    """Something in a manifest is not as it must be; says what and where."""


def _manifest(record: Mapping[str, Any]) -> Manifest:
    _keys(record, ("generation", "settings", "tables", "files"), "the manifest")
    settings = _typed(record["settings"], dict, "`settings`")
    files = {
        _matching(name, FILE, "a path in `files`"): FileEntry(
            *(_number(each, f"`files`, {name!r}") for each in _pair(entry, name))
        )
        for name, entry in _typed(record["files"], dict, "`files`").items()
    }
    tables = {
        _matching(name, TABLE, "a name in `tables`"): _table(name, table, files)
        for name, table in _typed(record["tables"], dict, "`tables`").items()
    }
    return Manifest(_number(record["generation"], "`generation`", 1), settings, tables, files)


def _table(name: str, record: Any, files: Mapping[str, FileEntry]) -> TableEntry:  # noqa: ANN401
    where = f"`tables`, {name!r}"
    _keys(record, ("next_id", "segments", "deleted"), where)
    next_id = _number(record["next_id"], f"{where}, `next_id`")
    segments = [_segment(each, where) for each in _typed(record["segments"], list, where)]
    if sum(segment.n_rows for segment in segments) > next_id:
        raise _WrongError(f"{where} has more rows than `next_id`")
    for segment in segments:
        ids = f"{segment_folder(name, segment.name)}/ids.npy"
        if segment_path(name, segment.name) not in files and ids not in files:
            raise _WrongError(f"{where} names the segment {segment.name}, `files` does not")
    deleted = _typed(record["deleted"], list, f"{where}, `deleted`")
    for file in deleted:
        if not isinstance(file, str) or file not in files:
            raise _WrongError(f"{where} names {file!r}, `files` does not")
    return TableEntry(next_id, segments, deleted)


def _segment(record: Any, where: str) -> SegmentEntry:  # noqa: ANN401 (parsed JSON)
    _keys(record, ("name", "n_rows", "n_deleted"), f"a segment of {where}")
    n_rows = _number(record["n_rows"], f"{where}, `n_rows`", 1)
    n_deleted = _number(record["n_deleted"], f"{where}, `n_deleted`")
    if n_deleted >= n_rows:
        raise _WrongError(f"{where} has a segment of {n_rows} rows, {n_deleted} of them deleted")
    return SegmentEntry(_matching(record["name"], SEGMENT, f"a name of {where}"), n_rows, n_deleted)


def _keys(record: Any, names: tuple[str, ...], where: str) -> None:  # noqa: ANN401
    found = _typed(record, dict, where)
    if set(found) != set(names):
        raise _WrongError(f"{where} must have the keys {list(names)}, got {list(found)}")


def _typed(value: Any, kind: type[Any], where: str) -> Any:  # noqa: ANN401 (parsed JSON)
    if type(value) is not kind:
        raise _WrongError(f"{where} must be a {kind.__name__}, got {type(value).__name__}")
    return value


def _number(value: Any, where: str, least: int = 0) -> int:  # noqa: ANN401 (parsed JSON)
    if type(value) is not int or not least <= value < 1 << 62:
        raise _WrongError(f"{where} must be an integer of at least {least}, got {value!r}")
    return value


def _pair(value: Any, name: str) -> list[Any]:  # noqa: ANN401 (parsed JSON)
    if type(value) is not list or len(value) != 2:
        raise _WrongError(f"`files`, {name!r} must be length and checksum, got {value!r}")
    return value


def _matching(value: Any, pattern: re.Pattern[str], where: str) -> str:  # noqa: ANN401
    if not isinstance(value, str) or not pattern.fullmatch(value) or ".." in value:
        raise _WrongError(f"{where} must match {pattern.pattern}, got {value!r}")
    return value
