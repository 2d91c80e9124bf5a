"""Numpy's loops against a sort, and the compiled ones against numpy's, bit for bit."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.hits import Hits
from glane.postings.loops import PLAIN, Loops, compiled_loops
from glane.postings.postings import Postings, weigh_as_it_is
from glane.retrievers.bm25 import Formula
from glane.types import Mask, Scores
from glane.vectors import SparseVectors

BM25 = Formula("lucene", 1.5, 0.75, 0.5).weighting

COMPILED = compiled_loops()

ROADS = [PLAIN, COMPILED] if COMPILED else [PLAIN]

needs_numba = pytest.mark.skipif(COMPILED is None, reason="needs numba: pip install 'glane[fast]'")

each_road = pytest.mark.parametrize("road", ROADS, ids=lambda road: road.means)


def random_scores(n: int, levels: int, seed: int) -> Scores:
    """Return scores from 0 up, of few levels with many ties, with stretches of zeros."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels + 1, n).astype(np.float32) / np.float32(3)
    scores[rng.random(n) < rng.random()] = 0
    return np.sort(scores) if seed % 3 == 0 else scores


@each_road
@given(
    st.integers(0, 3000),
    st.sampled_from([1, 2, 7, 100, 5000, 10**20]),
    st.sampled_from([1, 3, 10**6]),
    st.integers(0, 2**32),
)
@settings(deadline=None)
def test_leaders_are_the_first_of_a_sort(
    road: Loops, n: int, k: int, levels: int, seed: int
) -> None:
    scores = random_scores(n, levels, seed)
    ranked = sorted(range(n), key=lambda row: (-scores[row], row))
    wanted = [row for row in ranked if scores[row] > 0][:k]
    found = road.leaders(scores, k)
    assert found.dtype == np.int64
    assert found.tolist() == wanted


@each_road
@given(st.integers(0, 400), st.floats(-100, 100, width=32), st.integers(0, 2**32))
def test_sums_are_rounded_after_the_product_and_after_the_sum(
    road: Loops, n: int, factor: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores, weights = rng.random(n, np.float32), rng.random(n, np.float32)
    rows = np.flatnonzero(rng.random(n) < 0.5).astype(np.int32)
    wanted = scores.copy()
    for row, weight in zip(rows, weights, strict=False):
        wanted[row] = np.float32(wanted[row] + np.float32(weight * np.float32(factor)))
    some, everywhere = scores.copy(), scores.copy()
    road.add(some, rows, weights[: len(rows)], np.float32(factor))
    road.add(everywhere, None, weights, np.float32(factor))
    np.testing.assert_array_equal(some, wanted)
    np.testing.assert_array_equal(everywhere, scores + weights * np.float32(factor))


def many(n: int, n_terms: int, seed: int) -> SparseVectors:
    """Return rows of up to six terms, low ones in most of the rows; few values, so many ties."""
    rng = np.random.default_rng(seed)
    rows = [np.unique((n_terms * rng.random(6) ** 3).astype(np.int32)) for _ in range(n)]
    indices = np.concatenate([np.empty(0, np.int32), *rows])
    values = rng.integers(1, 3, len(indices)).astype(np.float32)
    return SparseVectors(np.cumsum([0, *map(len, rows)], dtype=np.int64), indices, values)


def searched(
    road: Loops, postings: Postings, queries: SparseVectors, k: int, within: Mask | None
) -> Hits:
    """Search by one road."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glane.postings.postings.fastest", lambda: road)
        return postings.search(queries, k, within)


@needs_numba
@pytest.mark.parametrize("weighting", [BM25, weigh_as_it_is], ids=["bm25", "as it is"])
@given(st.integers(0, 400), st.integers(0, 2**32), st.sampled_from([None, 0.02, 0.6]))
@settings(max_examples=40, deadline=None)
def test_a_search_gives_the_same_by_both(
    weighting: object, n: int, seed: int, share: float | None
) -> None:
    rng = np.random.default_rng(seed)
    postings = Postings(weighting)  # type: ignore[arg-type]  # mypy joins the two to an object
    postings.add(many(n, 30, seed))
    postings.add(many(n // 3, 40, seed + 1))
    postings.delete(np.flatnonzero(rng.random(n) < 0.2))
    queries = many(4, 45, seed + 2)
    within: Mask | None = None
    if share is not None:
        within = rng.random(postings.rows.next_id) < share
    for k in (1, 10, 5000):
        wanted, hits = (searched(road, postings, queries, k, within) for road in ROADS)
        np.testing.assert_array_equal(hits.ids, wanted.ids)
        np.testing.assert_array_equal(hits.scores, wanted.scores)


@each_road
def test_threads_choose_at_once_what_one_does(road: Loops) -> None:
    all_scores = [random_scores(20_000, 50, seed) for seed in range(40)]
    wanted = [road.leaders(scores, 100).tolist() for scores in all_scores]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda scores: road.leaders(scores, 100).tolist(), all_scores))
    assert found == wanted


LOADING = "import glane.postings.loops as l; print(l.fastest().means.partition(' ')[0])"
ALONE = f"import sys; sys.modules['scipy'] = None; {LOADING}"


@needs_numba
def test_numba_does_where_it_brings_no_scipy() -> None:
    assert subprocess.check_output([sys.executable, "-c", ALONE], text=True) == "numba\n"


@needs_numba
@pytest.mark.skipif(find_spec("scipy") is None, reason="needs scipy")
def test_numba_is_left_alone_where_it_would_bring_scipy() -> None:
    assert subprocess.check_output([sys.executable, "-c", LOADING], text=True) == "numpy\n"


def test_numpy_does_where_numba_cannot_be_imported() -> None:
    code = f"import sys; sys.modules['numba'] = None; {LOADING}"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "numpy\n"


@needs_numba
def test_numba_compiles_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = str(tmp_path / "file" / "below")
    code = f"import os; os.environ['NUMBA_CACHE_DIR'] = {folder!r}; {ALONE}"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "numba\n"
