import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.analysis.analyzer import Analyzer
from glane.hits import Hits
from glane.retrievers import lengths
from glane.retrievers import tfidf as tfidf_module
from glane.retrievers.tfidf import TfIdf
from glane.types import Floats, Ids
from glane.vectors import SparseVectors

TEXTS = [
    "Paris is the capital of France",
    "",
    "Montreal, a town of Quebec",
    "Bordeaux and its wine",
]


def filled(tfidf: TfIdf, texts: list[str] = TEXTS) -> TfIdf:
    tfidf.add(tfidf.encode_documents(texts))
    return tfidf


def test_a_case_worked_by_hand() -> None:
    # N 2; "tea" in both: ln(3 / 3) + 1 = 1; "green" in one: ln(3 / 2) + 1 = 1.405
    tfidf = filled(TfIdf(Analyzer(language="none")), ["green tea", "tea"])
    hits = tfidf.search(tfidf.encode_queries(["tea"]), k=2)
    assert hits.ids.tolist() == [[1, 0]]
    assert hits.scores[0].tolist() == pytest.approx([1, 1 / math.hypot(1, math.log(1.5) + 1)])


def test_the_cosine_of_a_text_with_itself_is_1() -> None:
    tfidf = filled(TfIdf())
    hits = tfidf.search(tfidf.encode_queries(TEXTS), k=1)
    assert hits.ids.tolist() == [[0], [-1], [2], [3]]
    assert hits.scores[[0, 2, 3], 0].tolist() == pytest.approx([1, 1, 1], 1e-5)


def test_misspelt_words_are_found() -> None:
    tfidf = filled(TfIdf())
    assert tfidf.search(tfidf.encode_queries(["bordeau"]), k=1).ids.tolist() == [[3]]


@pytest.mark.parametrize("kind", ["words", "char", "char_wb"])
def test_adding_in_parts_and_deleting_equals_adding_at_once(kind: str) -> None:
    analyzer = Analyzer(kind)  # type: ignore[arg-type]
    parts, once = TfIdf(analyzer), filled(TfIdf(analyzer))
    queries = ["wine of Paris", "Quebec and unheard wine", "unheard", ""]
    for text in ["Quebec unheard of", *TEXTS, "wine and water"]:
        parts.add(parts.encode_documents([text]))
        parts.search(parts.encode_queries(queries), k=2)
    parts.delete(np.array([0, len(TEXTS) + 1]))
    found = parts.search(parts.encode_queries(queries), k=5)
    wanted = once.search(once.encode_queries(queries), k=5)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    np.testing.assert_array_equal(found.ids, np.where(wanted.ids < 0, -1, wanted.ids + 1))


def test_nothing_to_find_is_no_hit() -> None:
    for texts in ([], [""], ["..."]):
        tfidf = filled(TfIdf(), texts)
        assert tfidf.search(tfidf.encode_queries(["tea", ""]), k=2).to_lists() == [[], []]


def test_terms_that_no_document_was_added_with_are_left_out() -> None:
    tfidf = filled(TfIdf(Analyzer()), ["tea"])
    ahead = tfidf.encode_documents(["tea coffee"])
    assert tfidf.search(ahead, k=1).scores[0].tolist() == pytest.approx([1])


WORDS = Analyzer(language="none")
TEXT = st.lists(st.sampled_from("abcdefgh"), max_size=7).map(" ".join)
STEP = st.one_of(
    st.lists(TEXT, max_size=6).map(lambda texts: ("add", texts)),
    st.sets(st.integers(0, 20), max_size=3).map(lambda places: ("delete", sorted(places))),
    st.sampled_from([("compact", None), ("search", None), ("reload", None)]),
)
ASKED = ["a", "a b c", "h g", "a a b", "", "b d f h"]


def found(tfidf: TfIdf, k: int) -> Hits:
    return tfidf.search(tfidf.encode_queries(ASKED), k)


@settings(deadline=None, max_examples=150)
@given(st.lists(STEP, max_size=9), st.sampled_from([1, 3, 50]))
def test_any_sequence_scores_as_a_fresh_build_of_what_remains(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]], k: int
) -> None:
    tfidf, kept = TfIdf(WORDS), dict[int, str]()
    for step, given_ in steps:
        if step == "add":
            kept |= zip(tfidf.add(tfidf.encode_documents(given_)).tolist(), given_, strict=True)
        elif step == "delete":
            dead = [list(kept)[place] for place in given_ if place < len(kept)]
            tfidf.delete(np.array(dead, np.int64))
            kept = {number: text for number, text in kept.items() if number not in dead}
        elif step == "compact":
            tfidf.compact()
        elif step == "search":
            found(tfidf, 2)
        else:
            folder = tmp_path_factory.mktemp("tfidf") / "index"
            tfidf.save(folder)
            tfidf = TfIdf.load(folder)
    fresh = filled(TfIdf(WORDS), list(kept.values()))
    ours, theirs = found(tfidf, k), found(fresh, k)
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    numbers = np.array([*kept, -1])
    np.testing.assert_array_equal(ours.ids, numbers[theirs.ids])


def test_a_weight_below_0_in_a_query_is_summed_as_it_is() -> None:
    parts, once = TfIdf(WORDS), filled(TfIdf(WORDS), ["a b", "a", "b c"])
    for text in ("a b", "a", "b c"):
        filled(parts, [text])
    parts.delete(parts.add(parts.encode_documents(["c"])))
    asked = once.encode_queries(["a b"])
    asked = SparseVectors(asked.indptr, asked.indices, np.array([1, -2], np.float32))
    ours, theirs = parts.search(asked, 3), once.search(asked, 3)
    np.testing.assert_array_equal(ours.ids, theirs.ids)
    np.testing.assert_array_equal(ours.scores, theirs.scores)


def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list that the number of rows is written to of which a length is computed."""
    rows: list[int] = []
    norms = lengths.norms_of

    def noted(indptr: Ids, weights: Floats) -> Floats:
        rows.append(len(indptr) - 1)
        return norms(indptr, weights)

    monkeypatch.setattr(lengths, "norms_of", noted)
    monkeypatch.setattr(tfidf_module, "norms_of", noted)
    return rows


def words_of(n: int, seed: int = 0) -> list[str]:
    """Texts of words of which few are frequent and many rare, as in language."""
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{word}" for word in rng.zipf(1.4, 60) if word < 3000) for _ in range(n)]


def test_opening_measures_no_document_and_a_change_only_those_that_may_be_best(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lengths, "ROWS_AT_ONCE", 8)
    texts, asked = words_of(400), ["w3 w17 w40", "w2 w9"]
    filled(TfIdf(WORDS), texts).save(tmp_path / "index")
    loaded = TfIdf.load(tmp_path / "index")
    rows = measured(monkeypatch)
    queries = loaded.encode_queries(asked)
    loaded.search(queries, 10)
    assert rows == [2]  # the queries' own
    filled(loaded, ["w3 w5000"])
    rows.clear()
    found = loaded.search(loaded.encode_queries(asked), 10)
    assert sum(rows) < 100
    bounded = loaded._postings._now().weights
    while loaded._postings._now().weights is bounded:  # a few more after each query
        assert sum(rows) < 1000
        again = loaded.search(loaded.encode_queries(asked), 10)
        np.testing.assert_array_equal(again.scores, found.scores)
    rows.clear()
    again = loaded.search(loaded.encode_queries(asked), 10)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert rows == [2]
    monkeypatch.undo()
    once = filled(TfIdf(WORDS), [*texts, "w3 w5000"])
    wanted = once.search(once.encode_queries(asked), 10)
    np.testing.assert_array_equal(found.ids, wanted.ids)
    np.testing.assert_array_equal(found.scores, wanted.scores)


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_lengths_do_not_depend_on_the_blocks_they_are_computed_in(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["", *words_of(9), "", "w1"]
    wanted = filled(TfIdf(WORDS), texts)._postings.rows.parts[0].arrays["norms"]
    monkeypatch.setattr(lengths, "BLOCK", block)
    monkeypatch.setattr(lengths, "ROWS_AT_ONCE", block)
    parts = TfIdf(WORDS)
    for text in texts:
        filled(parts, [text])
    parts.compact()
    np.testing.assert_array_equal(parts._postings.rows.parts[0].arrays["norms"], wanted)
    filled(parts, ["w1 w2"])
    once = filled(TfIdf(WORDS), [*texts, "w1 w2"])
    for k in (1, 20):
        ours, theirs = (each.search(each.encode_queries(["w1 w3"]), k) for each in (parts, once))
        np.testing.assert_array_equal(ours.scores, theirs.scores)


def test_an_index_without_stored_lengths_is_searched_and_gets_them(tmp_path: Path) -> None:
    texts = words_of(30)
    tfidf, once = filled(TfIdf(WORDS), texts), filled(TfIdf(WORDS), texts)
    (part,) = tfidf._postings.rows.parts
    part.arrays.pop("norms")  # type: ignore[attr-defined]
    for asked in ("w1 w2", "w5"):
        ours, theirs = (each.search(each.encode_queries([asked]), 9) for each in (tfidf, once))
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    filled(tfidf, words_of(40, seed=1))
    assert all("norms" in part.arrays for part in tfidf._postings.rows.parts)
