import math

import numpy as np
import pytest

from glane.analysis.analyzer import Analyzer
from glane.retrievers.tfidf import TfIdf

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
