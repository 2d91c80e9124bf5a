"""What stored documents weigh, term by term: an engine that multiplies has a search's scores."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane import BM25, TfIdf
from glane.maxsim.quantization import CodeKind, decoded, encode
from glane.retrievers.bm25 import Variant
from glane.retrievers.lexical import Lexical
from glane.vectors import SparseVectors, TokenVectors

WORDS = ["tea", "leaf", "river", "stone", "iron", "snow"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), max_size=8)

MADE: dict[str, Callable[[], Lexical]] = {
    "lucene": BM25,
    "robertson": lambda: BM25("robertson"),
    "atire": lambda: BM25("atire", k1=0),
    "bm25l": lambda: BM25("bm25l", b=1),
    "bm25+": lambda: BM25("bm25+", b=0),
    "tfidf": TfIdf,
}


def product(queries: SparseVectors, documents: SparseVectors) -> np.ndarray:
    """Return the products of all rows, terms added in the order of the query, as a search does."""
    width = 1 + max(queries.indices.max(initial=0), documents.indices.max(initial=0))
    dense = np.zeros((len(documents), width), np.float32)
    for row in range(len(documents)):
        own = documents[row : row + 1]
        dense[row, own.indices] = own.values
    scores = np.zeros((len(queries), len(documents)), np.float32)
    for row in range(len(queries)):
        asked = queries[row : row + 1]
        for term, weight in zip(asked.indices, asked.values, strict=True):
            scores[row] += dense[:, term] * weight
    return scores


@pytest.mark.parametrize("name", MADE)
@given(parts=st.lists(TEXTS, max_size=3), deleted=st.sets(st.integers(0, 7)), query=TEXTS)
def test_their_products_with_a_query_are_the_scores(
    name: str, parts: list[list[str]], deleted: set[int], query: list[str]
) -> None:
    retriever = MADE[name]()
    for part in parts:
        retriever.add(retriever.encode_documents(part))
    n_documents = sum(map(len, parts))
    gone = sorted(number for number in deleted if number < n_documents)
    retriever.delete(np.array(gone, np.int64))
    left = np.setdiff1d(np.arange(n_documents), gone)
    asked = retriever.encode_queries(query)
    scores = product(retriever.weigh_queries(asked), retriever.weights(left))
    hits = retriever.search(asked, k=max(1, n_documents))
    for row in range(len(query)):
        ids, found = hits.row(row)
        assert scores[row][np.searchsorted(left, ids)].tolist() == found.tolist()
        others = np.setdiff1d(left, ids)
        assert not scores[row][np.searchsorted(left, others)].any()


def test_the_order_asked_for_is_kept_and_an_unknown_number_refused() -> None:
    retriever = BM25()
    retriever.add(retriever.encode_documents(["tea", "leaf leaf", ""]))
    both, swapped = retriever.weights(np.array([0, 1])), retriever.weights(np.array([1, 0]))
    assert swapped.values.tolist() == both.values[::-1].tolist()
    assert len(retriever.weights(np.array([2])).indices) == 0
    with pytest.raises(ValueError, match="unknown document 3"):
        retriever.weights(np.array([3]))


@pytest.mark.parametrize("variant", ["lucene", "atire"])
def test_weights_are_those_of_the_documents_that_are_left(variant: Variant) -> None:
    retriever, alone = BM25(variant), BM25(variant)
    retriever.add(retriever.encode_documents(["tea leaf", "tea river river", "stone"]))
    retriever.delete(np.array([1]))
    alone.add(alone.encode_documents(["tea leaf", "stone"]))
    found = retriever.weights(np.array([0, 2])).values
    assert found.tolist() == alone.weights(np.array([0, 1])).values.tolist()


@pytest.mark.parametrize("kind", ["float16", "int8", "int4"])
def test_codes_stand_for_the_vectors_they_were_made_of(kind: CodeKind) -> None:
    draw = np.random.default_rng(0)
    values = draw.standard_normal((9, 8)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    vectors = TokenVectors(np.array([0, 4, 4, 9]), values)
    back = decoded(encode(vectors, kind))
    assert back.values.dtype == np.float32
    assert back.offsets.tolist() == [0, 4, 4, 9]
    step = {"float16": 2.0**-11, "int8": 1 / 127, "int4": 1 / 7.5}[kind]
    assert np.abs(back.values - values).max() < step
    again = decoded(encode(back, kind))
    assert np.allclose(again.values, back.values, atol=step / 8)
    empty = decoded(encode(TokenVectors(np.array([0, 0]), values[:0]), kind))
    assert empty.values.shape == (0, 8)
