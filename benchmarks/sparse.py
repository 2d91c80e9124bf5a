"""The exact best of SPLADE-like vectors: glane, a product of scipy's, and Seismic at its recall.

Usage: python benchmarks/sparse.py [--documents 50000] [--queries 50] [--rounds 5]
       python benchmarks/sparse.py --index INDEX --data BEIR [--queries 50] [--rounds 5]

The second way takes the vectors of an index that `glane index --retriever splade` has made, and
queries of a collection's test split; the first draws random ones.
Documents have 111 of 30,522 terms on average, queries 29 (120 and 30 drawn, by frequencies after
Zipf), with weights as SPLADE's are: ln(1 + x) of an exponential x, a quarter for frequent terms.
Queries are asked one by one for the best 100. Seismic is told twice, as its guide has it for
SPLADE and looking at more; the overlap is its recall. Random terms have no clusters, which is what
Seismic makes its blocks of: it is not made for such data.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from bm25 import K, asked, ours_asked, rows_of, synthetic
from turns import Engine, Turn, add_arguments, compare, seconds

from glane import Search, Splade
from glane.collection.dataset import read_beir
from glane.hits import best
from glane.postings.postings import Postings, weigh_as_it_is
from glane.retrievers.passages import plain
from glane.store.segments import ids_left
from glane.vectors import SparseVectors

N_TERMS = 30_522

FREQUENT = 500
"""Terms of the lowest numbers, which weigh less."""

Settings = tuple[int, float]
"""How many of a query's terms Seismic looks up, and its heap factor: 1 skips most."""


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--index", help="folder of an index with a SPLADE model")
    parser.add_argument("--data", help="folder of a collection, for its queries")
    add_arguments(parser, rounds=5)
    compare(
        {
            "glane": Engine(by_glane),
            "scipy": Engine(by_scipy, ("scipy",)),
            "Seismic, 10 terms, .8": Engine(by_seismic((10, 0.8)), ("seismic",)),
            "Seismic, all terms, .5": Engine(by_seismic((100, 0.5)), ("seismic",)),
        },
        parser.parse_args(),
    )


def by_glane(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Search the inverted index that `Splade` has."""
    documents, queries = data(arguments)
    return ours_asked(Postings(weigh_as_it_is), documents, queries)


def by_scipy(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Multiply a query with the transposed matrix, and take the best."""
    from scipy.sparse import csr_array

    documents, queries = data(arguments)

    def matrix(vectors: SparseVectors) -> Any:  # noqa: ANN401 (of scipy)
        parts = (vectors.values, vectors.indices, vectors.indptr)
        return csr_array(parts, shape=(len(vectors), N_TERMS))

    built, columns = seconds(lambda: matrix(documents).T.tocsr())
    one = [matrix(queries[number : number + 1]) for number in range(len(queries))]

    def search(query: Any) -> list[int]:  # noqa: ANN401 (of scipy)
        found = query @ columns
        ids = found.indices.astype(np.int64)
        top: list[int] = ids[best(found.data, ids, K)].tolist()
        return top

    return asked(built, lambda: [search(query) for query in one], lambda found: found)


def by_seismic(settings: Settings) -> Callable[[argparse.Namespace], Callable[[], Turn]]:
    """Search with Seismic, with the settings of its guide for building."""

    def start(arguments: argparse.Namespace) -> Callable[[], Turn]:
        import seismic

        documents, queries = data(arguments)
        rows = seismic.SeismicDataset()
        names = [str(number) for number in range(len(documents))]
        terms = documents.indices.astype(np.int64)
        rows.add_documents_by_id(names, terms, documents.values, documents.indptr)
        built, index = seconds(
            lambda: seismic.SeismicIndex.build_from_dataset(rows, num_threads=arguments.threads)
        )
        kind, (n_terms, heap_factor) = seismic.get_seismic_string(), settings
        one = [
            (np.array([str(term) for term in terms.tolist()], kind), query.values)
            for query in (queries[number : number + 1] for number in range(len(queries)))
            for terms in rows_of(query)
        ]

        def search() -> list[Any]:
            return [
                index.search("", terms, values, K, n_terms, heap_factor) for terms, values in one
            ]

        return asked(built, search, lambda found: [[int(id) for *_, id in row] for row in found])

    return start


def data(arguments: argparse.Namespace) -> tuple[SparseVectors, SparseVectors]:
    """Return documents and queries, the same in each process."""
    if arguments.index is not None:
        stage = plain(Search.load(arguments.index, threads=1).retriever)
        assert isinstance(stage, Splade), "its usage says so"
        asked = list(read_beir(arguments.data, "test").queries.values())[: arguments.queries]
        rows = stage.index.rows.parts
        return stage.index.stored(ids_left(rows)), stage.encode_queries(asked)
    return weighed(arguments.documents, 120, seed=0), weighed(arguments.queries, 30, seed=1)


def weighed(n: int, length: int, seed: int) -> SparseVectors:
    """Return rows of distinct random terms, with weights like SPLADE's."""
    vectors = synthetic(n, length, N_TERMS, seed)
    drawn = np.random.default_rng(seed).exponential(size=len(vectors.indices))
    weights = np.log1p(drawn) * np.where(vectors.indices < FREQUENT, 0.25, 1)
    return SparseVectors(vectors.indptr, vectors.indices, weights.astype(np.float32))


if __name__ == "__main__":
    main()
