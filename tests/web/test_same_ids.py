"""A browser finds what Python finds: the same ids in the same order, and the same scores."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.web.conftest import FIXTURES

from glane import BM25, ColBERT, Search, Splade, TokenStorage
from glane.analysis import Analyzer
from glane.maxsim.quantization import CodeKind
from glane.retrievers.bm25 import Variant

pytestmark = pytest.mark.browser

Find = Callable[..., list[dict[str, Any]]]

TEXTS = {
    "english": "Plants eat light. | The programmer's C, e.g. ferns | U.S. tea is TEA | tea",
    "german": "Die Größe der Häuser | Häuser und Straßen | Der Tee ist heiß, die Tees | STRASSE",
    "french": "L'eau des rivières | Les chevaux mangeaient | Un cheval, l'été | ŒUVRES de l'été",
    "none": "東京都に行く | 北京的茶 | 京都 tea 茶 | \u01c6 \uff23\uff21\uff26 \u210c 5 € | 茶",
    "auto": "Die Häuser der Stadt | The houses of the city | Les maisons de la ville | Дома",
}

KINDS = {
    **{name: Analyzer(language=name) for name in TEXTS},
    "char_wb": Analyzer("char_wb", ngrams=(3, 4)),
    "char": Analyzer("char", ngrams=(2, 3)),
    "bigrams": Analyzer("bigrams"),
}


def assert_same(found: list[dict[str, Any]], search: Search, queries: list[str], k: int) -> None:
    expected = search.search(queries, k, phrases=False)
    assert [each["ids"] for each in found] == expected.ids
    for each, scores in zip(found, expected.scores, strict=True):
        assert np.array(each["scores"], np.float32).tolist() == scores


def documents(name: str) -> list[str]:
    own = TEXTS.get(name, " | ".join(TEXTS.values())).split(" | ")
    return [*own, "", own[0], own[0], "x " * 300, "\ud800 a\u0301\u0345 ﬁ \u017f 𐐀𐐁ing İstanbul ǅ"]


@pytest.mark.parametrize("name", KINDS)
def test_terms_of_each_analysis_find_the_same(name: str, searched: Find) -> None:
    texts = documents(name)
    search = Search(BM25(analyzer=KINDS[name]), key="id", on="text")
    search.add([{"id": f"d{i}", "text": text} for i, text in enumerate(texts)])
    words = " ".join(texts).split(" ")[:120]
    queries = [*texts, *words, "häusern", "tea tea houses", "nothing_of_this", " \n", '"a']
    assert_same(searched(search, queries, 5), search, queries, 5)


@pytest.mark.parametrize("variant", ["robertson", "bm25+", "atire"])
def test_weights_of_zero_and_ties_keep_their_order(variant: Variant, searched: Find) -> None:
    search = Search(BM25(variant), key="id", on=["title^2.5", "text"])
    texts = ["tea", "tea leaf", "tea", "leaf", "tea tea"] * 3
    search.add([{"id": i, "title": text, "text": "tea"} for i, text in enumerate(texts)])
    search.delete([0, 7, 14])
    search.add([{"id": 3, "title": "tea leaf", "text": "new"}])
    queries = ["tea", "leaf tea", "tea tea leaf", "new"]
    assert_same(searched(search, queries, 4), search, queries, 4)
    assert_same(searched(search, queries, 40), search, queries, 40)


def test_an_empty_index_finds_nothing(searched: Find) -> None:
    found = searched(Search(BM25(), key="id", on="text"), ["tea", ""])
    assert [each["ids"] for each in found] == [[], []]


def test_inference_free_splade_is_exact_in_passages_too(searched: Find) -> None:
    search = Search(Splade.load(FIXTURES / "splade-inference-free"), key="id", on="text")
    texts = documents("english") + documents("auto") + ["plants and light " * 30]
    search.add([{"id": i, "text": text} for i, text in enumerate(texts)])
    search.delete([1])
    queries = [*texts, "[MASK] light[SEP]", "light", "", "\u00a0\u200bThé ÇA 中 가나 \x07x"]
    assert_same(searched(search, queries, 7), search, queries, 7)


@pytest.mark.parametrize("kind", ["float16", "int8", "int4"])
def test_colbert_orders_as_python_does(kind: CodeKind, searched: Find, ort_web: str) -> None:
    colbert = ColBERT.load(FIXTURES / "colbert")
    colbert.store_as(TokenStorage(kind=kind, pool=2 if kind == "int4" else 1))
    search = Search(BM25(), reranker=colbert, key="id", on="text")
    words = ["plants", "light", "rivers", "sea", "tea", "leaf", "green", "winter", "snow", "falls"]
    chosen = random.Random(0)
    texts = [" ".join(chosen.choices(words, k=chosen.randint(1, 60))) for _ in range(60)]
    search.add([{"id": str(i), "text": text} for i, text in enumerate(texts)])
    search.delete(["2", "59"])
    queries = ["green tea", "snow falls in winter", "", "rivers run to the sea", "leaf"]
    found = searched(search, queries, 10, ort_web)
    expected = search.search(queries, 10, phrases=False)
    for each, ids, scores in zip(found, expected.ids, expected.scores, strict=True):
        assert np.allclose(each["scores"], scores, atol=2e-3)
        assert len(set(each["ids"]) & set(ids)) >= 0.9 * len(ids)


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").rstrip("\n").split("\n")


@pytest.mark.data
def test_test_queries_of_scifact_have_the_same_hits(searched: Find, data_folder: Path) -> None:
    folder = data_folder / "scifact"
    rows = [json.loads(line) for line in lines(folder / "queries.jsonl")]
    judged = (folder / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]
    asked = {line.split("\t")[0] for line in judged}
    queries = [row["text"] for row in rows if row["_id"] in asked]
    corpus = [json.loads(line) for line in lines(folder / "corpus.jsonl")]
    search = Search(BM25(), key="_id", on=["title", "text"])
    search.add([{name: row[name] for name in ("_id", "title", "text")} for row in corpus])
    assert len(queries) == 300
    assert_same(searched(search, queries, 100), search, queries, 100)
