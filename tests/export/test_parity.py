"""The measures behind the bounds, on vectors made by hand."""

import numpy as np
import pytest

from glane.types import Floats
from glane_export import ParityError, parity
from glane_export.parity import Bound
from glane_export.texts import ODD, ORDINARY, query_of, too_long
from glane_export.vectors import Probe

PROBES = [Probe("document", "first"), Probe("query", "x" * 100)]

NOTHING: Floats = np.empty((0, 2), np.float32)


def at_angles(*angles: float) -> Floats:
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def test_cosines_name_the_worst_text() -> None:
    exact = [at_angles(0, 0), at_angles(0)]
    given = [at_angles(0, 0), at_angles(np.pi / 3)]
    mean, lowest = parity.cosines("a to b", PROBES, (exact, given))
    assert mean.figure == pytest.approx(2.5 / 3)
    assert lowest.figure == pytest.approx(0.5)
    assert not mean.kept
    assert not lowest.kept
    assert lowest.text == f"query '{'x' * 56}..."


def test_a_text_without_counted_tokens_is_passed_over() -> None:
    pair = [NOTHING, at_angles(0)], [NOTHING, at_angles(0)]
    assert parity.differences("a to b", 0.0, PROBES, pair).kept
    assert parity.cosines("a to b", PROBES, pair)[1].figure == 1
    assert parity.batch_effect(pair) == 0


def test_a_figure_that_is_no_number_keeps_no_bound() -> None:
    pair = [at_angles(0), at_angles(0)], [at_angles(0), at_angles(np.nan)]
    assert not parity.differences("a to b", 1.0, PROBES, pair).kept
    assert not any(bound.kept for bound in parity.cosines("a to b", PROBES, pair))


def test_batch_effect_is_one_minus_the_lowest_cosine() -> None:
    pair = [at_angles(0, 0)], [at_angles(0.1, np.pi)]
    assert parity.batch_effect(pair) == pytest.approx(2)


def test_overlap_counts_what_the_first_ten_share() -> None:
    scores = np.arange(20, dtype=np.float32)
    moved = scores.copy()
    moved[:2] = 30  # two of the first ten are new
    bound = parity.overlap("a to b", [PROBES[1]], [scores], [moved])
    assert bound.figure == pytest.approx(0.8)
    assert not bound.kept


def test_loss_of_ndcg_may_be_a_gain() -> None:
    queries = {"1": "one", "2": "two"}
    bound = parity.ndcg_loss("a to b", queries, {"1": 0.5, "2": 0.5}, {"1": 0.4, "2": 0.7})
    assert bound.figure == pytest.approx(-0.05)
    assert bound.kept
    assert bound.text == "query 'one'"


def test_every_missed_bound_is_told() -> None:
    missed = Bound("a to b", "mean cosine", 0.5, "at least", 0.9, "query 'x'", 3)
    kept = Bound("a to b", "lowest cosine", 0.95, "at least", 0.9, "query 'y'", 3)
    parity.check([kept])
    with pytest.raises(ParityError) as caught:
        parity.check([kept, missed, missed])
    assert str(caught.value).count("mean cosine is 0.5, must be at least 0.9, worst for query") == 2
    assert "'y'" not in str(caught.value)


def test_texts_cover_what_goes_wrong() -> None:
    assert len(set(ORDINARY)) == len(ORDINARY) >= 50
    assert "" in ODD
    assert all(len(text.split()) > 90 for text in too_long(90))
    assert query_of("one") == "one"
    assert query_of("") == ""
    assert len(query_of(ORDINARY[-1]).split()) == 8
