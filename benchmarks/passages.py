"""Long documents: whether a fact near their end is found, and what passages cost.

Usage: python benchmarks/passages.py facts BEIR MODEL... [--documents 100] [--words 8000]
       python benchmarks/passages.py price BEIR MODEL [--documents 0] [--queries 100] [--rounds 3]

`facts` strings abstracts together to documents of so many words, each with one that a query of the
collection's train split asks for in its last tenth, and counts the queries whose document is among
the first ten: by BM25 over the whole text, and by each model (a ColBERT, a SPLADE) in passages and
cut at its length. `price` indexes the collection with BM25 and the model as reranker, in passages
and cut, and compares bytes and milliseconds a query, in turns.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

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
    parser.add_argument("--words", type=int, default=8000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    (facts if arguments.what == "facts" else price)(arguments)


def facts(arguments: argparse.Namespace) -> None:
    """Print how many facts each way finds."""
    documents, asked = long_documents(arguments)
    words = [len(str(document["text"]).split()) for document in documents]
    print(f"{len(documents)} documents of {statistics.mean(words):.0f} words, {len(asked)} queries")
    print("| way | of the facts in the first ten | rank 1 | indexed in s |")
    print("|---|---|---|---|")
    report("BM25, whole texts", Search(BM25()), documents, asked)
    for model in arguments.models:
        name = NEURAL[Checkpoint.read(model).kind]
        for passages in (True, False):
            way = "passages" if passages else "cut"
            search = Search(name.load(model), passages=passages)
            report(f"{name.__name__}, {way}", search, documents, asked)


def long_documents(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return documents with a fact in the last tenth of each, and whose each query is."""
    dataset = read_beir(arguments.data, "train")
    chance = random.Random(0)
    wanted: dict[str, str] = {}
    for query, judged in dataset.judgements.items():
        found = [id for id, grade in judged.items() if grade > 0 and dataset.corpus.get(id)]
        if found and found[0] not in wanted.values():
            wanted[query] = found[0]
    chosen = dict(chance.sample(sorted(wanted.items()), min(arguments.documents, len(wanted))))
    relevant = {id for judged in dataset.judgements.values() for id in judged}
    others = [text for id, text in dataset.corpus.items() if id not in relevant]
    documents, asked = [], {}
    for number, (query, fact) in enumerate(chosen.items()):
        parts: list[str] = []
        n_words, placed = 0, False
        while n_words < arguments.words:
            if not placed and n_words >= 0.9 * arguments.words:
                parts.append(dataset.corpus[fact])
                placed = True
            else:
                parts.append(chance.choice(others))
            n_words += len(parts[-1].split())
        documents.append({"id": number, "text": " ".join(parts)})
        asked[dataset.queries[query]] = str(number)
    return documents, asked


def report(
    name: str, search: Search, documents: list[dict[str, Any]], asked: dict[str, str]
) -> None:
    """Index the documents, ask every query, and print a row."""
    start = time.perf_counter()
    search.add(documents, progress=True)
    seconds = time.perf_counter() - start
    results = search.search(list(asked), k=FIRST)
    ranks = [
        [str(id) for id in ids].index(number) if number in map(str, ids) else FIRST
        for ids, number in zip(results.ids, asked.values(), strict=True)
    ]
    found, first = sum(rank < FIRST for rank in ranks), ranks.count(0)
    print(
        f"| {name} | {found / len(ranks):.3f} | {first / len(ranks):.3f} | {seconds:.0f} |",
        flush=True,
    )


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
