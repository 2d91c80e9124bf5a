"""Triples that name their texts by ids, and the texts of a file by their ids."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glane.collection.dataset import FIELDS, QUERY_IDS, QUERY_TEXTS
from glane.collection.fields import has_field, join_fields, look_up
from glane.collection.messages import listed
from glane.collection.pairs import HEADERLESS, NAMES, NUMBERED, Fields, Pair
from glane.collection.records import as_key
from glane.collection.rows import Rows
from glane.collection.stored import Stored
from glane.types import Ids

ID_NAMES = {
    "anchor": ("query_id", "query-id", "qid"),
    "positive": (
        *("positive_id", "positive-id", "positive_ids", "positive_document_ids"),
        *("pos_id", "pos_ids", "positive_pid", "positive_pids"),
    ),
    "negatives": (
        *("negative_id", "negative-id", "negative_ids", "negative-ids", "negative_document_ids"),
        *("neg_id", "neg_ids", "negative_pid", "negative_pids"),
    ),
}
"""What fields of ids are called, or as those of texts: see `glane.collection.pairs.NAMES`."""

RANKED = ("document_ids", "doc_ids", "passage_ids", "pids")
"""Fields of PyLate and others that hold all documents of a query, with `scores` beside them."""

DOCUMENT_IDS = ("_id", "id", "document_id", "doc_id", "docid", "passage_id", "pid")
"""Fields of a document's id: the first that a record has is read."""

BETWEEN = re.compile(r"[\s,]+")


def id_rows(path: str | Path) -> Rows:
    """Return the rows of a file of triples by ids; a line may be an array, as in ColBERT's."""
    return Rows(path, *HEADERLESS, array=from_array)


def from_array(values: Sequence[Any]) -> dict[str, Any]:
    """Return the record of a line of ColBERT's: a query, its positive, and any negatives.

    Each document may be an array of its id and a teacher's score.

    >>> from_array([7, [1, 0.5], [2, 0.25]])
    {'query_id': 7, 'positive_id': 1, 'negative_ids': [2], 'teacher_scores': [0.5, 0.25]}

    Raises:
        ValueError: If it is neither.
    """
    if len(values) < 2:
        raise ValueError(
            f"expected a query and a document at least, got {listed(map(str, values))}"
        )
    query, *documents = values
    record: dict[str, Any] = {"query_id": query}
    if all(isinstance(each, list) and len(each) == 2 for each in documents):
        documents, record["teacher_scores"] = ([each[n] for each in documents] for n in (0, 1))
    first, *others = documents
    return {"query_id": query, "positive_id": first, "negative_ids": others, **record}


class IdReader:
    """Makes pairs of records that name their texts by ids; the pairs have the ids as texts."""

    def __init__(self, fields: Fields) -> None:
        """Take the names of the fields that have none in common use."""
        self._fields = fields

    def pair(self, record: Mapping[str, Any]) -> Pair:
        """Return the pair of ids that a record is.

        Of documents in one field, as in `RANKED`, the one with the highest score answers the query,
        or the first, where there are no scores.

        Raises:
            ValueError: If a field is missing, or holds no ids; the message names the field.
        """
        names = list(record)
        anchor = self._fields.anchor or _named("anchor", names)[0]
        query = _ids(record, anchor)
        if len(query) != 1:
            raise ValueError(f"`{anchor}` must be one id, got {len(query)}")
        ranked = [name for name in names if name.strip().casefold() in RANKED]
        if ranked and not self._fields.positive:
            return _ranked(query[0], record, ranked[0])
        positive = self._fields.positive or _named("positive", names)[0]
        negatives = [self._fields.negatives] if self._fields.negatives else _negatives(names)
        positives = _ids(record, positive)
        if not positives:
            raise ValueError(f"`{positive}` is empty")
        found = [id for name in negatives for id in _ids(record, name)]
        return Pair(query[0], positives, tuple(dict.fromkeys(found)), "", record)

    def finish(self) -> None:
        """There is nothing that only all records can show."""


def _ranked(query: str, record: Mapping[str, Any], name: str) -> Pair:
    ids = _ids(record, name)
    if not ids:
        raise ValueError(f"`{name}` is empty")
    scores = record.get("scores")
    scores = _parsed(scores) if isinstance(scores, str) else scores
    if not scores:
        return Pair(query, ids[:1], ids[1:], "", {})
    if not isinstance(scores, list) or len(scores) != len(ids):
        raise ValueError(
            f"`scores` must be {len(ids)}, one for each of `{name}`, got {scores!r:.60}"
        )
    best = max(range(len(ids)), key=lambda row: (scores[row], -row))
    order = [best, *(row for row in range(len(ids)) if row != best)]
    taught = {"teacher_scores": [scores[row] for row in order]}
    return Pair(query, (ids[best],), tuple(ids[row] for row in order[1:]), "", taught)


def _named(role: str, names: Sequence[str]) -> list[str]:
    for known in (ID_NAMES[role], NAMES[role]):
        found = [name for name in names if name.strip().casefold() in known]
        if found:
            return found
    raise ValueError(
        f"`{role}` is missing: none of {list(ID_NAMES[role])} is among the fields {listed(names)}; "
        f"name it with --{role}"
    )


def _negatives(names: Sequence[str]) -> list[str]:
    known = {*ID_NAMES["negatives"], *NAMES["negatives"]}
    folded = {name: name.strip().casefold() for name in names}
    return [n for n in names if folded[n] in known or NUMBERED.fullmatch(folded[n])]


def _ids(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the ids of a field: one, a list, lists by system, or a cell with blanks or commas."""
    value = look_up(record, name)
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return tuple(id for part in value for id in _ids(value, part))
    if isinstance(value, str):
        value = _parsed(value)
    found = []
    for each in value if isinstance(value, list) else [value]:
        id = as_key(each)
        if id is None:
            raise ValueError(f"`{name}` must be ids, got {each!r:.60}")
        found.append(str(id))
    return tuple(found)


def _parsed(cell: str) -> list[Any]:
    if cell.lstrip().startswith("["):
        try:
            value = json.loads(cell)
        except ValueError:
            value = None
        if isinstance(value, list):
            return value
    return [part for part in BETWEEN.split(cell) if part]


class ById:
    """The texts of a file by their ids: 32 bytes of each are in memory, and not the texts.

    Attributes:
        name: How messages call the file.
        hashes: int64, shape (n_texts,), what `hash_of` makes of each text.
    """

    def __init__(
        self,
        rows: Rows,
        keys: Sequence[str],
        text_of: Callable[[Mapping[str, Any]], str],
        hash_of: Callable[[str], int],
    ) -> None:
        """Read all of the file.

        Args:
            rows: The file.
            keys: Fields of the id: the first that a record has is read.
            text_of: Returns the text of a record.
            hash_of: What is kept of a text.

        Raises:
            OSError: If the file is missing, a folder, or not readable.
            ValueError: If a record is malformed, an id or a text is missing, or an id appears
                twice; the message names file and line.
        """
        self._stored, self._keys, self._text_of = Stored(rows), keys, text_of
        self.name = rows.name
        ids, hashes = array("q"), array("q")
        for record in self._stored.read():
            try:
                ids.append(hash(self._id(record)))
                text = text_of(record)
                if not text.strip():
                    raise ValueError("has no text")
                hashes.append(hash_of(text))
            except ValueError as error:
                raise ValueError(f"{self._stored.here()}: {error}") from None
        self.hashes = np.array(hashes, np.int64)
        self._order: Ids = np.argsort(np.array(ids, np.int64), kind="stable")
        self._sorted = np.array(ids, np.int64)[self._order]
        twice = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        if len(twice):
            number = int(self._order[twice[0] + 1])
            id = self._id(self._stored[number])
            raise ValueError(f"{self._stored.place(number)}: the id {id!r} appears twice")

    def number(self, id: str) -> int:
        """Return the number of a text, from 0.

        Raises:
            ValueError: If there is no such id.
        """
        at = int(np.searchsorted(self._sorted, hash(id)))
        if at == len(self._sorted) or self._sorted[at] != hash(id):
            raise ValueError(f"{id!r} is not in {self.name}")
        return int(self._order[at])

    def text(self, id: str) -> str:
        """Return a text.

        Raises:
            ValueError: If there is no such id, or the file was changed since it was read.
        """
        return self._text_of(self._stored[self.number(id)])

    def fingerprint(self) -> bytes:
        """Return the sha256 of all that was read."""
        return self._stored.fingerprint()

    def _id(self, record: Mapping[str, Any]) -> str:
        for name in self._keys:
            if has_field(record, name):
                id = as_key(look_up(record, name))
                if id is None:
                    raise ValueError(f"`{name}` must be an id, got {look_up(record, name)!r:.60}")
                return str(id)
        raise ValueError(f"has no id: none of {list(self._keys)} is among {listed(record)}")


def queries_by_id(path: str | Path, hash_of: Callable[[str], int]) -> ById:
    """Return the queries of a file by their ids; without a header it has id and text."""

    def text_of(record: Mapping[str, Any]) -> str:
        for name in QUERY_TEXTS:
            if has_field(record, name):
                return join_fields(record, FIELDS if name == "text" else (name,))
        raise ValueError(f"has no text: none of {list(QUERY_TEXTS)} is among {listed(record)}")

    return ById(Rows(path, ("_id", "text")), QUERY_IDS, text_of, hash_of)


def documents_by_id(
    path: str | Path, key: str | None, on: Sequence[str], hash_of: Callable[[str], int]
) -> ById:
    """Return the documents of a file by their ids.

    Without a header it has id and text, as MS MARCO and ColBERT have it, or a title behind the
    text, or id, url, title and text.

    Args:
        path: The file.
        key: Field of the id; by default the first of `DOCUMENT_IDS` that is there.
        on: Fields of the text; one that is missing or empty adds nothing.
        hash_of: What is kept of a text.
    """
    text, id = on[-1], key or "_id"
    rows = Rows(path, (id, text), (id, text, "title"), (id, "url", "title", text))
    keys = DOCUMENT_IDS if key is None else (key,)
    return ById(rows, keys, lambda record: join_fields(record, on), hash_of)
