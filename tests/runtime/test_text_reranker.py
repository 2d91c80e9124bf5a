"""Texts that no index holds are scored as an index scores them, and each is encoded once."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glane import BM25, ColBERT, Search, SparseEmbed, Splade, TextReranker, TfIdf, TokenStorage
from glane.maxsim.quantization import CodeKind
from glane.retrievers.contract import Retriever
from glane.retrievers.neural import Neural

FIXTURES = Path(__file__).parents[1] / "fixtures"
LOADED: dict[str, Callable[[], Neural[Any, Any]]] = {
    "colbert": lambda: ColBERT.load(FIXTURES / "colbert", threads=1),
    "colbert-int8": lambda: ColBERT.load(FIXTURES / "colbert-int8", threads=1),
    "splade": lambda: Splade.load(FIXTURES / "splade", threads=1),
    "splade-inference-free": lambda: Splade.load(FIXTURES / "splade-inference-free", threads=1),
    "sparse-embed": lambda: SparseEmbed.load(FIXTURES / "sparse-embed", threads=1),
}
TEXTS = [
    "plants eat light",
    "a river in spring",
    "",
    "tea " * 90 + "plants eat light.",
    "plants eat light",
    "Zürich, \U0001f375 und 東京",
    "a stone \ud800 a leaf",
    "river water. " * 40,
]
QUERIES = ["how do plants eat light", "", "a river", "\U0001f375"]


@pytest.fixture
def colbert() -> TextReranker:
    return TextReranker(LOADED["colbert"]())


def test_a_model_folder_is_loaded_as_the_kind_that_it_is() -> None:
    for name in LOADED:
        reranker = TextReranker.load(FIXTURES / name, threads=1)
        assert str(FIXTURES / name) in repr(reranker)
        assert len(reranker.stage) == 0
        assert len(reranker.rerank("tea", TEXTS)) == len(TEXTS)


@pytest.mark.parametrize("passages", [True, False])
@pytest.mark.parametrize("name", LOADED)
def test_texts_rank_and_score_as_in_a_search_of_them(name: str, passages: bool) -> None:
    search = Search(LOADED[name](), passages=passages)
    reranker = TextReranker(LOADED[name](), passages=passages)
    search.add([{"id": place, "text": text} for place, text in enumerate(TEXTS)])
    for query in QUERIES:
        found = search.search([query], k=len(TEXTS))
        ranked = reranker.rerank(query, TEXTS)
        assert sorted(place for place, _ in ranked) == list(range(len(TEXTS)))
        n_found = len(found.ids[0])
        assert [place for place, _ in ranked[:n_found]] == found.ids[0]
        assert [score for _, score in ranked[:n_found]] == found.scores[0]
        assert [score for _, score in ranked[n_found:]] == [0] * (len(TEXTS) - n_found)


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_texts_score_as_by_the_reranker_of_an_index(kind: CodeKind, tmp_path: Path) -> None:
    stage = ColBERT.load(FIXTURES / "colbert", threads=1)
    stage.store_as(TokenStorage(kind=kind, pool=2))
    search = Search(BM25(), reranker=stage)
    search.add([{"id": place, "text": f"{text} tea"} for place, text in enumerate(TEXTS)])
    search.save(tmp_path / "index")
    search = Search.load(tmp_path / "index", threads=1)
    assert search.reranker is not None
    reranker = TextReranker(search.reranker)
    found = search.search(["tea"], k=len(TEXTS), fuse="none")
    ranked = reranker.rerank("tea", [f"{text} tea" for text in TEXTS])
    assert [place for place, _ in ranked] == found.ids[0]
    assert [score for _, score in ranked] == found.scores[0]
    assert len(reranker.stage) == 0
    assert len(search) == len(TEXTS)


def test_equal_texts_score_alike_and_go_by_their_place(colbert: TextReranker) -> None:
    ranked = colbert.rerank("tea", ["leaf", "tea", "leaf", "leaf"])
    assert [place for place, _ in ranked if place != 1] == [0, 2, 3]
    assert len({score for place, score in ranked if place != 1}) == 1


def test_k_cuts_and_may_be_more_than_there_are(colbert: TextReranker) -> None:
    ranked = colbert.rerank("tea", TEXTS)
    assert colbert.rerank("tea", TEXTS, k=3) == ranked[:3]
    assert colbert.rerank("tea", TEXTS, k=np.int64(1)) == ranked[:1]  # type: ignore[arg-type]
    assert colbert.rerank("tea", TEXTS, k=1000) == ranked
    assert colbert.rerank("tea", []) == []
    assert colbert.rerank("tea", [], k=2) == []
    assert colbert.rerank("tea", ("leaf",)) == colbert.rerank("tea", ["leaf"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("tea", "leaf"), TypeError, "texts must be a list of strings, got one string"),
        (("tea", ["leaf", 3]), TypeError, "texts"),
        ((3, ["leaf"]), TypeError, "query"),
        (("tea", ["leaf"], 0), ValueError, "k must be at least 1, got 0"),
        (("tea", [], 0), ValueError, "k must be at least 1, got 0"),
        (("tea", ["leaf"], True), TypeError, "k must be an integer"),
    ],
)
def test_what_is_no_text_or_number_is_refused(
    arguments: tuple[Any, ...], error: type[Exception], message: str, colbert: TextReranker
) -> None:
    with pytest.raises(error, match=message):
        colbert.rerank(*arguments)


@pytest.mark.parametrize("stage", [BM25(), TfIdf()])
def test_words_are_not_weighed_without_an_index(stage: Retriever) -> None:
    with pytest.raises(TypeError, match="weighs words by the documents of an index"):
        TextReranker(stage)


def test_a_cache_of_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="cache_bytes must be at least 0, got -1"):
        TextReranker.load(FIXTURES / "colbert", cache_bytes=-1)


class Counting:
    """Stands before a stage's `encode_documents`, and keeps what it was asked for."""

    def __init__(self, stage: Retriever) -> None:
        self.encode = stage.encode_documents
        self.texts: list[str] = []
        self.failing = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, texts: Sequence[str]) -> object:
        self.texts += texts
        self.gate.wait(60)
        if self.failing:
            self.failing -= 1
            raise MemoryError("no room")
        return self.encode(texts)


@pytest.fixture
def counting(colbert: TextReranker, monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting(colbert.stage)
    monkeypatch.setattr(colbert.stage, "encode_documents", counting)
    return counting


def test_no_text_is_encoded_twice(colbert: TextReranker, counting: Counting) -> None:
    ranked = colbert.rerank("tea", TEXTS)
    assert sorted(counting.texts) == sorted(set(TEXTS))
    counting.texts.clear()
    assert colbert.rerank("tea", TEXTS) == ranked
    assert counting.texts == []
    assert dict(colbert.rerank("tea", ["new", *TEXTS]))[1] == dict(ranked)[0]
    assert counting.texts == ["new"]


def test_many_threads_encode_a_text_once(colbert: TextReranker, counting: Counting) -> None:
    expected = TextReranker(colbert.stage).rerank("tea", TEXTS)
    counting.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(colbert.rerank, "tea", TEXTS) for _ in range(16)]
        counting.gate.set()
        assert all(answer.result(60) == expected for answer in answers)
    assert sorted(counting.texts) == sorted(set(TEXTS))


def test_who_fails_leaves_the_text_to_others(colbert: TextReranker, counting: Counting) -> None:
    counting.gate.clear()
    counting.failing = 1
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(colbert.rerank, "tea", ["leaf", "tea"]) for _ in range(4)]
        counting.gate.set()
        failed = [answer for answer in answers if answer.exception(60) is not None]
    assert len(failed) == 1
    assert isinstance(failed[0].exception(), MemoryError)
    assert len({str(answer.result()) for answer in answers if answer not in failed}) == 1
    assert sorted(counting.texts) == ["leaf", "leaf", "tea", "tea"]


def test_what_was_not_asked_for_the_longest_is_dropped_first() -> None:
    size = TextReranker(LOADED["colbert"]())
    size.rerank("tea", ["e"])
    reranker = TextReranker(LOADED["colbert"](), cache_bytes=2 * size._cache._n_bytes)
    encoded = Counting(reranker.stage)
    reranker.stage.encode_documents = encoded  # type: ignore[method-assign,assignment]
    for text in ("e", "h", "e", "s", "e", "h"):
        reranker.rerank("tea", [text])
    assert encoded.texts == ["e", "h", "s", "h"]


def test_a_cache_without_room_keeps_nothing_and_answers_the_same(colbert: TextReranker) -> None:
    reranker = TextReranker(colbert.stage, cache_bytes=0)
    for _ in range(2):
        assert reranker.rerank("tea", TEXTS) == colbert.rerank("tea", TEXTS)
    assert (reranker._cache._n_bytes, reranker._cache._rows) == (0, {})


def test_it_is_copied_and_sent_to_other_processes(colbert: TextReranker) -> None:
    ranked = colbert.rerank("tea", TEXTS)
    for again in (deepcopy(colbert), pickle.loads(pickle.dumps(colbert))):
        assert again.rerank("tea", TEXTS) == ranked
        assert again.folder == colbert.folder == FIXTURES / "colbert"
