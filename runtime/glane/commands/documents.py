"""Documents from a file into an index: all checked first, then encoded and committed in chunks."""

from __future__ import annotations

import argparse
import time
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glane.collection.boosts import read_boosts
from glane.collection.dataset import FIELDS
from glane.collection.fields import chosen
from glane.collection.folder import DocumentRows
from glane.collection.ids import as_stored
from glane.collection.messages import listed
from glane.collection.records import (
    NAME_THE_ID,
    check_key,
    missing_field,
    present,
    read_record,
)
from glane.collection.where import read_filter
from glane.commands.usage import Bounded, UsageError, as_usage
from glane.hits import Key
from glane.model.progress import bar
from glane.search import Search
from glane.store.names import Name
from glane.store.values import check_row, check_types
from glane.types import Ids

CHUNK_BYTES = 1 << 22
"""What is encoded and not yet committed takes about so much memory at most, ..."""

CHUNK_SECONDS = 10.0
"""... and so long until it is committed."""

AT_FIRST, AT_ONCE = 16, 512
"""Documents encoded at once: at first, and later if what is stored of them is small."""

TEXT_BYTES = 1 << 21
"""Bytes of a file's lines that are encoded at once, about."""

AHEAD = 4
"""How many times as much of all that where several processes encode: at the end of what is encoded
at once they wait for one another, and while it is stored."""


Row = tuple[int, dict[str, Any]]


class Checked(NamedTuple):
    """What a file of documents holds.

    Attributes:
        n_documents: Documents.
        n_empty: Those without any text to search.
    """

    n_documents: int
    n_empty: int


class Stored(NamedTuple):
    """What was done with a file of documents.

    Attributes:
        n_written: Documents that are new, or differ from what was stored.
        numbers: The number of each document of the file, in its order.
    """

    n_written: int
    numbers: Ids


def add_documents_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the file of documents."""
    parser.add_argument(
        "--documents",
        required=True,
        metavar="FILE",
        help="JSON lines, a JSON array, CSV, TSV or Parquet, also with .gz; a folder of them, an "
        "address such as s3://bucket/corpus.jsonl, or - for standard input (docs/files.md)",
    )


def add_field_arguments(parser: argparse._ActionsContainer) -> None:
    """Declare which fields of a document are read."""
    parser.add_argument(
        "--key",
        metavar="FIELD",
        help="field of a document's id, such as id or meta.id, default _id",
    )
    parser.add_argument(
        "--on",
        metavar="FIELDS",
        help="fields to search, with commas between them, default title,text; `glane index` takes "
        "boosts behind them, for the words of bm25 and tfidf: title^2,text",
    )


def filters_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the fields that can be filtered by, and their types.

    Raises:
        UsageError: If one has no type, an unknown one, or is named twice.
    """
    types: dict[str, str] = {}
    for entry in arguments.fields.split(",") if arguments.fields else ():
        name, colon, type = entry.strip().rpartition(":")
        if not colon or name in types:
            raise UsageError(
                f"--fields must name each field once with its type, as in year:int, got {entry!r}"
            )
        types[name] = type
    try:
        return check_types(types)
    except ValueError as error:
        raise UsageError(f"--fields: {error}") from None


def filter_of(arguments: argparse.Namespace) -> str | None:
    """Return what --where says, refusing what cannot be read.

    Raises:
        UsageError: If it cannot.
    """
    where: str | None = arguments.where
    try:
        if where is not None:
            read_filter(where)
    except ValueError as error:
        raise UsageError(f"--where: {error}") from None
    return where


def fields_of(arguments: argparse.Namespace, *, boosts: bool = False) -> tuple[str, list[str]]:
    """Return the field of the id, and those that are searched.

    Args:
        arguments: What was given.
        boosts: Whether fields may be boosted, and are returned as `read_boosts` takes them; else
            their plain names are returned.

    Raises:
        UsageError: If a name is empty, or a boost wrong or without use.
    """
    key = "_id" if arguments.key is None else arguments.key
    fields: list[str] = list(FIELDS)
    if arguments.on is not None:
        fields = [name.strip() for name in arguments.on.split(",")]
    if not all([key, *fields]):
        raise UsageError("--key and --on must name fields, got an empty name")
    with as_usage("--on: "):
        names, found = read_boosts(fields)
    if found and not boosts:
        raise UsageError(
            "--on: fields are boosted by `glane index` alone, got "
            f"{arguments.on!r}; leave the boosts out, or measure the index with --index"
        )
    return key, fields if boosts else names


def refuse_fields(arguments: argparse.Namespace) -> None:
    """Refuse names of fields where no file of documents is given.

    Raises:
        UsageError: If there are any.
    """
    if arguments.key is not None or arguments.on is not None:
        raise UsageError("--key and --on name fields of --documents, which is missing")


def add_wait_argument(parser: argparse.ArgumentParser) -> None:
    """Declare how long another writer is waited for."""
    parser.add_argument(
        "--wait",
        type=float,
        action=Bounded,
        least=0,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait while somebody else writes to the index, default 0",
    )


def check_documents(
    rows: DocumentRows, search: Search, *, made: bool, strict: bool = False
) -> Checked:
    """Read all documents once, so that what would be refused is refused before any is encoded.

    Args:
        rows: The file.
        search: Takes them.
        made: Whether its index was made before, with a --key and an --on of its own.
        strict: Whether each field that is searched must be in some document; else one must.

    Raises:
        ValueError: If a record is not a document that the search takes, an id appears twice, or no
            document has the fields that are searched; the message names file and line.
    """
    n_empty, hashes, fields, there = 0, array("Q"), set[str](), set[str]()
    with bar(None, "reading documents", shown=True) as shown:
        for number, record in rows:
            place = rows.place(number)
            key, text = _read(record, search, place, made=made)
            hashes.append(_hash(key))
            fields.update(record)
            there.update(present(record, search.on))
            n_empty += not text
            shown.update(1)
    _refuse_repeated(rows, search, np.frombuffer(hashes, np.uint64))
    missing = missing_field(search.on, there, all_needed=strict)
    if len(hashes) and missing is not None:
        how = (
            f"the index was made with --on {','.join(search.on)}"
            if made
            else "say with --on which are searched"
        )
        raise ValueError(
            f"{rows.name}: no document has the field {missing!r}: they have "
            f"{listed(sorted(fields))}; {how}"
        )
    return Checked(len(hashes), n_empty)


def _read(record: dict[str, Any], search: Search, place: str, *, made: bool) -> tuple[Name, str]:
    """Return id and text of a document that can be stored.

    Raises:
        ValueError: If it cannot.
    """
    how = f"the index was made with --key {search.key}" if made else NAME_THE_ID
    check_key(record, search.key, place, how)
    key, text = read_record(record, search.key, search.on, place)
    if key == "":
        raise ValueError(f"{place}: the key {search.key!r} is empty")
    check_row(chosen(record, search.types), search.types, f"{place}, id {key!r}")
    if search.kept is not None:
        try:
            search.kept.written([record])
        except ValueError as error:
            told = str(error).partition(" cannot ")[2]
            raise ValueError(f"{place}, id {key!r}: cannot {told}") from None
    return key, text


def store_documents(rows: DocumentRows, search: Search, checked: Checked, folder: str) -> Stored:
    """Add the documents of a file, and save them as they are encoded.

    An id that is stored in its other form, 7 or "7", replaces that document, and keeps its form.

    Args:
        rows: The file, which `check_documents` has seen.
        search: Takes them; it is being edited, or built.
        checked: What that said.
        folder: The index that it is saved to.

    Raises:
        KeyboardInterrupt: If it is stopped; the message says what is stored.
    """
    numbers = [np.empty(0, np.int64)]
    n_written, n_saved, last = 0, len(search), time.monotonic()
    times = AHEAD * search.n_processes if search.n_processes > 1 else 1
    at_once = times * _at_first(len(search), Path(folder))
    records = iter(rows)
    try:
        with bar(checked.n_documents, "documents", shown=True) as shown:
            while chunk := list(_bounded(islice(records, at_once), TEXT_BYTES * times)):
                stored = _store(chunk, rows, search)
                n_written += stored.n_written
                numbers.append(stored.numbers)
                shown.update(len(chunk))
                unsaved = search.n_unsaved_bytes()
                fitting = times * _fitting(at_once // times, unsaved // times)
                # Documents that are stored already say nothing of what others will take.
                if fitting < at_once or 2 * stored.n_written > len(chunk):
                    at_once = fitting
                if unsaved > CHUNK_BYTES * times or time.monotonic() - last > CHUNK_SECONDS:
                    search.save(folder)
                    n_saved, last = len(search), time.monotonic()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; {n_saved} documents are stored, and the same command goes on from there"
        ) from None
    return Stored(n_written, np.concatenate(numbers))


def _store(chunk: list[Row], rows: DocumentRows, search: Search) -> Stored:
    read = [read_record(record, search.key, search.on, rows.place(n)) for n, record in chunk]
    keys = as_stored(search.keys, [key for key, _ in read])
    n_written = search.store([record for _, record in chunk], keys, [text for _, text in read])
    return Stored(n_written, search.numbers(keys))


def _bounded(rows: Iterator[Row], most: int) -> Iterator[Row]:
    """Yield rows until their texts are long enough to be encoded."""
    n_bytes = 0
    for number, record in rows:
        yield number, record
        n_bytes += sum(len(value) for value in record.values() if isinstance(value, str))
        if n_bytes > most:
            return


def _at_first(n_stored: int, folder: Path) -> int:
    """Return how many documents to encode at once, by what those take that are stored already."""
    if not n_stored:
        return AT_FIRST
    n_bytes = sum(file.stat().st_size for file in (folder / "segments").rglob("*"))
    return max(AT_FIRST, min(AT_ONCE, CHUNK_BYTES // 4 * n_stored // n_bytes))


def _fitting(at_once: int, unsaved: int) -> int:
    """Return how many documents to encode at once, by the bytes of those that wait."""
    if unsaved > CHUNK_BYTES:
        return max(AT_FIRST, at_once // 2)
    return min(AT_ONCE, at_once * 2) if unsaved < CHUNK_BYTES // 4 else at_once


def _hash(key: Key) -> int:
    name = str(key).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little")


def _refuse_repeated(
    rows: DocumentRows, search: Search, hashes: np.ndarray[Any, np.dtype[np.uint64]]
) -> None:
    """Refuse a file in which an id appears twice; the ids are read again only if hashes do."""
    values, counts = np.unique(hashes, return_counts=True)
    suspects = set(values[counts > 1].tolist())
    seen: dict[str, tuple[Key, int]] = {}
    for number, record in rows if suspects else ():  # elements of an array may share a line
        key, _ = read_record(record, search.key, (), rows.place(number))
        if _hash(key) not in suspects:
            continue
        if str(key) in seen:
            first, line = seen[str(key)]
            form = "" if first == key else f" as {first!r}"
            raise ValueError(
                f"{rows.place(number)}: document {key!r} appears twice, first{form} in "
                f"{rows.place(line)}"
            )
        seen[str(key)] = key, number
