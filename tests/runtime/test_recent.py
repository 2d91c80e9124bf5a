"""Queries asked again are not encoded again, and nobody's vectors are another's."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from glane.retrievers.recent import KEPT, Recent
from glane.vectors import TokenVectors


class Model:
    """Counts what it encodes."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def __call__(self, text: str) -> TokenVectors:
        self.encoded.append(text)
        value = np.full((1, 2), float(text), np.float32)
        return TokenVectors(np.array([0, 1]), value)


def test_the_last_queries_are_kept_and_the_oldest_is_forgotten_first() -> None:
    model, recent = Model(), Recent[TokenVectors]()
    for number in range(KEPT):
        recent.of(str(number), model)
    assert float(recent.of("0", model).values[0, 0]) == 0
    assert len(model.encoded) == KEPT
    recent.of("new", lambda _: model("99"))  # forgets 1: 0 was asked for again
    recent.of("0", model)
    assert len(model.encoded) == KEPT + 1
    recent.of("1", model)
    assert model.encoded[KEPT:] == ["99", "1"]


def test_what_a_caller_changes_is_its_own() -> None:
    model, recent = Model(), Recent[TokenVectors]()
    for _ in range(3):
        vectors = recent.of("7", model)
        assert vectors.values.tolist() == [[7, 7]]
        vectors.values[:] = 0
    assert model.encoded == ["7"]


def test_another_process_keeps_its_own() -> None:
    model, recent = Model(), Recent[TokenVectors]()
    recent.of("7", model)
    again = pickle.loads(pickle.dumps(recent))
    again.of("7", model)
    assert model.encoded == ["7", "7"]


def test_many_threads_get_each_the_vectors_of_its_query() -> None:
    model, recent = Model(), Recent[TokenVectors]()
    texts = [str(number % (KEPT + 9)) for number in range(4000)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda text: recent.of(text, model), texts))
    assert [float(each.values[0, 0]) for each in found] == [float(text) for text in texts]
