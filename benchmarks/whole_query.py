"""A whole query on one core: encoded, BM25's best 100, reranked, fused; and by a cross-encoder.

Usage: python benchmarks/whole_query.py MODEL BEIR [--documents 1000] [--queries 20] [--rounds 3]

`glane` searches an index of BM25 and MODEL (int8 vectors) over the first documents, one query at a
time, each new to it. The cross-encoder, of MiniLM's size with random weights on torch, reads the
same 100 documents, cut as MODEL cuts them, beside each query: its time alone counts, and no
answers are compared. It is asked two queries a turn. A turn's figures are over its queries.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable

import numpy as np
from turns import Engine, Turn, add_arguments, compare, seconds

from glane import BM25, Search, read_beir
from glane.maxsim.index import TokenStorage
from glane.model.preparation import TextPreparer
from glane.retrievers.passages import plain
from glane.retrievers.registry import load_reranker

CANDIDATES = 100

CROSS_QUERIES = 2


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=20, help="of a turn")
    add_arguments(parser, rounds=3)
    engines = {
        "glane": Engine(by_glane),
        "BM25 alone": Engine(by_bm25),
        "BM25 and a cross-encoder": Engine(by_cross_encoder, ("torch", "transformers")),
    }
    compare(engines, parser.parse_args())


def by_glane(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Search by both stages."""
    stage = load_reranker(arguments.model, arguments.threads)
    plain(stage).store_as(TokenStorage(kind="int8"))
    search = filled(Search(BM25(), reranker=stage), arguments)
    return turns(
        arguments, arguments.queries, lambda query: search.search([query], candidates=CANDIDATES)
    )


def by_bm25(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Search by the first stage alone."""
    search = filled(Search(BM25()), arguments)
    return turns(arguments, arguments.queries, lambda query: search.search([query], k=CANDIDATES))


def by_cross_encoder(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Find candidates by BM25, and score each beside the query."""
    from cross_encoder import cross_encoded, cross_encoder

    cross = cross_encoder()
    preparer = TextPreparer.load(arguments.model)
    search = filled(Search(BM25(), keep_documents=True), arguments)

    def answer(query: str) -> list[float]:
        (keys,) = search.search([query], k=CANDIDATES).ids
        texts = [document["text"] for document in search.documents(keys)]
        pairs = [f"{query} {text}" for text in texts]
        return cross_encoded(cross, preparer.tokenize(pairs, "document").rows)

    return turns(arguments, min(CROSS_QUERIES, arguments.queries), answer)


def filled(search: Search, arguments: argparse.Namespace) -> Search:
    """Add the first documents of the collection."""
    texts = itertools.islice(read_beir(arguments.data, "test").corpus.items(), arguments.documents)
    search.add({"id": id, "text": text} for id, text in texts)
    return search


def turns(
    arguments: argparse.Namespace, n_queries: int, answer: Callable[[str], object]
) -> Callable[[], Turn]:
    """Return what asks the next queries, one after the other; those of the collection go round."""
    queries = itertools.cycle(read_beir(arguments.data, "test").queries.values())

    def turn() -> Turn:
        took = [seconds(lambda: answer(next(queries)))[0] * 1e3 for _ in range(n_queries)]
        p50, p95 = np.percentile(took, [50, 95]).tolist()
        return Turn({"a query, p50, ms": p50, "a query, p95, ms": p95}, [])

    return turn


if __name__ == "__main__":
    main()
