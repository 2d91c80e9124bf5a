"""What every retriever keeps, whatever its representation."""

import gc
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.definitions import defined

from glane import BM25, Analyzer, ColBERT, Hits, SparseEmbed, SparseVectors, Splade, TfIdf
from glane.model.scoring import sparse_dot, sparse_embed_score
from glane.types import Floats

FIXTURES = Path(__file__).parents[1] / "fixtures"

LEXICAL: dict[str, type[BM25] | type[TfIdf]] = {"bm25": BM25, "tfidf": TfIdf}
NEURAL: dict[str, type[ColBERT] | type[Splade] | type[SparseEmbed]] = {
    "splade": Splade,
    "splade-inference-free": Splade,
    "sparse-embed": SparseEmbed,
    "colbert": ColBERT,
}
OPEN_FILES = Path("/proc/self/fd")
NAMES = [*LEXICAL, *NEURAL]

DOCUMENTS = [
    "The river runs to the sea.",
    "",
    "Snow is white, and the wolf is old.",
    "snow",
    "Plants grow in the light of the sun. " * 5,
    "snow",
    "日本語の森 🙂 \ud83d \x00",
    "A river of light",
]
SNOW = "many a rain and snow, you see 雨"
"""Words, and the terms that the random models give to most texts."""

QUERIES = [SNOW, "", "plants and light", SNOW, "river"]


def empty(name: str) -> Any:  # noqa: ANN401 (of many types)
    return NEURAL[name].load(FIXTURES / name) if name in NEURAL else LEXICAL[name]()


def load(name: str, folder: Path) -> Any:  # noqa: ANN401
    return (
        NEURAL[name].load(FIXTURES / name, folder) if name in NEURAL else LEXICAL[name].load(folder)
    )


def filled(name: str) -> Any:  # noqa: ANN401
    retriever = empty(name)
    numbers = retriever.add(retriever.encode_documents(DOCUMENTS))
    assert numbers.tolist() == list(range(len(DOCUMENTS)))
    return retriever


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def search(
    retriever: Any,  # noqa: ANN401
    queries: list[str] = QUERIES,
    k: int = len(DOCUMENTS),
) -> Hits:
    hits: Hits = retriever.search(retriever.encode_queries(queries), k)
    assert hits.ids.shape == hits.scores.shape == (len(queries), k)
    assert hits.ids.dtype == np.int64
    assert hits.scores.dtype == np.float32
    return hits


def assert_same(found: Hits, wanted: Hits, name: str) -> None:
    """Assert equal bits where a score is made of one document alone, and 1e-5 in a matrix product.

    Documents whose scores lie closer than that may change places.
    """
    tolerance = 1e-5 if name == "colbert" else 0
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=tolerance, atol=tolerance)
    for row in range(len(found.ids)):
        ours, theirs = scores_of(found, row), scores_of(wanted, row)
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance)


def scores_of(hits: Hits, row: int) -> dict[int, float]:
    ids, scores = hits.row(row)
    return dict(zip(ids.tolist(), scores.tolist(), strict=True))


def test_a_batch_equals_one_by_one(name: str) -> None:
    retriever, singly = filled(name), empty(name)
    for text in DOCUMENTS:
        singly.add(singly.encode_documents([text]))
    together = search(retriever)
    tolerance = 0 if name in LEXICAL else 1e-5
    for row, query in enumerate(QUERIES):
        alone = scores_of(search(singly, [query]), 0)
        assert alone == pytest.approx(scores_of(together, row), rel=tolerance, abs=tolerance)


def test_adding_in_parts_equals_adding_at_once(name: str) -> None:
    retriever, parts = filled(name), empty(name)
    vectors = parts.encode_documents(DOCUMENTS)
    for start in (0, 3, 4):
        stop = {0: 3, 3: 4, 4: len(DOCUMENTS)}[start]
        assert parts.add(vectors[start:stop]).tolist() == list(range(start, stop))
        search(parts)
    assert_same(search(parts), search(retriever), name)


def test_saved_and_loaded_it_answers_the_same(name: str, tmp_path: Path) -> None:
    retriever = filled(name)
    retriever.delete(np.array([2]))
    folder = tmp_path / "index"
    for next_number in (len(DOCUMENTS), len(DOCUMENTS) + 1):
        retriever.save(folder)
        loaded = load(name, folder)
        assert len(loaded) == len(retriever)
        assert_same(search(loaded), search(retriever), name)
        new = [stage.add(stage.encode_documents(["new snow"])) for stage in (retriever, loaded)]
        assert new[0].tolist() == new[1].tolist() == [next_number]
        retriever = loaded


def test_an_empty_retriever_is_saved_too(name: str, tmp_path: Path) -> None:
    empty(name).save(tmp_path / "index")
    loaded = load(name, tmp_path / "index")
    assert len(loaded) == 0
    assert loaded.add(loaded.encode_documents(["snow"])).tolist() == [0]


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="the system does not say what is open")
def test_a_dropped_retriever_closes_its_files_without_the_collector(
    name: str, tmp_path: Path
) -> None:
    filled(name).save(tmp_path / "index")
    collecting = gc.isenabled()
    gc.disable()
    try:
        before = len(list(OPEN_FILES.iterdir()))
        loaded = load(name, tmp_path / "index")
        search(loaded)
        assert len(list(OPEN_FILES.iterdir())) > before
        del loaded
        assert len(list(OPEN_FILES.iterdir())) == before
    finally:
        if collecting:
            gc.enable()


def test_duplicate_queries_keep_their_rows(name: str) -> None:
    hits = search(filled(name))
    one, other = (Hits(hits.ids[[row]], hits.scores[[row]]) for row in (0, 3))
    assert_same(one, other, name)
    assert one.row(0)[0].size > 0


def test_an_empty_query_and_an_empty_document_are_answered(name: str) -> None:
    retriever = filled(name)
    for k in (1, len(DOCUMENTS) + 3):
        ids, scores = search(retriever, [""], k).row(0)
        assert np.isfinite(scores).all()
        assert set(ids.tolist()) <= set(range(len(DOCUMENTS)))
    if name in (*LEXICAL, "splade-inference-free"):
        assert len(ids) == 0


def test_an_empty_corpus_finds_nothing(name: str) -> None:
    retriever = empty(name)
    assert retriever.add(retriever.encode_documents([])).tolist() == []
    assert len(retriever) == 0
    assert search(retriever, k=2).to_lists() == [[]] * len(QUERIES)


def test_no_queries_give_no_rows(name: str) -> None:
    assert search(filled(name), [], 3).ids.shape == (0, 3)


def test_k_above_the_corpus_ends_in_sentinels(name: str) -> None:
    hits = search(filled(name), k=len(DOCUMENTS) + 5)
    assert (hits.ids[:, len(DOCUMENTS) :] == -1).all()
    assert (hits.scores[hits.ids == -1] == -np.inf).all()
    assert (hits.scores[hits.ids != -1] > -np.inf).all()
    for row in range(len(QUERIES)):
        found = len(hits.row(row)[0])
        assert (hits.ids[row, found:] == -1).all()


def test_a_smaller_k_gives_the_first_of_a_larger(name: str) -> None:
    retriever = filled(name)
    large, small = search(retriever), search(retriever, k=2)
    assert_same(small, Hits(large.ids[:, :2], large.scores[:, :2]), name)


def test_scores_fall_and_equal_ones_are_in_order_of_number(name: str) -> None:
    hits = search(filled(name))
    for row in range(len(QUERIES)):
        ids, scores = hits.row(row)
        order = sorted(range(len(ids)), key=lambda i: (-scores[i], ids[i]))
        assert order == list(range(len(ids)))
    equal = scores_of(hits, 0)
    if name != "colbert":
        assert equal[3] == equal[5]
    assert equal[3] == pytest.approx(equal[5], rel=1e-5)


def test_a_deleted_document_was_never_added(name: str) -> None:
    retriever, fresh = filled(name), empty(name)
    retriever.delete(np.array([0, 4, 5]))
    left = [1, 2, 3, 6, 7]
    fresh.add(fresh.encode_documents([DOCUMENTS[number] for number in left]))
    assert len(retriever) == len(fresh) == 5
    found, wanted = search(retriever), search(fresh)
    numbers = np.array([*left, -1])
    renamed = Hits(numbers[wanted.ids], wanted.scores)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-4, atol=1e-5)
    for row in range(len(QUERIES)):
        assert scores_of(found, row) == pytest.approx(scores_of(renamed, row), rel=1e-4, abs=1e-5)
    retriever.delete(np.array(left))
    assert len(retriever) == 0
    assert search(retriever, k=2).to_lists() == [[]] * len(QUERIES)
    assert retriever.add(retriever.encode_documents(["snow"])).tolist() == [len(DOCUMENTS)]


@pytest.mark.parametrize("ids", [[8], [-1], [2, 99], [3], [0, 0]], ids=str)
def test_an_unknown_document_cannot_be_deleted(name: str, ids: list[int]) -> None:
    retriever = filled(name)
    retriever.delete(np.array([3]))
    with pytest.raises(ValueError, match=r"unknown|must differ"):
        retriever.delete(np.array(ids))
    assert len(retriever) == len(DOCUMENTS) - 1
    assert 2 in search(retriever, [SNOW]).ids


def test_wrong_questions_are_refused(name: str) -> None:
    retriever = filled(name)
    queries = retriever.encode_queries(QUERIES)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        retriever.search(queries, 0)
    with pytest.raises(TypeError, match=r"queries must be .* pass \['snow'\]"):
        retriever.encode_queries("snow")
    with pytest.raises(TypeError, match=r"documents must be .* pass \['snow'\]"):
        retriever.encode_documents("snow")
    with pytest.raises(TypeError, match="documents must be strings, got int at position 1"):
        retriever.encode_documents(["snow", 3])


def test_the_best_are_those_of_brute_force(name: str) -> None:
    retriever = filled(name)
    hits, wanted = search(retriever), brute_force(name, retriever)
    for row in range(len(QUERIES)):
        ids = range(len(DOCUMENTS))
        scores = {id: wanted[row, id] for id in ids if name == "colbert" or wanted[row, id] > 0}
        stored = 2e-3 if name in ("colbert", "sparse-embed") else 1e-6
        assert scores_of(hits, row) == pytest.approx(scores, rel=stored, abs=10 * stored)


def brute_force(name: str, retriever: Any) -> Floats:  # noqa: ANN401
    """Score every pair from the definition: of float32 vectors, which are stored more coarsely."""
    if name in LEXICAL:
        return lexical_scores(name, retriever.analyzer)
    queries, documents = retriever.encode_queries(QUERIES), retriever.encode_documents(DOCUMENTS)
    if name.startswith("splade"):
        width = retriever.encoder.preparer.vocabulary_size
        return np.asarray(sparse_dot(dense(queries, width), dense(documents, width), xp=np))
    if name == "colbert":
        return defined(queries, documents)
    scores = np.zeros((len(queries), len(documents)), np.float32)
    for i, j in np.ndindex(scores.shape):
        query, document = queries[i : i + 1], documents[j : j + 1]
        terms = query.terms.indices, document.terms.indices
        scores[i, j] = sparse_embed_score(*terms, query.embeddings, document.embeddings, xp=np)
    return scores


def dense(vectors: SparseVectors, width: int) -> Floats:
    rows = np.repeat(np.arange(len(vectors)), np.diff(vectors.indptr))
    matrix = np.zeros((len(vectors), width), np.float32)
    matrix[rows, vectors.indices] = vectors.values
    return matrix


def lexical_scores(name: str, analyzer: Analyzer) -> Floats:
    """Return BM25 in its Lucene form, or the cosine of count times idf."""
    counts = [Counter(analyzer(text)) for text in DOCUMENTS]
    asked = [Counter(analyzer.query(text)) for text in QUERIES]
    n = len(counts)
    frequency = Counter(term for count in counts for term in count)
    mean = sum(count.total() for count in counts) / n

    def bm25(term: str, count: Counter[str]) -> float:
        idf = math.log(1 + (n - frequency[term] + 0.5) / (frequency[term] + 0.5))
        return idf * count[term] / (count[term] + 1.5 * (0.25 + 0.75 * count.total() / mean))

    def cosine(count: Counter[str]) -> dict[str, float]:
        known = {term: c for term, c in count.items() if term in frequency}
        row = {t: c * (math.log((1 + n) / (1 + frequency[t])) + 1) for t, c in known.items()}
        length = math.hypot(*row.values()) or 1
        return {term: value / length for term, value in row.items()}

    scores = np.zeros((len(QUERIES), n))
    for i, j in np.ndindex(scores.shape):
        if name == "bm25":
            shared = {term: c for term, c in asked[i].items() if term in counts[j]}
            scores[i, j] = sum(c * bm25(term, counts[j]) for term, c in shared.items())
        else:
            left, right = cosine(asked[i]), cosine(counts[j])
            scores[i, j] = sum(value * right.get(term, 0) for term, value in left.items())
    return scores
