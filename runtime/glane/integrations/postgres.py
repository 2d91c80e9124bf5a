"""Searches documents that `glane push postgres` wrote to PostgreSQL, with the index's encoders.

>>> from glane.integrations.postgres import PostgresSearch  # doctest: +SKIP
>>> search = PostgresSearch("postgresql:///library", "documents", "index")  # doctest: +SKIP
>>> search.search(["how do plants eat light"], k=3).to_lists()  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glane.hits import Key, Results
from glane.integrations import missing
from glane.integrations.pushed import Found, Pushed, ranked, width
from glane.maxsim.kernel import maxsim_scores
from glane.maxsim.quantization import CodedVectors, TokenCodes
from glane.model.preparation import check_texts
from glane.ragged import join_lengths
from glane.retrievers.colbert import ColBERT
from glane.retrievers.fusion import Fuse, FusionSettings
from glane.search import Search
from glane.vectors import SparseVectors, TokenVectors

try:
    from psycopg import Connection, connect
    from psycopg.sql import SQL, Composable, Identifier
except ModuleNotFoundError as error:
    raise missing("'psycopg[binary]'", "psycopg", error) from None

OWN = "glane"
"""Name in the table's comment, which is JSON, of what `glane push` noted there."""

DIMENSIONS = 1_000_000_000
"""Of a sparsevec, the most there are: then the vocabulary may grow."""

FIND = SQL(
    """SELECT id, number, -min(terms <#> {terms}::sparsevec) AS score FROM {table}
    WHERE terms <#> {terms}::sparsevec < 0 AND {where}
    GROUP BY id, number ORDER BY score DESC, number LIMIT {limit}"""
)
"""The documents of the best sparse vectors, by all of them."""

VECTORS = SQL(
    "SELECT number, lengths, codes, scales FROM {table} WHERE place = 0 AND id = ANY({ids})"
)


class Stored(NamedTuple):
    """Token vectors of one document, as they stand in its row.

    Attributes:
        lengths: Tokens of each passage.
        codes: As `TokenCodes` has them, row by row; of float16 the vectors themselves.
        scales: float16, one a token; none of float16.
    """

    lengths: list[int]
    codes: bytes
    scales: bytes


class PostgresSearch:
    """Searches a table as `Search` does its index, with the same ids, order and scores.

    Terms are multiplied in SQL, token vectors of the candidates by glane.

    Attributes:
        connection: To the database; each statement is a transaction of its own.
        table: Its name.
        pushed: The index, whose encoders read the queries.
    """

    def __init__(
        self, dsn: str, table: str, index: str | Path | Search, threads: int | None = None
    ) -> None:
        """Open both.

        Args:
            dsn: Of the database, as psycopg takes it.
            table: Its name, with a schema before a dot or without.
            index: The index that was pushed: its models and vocabulary are read.
            threads: Threads to compute with; by default what the process may use.

        Raises:
            CheckpointError: If the index is missing or damaged.
            ValueError: If no engine can hold such an index, or the table holds another one,
                another state of it, or a part.
        """
        self.table = table
        self.pushed = Pushed(index, threads)
        self.connection = connect(dsn, autocommit=True)
        try:
            self.pushed.check(held_by(self.connection, table), f"the table {table!r}")
        except BaseException:
            self.connection.close()
            raise

    def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        candidates: int | None = None,
        fuse: Fuse | None = None,
        fuse_weight: float | None = None,
        where: Composable = SQL("true"),  # noqa: B008 (never changed)
    ) -> Results:
        """Return the k best documents for each query; see `Search.search`.

        Args:
            queries: Any strings.
            k: Documents wanted per query, at least 1.
            candidates: Documents that are found by their terms to be reranked, at least 1.
            fuse: How both rankings are joined.
            fuse_weight: Share of the first, in [0, 1].
            where: A condition in SQL, made by `psycopg.sql`; which documents may be found.

        Raises:
            TypeError: If `queries` is one string, or holds something else than strings.
            ValueError: If a number is out of range, or fusion is asked for without a reranker.
        """
        texts = check_texts(queries, "queries")
        how = self.pushed.ranking(FusionSettings(fuse, fuse_weight, candidates))
        reranker = self.pushed.reranker
        wide = width(k, how)
        wanted = k if reranker is None else wide
        found = [self._find(each, wanted, where) for each in sparse_texts(self.pushed.terms(texts))]
        if reranker is None:
            rows = [ranked(first, None, k, how) for first in found]
        else:
            tokens = self.pushed.tokens(texts)
            rows = [
                ranked(first, self._rerank(reranker, tokens[row : row + 1], first), k, how)
                for row, first in enumerate(found)
            ]
        return Results([ids for ids, _ in rows], [scores for _, scores in rows])

    def documents(self, keys: Iterable[Key]) -> list[dict[str, Any]]:
        """Return the fields of documents, as they were pushed.

        Raises:
            ValueError: If an id is unknown.
        """
        wanted = list(keys)
        query = SQL("SELECT id, fields FROM {table} WHERE place = 0 AND id = ANY({ids})")
        told = query.format(table=identifier(self.table), ids=wanted)
        found: dict[Key, dict[str, Any]] = dict(self.connection.execute(told).fetchall())
        for key in wanted:
            if key not in found:
                raise ValueError(f"unknown document {key!r}")
        return [found[key] for key in wanted]

    def _find(self, terms: str, limit: int, where: Composable) -> list[Found]:
        """Return the best documents by their terms."""
        query = FIND.format(terms=terms, table=identifier(self.table), where=where, limit=limit)
        rows = self.connection.execute(query).fetchall()
        return [Found(number, id, 1, score) for id, number, score in rows]

    def _rerank(
        self, reranker: ColBERT, query: TokenVectors, first: Sequence[Found]
    ) -> list[Found]:
        """Return the passages of documents that were found, scored by MaxSim, best first."""
        keys = {each.number: each.key for each in first}
        if not keys:
            return []
        told = VECTORS.format(table=identifier(self.table), ids=list(keys.values()))
        rows = self.connection.execute(told, binary=True).fetchall()
        stored = [Stored(*row[1:]) for row in rows]
        owners = np.repeat([row[0] for row in rows], [len(own.lengths) for own in stored])
        codes = tokens_of(stored, reranker)
        scores = maxsim_scores(query, codes, reranker.encoder.threads)
        passages = [
            Found(number, keys[number], 1, score)
            for number, score in zip(owners.tolist(), scores[0].tolist(), strict=True)
        ]
        return sorted(passages, key=lambda each: (-each.score, each.number))


def stored(tokens: Sequence[TokenCodes]) -> Stored:
    """Return the token vectors of a document's passages as a row has them."""
    lengths = [int(own.offsets[-1]) for own in tokens]
    if all(isinstance(own, TokenVectors) for own in tokens):
        values = b"".join(own.values.tobytes() for own in tokens if isinstance(own, TokenVectors))
        return Stored(lengths, values, b"")
    coded = [own for own in tokens if isinstance(own, CodedVectors)]
    codes = b"".join(own.codes.tobytes() for own in coded)
    return Stored(lengths, codes, b"".join(own.scales.tobytes() for own in coded))


def tokens_of(rows: Sequence[Stored], reranker: ColBERT) -> TokenCodes:
    """Return the token vectors of some rows, a passage each.

    Args:
        rows: From `stored`.
        reranker: Whose vectors they are.
    """
    kind, dim = reranker.index.storage.kind, reranker.index.dim
    offsets = join_lengths([length for own in rows for length in own.lengths])
    codes = b"".join(own.codes for own in rows)
    if kind == "float16":
        return TokenVectors(offsets, np.frombuffer(codes, np.float16).reshape(-1, dim))
    scales = np.frombuffer(b"".join(own.scales for own in rows), np.float16)
    if kind == "int8":
        return CodedVectors(offsets, np.frombuffer(codes, np.int8).reshape(-1, dim), scales)
    return CodedVectors(offsets, np.frombuffer(codes, np.uint8).reshape(-1, dim // 2), scales)


def sparse_texts(vectors: SparseVectors) -> list[str]:
    """Return each row as a sparsevec is written, its numbers counted from 1."""
    rows = vectors.to_dicts(lambda number: str(number + 1))
    return [
        "{" + ",".join(f"{n}:{value!r}" for n, value in row.items()) + f"}}/{DIMENSIONS}"
        for row in rows
    ]


def identifier(table: str) -> Identifier:
    """Return a table's name, with a schema or without, as SQL has it."""
    return Identifier(*table.split("."))


def held_by(connection: Connection[Any], table: str) -> dict[str, Any] | None:
    """Return what `glane push` noted of a table; None where there is none, or no note.

    Args:
        connection: To the database.
        table: Its name.
    """
    name = identifier(table).as_string(connection)
    row = connection.execute("SELECT obj_description(to_regclass(%s))", [name]).fetchone()
    try:
        held = json.loads(row[0])[OWN] if row and row[0] else None
    except (ValueError, LookupError, TypeError):
        return None
    return held if isinstance(held, dict) else None
