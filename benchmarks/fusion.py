"""How BM25 and a reranker are fused: which method and weight, and what tuning is worth.

Of each collection a part is indexed: the documents that its chosen queries judge, and others drawn
at random. The grid is of the split that is named, of the test split where none is (such a
collection reports alone, and chooses nothing); tuning chooses there, and is measured on test.

Usage: python benchmarks/fusion.py MODEL OUT BEIR[:SPLIT] ... [--queries 250] [--documents 2500]
           [--table grid|tune]

The folder OUT keeps an index of each collection; one that is there is not made again.
"""

from __future__ import annotations

import argparse
import platform
import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glane import BM25, ColBERT, Dataset, Search, fuse, read_beir
from glane.commands.tune import asked_of
from glane.evaluation.choosing import Values, choose, folds_of, interval
from glane.evaluation.measures import with_relevant
from glane.retrievers.fusion import DEFAULT_CANDIDATES, Fusion
from glane.retrievers.tuning import CUTOFF, Asked, measured, settings_of
from glane.threads import available_threads

METHODS: tuple[Fusion, ...] = ("relative", "rrf")
WEIGHTS = (0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 1.0)


class Part(NamedTuple):
    """A collection, indexed, and the queries of a split to choose on, where there is one."""

    name: str
    search: Search
    chosen: list[Asked]
    test: list[Asked]


def main() -> None:
    """Index what is not indexed yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("collections", nargs="+", metavar="BEIR[:SPLIT]")
    parser.add_argument("--queries", type=int, default=250)
    parser.add_argument("--documents", type=int, default=2500)
    parser.add_argument("--table", choices=["grid", "tune"])
    arguments = parser.parse_args()
    print(f"{available_threads()} threads, numpy {np.__version__}, {platform.machine()}")
    parts = [opened(collection, arguments) for collection in arguments.collections]
    if arguments.table != "tune":
        show_grid(parts)
    if arguments.table != "grid":
        show_tuning([part for part in parts if part.chosen])


def opened(collection: str, arguments: argparse.Namespace) -> Part:
    """Index a part of a collection, unless that is done, and read its queries."""
    folder, _, split = collection.partition(":")
    name = Path(folder).name
    splits = [drawn(read_beir(folder, one), arguments.queries) for one in (split, "test") if one]
    index = arguments.out / name
    if not index.exists():
        search = Search(BM25(), reranker=ColBERT.load(arguments.model), key="_id")
        documents = corpus(splits, arguments.documents)
        with search.building(index):
            search.add([{"_id": id, "text": text} for id, text in documents.items()])
    search = Search.load(index)
    *chosen, test = [asked_of(search, each) for each in splits]
    return Part(f"{name}/{split or 'test'}", search, chosen[0] if chosen else [], test)


def drawn(data: Dataset, n_queries: int) -> Dataset:
    """Return a collection with so many of the queries that have a relevant document."""
    ids = sample(with_relevant(data.judgements), n_queries)
    judgements = {id: data.judgements[id] for id in ids}
    return replace(data, queries={id: data.queries[id] for id in ids}, judgements=judgements)


def corpus(splits: Sequence[Dataset], n_documents: int) -> dict[str, str]:
    """Return the documents that are judged, and others up to a number."""
    texts = splits[0].corpus
    judged = {id for each in splits for grades in each.judgements.values() for id in grades}
    judged &= texts.keys()
    others = sample(texts.keys() - judged, max(0, n_documents - len(judged)))
    return {id: texts[id] for id in sorted([*judged, *others])}


def sample(ids: Collection[str], n: int) -> list[str]:
    """Draw some ids, always the same."""
    return sorted(random.Random(0).sample(sorted(ids), min(n, len(ids))))


def show_grid(parts: Sequence[Part]) -> None:
    """Print the mean NDCG@10 by method and the retriever's share, and the means over parts."""
    print(f"| NDCG@{CUTOFF} | queries | " + " | ".join(f"{weight:g}" for weight in WEIGHTS) + " |")
    print("|---" * (2 + len(WEIGHTS)) + "|")
    for method in METHODS:
        means = {part.name: grid_row(part, method) for part in parts}
        for part in parts:
            print_row(f"{part.name}, {method}", len(part.chosen or part.test), means[part.name])
        deciding = [means[part.name] for part in parts if part.chosen]
        if deciding:
            print_row(f"mean of those that choose, {method}", "", np.mean(deciding, axis=0))


def grid_row(part: Part, method: Fusion) -> Values:
    """Return the mean NDCG@10 at each weight."""
    queries = part.chosen or part.test
    texts = [query.text for query in queries]
    retriever, reranker = part.search.retriever, part.search.reranker
    assert reranker is not None, "it was made with one"
    first = retriever.search(retriever.encode_queries(texts), DEFAULT_CANDIDATES)
    second = reranker.rerank(reranker.encode_queries(texts), first, DEFAULT_CANDIDATES)
    means = []
    for weight in WEIGHTS:
        hits = fuse(first, second, CUTOFF + 1, method, weight)
        rows = [query.ndcg(hits.row(number)[0]) for number, query in enumerate(queries)]
        means.append(np.mean(rows))
    return np.array(means)


def print_row(name: str, n_queries: object, values: Values) -> None:
    """Print a row, the best value marked."""
    top = values.max()
    cells = [f"**{value:.4f}**" if value == top else f"{value:.4f}" for value in values]
    print(f"| {name} | {n_queries} | " + " | ".join(cells) + " |", flush=True)


def show_tuning(parts: Sequence[Part]) -> None:
    """Print what tuning chooses, and the paired gain over the default on test queries."""
    print("| tuned on | chosen | gain shown while tuning | written | gain on test |")
    print("|---" * 5 + "|")
    gains = []
    for part in parts:
        retriever, reranker = part.search.retriever, part.search.reranker
        settings = settings_of(retriever, reranker)
        changes = np.array([setting.changes(settings[0]) for setting in settings])
        values = measured(retriever, reranker, part.chosen, settings)
        choice = choose(values, changes, folds_of([query.text for query in part.chosen]))
        chosen = settings[choice.setting]
        two = measured(retriever, reranker, part.test, [settings[0], chosen])
        gain = two[1] - two[0]
        gains.append(float(gain.mean()) if choice.wins else 0.0)
        told = ", ".join(f"{value:g}" for value in chosen if value is not None)
        shown = between(choice.gain.mean, choice.gain.low, choice.gain.high)
        written = "yes" if choice.wins else "no, the default is kept"
        print(f"| {part.name} | {told} | {shown} | {written} | {between(*interval(gain))} |")
    if gains:
        print(f"mean gain on test of what is written, over {len(gains)}: {np.mean(gains):+.4f}")


def between(mean: float, low: float, high: float) -> str:
    """Return a mean and its 95 % interval as text."""
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"


if __name__ == "__main__":
    main()
