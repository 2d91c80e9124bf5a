"""Cosines against scikit-learn's `TfidfVectorizer`."""

import re

import numpy as np
import pytest

from glane.analysis.analyzer import Analyzer
from glane.retrievers.tfidf import TfIdf

text = pytest.importorskip("sklearn.feature_extraction.text")

DOCUMENTS = [
    "Paris is the capital of France.",
    "Montreal: a city in Qu\u00e9bec (Canada)!",
    "",
    "A",
    "Bordeaux is known for its wine; Bordeaux lies in France.",
    "\u0447\u0430\u0439 and \u0422\u0435\u0430",
]
QUERIES = [
    "wine from France",
    "capital city",
    "a",
    "Qu\u00c9BEC",
    "nothing xyz",
    "",
    "\u0447\u0430\u0439",
]


def without_punctuation(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def padded(text: str) -> str:
    return f" {without_punctuation(text)} "


@pytest.mark.parametrize(
    ("analyzer", "settings"),
    [
        (
            Analyzer("char_wb"),
            {"analyzer": "char_wb", "ngram_range": (3, 5), "preprocessor": without_punctuation},
        ),
        (
            Analyzer("char", ngrams=(2, 4)),
            {"analyzer": "char", "ngram_range": (2, 4), "preprocessor": padded},
        ),
        (
            Analyzer(language="none"),
            {"token_pattern": r"(?u)\w+", "preprocessor": str.casefold},
        ),
    ],
    ids=["char_wb", "char", "words"],
)
def test_cosines_equal(analyzer: Analyzer, settings: dict[str, object]) -> None:
    documents = [document for document in DOCUMENTS if document]
    ours, theirs = TfIdf(analyzer), text.TfidfVectorizer(**settings)
    ours.add(ours.encode_documents(documents))
    matrix = theirs.fit_transform(documents)
    cosines = (theirs.transform(QUERIES) @ matrix.T).toarray()
    hits = ours.search(ours.encode_queries(QUERIES), k=len(documents))
    for query in range(len(QUERIES)):
        ids, scores = hits.row(query)
        np.testing.assert_allclose(scores, cosines[query][ids], rtol=1e-5)
        assert sorted(ids.tolist()) == np.flatnonzero(cosines[query]).tolist()
