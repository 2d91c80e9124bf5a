"""Ranking quality of BM25's defaults: in English against bm25s, and with the language told or not.

bm25s takes its own tokenizer, stop words and stemmer, and our k1 and b.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from glane import BM25, Analyzer
from glane.collection.dataset import Dataset, read_beir

ir_measures = pytest.importorskip("ir_measures")
bm25s = pytest.importorskip("bm25s")
stemmer = pytest.importorskip("Stemmer")

LANGUAGES = {
    "xquad-ar": "arabic",
    "xquad-de": "german",
    "xquad-en": "english",
    "xquad-zh": "none",
    "jaquad-ja-dev": "none",
}
ENGLISH = ("scifact", "medquad", "fever-dev-pairs", "scitldr")


@cache
def collection(folder: Path) -> Dataset:
    splits = [path.stem for path in (folder / "qrels").glob("*.tsv")]
    return read_beir(folder, "test" if "test" in splits else splits[0])


def ndcg(dataset: Dataset, keys: Sequence[str], rows: Sequence[Sequence[int]]) -> float:
    run = {
        query: {keys[id]: -float(rank) for rank, id in enumerate(row) if id >= 0}
        for query, row in zip(dataset.queries, rows, strict=True)
    }
    measure = ir_measures.nDCG @ 10
    return float(ir_measures.calc_aggregate([measure], dataset.judgements, run)[measure])


def ours(dataset: Dataset, analyzer: Analyzer, corpus: dict[str, str]) -> float:
    bm25 = BM25(analyzer=analyzer)
    bm25.add(bm25.encode_documents(list(corpus.values())))
    hits = bm25.search(bm25.encode_queries(list(dataset.queries.values())), k=10)
    return ndcg(dataset, list(corpus), hits.ids.tolist())


def theirs(dataset: Dataset) -> float:
    options = {"stopwords": "en", "stemmer": stemmer.Stemmer("english"), "show_progress": False}
    bm25 = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    bm25.index(bm25s.tokenize(list(dataset.corpus.values()), **options), show_progress=False)
    queries = bm25s.tokenize(list(dataset.queries.values()), return_ids=False, **options)
    known = [[term for term in query if term in bm25.vocab_dict] for query in queries]
    asked = [terms or [next(iter(bm25.vocab_dict))] for terms in known]
    found, _ = bm25.retrieve(asked, k=10, show_progress=False)
    return ndcg(dataset, list(dataset.corpus), found.tolist())


@pytest.mark.data
def test_english_is_at_least_as_good_as_bm25s(data_folder: Path) -> None:
    pairs = []
    for name in ENGLISH:
        dataset = collection(data_folder / name)
        pairs.append((ours(dataset, Analyzer(), dataset.corpus), theirs(dataset)))
        print(name, *pairs[-1])  # noqa: T201 (shown where the test fails, and with -s)
    assert all(here >= there - 0.003 for here, there in pairs)
    assert sum(here for here, _ in pairs) > sum(there for _, there in pairs)


@pytest.mark.data
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in one index"])
def test_a_language_that_is_not_told_costs_little(alone: bool, data_folder: Path) -> None:
    everything = {
        f"{name}/{id}": text
        for name in LANGUAGES
        for id, text in collection(data_folder / name).corpus.items()
    }
    for name, language in LANGUAGES.items():
        dataset = collection(data_folder / name)
        corpus = dataset.corpus
        if not alone:
            corpus = everything
            judged = {
                query: {f"{name}/{id}": grade for id, grade in grades.items()}
                for query, grades in dataset.judgements.items()
            }
            dataset = replace(dataset, judgements=judged)
        auto = ours(dataset, Analyzer(language="auto"), corpus)
        told = ours(dataset, Analyzer(language=language), corpus)
        print(name, auto, told)  # noqa: T201
        assert auto >= told - 0.005
