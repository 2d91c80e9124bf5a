"""`glane push postgres`: an index's documents as the rows of a table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from psycopg import Connection, Error, connect
from psycopg.sql import SQL, Literal

from glane.hits import best
from glane.integrations.postgres import (
    DIMENSIONS,
    OWN,
    Stored,
    held_by,
    identifier,
    sparse_texts,
    stored,
)
from glane.integrations.pushed import Pushed
from glane.model.progress import bar, telling
from glane.vectors import SparseVectors
from glane_engines.contents import Entry, check_ids, content, entries

MOST_TERMS = 16_000
"""Terms that a sparsevec holds; of more, the heaviest are kept."""

CREATE = SQL(
    """CREATE TABLE {table} (
    id {kind} NOT NULL, place integer NOT NULL, number bigint NOT NULL, state text NOT NULL,
    fields json, terms sparsevec({dimensions}) NOT NULL,
    lengths integer[], codes bytea STORAGE EXTERNAL, scales bytea STORAGE EXTERNAL,
    PRIMARY KEY (id, place))"""
)

INSERT = SQL(
    """INSERT INTO {table} (id, place, number, state, fields, terms, lengths, codes, scales)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""
)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Push an index, or go on with it."""
    pushed = Pushed(arguments.index, arguments.threads)
    try:
        with telling("connecting"):
            connection = connect(arguments.place)
        with connection:
            place = f"{connection.info.dbname} of {connection.info.host}"
            done = push(connection, arguments.name, pushed)
    except Error as error:
        raise OSError(f"PostgreSQL: {error}") from error
    return {"place": place, "name": arguments.name, **done}


def push(connection: Connection[Any], table: str, pushed: Pushed) -> dict[str, int]:
    """Write an index's documents into a table, so that it holds these alone.

    Some documents are one transaction. One that is there already as it would be written is left
    alone: stopped, a push goes on.

    Args:
        connection: To the database, with pgvector.
        table: Made where it is missing.
        pushed: The index.

    Returns:
        How many `documents` it holds in how many `rows`, how many documents
        were `written`, how many rows were `deleted`, and of how many rows terms were `cut`.

    Raises:
        ValueError: If the table is there, and holds something else, or ids are of both kinds.
    """
    _prepare(connection, table, SQL("bigint") if check_ids(pushed) is int else SQL("text"))
    held = {"documents": len(pushed.search), "state": pushed.state}
    _note(connection, table, {**held, "finished": False})
    n_written = n_cut = 0
    with bar(len(pushed.search), "pushing") as shown:
        for some in entries(pushed):
            absent = _missing(connection, table, pushed.state, some)
            n_written += len(absent)
            n_cut += _write(connection, table, pushed, absent)
            connection.commit()
            shown.update(len(some))
    where = SQL("DELETE FROM {table} WHERE state <> {state}")
    told = where.format(table=identifier(table), state=pushed.state)
    n_deleted = connection.execute(told).rowcount
    _note(connection, table, {**held, "finished": True})
    row = connection.execute(SQL("SELECT count(*) FROM {}").format(identifier(table))).fetchone()
    return {
        "documents": len(pushed.search),
        "rows": 0 if row is None else int(row[0]),
        "written": n_written,
        "deleted": n_deleted,
        "cut": n_cut,
    }


def _prepare(connection: Connection[Any], table: str, kind: SQL) -> None:
    """Make the table, or refuse one that is not of a push."""
    if held_by(connection, table) is not None:
        return
    name = identifier(table).as_string(connection)
    row = connection.execute("SELECT to_regclass(%s)", [name]).fetchone()
    if row is not None and row[0] is not None:
        raise ValueError(f"the table {table!r} holds no documents of glane push; name another")
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    made = CREATE.format(table=identifier(table), kind=kind, dimensions=Literal(DIMENSIONS))
    connection.execute(made)
    by_state = SQL("CREATE INDEX ON {table} (state)").format(table=identifier(table))
    connection.execute(by_state)


def _note(connection: Connection[Any], table: str, held: dict[str, Any]) -> None:
    """Write beside the documents what the table holds, or is going to."""
    told = Literal(json.dumps({OWN: held}))
    comment = SQL("COMMENT ON TABLE {table} IS {told}")
    connection.execute(comment.format(table=identifier(table), told=told))
    connection.commit()


def _missing(
    connection: Connection[Any], table: str, state: str, some: Sequence[Entry]
) -> list[Entry]:
    """Return the documents that are not there as they would be written."""
    query = SQL("SELECT id FROM {table} WHERE place = 0 AND state = {state} AND id = ANY({ids})")
    keys = [entry.key for entry in some]
    told = query.format(table=identifier(table), state=state, ids=keys)
    there = {row[0] for row in connection.execute(told).fetchall()}
    return [entry for entry in some if entry.key not in there]


def _write(connection: Connection[Any], table: str, pushed: Pushed, some: Sequence[Entry]) -> int:
    """Write documents in the place of what is there of them; return of how many rows were cut."""
    if not some:
        return 0
    gone = SQL("DELETE FROM {table} WHERE id = ANY({ids})")
    keys = [entry.key for entry in some]
    connection.execute(gone.format(table=identifier(table), ids=keys))
    rows, n_cut = [], 0
    for entry in some:
        own = content(pushed, entry)
        terms = heaviest(own.terms)
        n_cut += int((np.diff(own.terms.indptr) > MOST_TERMS).sum())
        vectors = Stored([], b"", b"") if pushed.reranker is None else stored(own.tokens)
        for place, text in enumerate(sparse_texts(terms)):
            about = (json.dumps(own.fields), text, *vectors) if place == 0 else (None, text, *NONE)
            rows.append((entry.key, place, entry.number, pushed.state, *about))
    with connection.cursor() as cursor:
        cursor.executemany(INSERT.format(table=identifier(table)), rows)
    return n_cut


NONE = (None, None, None)
"""What rows of further passages have of token vectors: all of them stand in the first."""


def heaviest(terms: SparseVectors) -> SparseVectors:
    """Return rows with their heaviest terms, as many as a sparsevec holds."""
    if (np.diff(terms.indptr) <= MOST_TERMS).all():
        return terms
    rows = [_heaviest(terms[row : row + 1]) for row in range(len(terms))]
    return SparseVectors.concatenate(rows)


def _heaviest(row: SparseVectors) -> SparseVectors:
    kept = np.sort(best(row.values, row.indices.astype(np.int64), MOST_TERMS))
    ends = np.array([0, len(kept)], np.int64)
    return replace(row, indptr=ends, indices=row.indices[kept], values=row.values[kept])
