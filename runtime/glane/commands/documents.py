"""Documents from a file into an index: all checked first, then encoded and committed in chunks."""

from __future__ import annotations

import argparse
import time
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from glane.collection.dataset import read_jsonl
from glane.collection.records import check_fields, read_record
from glane.commands.usage import Bounded
from glane.hits import Key
from glane.model.progress import bar
from glane.search import Search
from glane.types import Ids

CHUNK_BYTES = 1 << 22
"""What is encoded and not yet committed takes about so much memory at most, ..."""

CHUNK_SECONDS = 10.0
"""... and so long until it is committed."""

AT_FIRST, AT_ONCE = 16, 512
"""Documents encoded at once: at first, and later if what is stored of them is small."""

TEXT_BYTES = 1 << 21
"""Bytes of a file's lines that are encoded at once, about."""


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
        "--documents", required=True, metavar="FILE", help="JSON lines, one document a line"
    )


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


def check_documents(path: str, search: Search) -> Checked:
    """Read all documents once, so that what would be refused is refused before any is encoded.

    Raises:
        ValueError: If a line is not a document that the search takes, an id appears twice, or a
            field that is searched is in none of them; the message names file and line.
    """
    n_empty, hashes, fields = 0, array("Q"), set[str]()
    with bar(None, "reading documents", shown=True) as shown:
        for number, record in read_jsonl(path):
            key, text = read_record(record, search.key, search.on, _line(path, number))
            hashes.append(_hash(key))
            fields |= record.keys()
            n_empty += not text
            shown.update(1)
    _refuse_repeated(path, search, np.frombuffer(hashes, np.uint64))
    if len(hashes):
        check_fields(search.on, fields, first=not len(search))
    return Checked(len(hashes), n_empty)


def store_documents(path: str, search: Search, checked: Checked, folder: str) -> Stored:
    """Add the documents of a file, and save them as they are encoded.

    Args:
        path: The file, which `check_documents` has seen.
        search: Takes them; it is being edited, or built.
        checked: What that said.
        folder: The index that it is saved to.

    Raises:
        KeyboardInterrupt: If it is stopped; the message says what is stored.
    """
    records = (record for _, record in read_jsonl(path))
    numbers = [np.empty(0, np.int64)]
    n_written, n_saved, at_once, last = 0, len(search), AT_FIRST, time.monotonic()
    try:
        with bar(checked.n_documents, "documents", shown=True) as shown:
            while chunk := list(_bounded(islice(records, at_once))):
                n_written += search.add(chunk)
                numbers.append(search.numbers(record[search.key] for record in chunk))
                shown.update(len(chunk))
                unsaved = search.n_unsaved_bytes()
                at_once = _fitting(at_once, unsaved)
                if unsaved > CHUNK_BYTES or time.monotonic() - last > CHUNK_SECONDS:
                    search.save(folder)
                    n_saved, last = len(search), time.monotonic()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; {n_saved} documents are stored, and the same command goes on from there"
        ) from None
    return Stored(n_written, np.concatenate(numbers))


def _bounded(records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield records until their texts are long enough to be encoded."""
    n_bytes = 0
    for record in records:
        yield record
        n_bytes += sum(len(value) for value in record.values() if isinstance(value, str))
        if n_bytes > TEXT_BYTES:
            return


def _fitting(at_once: int, unsaved: int) -> int:
    """Return how many documents to encode at once, by the bytes of those that wait."""
    if unsaved > CHUNK_BYTES:
        return max(AT_FIRST, at_once // 2)
    return min(AT_ONCE, at_once * 2) if unsaved < CHUNK_BYTES // 4 else at_once


def _line(path: str, number: int) -> str:
    return f"{path!r}, line {number}"


def _hash(key: Key) -> int:
    name = f"{type(key).__name__}{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little")


def _refuse_repeated(
    path: str, search: Search, hashes: np.ndarray[Any, np.dtype[np.uint64]]
) -> None:
    """Refuse a file in which an id appears twice; the ids are read again only if hashes do."""
    values, counts = np.unique(hashes, return_counts=True)
    suspects = set(values[counts > 1].tolist())
    seen: dict[Key, int] = {}
    for number, record in read_jsonl(path) if suspects else ():
        key, _ = read_record(record, search.key, (), _line(path, number))
        if _hash(key) in suspects:
            if key in seen:
                raise ValueError(
                    f"{_line(path, number)}: document {key!r} appears twice, first in line "
                    f"{seen[key]}"
                )
            seen[key] = number
