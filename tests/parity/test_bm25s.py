"""Scores against bm25s, over the same terms."""

import numpy as np
import pytest

from glane.retrievers.bm25 import BM25, Variant

bm25s = pytest.importorskip("bm25s")

VARIANTS: list[Variant] = ["lucene", "robertson", "atire", "bm25l", "bm25+"]
N_DOCUMENTS = 200


def texts(n: int, length: int, seed: int) -> list[str]:
    """Random words, the low numbers frequent; never empty."""
    rng = np.random.default_rng(seed)
    numbers = [rng.zipf(1.3, rng.integers(1, length)) % 500 for _ in range(n)]
    return [" ".join(f"w{number}" for number in row) for row in numbers]


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_equal(variant: Variant) -> None:
    documents, queries = texts(N_DOCUMENTS, 60, seed=0), texts(50, 8, seed=1)
    ours = BM25(variant)
    ours.add(ours.encode_documents(documents))
    analyze = ours.analyzer
    theirs = bm25s.BM25(method=variant, k1=1.5, b=0.75, delta=0.5)
    theirs.index([analyze(text) for text in documents], show_progress=False)
    hits = ours.search(ours.encode_queries(queries), k=N_DOCUMENTS)
    for query, text in enumerate(queries):
        terms = [term for term in analyze(text) if term in theirs.vocab_dict]
        scores = theirs.get_scores(terms) if terms else np.zeros(N_DOCUMENTS, np.float32)
        ids, found = hits.row(query)
        # bm25s adds to every document what an absent term would give it: 0 but for these two.
        if variant in ("bm25l", "bm25+"):
            numbers = [theirs.vocab_dict[term] for term in terms]
            absent = theirs.nonoccurrence_array[numbers]
            has = np.array([[term in set(analyze(d)) for d in documents] for term in terms])
            scores = scores - (absent[:, None] * ~has.reshape(len(terms), -1)).sum(0)
        np.testing.assert_allclose(found, scores[ids], rtol=2e-4, atol=2e-5)
        others = np.delete(scores, ids)
        np.testing.assert_allclose(others, 0, atol=2e-5)
