"""BM25 of glane, bm25s and tantivy in turns: one query, many queries, indexing, NDCG@10.

Usage: python benchmarks/bm25.py BEIR_FOLDER [--index] [--split test] [--rounds 5]
       python benchmarks/bm25.py --synthetic 500000 [--terms 200000] [--rounds 3]

All get the same terms, from our analyzer, and one thread; those of tantivy are words between
spaces, and its settings are fixed (k1 1.2, lengths in one byte), so that its hits differ. `--index`
has each cut and stem the texts itself: glane as the base install does and with PyStemmer, bm25s
likewise without a stemmer and with it. What an engine answers in a turn is the 100 best.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import reload
from pathlib import Path
from typing import Any

import numpy as np
import snowballstemmer
from turns import Engine, Turn, add_arguments, compare, seconds

from glane.analysis.analyzer import Analyzer, stemmer_module
from glane.collection.dataset import Dataset, read_beir
from glane.hits import Hits
from glane.postings.postings import Postings
from glane.retrievers.bm25 import BM25
from glane.vectors import SparseVectors

K = 100

N_QUERIES = 100
"""Of the synthetic ones."""


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="BEIR folder")
    parser.add_argument("--index", action="store_true", help="measure indexing of texts instead")
    parser.add_argument("--split", default="test")
    parser.add_argument("--synthetic", type=int, metavar="N", help="random documents instead")
    parser.add_argument("--terms", type=int, default=200_000, help="of which they are made")
    add_arguments(parser, rounds=5)
    arguments = parser.parse_args()
    if (arguments.folder is None) == (arguments.synthetic is None):
        parser.error("give a BEIR folder or --synthetic N")
    if arguments.synthetic is not None:
        compare(SYNTHETIC, arguments)
    else:
        compare(INDEXING if arguments.index else SEARCHING, arguments)


def ours_on_texts(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Index and search a collection with glane."""
    data = read_beir(arguments.folder, arguments.split)
    texts, queries = [*data.corpus.values()], [*data.queries.values()]

    def turn() -> Turn:
        bm25 = filled(texts)
        encoded = bm25.encode_queries(queries)
        one = [encoded[i : i + 1] for i in range(len(queries))]
        return searched(
            data,
            lambda: [bm25.search(query, K) for query in one],
            lambda: bm25.search(encoded, K),
            ids_of_hits,
        )

    return turn


def filled(texts: list[str]) -> BM25:
    """Return our BM25 of texts, ready to search."""
    bm25 = BM25()
    bm25.add(bm25.encode_documents(texts))
    bm25.search(bm25.encode_queries(["the first search builds the lists"]), K)
    return bm25


def theirs_on_texts(backend: str) -> Callable[[argparse.Namespace], Callable[[], Turn]]:
    """Index and search the same with bm25s, on the terms of our analyzer."""

    def start(arguments: argparse.Namespace) -> Callable[[], Turn]:
        data = read_beir(arguments.folder, arguments.split)
        documents, queries = terms_of(data)

        def turn() -> Turn:
            bm25, options = empty_bm25s(backend, len(documents))
            bm25.index(documents, show_progress=False)
            known = [[term for term in row if term in bm25.vocab_dict] for row in queries]
            return searched(
                data,
                lambda: [bm25.retrieve([query], **options) for query in known],
                lambda: bm25.retrieve(known, **options),
                lambda found: [answer.documents[0].tolist() for answer in found],
            )

        return turn

    return start


def tantivy_on_texts(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Index and search the same with tantivy, on the terms of our analyzer."""
    data = read_beir(arguments.folder, arguments.split)
    documents, queries = terms_of(data)

    def turn() -> Turn:
        search, ids = by_tantivy(documents)
        asked = [search(query) for query in queries]
        every = lambda: [query() for query in asked]  # noqa: E731 (it has no call for many)
        return searched(data, every, every, ids)

    return turn


def searched(
    data: Dataset,
    one_by_one: Callable[[], list[Any]],
    at_once: Callable[[], Any],
    ids: Callable[[list[Any]], list[list[int]]],
) -> Turn:
    """Return what it takes to answer the queries for the first time, again, and in one call."""
    each = 1e3 / len(data.queries)
    first, _ = seconds(one_by_one)
    again, found = seconds(one_by_one)
    batch, _ = seconds(at_once)
    answer = ids(found)
    figures = {
        "first search of each query, ms": first * each,
        "one query at a time, ms": again * each,
        "all queries in one call, ms each": batch * each,
        "NDCG@10": ndcg(data, answer),
    }
    return Turn(figures, answer)


def terms_of(data: Dataset) -> tuple[list[list[str]], list[list[str]]]:
    """Return the terms of the documents and of the queries."""
    analyzer = Analyzer()
    documents = [analyzer(text) for text in data.corpus.values()]
    return documents, [analyzer.query(text) for text in data.queries.values()]


def ids_of_hits(found: list[Hits]) -> list[list[int]]:
    """Return the ids of queries that were asked one by one."""
    return [hits.row(0)[0].tolist() for hits in found]


def empty_bm25s(backend: str, n_documents: int) -> tuple[Any, dict[str, Any]]:
    """Return a bm25s with our settings, and how it is to be asked: it refuses a larger k."""
    import bm25s

    options = {"k": min(K, n_documents), "show_progress": False, "n_threads": 0}
    return bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend=backend), options


def by_tantivy(
    documents: Sequence[Sequence[str]],
) -> tuple[Callable[[Sequence[str]], Callable[[], Any]], Callable[[list[Any]], list[list[int]]]]:
    """Index terms with tantivy; return what makes a search of terms, and what reads its hits."""
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("terms", stored=False, tokenizer_name="whitespace")
    builder.add_integer_field("id", stored=True)
    schema = builder.build()
    index = tantivy.Index(schema)
    writer = index.writer(heap_size=1 << 30, num_threads=1)
    for id, terms in enumerate(documents):
        writer.add_document(tantivy.Document(terms=" ".join(terms), id=id))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def search(terms: Sequence[str]) -> Callable[[], Any]:
        parts = [
            (tantivy.Occur.Should, tantivy.Query.term_query(schema, "terms", term))
            for term in terms
        ]
        query = tantivy.Query.boolean_query(parts)
        return lambda: searcher.search(query, K, count=False)

    def ids(found: list[Any]) -> list[list[int]]:
        return [[searcher.doc(place)["id"][0] for _, place in answer.hits] for answer in found]

    return search, ids


def ours_indexing(*, fast: bool) -> Callable[[argparse.Namespace], Callable[[], Turn]]:
    """Cut, stem and index with glane; not `fast` is as where PyStemmer is not installed."""

    def start(arguments: argparse.Namespace) -> Callable[[], Turn]:
        if not fast:
            sys.modules["Stemmer"] = None  # type: ignore[assignment]  # so that it is not found
            reload(snowballstemmer)
            assert stemmer_module("english") == "snowballstemmer"
        data = read_beir(arguments.folder, arguments.split)
        texts, queries = [*data.corpus.values()], [*data.queries.values()]

        def turn() -> Turn:
            with ThreadPoolExecutor(1) as new:  # a thread knows no words at first
                took, bm25 = new.submit(seconds, partial(filled, texts)).result()
            encoded = bm25.encode_queries(queries)
            found = [bm25.search(encoded[i : i + 1], K) for i in range(len(queries))]
            return indexed(data, took, ids_of_hits(found))

        return turn

    return start


def theirs_indexing(*, stemming: bool) -> Callable[[argparse.Namespace], Callable[[], Turn]]:
    """Cut, stem and index with bm25s, as its documentation does."""

    def start(arguments: argparse.Namespace) -> Callable[[], Turn]:
        import bm25s

        data = read_beir(arguments.folder, arguments.split)
        texts, queries = [*data.corpus.values()], [*data.queries.values()]

        def index() -> tuple[Any, dict[str, Any], dict[str, Any]]:
            how: dict[str, Any] = {"stopwords": "en", "show_progress": False}
            if stemming:
                import Stemmer

                how["stemmer"] = Stemmer.Stemmer("english")
            bm25, options = empty_bm25s("numpy", len(texts))
            bm25.index(bm25s.tokenize(texts, **how), show_progress=False)
            return bm25, options, how

        def turn() -> Turn:
            took, (bm25, options, how) = seconds(index)
            asked = bm25s.tokenize(queries, return_ids=False, **how)
            known = [[term for term in row if term in bm25.vocab_dict] for row in asked]
            return indexed(data, took, bm25.retrieve(known, **options).documents.tolist())

        return turn

    return start


def indexed(data: Dataset, took: float, answer: list[list[int]]) -> Turn:
    """Return what it took to index a collection."""
    return Turn({"index, s": took, "NDCG@10": ndcg(data, answer)}, answer)


def ndcg(data: Dataset, answer: list[list[int]]) -> float:
    """Return the mean NDCG@10."""
    import ir_measures

    keys = [*data.corpus]
    run = {
        query: {keys[id]: -float(rank) for rank, id in enumerate(ids)}
        for query, ids in zip(data.queries, answer, strict=True)
    }
    measure = ir_measures.nDCG @ 10
    return float(ir_measures.calc_aggregate([measure], data.judgements, run)[measure])


def ours_on_synthetic(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Index random counts with glane, and search."""
    counts, queries = synthetic_data(arguments)
    bm25 = BM25()
    words = " ".join(f"w{term}" for term in range(arguments.terms))
    known = bm25.encode_documents([words])
    assert len(known.indices) == arguments.terms, "each of these words is a term of its own"

    return ours_asked(bm25, counts, queries)


def ours_asked(
    index: BM25 | Postings, documents: SparseVectors, queries: SparseVectors
) -> Callable[[], Turn]:
    """Fill an index of ours, and return what asks it all queries, one by one."""

    def build() -> None:
        index.add(documents)
        index.search(queries[:1], K)

    built, _ = seconds(build)
    single = [queries[number : number + 1] for number in range(len(queries))]
    return asked(built, lambda: [index.search(query, K) for query in single], ids_of_hits)


def theirs_on_synthetic(backend: str) -> Callable[[argparse.Namespace], Callable[[], Turn]]:
    """Index the same with bm25s, and search."""

    def start(arguments: argparse.Namespace) -> Callable[[], Turn]:
        counts, queries = synthetic_data(arguments)
        rows = [row.tolist() for row in rows_of(counts)]
        bm25, options = empty_bm25s(backend, len(rows))
        corpus = (rows, {str(term): term for term in range(arguments.terms)})
        built, _ = seconds(lambda: bm25.index(corpus, show_progress=False))
        terms = [row.tolist() for row in rows_of(queries)]
        return asked(
            built,
            lambda: [bm25.retrieve([query], **options) for query in terms],
            lambda found: [answer.documents[0].tolist() for answer in found],
        )

    return start


def tantivy_on_synthetic(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Index the same with tantivy, as words, and search."""
    counts, queries = synthetic_data(arguments)
    words = [[f"w{term}" for term in row.tolist()] for row in rows_of(counts)]
    built, (search, ids) = seconds(lambda: by_tantivy(words))
    every = [search([f"w{term}" for term in row.tolist()]) for row in rows_of(queries)]
    return asked(built, lambda: [query() for query in every], ids)


def asked(
    built: float,
    work: Callable[[], list[Any]],
    ids: Callable[[list[Any]], list[list[int]]],
) -> Callable[[], Turn]:
    """Return what asks all queries, one by one."""

    def turn() -> Turn:
        took, found = seconds(work)
        figures = {"one query at a time, ms": took * 1e3 / len(found)}
        return Turn({"build, s": built, **figures}, ids(found))

    return turn


def synthetic_data(arguments: argparse.Namespace) -> tuple[SparseVectors, SparseVectors]:
    """Return documents of 100 words and queries of 8."""
    documents = synthetic(arguments.synthetic, 100, arguments.terms, seed=0)
    return documents, synthetic(N_QUERIES, 8, arguments.terms, seed=1)


def synthetic(n: int, length: int, n_terms: int, seed: int) -> SparseVectors:
    """Return rows of distinct random terms, each counted once: frequencies after Zipf."""
    rng = np.random.default_rng(seed)
    cumulated = (1 / np.arange(10, n_terms + 10)).cumsum()
    terms = np.searchsorted(cumulated, rng.random((n, length)) * cumulated[-1]).astype(np.int32)
    terms.sort(axis=1)
    new = np.ones(terms.shape, np.bool_)
    new[:, 1:] = terms[:, 1:] != terms[:, :-1]
    indptr = np.concatenate([[0], new.sum(1).cumsum()])
    indices = terms[new]
    return SparseVectors(indptr, indices, np.ones(len(indices), np.float32))


def rows_of(vectors: SparseVectors) -> list[Any]:
    """Return the terms of each row."""
    return np.split(vectors.indices.astype(np.int64), vectors.indptr[1:-1])


SEARCHING = {
    "glane": Engine(ours_on_texts),
    "bm25s, numpy": Engine(theirs_on_texts("numpy"), ("bm25s",)),
    "bm25s, numba": Engine(theirs_on_texts("numba"), ("bm25s", "numba")),
    "tantivy": Engine(tantivy_on_texts, ("tantivy",)),
}

INDEXING = {
    "glane, base": Engine(ours_indexing(fast=False)),
    "glane, PyStemmer": Engine(ours_indexing(fast=True), ("Stemmer",)),
    "bm25s, no stemmer": Engine(theirs_indexing(stemming=False), ("bm25s",)),
    "bm25s, PyStemmer": Engine(theirs_indexing(stemming=True), ("bm25s", "Stemmer")),
}

SYNTHETIC = {
    "glane": Engine(ours_on_synthetic),
    "bm25s, numpy": Engine(theirs_on_synthetic("numpy"), ("bm25s",)),
    "bm25s, numba": Engine(theirs_on_synthetic("numba"), ("bm25s", "numba")),
    "tantivy": Engine(tantivy_on_synthetic, ("tantivy",)),
}


if __name__ == "__main__":
    main()
