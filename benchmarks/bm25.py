"""BM25 of glane and of bm25s in turns: indexing, one query, many queries, NDCG@10.

Usage: python benchmarks/bm25.py BEIR_FOLDER [--split test] [--rounds 5]
       python benchmarks/bm25.py --synthetic 500000 [--terms 200000] [--rounds 3]

All get the same terms, from our analyzer, and one thread (nothing here calls BLAS); bm25s runs on
numpy and, as a row of its own, on numba. The first line tells what our loops run on.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bm25s
import numpy as np

from glane.analysis.analyzer import Analyzer
from glane.collection.dataset import Dataset, read_beir
from glane.postings.loops import fastest
from glane.retrievers.bm25 import BM25
from glane.vectors import SparseVectors

K = 100

BACKENDS = ["numpy", "numba"] if find_spec("numba") else ["numpy"]
"""Of bm25s; numba where it is installed."""


@dataclass
class Figures:
    """Figures of one engine, by name of the row, one value a round."""

    rows: dict[str, list[float]] = field(default_factory=dict)

    def note(self, row: str, value: float) -> None:
        """Add the value of one round."""
        self.rows.setdefault(row, []).append(value)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long the work took, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def ours_on_texts(data: Dataset, figures: Figures) -> list[list[str]]:
    """Index and search a collection with glane; return the ranking of each query."""
    texts, queries, keys = [*data.corpus.values()], [*data.queries.values()], [*data.corpus]
    bm25 = BM25()

    def index() -> None:
        bm25.add(bm25.encode_documents(texts))
        bm25.search(bm25.encode_queries(["the first search builds the lists"]), K)

    figures.note("index, documents/s", len(texts) / seconds(index)[0])
    encoded = bm25.encode_queries(queries)
    single = [encoded[i : i + 1] for i in range(len(queries))]
    once, _ = seconds(lambda: [bm25.search(query, K) for query in single])
    figures.note("first search of each query, ms", once / len(queries) * 1e3)
    once, _ = seconds(lambda: [bm25.search(query, K) for query in single])
    figures.note("one query at a time, ms", once / len(queries) * 1e3)
    batch, hits = seconds(lambda: bm25.search(encoded, K))
    figures.note("all queries in one call, ms each", batch / len(queries) * 1e3)
    return [[keys[id] for id in row if id >= 0] for row in hits.ids.tolist()]


def theirs_on_texts(backend: str, data: Dataset, figures: Figures) -> list[list[str]]:
    """Index and search the same with bm25s, on the terms of our analyzer."""
    texts, queries, keys = [*data.corpus.values()], [*data.queries.values()], [*data.corpus]
    analyzer, bm25 = Analyzer(), bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend=backend)

    def index() -> None:
        bm25.index([analyzer(text) for text in texts], show_progress=False)

    figures.note("index, documents/s", len(texts) / seconds(index)[0])
    terms = [[term for term in analyzer.query(text) if term in bm25.vocab_dict] for text in queries]
    k = min(K, len(texts))  # bm25s refuses more
    options: dict[str, Any] = {"k": k, "show_progress": False, "n_threads": 0}
    once, _ = seconds(lambda: [bm25.retrieve([query], **options) for query in terms])
    figures.note("first search of each query, ms", once / len(queries) * 1e3)
    once, _ = seconds(lambda: [bm25.retrieve([query], **options) for query in terms])
    figures.note("one query at a time, ms", once / len(queries) * 1e3)
    batch, found = seconds(lambda: bm25.retrieve(terms, **options))
    figures.note("all queries in one call, ms each", batch / len(queries) * 1e3)
    return [[keys[id] for id in row] for row in found[0].tolist()]


def on_collection(folder: Path, split: str, rounds: int) -> dict[str, Figures]:
    """Measure both, in turns, on a BEIR folder."""
    data = read_beir(folder, split)
    fastest()
    engines = {"glane": ours_on_texts}
    engines |= {f"bm25s {name}": partial(theirs_on_texts, name) for name in BACKENDS}
    for engine in engines.values():
        engine(data, Figures())  # numba compiles at the first search
    figures = {name: Figures() for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            ranking = engine(data, figures[name])
            figures[name].note("NDCG@10", ndcg(data, ranking))
    return figures


def ndcg(data: Dataset, ranking: list[list[str]]) -> float:
    """Return the mean NDCG@10."""
    import ir_measures

    run = {
        query: {document: -float(rank) for rank, document in enumerate(documents)}
        for query, documents in zip(data.queries, ranking, strict=True)
    }
    measure = ir_measures.nDCG @ 10
    return float(ir_measures.calc_aggregate([measure], data.judgements, run)[measure])


def on_synthetic(n_documents: int, n_terms: int, rounds: int) -> dict[str, Figures]:
    """Measure both on random counts: 100 words a document, frequencies after Zipf."""
    counts = synthetic(n_documents, 100, n_terms, seed=0)
    queries = synthetic(100, 8, n_terms, seed=1)
    names = ["glane", *(f"bm25s {backend}" for backend in BACKENDS)]
    figures = {name: Figures() for name in names}
    bm25 = BM25()
    known = bm25.encode_documents([" ".join(f"w{term}" for term in range(n_terms))])
    assert len(known.indices) == n_terms, "each of these words is a term of its own"
    fastest()

    def build() -> None:
        bm25.add(counts)
        bm25.search(queries[:1], K)

    figures["glane"].note("build from counts, s", seconds(build)[0])
    rows = np.split(counts.indices.astype(np.int64), counts.indptr[1:-1])
    tokens = [row.tolist() for row in rows]
    theirs = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    corpus = (tokens, {str(term): term for term in range(n_terms)})
    build_theirs, _ = seconds(lambda: theirs.index(corpus, show_progress=False))
    single = [queries[i : i + 1] for i in range(len(queries))]
    terms = [query.indices.tolist() for query in single]
    options: dict[str, Any] = {"k": min(K, n_documents), "show_progress": False, "n_threads": 0}
    for backend in BACKENDS:
        figures[f"bm25s {backend}"].note("build from counts, s", build_theirs)
        theirs.backend = backend
        theirs.retrieve([terms[0]], **options)  # numba compiles at the first search
    for _ in range(rounds):
        once, _ = seconds(lambda: [bm25.search(query, K) for query in single])
        figures["glane"].note("one query at a time, ms", once / len(single) * 1e3)
        for backend in BACKENDS:
            theirs.backend = backend
            once, _ = seconds(lambda: [theirs.retrieve([query], **options) for query in terms])
            figures[f"bm25s {backend}"].note("one query at a time, ms", once / len(single) * 1e3)
    return figures


def synthetic(n: int, length: int, n_terms: int, seed: int) -> SparseVectors:
    """Return rows of distinct random terms, each counted once."""
    rng = np.random.default_rng(seed)
    cumulated = (1 / np.arange(10, n_terms + 10)).cumsum()
    terms = np.searchsorted(cumulated, rng.random((n, length)) * cumulated[-1]).astype(np.int32)
    terms.sort(axis=1)
    new = np.ones(terms.shape, np.bool_)
    new[:, 1:] = terms[:, 1:] != terms[:, :-1]
    indptr = np.concatenate([[0], new.sum(1).cumsum()])
    indices = terms[new]
    return SparseVectors(indptr, indices, np.ones(len(indices), np.float32))


def show(figures: dict[str, Figures]) -> None:
    """Print machine, versions and a table: median and spread, the lowest to the highest."""
    packages = ("numpy", "bm25s", "snowballstemmer", "PyStemmer")
    print(f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {version(name)}" for name in packages), end="")
    print(f"; our loops on {fastest().means}")
    print(f"\n| | {' | '.join(figures)} |\n|---|{'---|' * len(figures)}")
    for row in next(iter(figures.values())).rows:
        cells = [cell(figures[name].rows[row]) for name in figures]
        print(f"| {row} | {' | '.join(cells)} |")


def cell(values: list[float]) -> str:
    """Return median and spread to four digits."""
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def processor() -> str:
    """Return the model of the processor where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="BEIR folder")
    parser.add_argument("--split", default="test")
    parser.add_argument("--synthetic", type=int, metavar="N", help="random documents instead")
    parser.add_argument("--terms", type=int, default=200_000, help="of which they are made")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if (arguments.folder is None) == (arguments.synthetic is None):
        parser.error("give a BEIR folder or --synthetic N")
    if arguments.synthetic is not None:
        show(on_synthetic(arguments.synthetic, arguments.terms, arguments.rounds))
    else:
        show(on_collection(arguments.folder, arguments.split, arguments.rounds))


if __name__ == "__main__":
    main()
