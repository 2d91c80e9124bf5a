"""ColBERT's stored vectors, reranked and searched alone: as here, and as at commit 8f81c84.

Usage: git worktree add CHECKOUT 8f81c84
       python benchmarks/since.py CHECKOUT VECTORS.npz [--model MODEL --data BEIR] [--documents N]
           [--queries 10] [--threads 1] [--rounds 3]

VECTORS.npz is made of an exported ColBERT and a collection where it is not there yet: of each
document what the model reads at once, of the first test queries all, and BM25's best 100 of each.
Both engines store them as int8 with outlines, and are asked for the same queries: to order those
100, and to find the best 100 of all. `every product` is numpy, on the vectors before they are
stored; the overlap of `glane` with it is the recall of a search alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from turns import Engine, Turn, add_arguments, compare, seconds

K = 100

AT_ONCE = 256
"""Documents encoded, added or multiplied at once."""


def main() -> None:
    """Read the arguments, make the vectors where they lack, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="work tree of commit 8f81c84")
    parser.add_argument("vectors", type=Path, help="npz file, made where it is not there")
    parser.add_argument("--model", help="exported ColBERT that makes it")
    parser.add_argument("--data", help="BEIR folder that it is made of")
    parser.add_argument("--documents", type=int, default=None, help="of the folder; default all")
    parser.add_argument("--queries", type=int, default=10)
    add_arguments(parser, rounds=3)
    arguments = parser.parse_args()
    if not arguments.vectors.exists():
        if arguments.model is None or arguments.data is None:
            parser.error(f"{str(arguments.vectors)!r} is not there; give --model and --data")
        make(arguments)
    engines = {
        "glane": Engine(by_glane),
        "8f81c84": Engine(by_that_commit),
        "every product": Engine(by_numpy),
    }
    compare(engines, arguments)


def make(arguments: argparse.Namespace) -> None:
    """Encode a collection, find candidates, and write both."""
    from glane import BM25, ColBERT, read_beir

    data = read_beir(arguments.data, "test")
    texts = list(data.corpus.values())[: arguments.documents]
    queries = list(data.queries.values())[: arguments.queries]
    model, bm25 = ColBERT.load(arguments.model), BM25()
    rows = model.encode_documents(texts, progress=True)
    asked = model.encode_queries(queries)
    bm25.add(bm25.encode_documents(texts))
    found = bm25.search(bm25.encode_queries(queries), min(K, len(texts)))
    np.savez(
        arguments.vectors,
        values=rows.values.astype(np.float16),
        offsets=rows.offsets,
        query_values=asked.values,
        query_offsets=asked.offsets,
        candidates=found.ids,
    )


def by_glane(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Rank by this commit."""
    from glane.hits import Hits, rerank
    from glane.maxsim.index import MaxSimIndex, TokenStorage
    from glane.vectors import TokenVectors

    stored, storage = np.load(arguments.vectors), TokenStorage(kind="int8", outlines=True)
    index = MaxSimIndex(stored["values"].shape[1], storage, threads=arguments.threads)

    def ordered(query: TokenVectors, hits: Hits) -> Hits:
        return rerank(query, hits, K, index.scorer())

    return ranked(stored, index, TokenVectors, Hits, ordered)


def by_that_commit(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Rank by the other commit, whose names are other ones."""
    sys.path.insert(0, str(arguments.checkout / "runtime"))
    import glane
    from glane.hits import Hits
    from glane.maxsim import MaxSimIndex, TokenStorage  # type: ignore[attr-defined] # of then
    from glane.vectors import TokenVectors

    if arguments.checkout.resolve() not in Path(glane.__file__).resolve().parents:
        raise SystemExit(
            f"glane of {str(arguments.checkout)!r} was not found, but {glane.__file__!r}"
        )
    stored, storage = np.load(arguments.vectors), TokenStorage(kind="int8", outlines=True)
    index = MaxSimIndex(stored["values"].shape[1], storage, threads=arguments.threads)

    def ordered(query: TokenVectors, hits: Hits) -> Hits:
        return index.rerank(query, hits, K)

    return ranked(stored, index, TokenVectors, Hits, ordered)


def by_numpy(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Multiply every query with all vectors."""
    stored = np.load(arguments.vectors)
    values, offsets = stored["values"].astype(np.float32), stored["offsets"]
    asked, places = stored["query_values"], stored["query_offsets"]

    def scores(query: npt.NDArray[Any]) -> npt.NDArray[Any]:
        best = [
            np.maximum.reduceat(values[offsets[start] : offsets[stop]] @ query.T, own, axis=0)
            for start, stop, own in blocks(offsets)
        ]
        return np.concatenate(best).sum(axis=1)

    def turn() -> Turn:
        took, answer = [], []
        for start, stop in pairwise(places):
            spent, found = seconds(lambda: scores(asked[start:stop]))  # noqa: B023 (called here)
            took.append(spent * 1e3)
            answer.append(np.argsort(-found, kind="stable")[:K].tolist())
        return Turn({SEARCH: float(np.median(took))}, answer)

    return turn


RERANK, SEARCH = "candidates ordered, ms", "found among all, ms"


def ranked(
    stored: Any,  # noqa: ANN401 (npz file)
    index: Any,  # noqa: ANN401 (of either commit, as all that follow)
    vectors: Callable[..., Any],
    hits: Callable[..., Any],
    ordered: Callable[[Any, Any], Any],
) -> Callable[[], Turn]:
    """Fill an index, one segment in the end, and return what asks each query in both ways."""
    for rows in documents(stored):
        index.add(vectors(*rows))
    index.rows.compact()
    queries = vectors(stored["query_offsets"], stored["query_values"])
    candidates = stored["candidates"]
    nothing = np.zeros((1, candidates.shape[1]), np.float32)

    def turn() -> Turn:
        took: dict[str, list[float]] = {RERANK: [], SEARCH: []}
        answer = []
        for number in range(len(candidates)):
            own = slice(number, number + 1)
            asked, given = queries[own], hits(candidates[own], nothing)
            took[RERANK].append(seconds(lambda: ordered(asked, given))[0] * 1e3)  # noqa: B023
            spent, found = seconds(lambda: index.search(asked, K))  # noqa: B023 (called here)
            took[SEARCH].append(spent * 1e3)
            answer.append(found.ids[0].tolist())
        return Turn({what: float(np.median(times)) for what, times in took.items()}, answer)

    return turn


def documents(stored: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 (npz file)
    """Yield offsets and vectors of some documents at a time."""
    values, offsets = stored["values"], stored["offsets"]
    for start, stop, own in blocks(offsets):
        part = values[offsets[start] : offsets[stop]]
        yield np.append(own, len(part)), part.astype(np.float32)


def blocks(offsets: npt.NDArray[Any]) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
    """Yield the first and last document of each block, and where each begins in it."""
    for start in range(0, len(offsets) - 1, AT_ONCE):
        stop = min(start + AT_ONCE, len(offsets) - 1)
        yield start, stop, offsets[start:stop] - offsets[start]


if __name__ == "__main__":
    main()
