"""Long documents: whether a fact near their end is found, and what passages cost.

Usage: python benchmarks/passages.py facts BEIR MODEL... [--split train] [--documents 100]
           [--words 8000] [--rounds 3]
       python benchmarks/passages.py price BEIR MODEL [--documents 0] [--queries 100] [--rounds 3]

`facts` strings abstracts together to documents of so many words, each with one that a query of the
collection's split asks for in its last tenth, others in each round, and counts the queries whose
document is among the first ten: by BM25 over the whole text, and by each model (a ColBERT, a
SPLADE) in passages and cut at its length. `price` indexes the collection with BM25 and the model as
reranker, in passages and cut, and compares bytes and milliseconds a query, in turns.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from glane import BM25, Checkpoint, Search, read_beir
from glane.retrievers.passages import Passages
from glane.retrievers.registry import NEURAL, load_reranker

FIRST = 10


def main() -> None:
    """Print the figures of one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["facts", "price"])
    parser.add_argument("data")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--split", default="train")
    parser.add_argument("--words", type=int, default=8000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    (facts if arguments.what == "facts" else price)(arguments)


def facts(arguments: argparse.Namespace) -> None:
    """Print how many facts each way finds."""
    rounds = long_documents(arguments)
    words = [len(str(document["text"]).split()) for document in rounds[0].documents]
    n_queries = sum(len(each.asked) for each in rounds)
    print(f"{len(words)} documents of {statistics.mean(words):.0f} words, {n_queries} queries")
    print("| way | of the facts in the first ten | against BM25 | rank 1 | indexed in s |")
    print("|---|---|---|---|---|")
    base = ranks_of("BM25, whole texts", lambda: Search(BM25()), rounds, None)
    for model in arguments.models:
        name = NEURAL[Checkpoint.read(model).kind]
        for passages in (True, False):
            way = "passages" if passages else "cut"

            def made(model: str = model, passages: bool = passages) -> Search:
                return Search(NEURAL[Checkpoint.read(model).kind].load(model), passages=passages)

            ranks_of(f"{name.__name__}, {way}", made, rounds, base)


class Round(NamedTuple):
    """Documents with a fact in the last tenth of each, and whose each query is."""

    documents: list[dict[str, Any]]
    asked: dict[str, str]


def long_documents(arguments: argparse.Namespace) -> list[Round]:
    """Return rounds of documents; those after the first hide other facts in the same texts."""
    dataset = read_beir(arguments.data, arguments.split)
    chance = random.Random(0)
    wanted: dict[str, str] = {}
    for query, judged in dataset.judgements.items():
        found = [id for id, grade in judged.items() if grade > 0 and dataset.corpus.get(id)]
        if found and found[0] not in wanted.values():
            wanted[query] = found[0]
    n = arguments.documents
    chosen = chance.sample(sorted(wanted.items()), min(n, len(wanted)))
    rest = [pair for pair in sorted(wanted.items()) if pair not in chosen]
    random.Random(1).shuffle(rest)
    relevant = {id for judged in dataset.judgements.values() for id in judged}
    others = [text for id, text in dataset.corpus.items() if id not in relevant]
    heads: list[list[str]] = []
    first = Round([], {})
    for number, (query, fact) in enumerate(chosen):
        parts: list[str] = []
        while n_words(parts) < 0.9 * arguments.words:
            parts.append(chance.choice(others))
        heads.append(list(parts))
        parts.append(dataset.corpus[fact])
        first.documents.append(filled(number, parts, others, chance, arguments.words))
        first.asked[dataset.queries[query]] = str(number)
    rounds = [first]
    for number in range(1, arguments.rounds):
        chance, pairs = random.Random(number), rest[(number - 1) * n : number * n]
        documents = list(first.documents)  # a last round may be short of facts
        for place, (_, fact) in enumerate(pairs):
            parts = [*heads[place], dataset.corpus[fact]]
            documents[place] = filled(place, parts, others, chance, arguments.words)
        asked = {dataset.queries[query]: str(place) for place, (query, _) in enumerate(pairs)}
        rounds.append(Round(documents, asked))
    return rounds


def filled(
    number: int, parts: list[str], others: list[str], chance: random.Random, words: int
) -> dict[str, Any]:
    """Return a document of parts, filled up to so many words."""
    while n_words(parts) < words:
        parts.append(chance.choice(others))
    return {"id": number, "text": " ".join(parts)}


def n_words(parts: list[str]) -> int:
    """Return how many words parts of a document have."""
    return sum(len(part.split()) for part in parts)


def ranks_of(
    name: str, made: Callable[[], Search], rounds: list[Round], base: list[int] | None
) -> list[int]:
    """Index the documents of each round, ask its queries, and print a row; return the ranks."""
    start, seconds, ranks = time.perf_counter(), 0.0, []
    for documents, asked in rounds:
        search, start = made(), time.perf_counter()
        search.add(documents, progress=True)
        seconds += time.perf_counter() - start
        results = search.search(list(asked), k=FIRST)
        for ids, number in zip(results.ids, asked.values(), strict=True):
            found = [str(id) for id in ids]
            ranks.append(found.index(number) if number in found else FIRST)
    told = ""
    if base is not None:
        pairs = zip(ranks, base, strict=True)
        gains = [float((own < FIRST) - (other < FIRST)) for own, other in pairs]
        told = interval(gains)
    found_share = sum(rank < FIRST for rank in ranks) / len(ranks)
    first_share = ranks.count(0) / len(ranks)
    print(
        f"| {name} | {found_share:.3f} | {told} | {first_share:.3f} | {seconds:.0f} |", flush=True
    )
    return ranks


def interval(gains: list[float]) -> str:
    """Return the mean of paired differences, and its 95 % interval."""
    mean = statistics.mean(gains)
    half = 1.96 * statistics.stdev(gains) / len(gains) ** 0.5
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def price(arguments: argparse.Namespace) -> None:
    """Print what passages cost: bytes of the index, and milliseconds a query."""
    dataset = read_beir(arguments.data, "test")
    documents = [{"id": id, "text": text} for id, text in dataset.corpus.items()]
    documents = documents[: arguments.documents or None]
    queries = list(dataset.queries.values())[: arguments.queries]
    searches = {}
    n_bytes = {}
    for passages in (False, True):
        search = Search(BM25(), reranker=load_reranker(arguments.models[0]), passages=passages)
        search.add(documents, progress=True)
        with tempfile.TemporaryDirectory() as folder:
            search.save(folder, link=True)
            n_bytes[passages] = sum(
                f.stat().st_size for f in Path(folder).rglob("*") if f.is_file()
            )
        searches[passages] = search
    took: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(arguments.rounds):
        for passages, search in searches.items():
            start = time.perf_counter()
            for query in queries:
                search.search([query])
            took[passages].append(1e3 * (time.perf_counter() - start) / len(queries))
    ratios = [one / other for one, other in zip(took[True], took[False], strict=True)]
    parted = searches[True].reranker
    assert isinstance(parted, Passages)
    print(f"{len(documents)} documents, {parted.n_passages()} passages")
    print("| | cut | passages | ratio, median (lowest to highest) |")
    print("|---|---|---|---|")
    sizes = f"{n_bytes[False] / 1e6:.1f} | {n_bytes[True] / 1e6:.1f}"
    print(f"| index, MB | {sizes} | {n_bytes[True] / n_bytes[False]:.2f} |")
    medians = f"{statistics.median(took[False]):.1f} | {statistics.median(took[True]):.1f}"
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"| a query, ms | {medians} | {spread} |")


if __name__ == "__main__":
    main()
