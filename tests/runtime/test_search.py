"""`Search` over the user's own documents, with BM25 and with a tiny random ColBERT."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import BM25, CheckpointError, ColBERT, Search, SparseEmbed, Splade
from glane.hits import Results

FIXTURES = Path(__file__).parents[1] / "fixtures"

DOCUMENTS: list[dict[str, Any]] = [
    {"id": "leaf", "title": "Leaves", "text": "Plants eat light."},
    {"id": "sea", "title": "Rivers", "text": "They run to the sea."},
    {"id": 1, "title": "One", "text": "A number is a key too."},
    {"id": "1", "text": "No title, and another document than the number one."},
    {"id": "empty", "title": "", "text": None},
]


def lexical() -> Search:
    return Search(BM25(), key="id", on=["title", "text"])


def neural() -> Search:
    reranker = ColBERT.load(FIXTURES / "colbert", threads=1)
    return Search(BM25(), reranker=reranker, key="id", on=["title", "text"])


def splade() -> Search:
    return Search(Splade.load(FIXTURES / "splade", threads=1), on=["title", "text"])


def sparse_embed_then_colbert() -> Search:
    retriever = SparseEmbed.load(FIXTURES / "sparse-embed", threads=1)
    reranker = ColBERT.load(FIXTURES / "colbert", threads=1)
    return Search(retriever, reranker=reranker, on=["title", "text"])


def colbert_alone() -> Search:
    return Search(ColBERT.load(FIXTURES / "colbert-int8", threads=1), on=["title", "text"])


MAKERS = [lexical, neural, splade, sparse_embed_then_colbert, colbert_alone]
KINDS = pytest.mark.parametrize("make", MAKERS, ids=lambda f: f.__name__)


@KINDS
def test_the_right_document_is_found(make: Callable[[], Search]) -> None:
    search = make()
    search.add(DOCUMENTS)
    results = search.search(["plants eat light", "number key"], k=3)
    assert len(results.ids) == len(results.scores) == 2
    assert "leaf" in results.ids[0]
    assert len(search) == 5


def test_a_number_is_not_its_digits() -> None:
    search = lexical()
    search.add(DOCUMENTS)
    assert search.search(["number key"], k=1).ids == [[1]]
    assert search.search(["another document"], k=1).ids == [["1"]]
    assert search.search(["another document"], k=1).to_lists()[0][0]["id"] == "1"


@KINDS
def test_saved_and_loaded_it_answers_the_same(make: Callable[[], Search], tmp_path: Path) -> None:
    search = make()
    search.add(DOCUMENTS)
    search.delete(["sea"])
    queries = ["plants eat light", "sea", "", "key document"]
    search.save(tmp_path / "index")
    loaded = Search.load(tmp_path / "index")
    assert loaded.search(queries) == search.search(queries)
    search.add([{"id": "new", "text": "fresh plants"}])
    loaded.add([{"id": "new", "text": "fresh plants"}])
    loaded.save(tmp_path / "index")
    assert Search.load(tmp_path / "index").search(queries) == search.search(queries)


@KINDS
def test_duplicate_queries_keep_their_rows(make: Callable[[], Search]) -> None:
    search = make()
    search.add(DOCUMENTS)
    results = search.search(["plants", "key", "plants"])
    assert results.ids[0] == results.ids[2]
    assert results.scores[0] == results.scores[2]


@KINDS
def test_an_empty_search_finds_nothing(make: Callable[[], Search]) -> None:
    search = make()
    search.add([])
    assert search.search(["plants", ""]) == Results([[], []], [[], []])
    assert search.search([]) == Results([], [])


@KINDS
def test_odd_texts_are_searched(make: Callable[[], Search]) -> None:
    search = make()
    odd = ["\x00", "\ud83d alone", "🙂🙃", "", "   ", "東京 大学", "w " * 300_000]
    search.add({"id": number, "text": text, "title": ""} for number, text in enumerate(odd))
    assert len(search) == len(odd)
    results = search.search([*odd[:-1], "w"], k=100)
    assert all(len(row) <= len(odd) for row in results.ids)


def test_a_document_added_again_replaces_the_old() -> None:
    search = lexical()
    search.add(DOCUMENTS)
    search.add([{"id": "leaf", "text": "stones"}])
    assert search.search(["plants"]).ids == [[]]
    assert search.search(["stones"]).ids == [["leaf"]]
    assert len(search) == 5


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], "'a' appears twice"),
        ([{"text": "x"}], "position 0 has no key 'id'"),
        ([{"id": 1.5, "text": "x"}], "must be a string or an integer, got float"),
        ([{"id": True, "text": "x"}], "must be a string or an integer, got bool"),
        ([{"id": "a", "body": "x"}], "no document has the field 'title'"),
        ([{"id": "a", "title": "x", "text": ["y"]}], "field 'text' must be text, got list"),
    ],
)
def test_a_wrong_document_is_refused_and_nothing_stored(
    documents: list[dict[str, object]], message: str
) -> None:
    search = lexical()
    search.add(DOCUMENTS)
    with pytest.raises(ValueError, match=message):
        search.add(documents)
    assert len(search) == 5
    assert search.search(["plants"]).ids == [["leaf"]]


def test_an_unknown_document_cannot_be_deleted() -> None:
    search = lexical()
    search.add(DOCUMENTS)
    with pytest.raises(ValueError, match="unknown document 'nobody'"):
        search.delete(["leaf", "nobody"])
    with pytest.raises(ValueError, match="appears twice"):
        search.delete(["leaf", "leaf"])
    assert len(search) == 5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"queries": "plants"}, TypeError, r"pass \['plants'\]"),
        ({"queries": [3]}, TypeError, "must be strings, got int at position 0"),
        ({"queries": ["a"], "k": 0}, ValueError, "k must be at least 1, got 0"),
        ({"queries": ["a"], "candidates": 0}, ValueError, "candidates must be at least 1, got 0"),
        ({"queries": ["a"], "fuse": "rrf"}, ValueError, "needs a reranker"),
        ({"queries": ["a"], "fuse": "mean"}, ValueError, "'rrf' or 'relative', got 'mean'"),
        ({"queries": ["a"], "fuse": "rrf", "fuse_weight": 2}, ValueError, "between 0 and 1"),
    ],
)
def test_a_wrong_question_is_refused(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    search = lexical()
    search.add(DOCUMENTS)
    with pytest.raises(error, match=message):
        search.search(**arguments)  # type: ignore[arg-type]


def test_stages_that_hold_documents_are_refused() -> None:
    bm25 = BM25()
    bm25.add(bm25.encode_documents(["x"]))
    with pytest.raises(ValueError, match="must be empty"):
        Search(bm25)
    with pytest.raises(ValueError, match="at least one field"):
        Search(BM25(), on=[])
    with pytest.raises(TypeError, match="reranker must have `rerank`, BM25 has not"):
        Search(BM25(), reranker=BM25())  # type: ignore[arg-type]


def test_fusion_of_equal_weights_lies_between_its_parts() -> None:
    search = neural()
    search.add(DOCUMENTS)
    query = ["plants number document light"]
    first = search.search(query, fuse="relative", fuse_weight=1.0)
    assert first.ids == lexical_ids(query)
    second = search.search(query, fuse="relative", fuse_weight=0.0)
    assert second.ids == search.search(query, fuse="none").ids
    assert set(search.search(query, fuse="rrf").ids[0]) == set(first.ids[0])


def lexical_ids(queries: list[str]) -> list[list[str | int]]:
    search = lexical()
    search.add(DOCUMENTS)
    return search.search(queries).ids


def test_k_beyond_the_candidates_widens_them() -> None:
    search = neural()
    search.add({"id": i, "title": "tea", "text": "leaf"} for i in range(30))
    assert len(search.search(["tea"], k=25, candidates=2).ids[0]) == 25
    assert len(search.search(["tea"], k=1, candidates=2).ids[0]) == 1


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists already"):
        lexical().save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_another_model_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    search = neural()
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    one = ColBERT.load(FIXTURES / "colbert").encoder.fingerprint
    other = ColBERT.load(FIXTURES / "colbert-int8").encoder.fingerprint
    with pytest.raises(CheckpointError, match=f"{one}.*{other}"):
        Search.load(tmp_path / "index", reranker=FIXTURES / "colbert-int8")
    assert Search.load(tmp_path / "index", reranker=FIXTURES / "colbert").search(["plants"])


def test_a_model_changed_inside_the_index_is_refused(tmp_path: Path) -> None:
    search = neural()
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    path = next((tmp_path / "index" / "models").glob("*/model.onnx"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model\.onnx' is damaged"):
        Search.load(tmp_path / "index")


@pytest.mark.parametrize("name", ["manifest.json", "keys-*.safetensors"])
def test_a_damaged_index_is_refused_by_name(name: str, tmp_path: Path) -> None:
    search = lexical()
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    path = next((tmp_path / "index").rglob(name))
    path.write_text("{")
    with pytest.raises(CheckpointError, match=path.name):
        Search.load(tmp_path / "index")
    path.unlink()
    with pytest.raises(CheckpointError, match=path.name):
        Search.load(tmp_path / "index")


def test_many_threads_get_the_same_answer() -> None:
    search = neural()
    search.add(DOCUMENTS)
    queries = ["plants eat light", "number key", "sea", ""]
    expected = search.search(queries)
    answers: list[Results] = []

    def ask() -> None:
        answers.extend(search.search(queries) for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 160


WORDS = st.lists(st.sampled_from(["tea", "leaf", "river", "stone", "light", "key"]), max_size=5)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.dictionaries(st.integers(0, 6), WORDS.map(" ".join))),
        st.tuples(st.just("delete"), st.sets(st.integers(0, 6))),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(OPERATIONS)
def test_any_sequence_equals_a_fresh_build(operations: list[tuple[str, dict[int, str]]]) -> None:
    search = Search(BM25())
    model: dict[int, str] = {}
    for name, argument in operations:
        if name == "add":
            search.add({"id": key, "text": text} for key, text in argument.items())
            for key, text in argument.items():
                if model.get(key) != text:  # the same text again is no new version
                    model.pop(key, None)
                    model[key] = text
        else:
            known = [key for key in argument if key in model]
            search.delete(known)
            for key in known:
                del model[key]
    fresh = Search(BM25())
    fresh.add({"id": key, "text": text} for key, text in model.items())
    queries = ["tea leaf", "river stone stone", "light key tea river"]
    assert search.search(queries, k=20) == fresh.search(queries, k=20)
