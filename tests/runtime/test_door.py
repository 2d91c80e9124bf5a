"""What retrievers refuse of the arrays that they are given, and that they keep none of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import (
    BM25,
    ColBERT,
    SparseEmbed,
    SparseVectors,
    Splade,
    TermEmbeddings,
    TfIdf,
    TokenVectors,
)
from glane.maxsim.index import MaxSimIndex, TokenStorage
from glane.maxsim.quantization import KINDS as CODES
from glane.postings.postings import Postings, weigh_as_it_is
from glane.postings.term_embeddings import TermEmbeddingIndex

FIXTURES = Path(__file__).parents[1] / "fixtures"
DIM = 4
BROKEN = [np.nan, np.inf, -np.inf, 7e4, -65_520.0, 1e30]
"""Components that float16 cannot hold."""

KINDS = [
    *(TokenStorage(kind=kind, pool=pool) for kind in CODES for pool in (1, 2)),
    TokenStorage(outlines=True),
]


def axes(n: int, kind: type = np.float32) -> TokenVectors:
    """A document of one token for each of the first n axes."""
    return TokenVectors(np.arange(n + 1), np.eye(DIM, dtype=kind)[:n])


def terms(rows: list[list[int]], weight: float = 1.0) -> SparseVectors:
    indices = [term for row in rows for term in row]
    offsets = np.cumsum([0, *map(len, rows)])
    weights = np.full(len(indices), weight, np.float32)
    return SparseVectors(offsets, np.array(indices, np.int32), weights)


def embedded(rows: list[list[int]], kind: type = np.float32) -> TermEmbeddings:
    made = terms(rows)
    return TermEmbeddings(made, np.ones((len(made.indices), DIM), kind))


@settings(deadline=None)
@given(
    st.sampled_from(BROKEN),
    st.sampled_from(KINDS),
    st.integers(0, 2),
    st.integers(0, DIM - 1),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_a_broken_component_is_refused_by_its_row(
    broken: float, storage: TokenStorage, row: int, component: int, kind: type
) -> None:
    values = np.eye(DIM)[:3]
    values[row, component] = broken
    with np.errstate(over="ignore"):
        vectors = TokenVectors(np.arange(4), values.astype(kind))
    index = MaxSimIndex(DIM, storage)
    with pytest.raises(
        ValueError, match=rf"vectors must be finite and at most 65,504 .* row {row}"
    ):
        index.add(vectors)
    assert len(index) == 0
    assert index.add(axes(3)).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=rf"queries must be finite and .* row {row}"):
        index.search(vectors, 1)
    with pytest.raises(ValueError, match="queries must be finite"):
        index.scorer()(vectors[row : row + 1], np.array([0]))
    assert index.search(axes(3), 1).ids.tolist() == [[0], [1], [2]]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("place", ["weight", "vector"])
def test_a_broken_term_is_refused(broken: float, place: str) -> None:
    index = TermEmbeddingIndex(DIM)
    index.add(embedded([[1], [2]]))
    wrong = embedded([[1], [2]])
    (wrong.terms.values if place == "weight" else wrong.embeddings[:, 3])[1] = broken
    for call in (index.add, lambda vectors: index.search(vectors, 1)):
        with pytest.raises(ValueError, match=r"must be finite and at most 65,504 .* in row 1"):
            call(wrong)
    with pytest.raises(ValueError, match="queries must be finite"):
        index.scorer()(wrong[1:], np.array([0]))
    assert len(index) == 2


WRONG_TERMS: dict[str, tuple[SparseVectors, str]] = {
    "a term below 0": (terms([[1], [-1]]), "terms of at least 0, got -1"),
    "a term twice in a row": (terms([[3], [2, 5, 2]]), "term 2 appears twice in row 1"),
    "falling offsets": (
        replace(terms([[0, 1, 2], [], []]), indptr=np.array([0, 2, 1, 3])),
        "row 1 begins at 2 and ends at 1",
    ),
    "a weight of 0": (terms([[1], [2]], 0.0), r"above 0, got 0\.0 in row 0"),
    "a weight below 0": (terms([[], [2]], -1.0), r"above 0, got -1\.0 in row 1"),
    "a weight that is no number": (terms([[1]], np.nan), "finite"),
}


@pytest.mark.parametrize(("vectors", "message"), WRONG_TERMS.values(), ids=WRONG_TERMS.keys())
def test_wrong_terms_are_refused_and_nothing_stored(vectors: SparseVectors, message: str) -> None:
    index, both = Postings(weigh_as_it_is), TermEmbeddingIndex(DIM)
    lexical = BM25()
    lexical.encode_documents([" ".join(map(str, range(10)))])
    pairs: list[tuple[Any, object]] = [
        (index, vectors),
        (both, TermEmbeddings(vectors, np.ones((len(vectors.indices), DIM), np.float32))),
        (lexical, vectors),
    ]
    for stage, wrong in pairs:
        adding: Callable[[Any], Any] = stage.add
        with pytest.raises(ValueError, match=message):
            adding(wrong)
        assert len(stage) == 0


@given(st.lists(st.lists(st.integers(0, 6), max_size=6), max_size=5))
def test_only_a_term_twice_in_one_row_is_refused(rows: list[list[int]]) -> None:
    index = Postings(weigh_as_it_is)
    if all(len(set(row)) == len(row) for row in rows):
        assert len(index.add(terms(rows))) == len(rows)
        return
    row = next(number for number, row in enumerate(rows) if len(set(row)) < len(row))
    with pytest.raises(ValueError, match="appears twice in row"):
        index.add(terms(rows[: row + 1]))


def test_falling_offsets_of_tokens_are_refused() -> None:
    index = MaxSimIndex(DIM)
    falling = TokenVectors(np.array([0, 2, 1, 3]), np.eye(DIM, dtype=np.float32)[:3])
    for call in (index.add, lambda vectors: index.search(vectors, 1)):
        with pytest.raises(ValueError, match="must not fall, but row 1 begins at 2 and ends at 1"):
            call(falling)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [BM25, TfIdf])
def test_broken_counts_are_refused(broken: float, kind: type[BM25] | type[TfIdf]) -> None:
    lexical = kind()
    vectors = lexical.encode_documents(["tea leaf", "tea"])
    lexical.add(vectors)
    wrong = SparseVectors(vectors.indptr, vectors.indices, vectors.values.copy())
    wrong.values[-1] = broken
    for call in (lexical.add, lambda given: lexical.search(given, 1)):
        with pytest.raises(ValueError, match="must be finite"):
            call(wrong)
    with pytest.raises(ValueError, match="terms of at least 0"):
        lexical.search(terms([[-1]]), 1)


def test_a_text_may_repeat_a_word_more_often_than_float16_can_count() -> None:
    bm25 = BM25()
    bm25.add(bm25.encode_documents(["tea " * 100_000, "tea"]))
    assert bm25.search(bm25.encode_queries(["tea " * 100_000]), 2).ids.tolist() == [[0, 1]]


def retrievers() -> dict[str, Any]:
    neural: dict[str, Any] = {"colbert": ColBERT, "splade": Splade, "sparse-embed": SparseEmbed}
    loaded = {name: kind.load(FIXTURES / name, threads=1) for name, kind in neural.items()}
    return {"bm25": BM25(), "tfidf": TfIdf(), **loaded}


@pytest.mark.parametrize("name", ["bm25", "tfidf", "colbert", "splade", "sparse-embed"])
def test_other_things_than_vectors_are_refused(name: str) -> None:
    retriever = retrievers()[name]
    kinds = {"colbert": TokenVectors, "sparse-embed": TermEmbeddings}
    message = f"must be {kinds.get(name, SparseVectors).__name__}, got "
    vectors: Any = terms([]) if name in kinds else axes(0)
    for other in (["snow"], "snow", None, np.ones((2, 3)), vectors):
        with pytest.raises(TypeError, match=message):
            retriever.add(other)
        with pytest.raises(TypeError, match=message):
            retriever.search(other, 1)
    vectors = retriever.encode_queries(["snow"])
    for k in (True, 2.0, "2", None):
        with pytest.raises(TypeError, match="k must be an integer, got "):
            retriever.search(vectors, k)
    assert retriever.search(vectors, np.int8(2)).ids.shape == (1, 2)
    assert repr(retriever).startswith(type(retriever).__name__ + "(0 documents, ")
    assert "object at" not in repr(retriever)


def spoil(vectors: Any) -> None:  # noqa: ANN401
    """Change all arrays in place, as their owner may."""
    if isinstance(vectors, TermEmbeddings):
        spoil(vectors.terms)
    for name in ("indptr", "offsets", "indices", "values", "embeddings"):
        if hasattr(vectors, name):
            getattr(vectors, name)[:] = 0


@pytest.mark.parametrize("name", ["bm25", "tfidf", "colbert", "splade", "sparse-embed"])
@pytest.mark.parametrize("halved", [False, True])
def test_arrays_changed_later_change_no_index(name: str, halved: bool) -> None:
    retriever, texts = retrievers()[name], ["many snow and rain", "light", "snow"]
    vectors = retriever.encode_documents(texts)
    if halved and hasattr(vectors, "half"):
        vectors = vectors.half()
    queries = retriever.encode_queries(["snow you see"])
    retriever.add(vectors)
    before = retriever.search(queries, 3)
    assert before.ids[0, 0] >= 0
    spoil(vectors)
    assert np.array_equal(retriever.search(queries, 3).scores, before.scores)
    retriever.add(retriever.encode_documents(["rain"]))
    retriever.compact()
    retriever.delete(np.array([3]))
    assert np.array_equal(retriever.search(queries, 3).ids, before.ids)


@pytest.mark.parametrize("storage", KINDS, ids=str)
def test_token_vectors_changed_later_change_no_index(storage: TokenStorage) -> None:
    index = MaxSimIndex(DIM, storage)
    for kind in (np.float32, np.float16):
        vectors = axes(3, kind)
        index.add(vectors)
        before = index.search(axes(3), 4).scores
        spoil(vectors)
        assert np.array_equal(index.search(axes(3), 4).scores, before)
