import math
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from glane.analysis.analyzer import Analyzer
from glane.retrievers.bm25 import BM25, Variant
from glane.retrievers.tfidf import TfIdf

TEXTS = [
    "green tea and black tea",
    "coffee",
    "black coffee is strong, green coffee is not",
    "",
    "tea",
    "\u7dd1\u8336 5 C",
]
QUERIES = [
    "black tea",
    "green green tea",
    "",
    "unknown words",
    "black tea",
    "\u7dd1\u8336",
    "C",
    "5",
]
VARIANTS: list[Variant] = ["lucene", "robertson", "atire", "bm25l", "bm25+"]


def reference(
    texts: list[str], query: str, variant: str, k1: float, b: float, delta: float
) -> dict[int, float]:
    """The score of each document that shares a term with the query, straight from the table."""
    counts = [Counter(Analyzer()(text)) for text in texts]
    n, mean = len(texts), sum(count.total() for count in counts) / len(texts)
    scores: dict[int, float] = {}
    for term in Analyzer().query(query):
        df = sum(term in count for count in counts)
        for id, count in enumerate(counts):
            if term not in count:
                continue
            norm, c = 1 - b + b * count.total() / mean, count[term]
            tf, raised = c / (c + k1 * norm), c / norm + delta
            formulas = {
                "lucene": (math.log(1 + (n - df + 0.5) / (df + 0.5)), tf),
                "robertson": (max(0, math.log((n - df + 0.5) / (df + 0.5))), tf),
                "atire": (math.log(n / df), (k1 + 1) * tf),
                "bm25l": (math.log((n + 1) / (df + 0.5)), (k1 + 1) * raised / (k1 + raised)),
                "bm25+": (math.log((n + 1) / df), (k1 + 1) * tf + delta),
            }
            scores[id] = scores.get(id, 0.0) + math.prod(formulas[variant])
    return scores


def filled(bm25: BM25, texts: list[str] = TEXTS) -> BM25:
    bm25.add(bm25.encode_documents(texts))
    return bm25


def test_a_case_worked_by_hand() -> None:
    # N 2, both of 2 terms, so A 2 and K 1.5; "tea" in one: ln(1 + 1.5 / 1.5) = ln 2; 1 / (1 + 1.5)
    bm25 = filled(BM25(), ["green tea", "green coffee"])
    hits = bm25.search(bm25.encode_queries(["tea"]), k=1)
    assert hits.ids.tolist() == [[0]]
    assert hits.scores[0, 0] == pytest.approx(math.log(2) * 0.4)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("k1", "b", "delta"), [(1.5, 0.75, 0.5), (0.9, 0.0, 1.0), (0.0, 1.0, 0.0)])
def test_variants_equal_the_reference(variant: Variant, k1: float, b: float, delta: float) -> None:
    bm25 = filled(BM25(variant, k1, b, delta))
    hits = bm25.search(bm25.encode_queries(QUERIES), k=10)
    for query, text in enumerate(QUERIES):
        ids, scores = hits.row(query)
        wanted = reference(TEXTS, text, variant, k1, b, delta)
        assert dict(zip(ids.tolist(), scores.tolist(), strict=True)) == pytest.approx(wanted, 1e-5)
        order = sorted(range(len(ids)), key=lambda i: (-scores[i], ids[i]))
        assert order == list(range(len(ids)))


def test_adding_in_parts_and_deleting_equals_adding_at_once() -> None:
    parts = BM25()
    for text in ["another tea", *TEXTS, "coffee with milk"]:
        parts.add(parts.encode_documents([text]))
        parts.search(parts.encode_queries(["tea"]), k=1)
    parts.delete(np.array([0, len(TEXTS) + 1]))
    once = filled(BM25())
    found = parts.search(parts.encode_queries(QUERIES), k=4)
    wanted = once.search(once.encode_queries(QUERIES), k=4)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    np.testing.assert_array_equal(found.ids[found.ids > 0] - 1, wanted.ids[wanted.ids >= 0])


@pytest.mark.parametrize("texts", [[], ["", "the", "!"]], ids=["no documents", "no terms"])
def test_nothing_to_find_is_no_hit(texts: list[str]) -> None:
    bm25 = filled(BM25(), texts)
    assert len(bm25) == len(texts)
    assert bm25.search(bm25.encode_queries(["tea", ""]), k=2).to_lists() == [[], []]
    assert bm25.search(bm25.encode_queries([]), k=2).ids.shape == (0, 2)


def test_what_only_deleted_documents_had_is_no_hit() -> None:
    for variant in VARIANTS:
        bm25 = filled(BM25(variant), ["tea", "coffee", ""])
        bm25.delete(np.array([0, 1]))
        assert bm25.search(bm25.encode_queries(["tea coffee"]), k=2).to_lists() == [[]]


def test_decode_names_the_terms() -> None:
    bm25 = BM25()
    vectors = bm25.encode_documents(["green tea tea", ""])
    assert bm25.decode(vectors) == [{"green": 1.0, "tea": 2.0}, {}]
    assert bm25.decode(bm25.encode_queries(["tea unknown green"])) == [{"tea": 1.0, "green": 1.0}]


def test_bad_arguments_are_refused() -> None:
    bm25 = filled(BM25())
    queries = bm25.encode_queries(["tea"])
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        bm25.search(queries, k=0)
    with pytest.raises(TypeError, match=r"pass \['tea'\]"):
        bm25.encode_queries("tea")
    with pytest.raises(TypeError, match="documents must be strings, got int"):
        bm25.encode_documents([1])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"unknown document 9"):
        bm25.delete(np.array([9]))
    with pytest.raises(ValueError, match="vocabulary of 0 terms"):
        BM25().search(queries, k=1)
    with pytest.raises(ValueError, match="vocabulary of 0 terms"):
        BM25().add(queries)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "okapi"}, "variant must be one of"),
        ({"k1": -1}, "k1 must be at least 0, got -1"),
        ({"k1": math.inf}, "k1"),
        ({"b": 1.5}, r"b must be in \[0, 1\], got 1.5"),
        ({"delta": math.nan}, "delta must be at least 0, got nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BM25(**settings)  # type: ignore[arg-type]


def test_loaded_equals_saved(tmp_path: Path) -> None:
    bm25 = filled(BM25("bm25+", k1=1.2, analyzer=Analyzer("char_wb", ngrams=(2, 3))))
    bm25.delete(np.array([1, 5]))
    bm25.save(tmp_path / "bm25")
    loaded = BM25.load(tmp_path / "bm25")
    assert loaded.settings() == bm25.settings()
    assert loaded.analyzer == bm25.analyzer
    assert len(loaded) == len(bm25)
    for one, other in ((bm25, loaded), (loaded, bm25)):
        found = one.search(one.encode_queries(QUERIES), k=3)
        wanted = other.search(other.encode_queries(QUERIES), k=3)
        np.testing.assert_array_equal(found.ids, wanted.ids)
        np.testing.assert_array_equal(found.scores, wanted.scores)
        ids = (one.add(one.encode_documents(["new"])), other.add(other.encode_documents(["new"])))
        assert ids[0].tolist() == ids[1].tolist()


def test_a_loaded_index_can_be_saved_where_it_lies(tmp_path: Path) -> None:
    filled(BM25()).save(tmp_path / "bm25")
    loaded = BM25.load(tmp_path / "bm25")
    loaded.add(loaded.encode_documents(["matcha tea"]))
    loaded.save(tmp_path / "bm25")
    again = BM25.load(tmp_path / "bm25")
    assert again.search(again.encode_queries(["matcha"]), k=1).ids.tolist() == [[len(TEXTS)]]
    assert [path.name for path in tmp_path.iterdir()] == ["bm25"]


def test_a_foreign_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError):
        BM25().save(tmp_path)
    with pytest.raises(ValueError, match=r"has no manifest\.json"):
        BM25.load(tmp_path)


def test_an_index_of_another_kind_is_refused(tmp_path: Path) -> None:
    filled(BM25()).save(tmp_path / "bm25")
    with pytest.raises(ValueError, match="must hold 'tfidf', got 'bm25'"):
        TfIdf.load(tmp_path / "bm25")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"format_version": 1}'])
def test_a_manifest_that_is_not_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"manifest\.json' is damaged"):
        BM25.load(tmp_path)


@pytest.mark.parametrize("name", ["retriever", "retriever.terms"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None], ids=["empty", "cut", "missing"])
def test_damaged_arrays_are_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    filled(BM25()).save(tmp_path / "bm25")
    path = next((tmp_path / "bm25" / "segments").glob(f"{name}-*.safetensors"))
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"safetensors' (is damaged|cannot be read)"):
        BM25.load(tmp_path / "bm25")


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    filled(BM25()).save(tmp_path / "bm25")
    path = next((tmp_path / "bm25" / "segments").glob("retriever-*.safetensors"))
    size = path.stat().st_size
    path.write_bytes(pickle.dumps(np.array([{}], dtype=object))[:size].ljust(size, b"\0"))
    with pytest.raises(ValueError, match=r"safetensors' is damaged"):
        BM25.load(tmp_path / "bm25")


def test_a_long_document_is_one_document() -> None:
    text = "tea \x00 \ud83d \U0001f600 word " * 40_000
    bm25 = filled(BM25(), [text, "coffee", "milk"])
    assert bm25.search(bm25.encode_queries([text]), k=2).ids.tolist() == [[0, -1]]
