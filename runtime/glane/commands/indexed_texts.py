"""The texts that an index was made of: of the documents that it keeps, or of a file; checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from glane.collection.fields import join_fields
from glane.collection.folder import DocumentRows
from glane.collection.ids import find_ids
from glane.collection.records import read_record
from glane.model.progress import bar
from glane.retrievers.answers import Fields
from glane.retrievers.collection import content_hashes, stored_hashes
from glane.store.documents import Documents
from glane.store.names import Hashes, Name, Names
from glane.store.segments import ids_left
from glane.types import Ids

AT_ONCE = 512
"""Documents that are read or looked up together."""


class Read(NamedTuple):
    """What is read of a document.

    Attributes:
        text: What is searched of it.
        content: What tells whether that is what the index was made of (`Fields.content`).
    """

    text: str
    content: str


Texts = Callable[[Names, Ids], Iterator[Read]]
"""Yields what is read of each document, of rising numbers, by the keys of the index."""


def kept_texts(kept: Documents, fields: Fields) -> Texts:
    """Return the texts of the documents that an index keeps."""

    def texts(_: Names, numbers: Ids) -> Iterator[Read]:
        for start in range(0, len(numbers), AT_ONCE):
            for record in kept.get(numbers[start : start + AT_ONCE]):
                text = join_fields(record, fields.on)
                yield Read(text, fields.content(record, text))

    return texts


def check_file(rows: DocumentRows, fields: Fields, keys: Names) -> int:
    """Read a file once, so that what would be refused is refused before anything is encoded.

    Returns:
        How many of its documents the index does not hold.

    Raises:
        ValueError: If it lacks a document of the index, or has another text for it.
    """
    n_unknown = 0
    found = np.zeros(keys.rows.next_id, np.bool_)
    with bar(None, "reading documents", shown=True) as shown:
        for lines, names, read in _read(rows, fields):
            numbers = find_ids(keys, names)
            there = np.flatnonzero(numbers >= 0)
            own = stored_hashes(keys, numbers[there])
            differ = (own != _hashes(read)[there]).any(axis=1)
            if differ.any():
                row = int(there[differ][0])
                raise ValueError(
                    f"{rows.place(lines[row])}, id {names[row]!r}: its text differs from the one "
                    "that the index holds; `glane add` the file first"
                )
            found[numbers[there]] = True
            n_unknown += len(names) - len(there)
            shown.update(len(names))
    missing = np.flatnonzero(~found[ids_left(keys.rows.parts)])
    if len(missing):
        (name,) = keys.names(ids_left(keys.rows.parts)[missing[:1]])
        raise ValueError(
            f"{rows.name} lacks {len(missing)} documents of the index, such as {name!r}; pass the "
            "file that the index was made of, or `glane delete` them first"
        )
    return n_unknown


def file_texts(rows: DocumentRows, fields: Fields) -> Texts:
    """Return the texts of a file's documents; those that come before their turn wait in memory."""

    def texts(keys: Names, numbers: Ids) -> Iterator[Read]:
        wanted, turns, waiting = set(numbers.tolist()), iter(numbers.tolist()), dict[int, Read]()
        turn = next(turns, None)
        for _, names, found in _read(rows, fields):
            for number, read in zip(find_ids(keys, names).tolist(), found, strict=True):
                if number in wanted:
                    wanted.remove(number)
                    waiting[number] = read
            while turn in waiting:
                yield waiting.pop(turn)
                turn = next(turns, None)
        if turn is not None:
            raise ValueError(f"{rows.name} was changed while it was read; run the command again")

    return texts


def _read(rows: DocumentRows, fields: Fields) -> Iterator[tuple[list[int], list[Name], list[Read]]]:
    """Yield line, id and what is read of the documents of a file, some together."""
    records = iter(rows)
    while chunk := list(islice(records, AT_ONCE)):
        keys, read = [], []
        for line, record in chunk:
            key, text = read_record(record, fields.key, fields.on, rows.place(line))
            keys.append(key)
            read.append(Read(text, fields.content(record, text)))
        yield [line for line, _ in chunk], keys, read


def check_texts(keys: Names, numbers: Ids, read: Sequence[Read]) -> None:
    """Refuse texts that are not those that the index was made of.

    Raises:
        ValueError: If there is one; the message names the document.
    """
    differ = (stored_hashes(keys, numbers) != _hashes(read)).any(axis=1)
    if differ.any():
        (name,) = keys.names(numbers[differ][:1])
        raise ValueError(
            f"document {name!r} does not have the text that the index holds; pass --documents with "
            "a file in which it has, or `glane add` it first"
        )


def _hashes(read: Sequence[Read]) -> Hashes:
    return content_hashes([each.content for each in read])
