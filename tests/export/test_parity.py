"""The measures behind the bounds, on vectors made by hand."""

import re

import numpy as np
import pytest

from glane_export import ParityError, parity
from glane_export.judged import loss_bounds
from glane_export.parity import Bound
from glane_export.roads import Probe
from glane_export.rows import TermRow, TokenRow
from glane_export.texts import ODD, ORDINARY, query_of, too_long

PROBES = [Probe("document", "first"), Probe("query", "x" * 100)]

NOTHING = TokenRow(np.empty((0, 2), np.float32))


def at_angles(*angles: float) -> TokenRow:
    return TokenRow(np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))


def terms(weights: dict[int, float], border: float = 0.0) -> TermRow:
    """A row whose terms have one-component embeddings, their weights."""
    values = np.array(list(weights.values()), np.float32)
    return TermRow(np.array(list(weights), np.int64), values, values[:, None], border)


def test_cosines_name_the_worst_text() -> None:
    pairs = [(at_angles(0, 0), at_angles(0, 0)), (at_angles(0), at_angles(np.pi / 3))]
    mean, lowest = parity.cosines("a to b", PROBES, pairs)
    assert mean.figure == pytest.approx(2.5 / 3)
    assert lowest.figure == pytest.approx(0.5)
    assert not mean.kept
    assert not lowest.kept
    assert lowest.text == f"query '{'x' * 56}..."


def test_a_text_without_counted_tokens_is_passed_over() -> None:
    pairs = [(NOTHING, NOTHING), (at_angles(0), at_angles(0))]
    assert parity.differences("a to b", 0.0, PROBES, pairs)[0].kept
    assert parity.cosines("a to b", PROBES, pairs)[1].figure == 1
    assert parity.batch_effect(pairs) == 0


def test_a_figure_that_is_no_number_keeps_no_bound() -> None:
    pairs = [(at_angles(0), at_angles(0)), (at_angles(0), at_angles(np.nan))]
    assert not parity.differences("a to b", 1.0, PROBES, pairs)[0].kept
    assert not any(bound.kept for bound in parity.cosines("a to b", PROBES, pairs))


def test_batch_effect_is_one_minus_the_lowest_cosine() -> None:
    pairs = [(at_angles(0, 0), at_angles(0.1, np.pi))]
    assert parity.batch_effect(pairs) == pytest.approx(2)


def test_overlap_counts_what_the_first_ten_share() -> None:
    probes = [Probe("query", "x"), *[Probe("document", "y")] * 20]
    angles = np.arange(21) / 20  # the nearest documents are the first
    moved = angles.copy()
    moved[-2:] = 0  # two of the first ten are new
    first, second = ([at_angles(angle) for angle in side] for side in (angles, moved))
    bound = parity.overlap("a to b", probes, first, second)
    assert bound.figure == pytest.approx(0.8)
    assert not bound.kept


def test_which_of_equal_terms_is_cut_makes_no_difference() -> None:
    pairs = [(terms({3: 0.9, 5: 0.5}, border=0.5), terms({3: 0.9, 7: 0.5}, border=0.5))]
    assert [bound.figure for bound in parity.differences("a to b", 0.1, PROBES[:1], pairs)] == [
        0,
        0,
    ]


def test_a_term_that_should_not_have_been_cut_is_a_difference() -> None:
    pairs = [(terms({3: 0.9, 5: 0.8}, border=0.8), terms({3: 0.9, 7: 0.5}, border=0.5))]
    weight, embedding = parity.differences("a to b", 0.1, PROBES[:1], pairs)
    assert weight.figure == pytest.approx(0.3)
    assert not weight.kept
    assert weight.measure == "largest difference of a weight"
    assert embedding.figure == 0


def test_a_term_that_no_cut_explains_is_a_difference() -> None:
    pairs = [(terms({3: 0.9, 5: 0.2}), terms({3: 0.9}))]
    assert parity.differences("a to b", 0.1, PROBES[:1], pairs)[0].figure == pytest.approx(0.2)


def test_sparse_rows_are_compared_as_vectors_over_the_vocabulary() -> None:
    pairs = [(terms({3: 3.0, 5: 4.0}), terms({5: 1.0})), (terms({}), terms({}))]
    mean, lowest = parity.cosines("a to b", PROBES, pairs)
    assert mean.figure == lowest.figure == pytest.approx(0.8)
    assert parity.batch_effect(pairs) == pytest.approx(0.2)
    (shared,) = parity.shared_terms("a to b", PROBES, pairs)
    assert shared.figure == pytest.approx(0.75)


def test_terms_that_are_all_lost_are_no_likeness() -> None:
    assert parity.cosines("a to b", PROBES[:1], [(terms({3: 0.1}), terms({}))])[1].figure == 0


def test_sparse_rows_are_scored_by_the_definitions() -> None:
    query, documents = (
        terms({3: 3.0, 5: 4.0}),
        [terms({5: 2.0}), terms({}), terms({3: 1.0, 9: 1.0})],
    )
    np.testing.assert_allclose(query.scores(documents), [8, 0, 3])
    plain = [TermRow(row.terms, row.weights, None, 0.0) for row in (query, *documents)]
    np.testing.assert_allclose(plain[0].scores(plain[1:]), [8, 0, 3])


def losses(mean: float, deviation: float, n: int) -> list[float]:
    """Return losses of exactly this mean and standard deviation."""
    values = np.random.default_rng(0).normal(size=n)
    values = (values - values.mean()) / values.std(ddof=1)
    return list(mean + deviation * values)


def bounds_of(values: list[float]) -> list[Bound]:
    return loss_bounds("a to b", [f"query {row}" for row in range(len(values))], values)


def test_loss_of_ndcg_may_be_a_gain() -> None:
    least, most = bounds_of(losses(-0.05, 0.1, 60))
    assert least.figure < most.figure < 0
    assert least.kept
    assert most.kept
    assert most.n == 60


def test_the_interval_is_that_of_students_t() -> None:
    least, most = bounds_of(losses(0.002, 0.05, 10))
    half = 2.2622 * 0.05 / 10**0.5
    assert (least.figure, most.figure) == pytest.approx((0.002 - half, 0.002 + half), abs=1e-5)


def test_a_good_model_passes_and_does_not_fail_by_chance_of_its_mean() -> None:
    """As MiniLM's int8: a loss of .0017, a deviation of .0225; and an unlucky sample of it."""
    for mean in (0.0017, 0.0017 + 2 * 0.0013):
        assert all(bound.kept for bound in bounds_of(losses(mean, 0.0225, 300)))


def test_a_bad_model_fails_with_few_queries_and_with_many() -> None:
    for n in (2, 20, 300, 3000):
        assert not all(bound.kept for bound in bounds_of(losses(0.015, 0.0225, n)))
    least, most = bounds_of(losses(0.007, 0.0225, 3000))
    assert not least.kept, "many queries show a loss that is above the lower bound"
    assert most.kept


def test_too_few_queries_show_nothing_and_how_many_would_is_said() -> None:
    for n in (1, 2, 9):
        least, most = bounds_of([0.0] * n)
        assert least.kept
        assert not most.kept
        with pytest.raises(ParityError, match=r"about \d+ queries like these would show it"):
            parity.check([most])
    (_, most) = bounds_of([0.0] * 9)
    told = re.search(r"about (\d+) queries", most.remark)
    assert told is not None
    enough = int(told[1])
    assert bounds_of([0.0] * enough)[1].kept
    assert not bounds_of([0.0] * (enough - 5))[1].kept


def test_the_share_of_products_in_int8_is_bounded() -> None:
    assert parity.share("a to b", 9, 10).kept
    with pytest.raises(ParityError, match=r"is 0\.0959, must be at least 0\.9, 7 of 73 products"):
        parity.check([parity.share("a to b", 7, 73)])
    assert not parity.share("a to b", 0, 0).kept


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
