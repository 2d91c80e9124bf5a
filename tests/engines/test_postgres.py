"""An index in PostgreSQL: the very scores of its own, whatever happened on the way."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.sql import SQL
from tests.docs.pages import like, outputs, read
from tests.engines.conftest import LONG, QUERIES, SHORT

from glane import Search
from glane.commands.main import main
from glane.hits import Results
from glane.integrations.postgres import PostgresSearch, identifier, sparse_texts
from glane.integrations.pushed import Pushed
from glane.maxsim.quantization import CodeKind
from glane.vectors import SparseVectors
from glane_engines.postgres import MOST_TERMS, heaviest, push

Table = tuple[str, str]

ALL = [{**document, "id": str(document["id"]).replace("7", "seven")} for document in LONG[:-3]]
ALL += LONG[-3:]
"""Documents whose ids are all text."""


def pushed_to(table: Table, index: Path | Search) -> dict[str, int]:
    with psycopg.connect(table[0]) as connection:
        return push(connection, table[1], Pushed(index, threads=1))


def assert_same(found: Results, expected: Results) -> None:
    assert found.ids == expected.ids
    for own, theirs in zip(found.scores, expected.scores, strict=True):
        assert own == pytest.approx(theirs, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("stored_as", ["float16", "int8", "int4"])
@pytest.mark.parametrize("retriever", ["bm25", "tfidf", "splade"])
def test_answers_are_those_of_the_index(
    table: Table, make_index: Callable[..., Path], retriever: str, stored_as: CodeKind
) -> None:
    search = Search.load(make_index(ALL, retriever, stored_as=stored_as), threads=1)
    assert pushed_to(table, search)["written"] == len(ALL)
    engine = PostgresSearch(*table, search)
    for fuse in ("none", "relative", "rrf"):
        for candidates in (5, 100):
            asked: Any = {"fuse": fuse, "candidates": candidates}
            expected = search.search(QUERIES, 10, phrases=False, **asked)
            assert_same(engine.search(QUERIES, 10, **asked), expected)
    expected = search.search(QUERIES, 10, phrases=False, fuse="none")
    assert engine.search(QUERIES, 10, fuse="none").scores == expected.scores  # bit for bit
    engine.connection.close()


def test_an_index_without_a_reranker(table: Table, make_index: Callable[..., Path]) -> None:
    search = Search.load(make_index(ALL, "splade", reranks=False), threads=1)
    pushed_to(table, search)
    engine = PostgresSearch(*table, search)
    for k in (1, 4, 50):
        assert_same(engine.search(QUERIES, k), search.search(QUERIES, k, phrases=False))
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        engine.search(QUERIES, 0)
    engine.connection.close()


def test_equal_scores_come_in_order_of_the_numbers(
    table: Table, make_index: Callable[..., Path]
) -> None:
    twins = [{**SHORT[4], "id": f"twin-{n}"} for n in (2, 1, 3)]
    search = Search.load(make_index([*SHORT, *twins]), threads=1)
    pushed_to(table, search)
    engine = PostgresSearch(*table, search)
    for fuse in ("none", "relative", "rrf"):
        for k in (1, 2, 3, 11):
            asked: Any = {"fuse": fuse, "candidates": 3}
            expected = search.search(QUERIES, k, phrases=False, **asked)
            assert engine.search(QUERIES, k, **asked).ids == expected.ids
    engine.connection.close()


def test_documents_and_a_condition(table: Table, make_index: Callable[..., Path]) -> None:
    index = make_index(ALL, fields={"year": "int"})
    search = Search.load(index, threads=1)
    pushed_to(table, search)
    engine = PostgresSearch(*table, search)
    assert engine.documents([document["id"] for document in ALL]) == ALL
    assert engine.documents([]) == []
    with pytest.raises(ValueError, match="unknown document 'gone'"):
        engine.documents(["d1", "gone"])
    found = engine.search(QUERIES, where=SQL("(fields->>'year')::int > 2010"))
    assert_same(found, search.search(QUERIES, filter="year > 2010", phrases=False))
    engine.connection.close()


def test_ids_that_are_numbers(table: Table, make_index: Callable[..., Path]) -> None:
    search = Search.load(make_index([{**each, "id": n} for n, each in enumerate(SHORT)]), threads=1)
    pushed_to(table, search)
    engine = PostgresSearch(*table, search)
    assert_same(engine.search(QUERIES), search.search(QUERIES, phrases=False))
    assert engine.documents([3])[0]["text"] == SHORT[3]["text"]
    engine.connection.close()


def test_ids_of_both_kinds_are_refused(table: Table, make_index: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="which are the same here; make them text"):
        pushed_to(table, make_index([*SHORT, {"id": 7, "text": "tea"}]))


def test_a_second_push_writes_nothing_and_a_new_state_takes_the_place_of_the_old(
    table: Table, make_index: Callable[..., Path]
) -> None:
    index = make_index(ALL, "splade")
    first = pushed_to(table, index)
    assert first["rows"] > first["documents"]
    assert pushed_to(table, index) == {**first, "written": 0, "deleted": 0}
    with Search.edit(index, threads=1) as search:
        search.delete(["long"])
        search.add([{"id": "new", "text": "tea iron"}, {"id": "d1", "title": "", "text": "snow"}])
    with pytest.raises(ValueError, match="another state of this one; push the index again"):
        PostgresSearch(*table, index, threads=1)
    again = pushed_to(table, index)
    assert again["written"] == again["documents"] == len(ALL)
    assert again["deleted"] > 1  # the passages of what is gone
    search = Search.load(index, threads=1)
    engine = PostgresSearch(*table, search)
    assert_same(engine.search(QUERIES), search.search(QUERIES, phrases=False))
    engine.connection.close()


def test_a_table_that_is_not_of_a_push_is_refused(
    table: Table, make_index: Callable[..., Path]
) -> None:
    index = make_index(SHORT)
    with pytest.raises(ValueError, match="holds no documents of glane push"):
        PostgresSearch(*table, index, threads=1)
    with psycopg.connect(table[0]) as connection:
        connection.execute(SQL("CREATE TABLE {} (a text)").format(identifier(table[1])))
        for comment in ("a comment", "[]", '{"glane": 3}'):
            told = SQL("COMMENT ON TABLE {} IS {}").format(identifier(table[1]), comment)
            connection.execute(told)
            with pytest.raises(ValueError, match="name another"):
                push(connection, table[1], Pushed(index, threads=1))


def test_an_empty_index_and_a_schema(table: Table, make_index: Callable[..., Path]) -> None:
    with psycopg.connect(table[0]) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS other")
    place = (table[0], f"other.{table[1]}")
    index = make_index([])
    done = pushed_to(place, index)
    assert done == {"documents": 0, "rows": 0, "written": 0, "deleted": 0, "cut": 0}
    engine = PostgresSearch(*place, index, threads=1)
    assert engine.search(["tea", ""]).ids == [[], []]
    engine.connection.close()


def test_the_heaviest_terms_are_kept_where_there_are_too_many() -> None:
    n_terms = MOST_TERMS + 5
    values = np.arange(1, n_terms + 1, dtype=np.float32)
    row = SparseVectors(
        np.array([0, 1, 1 + n_terms]), np.r_[3, np.arange(n_terms)], np.r_[1, values]
    )
    kept = heaviest(row)
    assert np.diff(kept.indptr).tolist() == [1, MOST_TERMS]
    assert kept.indices[1:].tolist() == list(range(5, n_terms))
    assert sparse_texts(row[:1]) == ["{4:1.0}/1000000000"]
    assert sparse_texts(row[:0]) == []


KILLED = """
import os, signal, sys
import glane_engines.contents, glane_engines.postgres as engine
left = [int(sys.argv.pop(1))]
whole = engine._write
def write(connection, *words):
    done = whole(connection, *words)
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return done
engine._write = write
glane_engines.contents.AT_ONCE = 4
from glane.commands.main import main
sys.exit(main())
"""


def test_a_push_that_was_killed_goes_on(table: Table, make_index: Callable[..., Path]) -> None:
    index = make_index(ALL, "splade")
    words = ["push", "postgres", *table, str(index), "--threads", "1", "--json"]
    for n_batches in (0, 1, 2):
        command = [sys.executable, "-c", KILLED, str(n_batches), *words]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        with pytest.raises(ValueError, match="the same glane push goes on"):
            PostgresSearch(*table, index, threads=1)
    command = [sys.executable, "-c", KILLED, "1000", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    assert result["written"] == len(ALL) - 2 * 4  # what was not committed is not there
    search = Search.load(index, threads=1)
    engine = PostgresSearch(*table, search)
    assert_same(engine.search(QUERIES), search.search(QUERIES, phrases=False))
    engine.connection.close()


def test_a_server_that_is_not_there_is_told_in_one_line(
    make_index: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    address = "postgresql://127.0.0.1:1/none"
    assert main(["push", "postgres", address, "t", str(make_index(SHORT))]) == 1
    told = capsys.readouterr().err
    assert told.startswith("glane: PostgreSQL: ")
    assert len(told.splitlines()) == 1


def test_the_command_tells_what_it_did(
    table: Table, make_index: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", "postgres", *table, str(make_index(SHORT))]) == 0
    told = capsys.readouterr().out
    assert "holds 8 documents in 8 rows; 8 documents were written now, 0 rows of" in told
    (shown,) = [each for each in outputs(read("docs/engines.md")) if " rows;" in each]
    assert like(shown.partition(" holds ")[2]).search(told), "the page shows another line"
