"""What is kept of a training, by the values of the held-out queries."""

import pytest

from glane_trainer.keep import Look, best_trained, choose
from glane_trainer.measuring import n_measured
from glane_trainer.settings import Settings


def look(*values: float, step: int = 8, share: float = 0.0, terms: float | None = None) -> Look:
    return Look(step=step, start_share=share, values=list(values), document_terms=terms)


def test_the_last_look_that_is_no_worse_is_the_best() -> None:
    first, second, third = look(0.5, 0.7, step=1), look(0.6, 0.6, step=2), look(0.1, 0.2, step=3)
    assert best_trained([first, second, third]) is second
    assert best_trained([look(0.2, step=1), third := look(0.1, step=2)]) is not third
    assert best_trained([]) is None


def test_a_later_look_may_be_one_standard_error_lower() -> None:
    high = look(0.5, 0.5, 0.5, 0.5, step=1)
    # Below by .1, .1, .1 and -.1: .05 in the mean, deviation .1, standard error .05.
    within = look(0.4, 0.4, 0.4, 0.6, step=2)
    assert best_trained([high, within]) is within
    assert best_trained([high, within, look(0.39, 0.4, 0.4, 0.6, step=3)]) is within
    assert best_trained([high, look(0.49, 0.49, 0.49, 0.49, step=2)]) is high, "for each query"
    assert best_trained([look(0.4, 0.4, 0.4, 0.6, step=0), high]) is high


def test_of_models_with_terms_the_best_that_is_sparse_enough() -> None:
    dense, sparse, sparser = look(0.9, terms=300), look(0.7, terms=90), look(0.6, terms=50)
    assert best_trained([dense, sparse, sparser], 100) is sparse
    assert best_trained([dense, sparse, sparser]) is dense
    assert best_trained([dense, sparse, sparser], 10) is sparser, "where none is"


def test_the_start_comes_back_only_where_it_wins_by_more_than_the_error() -> None:
    start = look(0.5, 0.6, 0.7, 0.8, step=0, share=1)
    trained = look(0.4, 0.5, 0.6, 0.7)  # by 0.1 for each query: sure
    kept = choose(start, trained, [])
    assert kept.look is start
    assert kept.start_wins is not None
    assert kept.start_wins.difference == pytest.approx(0.1)
    noisy = look(0.9, 0.1, 0.9, 0.6)  # by 0.025, one way here and the other there
    kept = choose(start, noisy, [])
    assert kept.look is noisy
    assert kept.against_start is not None
    assert kept.against_start.difference == pytest.approx(-0.025)
    assert kept.against_start.low < -0.025 < kept.against_start.high


def test_a_single_query_is_never_sure() -> None:
    trained = look(0.0)
    assert choose(look(1.0, step=0, share=1), trained, []).look is trained


def test_the_best_share_is_kept_and_the_smaller_of_equal_ones() -> None:
    start, trained = look(0.2, 0.2, step=0, share=1), look(0.4, 0.4)
    quarter, half = look(0.5, 0.5, share=0.25), look(0.5, 0.5, share=0.5)
    assert choose(start, trained, [half, quarter]).look is quarter
    assert choose(start, trained, []).look is trained


def test_trained_weights_are_kept_alone_only_where_they_win_by_more_than_the_error() -> None:
    start = look(0.1, 0.2, 0.3, 0.2, step=0, share=1)
    trained = look(0.5, 0.6, 0.7, 0.6)
    unsure = look(0.6, 0.5, 0.6, 0.6, share=0.5)  # below by .025, one way here, the other there
    assert choose(start, trained, [unsure]).look is unsure
    sure = look(0.4, 0.5, 0.6, 0.5, share=0.25)  # below by .1 for each query
    assert choose(start, trained, [sure]).look is trained
    assert choose(start, trained, [sure, unsure]).look is unsure


def test_trained_weights_of_models_with_terms_are_kept_where_they_are_as_good() -> None:
    start = look(0.1, 0.2, step=0, share=1, terms=100)
    trained = look(0.5, 0.6, terms=100)
    assert choose(start, trained, [look(0.6, 0.49, share=0.25, terms=100)]).look is trained
    assert choose(start, trained, [look(0.6, 0.5, share=0.25, terms=100)]).look is trained
    better = look(0.6, 0.51, share=0.25, terms=100)
    assert choose(start, trained, [better]).look is better


def test_weights_between_keep_at_least_half_of_the_gain() -> None:
    start, trained = look(0.2, step=0, share=1), look(0.6)
    assert choose(start, trained, [look(0.39, share=0.25)]).look is trained, "of one query, too"
    found = choose(start, trained, [half := look(0.41, share=0.25)])
    assert found.look is half
    assert found.against_start is not None
    assert found.against_start.difference == pytest.approx(0.21)
    worse = look(0.1, step=8)
    assert choose(start, worse, [less := look(0.16, share=0.25)]).look is less


def test_weights_between_with_many_more_terms_are_left_out() -> None:
    start, trained = look(0.2, step=0, share=1, terms=900), look(0.4, terms=100)
    few, many = look(0.5, share=0.25, terms=125), look(0.9, share=0.75, terms=126)
    assert choose(start, trained, [few, many]).look is few
    assert choose(start, trained, [few, many], max_terms=110).look is trained
    assert choose(start, trained, [many]).look is trained
    better = look(0.9, 0.9, step=0, share=1, terms=900)
    assert choose(better, look(0.1, 0.1, terms=100), []).look is better
    assert choose(better, look(0.1, 0.1, terms=100), [], max_terms=200).look is not better


@pytest.mark.parametrize(
    ("n_held_out", "n_learned", "expected"),
    [(40, 10, 40), (1000, 10, 64), (1000, 21 * 7 * 100, 200), (1000, 10**9, 1000)],
)
def test_measuring_takes_no_longer_than_training(
    n_held_out: int, n_learned: int, expected: int
) -> None:
    assert n_measured(n_held_out, n_learned, 4, Settings()) == expected
    assert n_measured(n_held_out, n_learned, 4, Settings(eval_queries=9)) == 9
