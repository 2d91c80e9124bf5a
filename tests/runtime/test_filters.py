"""Filters: what they say, what they leave, and that every stage looks at that alone."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import BM25, ColBERT, Search, SparseEmbed, Splade, TfIdf
from glane.collection.conditions import All, Compared, Either, Exists, Not, OneOf, condition_of
from glane.collection.where import read_filter
from glane.commands.main import main
from glane.retrievers.contract import Retriever
from glane.store.values import Values, check_types

FIXTURES = Path(__file__).parents[1] / "fixtures"

TYPES = {
    "lang": "keyword",
    "year": "int",
    "price": "float",
    "published": "date",
    "tags": "keyword[]",
    "sizes": "int[]",
}

DOCUMENTS: list[dict[str, Any]] = [
    {"id": "a", "text": "tea leaf", "lang": "de", "year": 2020, "tags": ["x", "y"]},
    {"id": "b", "text": "tea pot", "lang": "en", "year": "2021", "price": 3.5, "sizes": [1, 9]},
    {"id": "c", "text": "tea cup", "published": "2024-05-01T12:00:00+02:00", "tags": []},
    {"id": "d", "text": "tea tea", "lang": "", "year": -1, "published": 2023, "price": "1e3"},
]

FOUND: list[tuple[Any, str]] = [
    ("year >= 2020", "ab"),
    ("year = 2020.0", "a"),
    ("year != 2020", "bcd"),
    ("year < 0 or year > 2020", "bd"),
    ('lang = "de"', "a"),
    ("lang in ('en', 'de')", "ab"),
    ("lang not in ('en')", "acd"),
    ("lang exists", "ab"),
    ("not lang exists", "cd"),
    ('tags = "y"', "a"),
    ('tags in ("y", "unknown")', "a"),
    ("tags exists", "a"),
    ("sizes > 8", "b"),
    ("sizes > 8 and sizes < 2", "b"),
    ("price <= 3.5", "b"),
    ("price > 999.5", "d"),
    ("published >= 2024", "c"),
    ("published < 2024-05-01T10:00:01Z and published > 2024-05-01T09:59:59Z", "c"),
    ("published = 2023-01-01", "d"),
    ("published exists and not published >= 2024-05", "d"),
    ('lang = "de" or lang = "en" and year = 2021', "ab"),
    ('(lang = "de" or lang = "en") and year = 2021', "b"),
    ("not (year = 2020 or not year exists)", "bd"),
    ('lang = "no such"', ""),
    ({}, "abcd"),
    ({"year": {">=": 2020, "<": 2021}}, "a"),
    ({"lang": ["de", "en"], "not": {"tags": "x"}}, "b"),
    ({"or": [{"lang": "de"}, {"price": {"exists": True}}]}, "abd"),
    ({"or": []}, ""),
    ({"and": [{"year": {"exists": False}}]}, "c"),
    ({"year": {"in": [2020, -1]}}, "ad"),
]


def search_of(documents: list[dict[str, Any]]) -> Search:
    made = Search(BM25(), fields=TYPES)
    made.add(documents)
    return made


@pytest.mark.parametrize(("filter", "expected"), FOUND, ids=[str(f) for f, _ in FOUND])
def test_what_a_filter_leaves(filter: str | dict[str, Any], expected: str) -> None:
    made = search_of(DOCUMENTS)
    assert made.select(filter) == list(expected)
    assert sorted(made.search(["tea"], filter=filter).ids[0]) == list(expected)


def test_words_and_objects_say_the_same() -> None:
    words = 'year >= 2020 and lang in ("de", "en") and not tags = "x"'
    record = {"year": {">=": 2020}, "lang": ["de", "en"], "not": {"tags": "x"}}
    expected = All(
        (
            Compared("year", ">=", 2020),
            OneOf("lang", ("de", "en")),
            Not(Compared("tags", "=", "x")),
        )
    )
    assert read_filter(words) == expected
    assert condition_of(record) == expected
    assert read_filter("`a field` exists or b='it''s'") == Either(
        (Exists("a field"), Compared("b", "=", "it's"))
    )


WRONG: list[tuple[Any, str]] = [
    ("", "has the end at character 1; expected the name of a field"),
    ("year", "has the end at character 5; expected one of = !="),
    ("year >", "expected a value: text in quotes, a number or a date"),
    ("year > lang", "'lang' at character 8; expected a value"),
    ("year = 3 and", "the end at character 13; expected the name of a field"),
    ("year = 3 4", "'4' at character 10; expected `and`, `or` or the end"),
    ("(year = 3", "expected `\\)`"),
    ("year in 3", "expected `\\(`"),
    ("year not = 3", "expected `in`"),
    ("year = 'x", 'cannot be read at character 8: "\'x"; text needs quotes'),
    ("yaer = 3", r"no field 'yaer' to filter by; .*; did you mean 'year'\?"),
    ("year = 'x'", "the value for field 'year' must be of type int, got 'x'"),
    ("published > 99999", "field 'published' must be of type date, got 99999"),
    ("lang < 'de'", "'lang' is of type keyword, which has no order: use = or in, got <"),
    ("lang = ''", "is empty; ask whether it exists"),
    ({"year": None}, "must name a field and what is wanted, got 'year': None"),
    ({"year": {"~": 3}}, r"must be one of \[.*\], got '~': 3"),
    ({"and": {"year": 3}}, "`and` in a filter must have a list of objects"),
    ({"not": [3]}, "`not` in a filter must have an object"),
    ([3], "a filter must be text or an object, got list"),
]


@pytest.mark.parametrize(("filter", "message"), WRONG, ids=[str(f) for f, _ in WRONG])
def test_a_filter_that_cannot_be_is_refused(filter: str | dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search_of(DOCUMENTS).search(["tea"], filter=filter)


def test_filters_lie_in_one_another_a_hundred_deep_at_most() -> None:
    assert read_filter("not " * 99 + "year = 1")
    nested: dict[str, Any] = {"year": 1}
    for _ in range(99):
        nested = {"not": nested}
    assert read_filter(nested)
    for deep in ("not " * 100 + "year = 1", "(" * 9999 + "year = 1", {"not": nested}):
        with pytest.raises(ValueError, match="nested 100 deep at most"):
            read_filter(deep)


def test_a_search_without_fields_says_how_to_have_some() -> None:
    made = Search(BM25())
    made.add([{"id": "a", "text": "tea"}])
    with pytest.raises(ValueError, match=r"as in fields=.* or --fields year:int"):
        made.search(["tea"], filter="year = 3")


@pytest.mark.parametrize(
    ("types", "message"),
    [({"a": "text"}, r"field 'a' must be one of .*got 'text'"), ({"": "int"}, "field ''")],
)
def test_types_that_are_not_are_refused(types: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_types(types)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("lang", value) for value in (3, True, ["de"])],
        *[("year", value) for value in ("x", 2.5, True, 1 << 63, [1])],
        *[("price", value) for value in ("x", float("nan"), "inf", False)],
        *[("published", value) for value in ("x", "2024-13-01", "05/01/2024", 20240501, 1.5)],
        *[("tags", value) for value in ([3], [["x", 3]])],
    ],
)
def test_a_value_of_another_type_is_refused_and_nothing_is_stored(
    field: str, value: object
) -> None:
    made = search_of(DOCUMENTS)
    wrong = {"id": "e", "text": "tea", field: value}
    with pytest.raises(ValueError, match=f"field '{field}' of the document at position 1"):
        made.add([{"id": "f", "text": "tea"}, wrong])
    assert len(made) == 4
    assert made.select({}) == ["a", "b", "c", "d"]


def test_dates_of_python_are_read() -> None:
    made = search_of(
        [
            {"id": 1, "text": "tea", "published": date(2024, 2, 29)},
            {"id": 2, "text": "tea", "published": datetime(2024, 2, 29, 1)},
        ]
    )
    assert made.select("published = 2024-02-29") == [1]
    assert made.select("published > 2024-02-29") == [2]


def test_a_field_that_is_not_searched_changes_without_encoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = search_of(DOCUMENTS)
    monkeypatch.setattr(BM25, "encode_documents", None)
    assert made.add([DOCUMENTS[0] | {"year": 1999}]) == 1
    assert made.select("year = 1999") == ["a"]
    assert made.select("year = 2020") == []
    assert made.add([DOCUMENTS[0] | {"year": 1999}]) == 0
    assert made.search(["leaf"]).ids == [["a"]]


def test_fields_are_saved_and_follow_every_change(tmp_path: Path) -> None:
    made = search_of(DOCUMENTS)
    made.save(tmp_path / "index")
    again = Search.load(tmp_path / "index")
    assert again.types == TYPES
    again.delete(["a"])
    again.add([{"id": "e", "text": "tea", "lang": "de", "tags": ["x", "new"]}])
    again.compact()
    again.save(tmp_path / "index")
    third = Search.load(tmp_path / "index", verify=True)
    assert third.select('lang = "de"') == ["e"]
    assert third.select('tags in ("new", "y")') == ["e"]
    assert (
        third.search(["tea"], filter="lang exists").ids
        == again.search(["tea"], filter="lang exists").ids
    )


RETRIEVERS: dict[str, Callable[[], Retriever]] = {
    "bm25": lambda: BM25(),
    "bm25+": lambda: BM25("bm25+"),
    "tfidf": lambda: TfIdf(),
    "splade": lambda: Splade.load(FIXTURES / "splade"),
    "sparse-embed": lambda: SparseEmbed.load(FIXTURES / "sparse-embed"),
    "colbert": lambda: ColBERT.load(FIXTURES / "colbert"),
}

WORDS = ("tea", "leaf", "river", "stone", "a")
ROWS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join),
        st.sampled_from([None, 1, 2, 3]),
        st.lists(st.sampled_from("xyz"), max_size=2),
    ),
    min_size=1,
    max_size=12,
)
FILTERS = ["n >= 2", "n = 1 or tags = 'x'", "not n exists", "tags not in ('x', 'y')", "n = 9"]


@pytest.fixture(scope="module")
def loaded() -> dict[str, Retriever]:
    return {name: make() for name, make in RETRIEVERS.items()}


@pytest.mark.parametrize("name", RETRIEVERS)
@settings(max_examples=25, deadline=None)
@given(ROWS, st.sampled_from(FILTERS), st.integers(1, 4), st.data())
def test_a_filter_is_what_is_left_of_all_hits(
    name: str,
    loaded: dict[str, Retriever],
    rows: list[tuple[str, int | None, list[str]]],
    filter: str,
    k: int,
    data: st.DataObject,
) -> None:
    made = Search(loaded[name], fields={"n": "int", "tags": "keyword[]"})
    documents = [
        {"id": place, "text": text, "n": n, "tags": tags}
        for place, (text, n, tags) in enumerate(rows)
    ]
    cut = data.draw(st.integers(0, len(rows)))
    for part in (documents[:cut], documents[cut:]):
        made.add(part)
    dead = data.draw(st.sets(st.integers(0, len(rows) - 1), max_size=len(rows) - 1))
    made.delete(sorted(dead))
    kept = set(made.select(filter))
    queries = ["tea leaf", "river tea stone", ""]
    whole, some = made.search(queries, k=50), made.search(queries, k=k, filter=filter)
    for ids, scores, found, reached in zip(*whole, *some, strict=True):
        expected = [(id, score) for id, score in zip(ids, scores, strict=True) if id in kept][:k]
        assert found == [id for id, _ in expected]
        np.testing.assert_allclose(reached, [score for _, score in expected], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fuse", ["none", "rrf", "relative"])
def test_reranker_and_fusion_look_at_what_is_left_alone(
    fuse: Literal["none", "rrf", "relative"],
) -> None:
    fields = {"n": "int"}
    made = Search(BM25(), reranker=ColBERT.load(FIXTURES / "colbert"), fields=fields)
    documents = [{"id": n, "text": f"tea {'leaf ' * (n % 3)}", "n": n} for n in range(40)]
    made.add(documents)
    alone = Search(BM25(), reranker=ColBERT.load(FIXTURES / "colbert"))
    alone.add(documents[30:])
    found = made.search(["tea leaf"], k=5, candidates=10, fuse=fuse, filter="n >= 30")
    if fuse != "relative":  # whose first scores are those of all documents
        assert found.ids == alone.search(["tea leaf"], k=5, candidates=10, fuse=fuse).ids
    assert all(int(id) >= 30 for id in found.ids[0])
    assert len(found.ids[0]) == 5


def test_filters_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents, index = tmp_path / "d.jsonl", str(tmp_path / "index")
    lines = ['{"_id":"a","text":"tea","year":2020}', '{"_id":"b","text":"tea pot","year":"2021"}']
    documents.write_text("\n".join(lines), encoding="utf-8")
    making = ["index", index, "--documents", str(documents), "--retriever", "bm25"]
    assert main([*making, "--fields", "year:int, lang:keyword"]) == 0
    assert main(["search", index, "tea", "--where", "year > 2020"]) == 0
    out = capsys.readouterr().out
    assert " b" in out
    assert " a" not in out
    assert main(["search", index, "tea", "--where", "year >"]) == 2
    assert "--where: the filter 'year >' has the end at character 7" in capsys.readouterr().err
    assert main(["search", index, "tea", "--where", "yaer > 1"]) == 1
    assert "did you mean 'year'?" in capsys.readouterr().err
    assert main(["delete", index, "--where", "year = 2020"]) == 0
    assert main(["delete", index]) == 2
    assert main(["info", index, "--json"]) == 0
    assert '"fields": {"year": "int", "lang": "keyword"}' in capsys.readouterr().out
    assert len(Search.load(index)) == 1


@pytest.mark.parametrize("fields", ["year", "year:int,year:int", ":int", "year:text"])
def test_fields_that_cannot_be_are_refused(
    fields: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = tmp_path / "d.jsonl"
    documents.write_text('{"_id":"a","text":"tea"}\n', encoding="utf-8")
    making = ["index", str(tmp_path / "i"), "--documents", str(documents), "--retriever", "bm25"]
    assert main([*making, "--fields", fields]) == 2
    assert "--fields" in capsys.readouterr().err
    assert not (tmp_path / "i").exists()


def test_a_value_of_another_type_in_a_file_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = tmp_path / "d.csv"
    documents.write_text("_id,text,year\na,tea,2020\nb,tea,soon\n", encoding="utf-8")
    making = ["index", str(tmp_path / "i"), "--documents", str(documents), "--retriever", "bm25"]
    assert main([*making, "--fields", "year:int"]) == 1
    told = "d.csv', line 3, id 'b': field 'year' must be of type int, got 'soon'"
    assert told in capsys.readouterr().err


def test_no_documents_and_no_values() -> None:
    made = Search(BM25(), fields=TYPES)
    assert made.select({}) == []
    assert made.search(["tea"], filter="year = 3").ids == [[]]
    values = Values({"n": "int[]"})
    values.add(values.encode([]), np.empty(0, np.int64))
    assert len(values.rows) == 0
