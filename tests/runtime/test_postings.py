from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.postings.inverted import InvertedLists, contenders
from glane.postings.joining import LISTS, join_lists
from glane.postings.postings import Postings, Weighting
from glane.retrievers.bm25 import Formula, Variant
from glane.retrievers.tfidf import weigh_tfidf
from glane.store.columns import whole as read
from glane.store.segments import Segment
from glane.vectors import SparseVectors

ROWS = st.lists(
    st.dictionaries(st.integers(0, 9), st.integers(1, 4).map(float), max_size=6), max_size=6
)


def vectors(rows: list[dict[int, float]]) -> SparseVectors:
    return SparseVectors(
        np.cumsum([0, *map(len, rows)], dtype=np.int64),
        np.array([term for row in rows for term in row], np.int32),
        np.array([value for row in rows for value in row.values()], np.float32),
    )


WEIGHTINGS: dict[str, Weighting] = {
    **{variant: Formula(variant, 1.5, 0.75, 0.5).weighting for variant in get_args(Variant)},
    "tfidf": weigh_tfidf,
}
QUERIES = [
    {3: 1.0, 0: 2.0},
    {1: 1.0},
    {},
    {9: 1.0, 8: 1.0, 7: 1.0, 6: 1.0, 2: 1.0},
    {3: 1.0, 0: 2.0},
]


@pytest.mark.parametrize("weighting", WEIGHTINGS.values(), ids=WEIGHTINGS)
@given(steps=st.lists(st.tuples(ROWS, st.integers(0, 2**16), st.booleans()), max_size=6))
@settings(max_examples=40)
def test_any_sequence_scores_as_a_fresh_build_of_what_remains(
    weighting: Weighting, steps: list[tuple[list[dict[int, float]], int, bool]]
) -> None:
    changed = Postings(weighting)
    left: dict[int, dict[int, float]] = {}
    for rows, chosen, looked_at in steps:
        left |= zip(changed.add(vectors(rows)).tolist(), rows, strict=True)
        gone = [id for position, id in enumerate(list(left)) if chosen >> position & 1]
        changed.delete(np.array(gone, np.int64))
        left = {id: row for id, row in left.items() if id not in gone}
        if looked_at:
            changed.search(vectors(QUERIES), 3)
    fresh = Postings(weighting)
    fresh.add(vectors(list(left.values())))
    assert len(changed) == len(fresh) == len(left)
    for k in (1, 3, 100):
        hits, wanted = changed.search(vectors(QUERIES), k), fresh.search(vectors(QUERIES), k)
        numbers = np.array([*left, -1])
        np.testing.assert_array_equal(hits.ids, numbers[wanted.ids])
        np.testing.assert_array_equal(hits.scores, wanted.scores)


@given(st.lists(ROWS, min_size=1, max_size=4), st.integers(0, 2**24), st.integers(1, 5))
def test_joined_lists_are_those_of_the_rows_that_are_left(
    parts: list[list[dict[int, float]]], chosen: int, block: int
) -> None:
    rows = [row for part in parts for row in part]
    alive = np.array([bool(chosen >> place & 1) for place in range(len(rows))], np.bool_)
    cuts = np.cumsum([len(part) for part in parts])[:-1]
    segments = [
        segment_of(part).without(np.flatnonzero(~own))
        for part, own in zip(parts, np.split(alive, cuts), strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glane.postings.joining.BLOCK_POSTINGS", block)
        patch.setattr("glane.store.columns.BLOCK_BYTES", 4 * block)
        columns = join_lists(segments)
        joined = InvertedLists(*(read(columns[name]) for name in LISTS))
    wanted = InvertedLists.invert(
        vectors([row for row, left in zip(rows, alive, strict=True) if left])
    )
    np.testing.assert_array_equal(joined.terms, wanted.terms)
    for term in range(12):
        for found, own in zip(joined.of(term), wanted.of(term), strict=True):
            np.testing.assert_array_equal(found, own)


def segment_of(rows: list[dict[int, float]]) -> Segment:
    """Return the inverted lists of some rows as a segment holds them."""
    lists = InvertedLists.invert(vectors(rows))
    arrays = (lists.terms, lists.offsets, lists.rows, lists.values)
    return Segment(np.arange(len(rows)), dict(zip(LISTS, arrays, strict=True)))


@given(
    st.integers(0, 3000), st.integers(1, 200), st.sampled_from([1, 3, 1000]), st.integers(0, 2**32)
)
def test_contenders_hold_the_best_and_all_ties(n: int, k: int, levels: int, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, levels + 1, n).astype(np.float32)
    found = set(contenders(scores, k).tolist())
    above = np.sort(scores[scores > 0])[::-1]
    last = above[min(k, len(above)) - 1] if len(above) else np.inf
    assert found >= set(np.flatnonzero(scores >= last).tolist())
    assert (scores[sorted(found)] > 0).all()


def test_numbers_are_never_given_twice() -> None:
    postings = Postings(WEIGHTINGS["lucene"])
    assert postings.add(vectors([{0: 1.0}, {}])).tolist() == [0, 1]
    postings.delete(np.array([1, 0]))
    assert postings.add(vectors([{0: 1.0}])).tolist() == [2]
    assert postings.search(vectors([{0: 1.0}]), 2).ids.tolist() == [[2, -1]]


@pytest.mark.parametrize(
    ("ids", "message"),
    [([7], r"unknown document 7"), ([-1], "unknown"), ([1], "unknown"), ([0, 0], "must differ")],
)
def test_deleting_what_is_not_there_changes_nothing(ids: list[int], message: str) -> None:
    postings = Postings(WEIGHTINGS["lucene"])
    postings.add(vectors([{0: 1.0}, {0: 2.0}, {1: 1.0}]))
    postings.delete(np.array([1]))
    with pytest.raises(ValueError, match=message):
        postings.delete(np.array([2, *ids]))
    assert len(postings) == 2


def test_deleting_from_an_empty_index_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown document 0"):
        Postings(WEIGHTINGS["lucene"]).delete(np.array([0]))


def test_matches_that_score_zero_are_hits_in_order_of_number() -> None:
    postings = Postings(WEIGHTINGS["atire"])
    postings.add(vectors([{0: 1.0}, {0: 3.0}, {0: 2.0, 1: 1.0}]))
    hits = postings.search(vectors([{0: 1.0}]), 5)
    assert hits.ids.tolist() == [[0, 1, 2, -1, -1]]
    assert hits.scores[0, :3].tolist() == [0, 0, 0]


def test_the_cache_of_weights_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    postings = Postings(WEIGHTINGS["lucene"])
    postings.add(vectors([dict.fromkeys(range(10), 1.0) for _ in range(20)]))
    queries = vectors([dict.fromkeys(range(10), 1.0)])
    wanted = postings.search(queries, 20)
    monkeypatch.setattr("glane.postings.postings.CACHE_BYTES", 200)
    other = Postings(WEIGHTINGS["lucene"])
    other.add(vectors([dict.fromkeys(range(10), 1.0) for _ in range(20)]))
    hits = other.search(queries, 20)
    assert len(other._now().cache) <= 2
    np.testing.assert_array_equal(hits.scores, wanted.scores)


def test_threads_get_the_answers_of_one() -> None:
    rng = np.random.default_rng(0)
    rows = [dict.fromkeys(rng.integers(0, 50, 8).tolist(), 1.0) for _ in range(500)]
    queries = [dict.fromkeys(rng.integers(0, 50, 4).tolist(), 1.0) for _ in range(200)]
    alone, shared = Postings(WEIGHTINGS["lucene"]), Postings(WEIGHTINGS["lucene"])
    alone.add(vectors(rows))
    shared.add(vectors(rows))
    wanted = alone.search(vectors(queries), 10)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda query: shared.search(vectors([query]), 10), queries))
    np.testing.assert_array_equal(np.concatenate([hits.ids for hits in found]), wanted.ids)
    np.testing.assert_array_equal(np.concatenate([hits.scores for hits in found]), wanted.scores)


def test_searching_while_writing_never_fails() -> None:
    postings = Postings(WEIGHTINGS["lucene"])
    postings.add(vectors([{0: 1.0}]))

    def write() -> None:
        for _ in range(50):
            postings.delete(postings.add(vectors([{0: 1.0}, {1: 1.0}])))

    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write) for _ in range(2)]
        found = [pool.submit(postings.search, vectors([{0: 1.0}]), 1) for _ in range(100)]
    assert all(future.result() is None for future in writing)
    assert all(future.result().ids.tolist() == [[0]] for future in found)
    assert len(postings) == 1
