"""Triples with a teacher's scores: BM25 and a ColBERT, fused, judge the training documents.

Of the teacher's first documents some become negatives, those most like the positive first; a
document that is judged relevant never does. The score is BM25's and MaxSim's, each with mean 0 and
deviation 1 over the candidates, so that one temperature suits every query.

Usage: python benchmarks/distillation.py --data SCIFACT [MORE ...] --reranker MODEL --out FILE
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from glane import BM25, ColBERT, Hits, fuse
from glane.collection.dataset import Dataset, read_beir
from glane.store.folders import check_new
from glane.types import Ids

WEIGHT = 0.2
"""BM25's share, chosen on a held-out part of scifact's train queries."""

CANDIDATES = 100


def main() -> None:
    """Write one line for each judged pair of query and positive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path, nargs="+", help="BEIR folders")
    parser.add_argument("--split", default="train")
    parser.add_argument("--reranker", required=True, help="exported ColBERT")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--negatives", type=int, default=16, help="of each pair, default 16")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    check_new(arguments.out)
    with arguments.out.open("w", encoding="utf-8") as file:
        for folder in arguments.data:
            colbert = ColBERT.load(arguments.reranker)
            dataset = read_beir(folder, arguments.split)
            random = np.random.default_rng([arguments.seed, 4])
            for record in judge(dataset, colbert, arguments.negatives, random):
                file.write(json.dumps(record, ensure_ascii=False) + "\n")


def judge(
    dataset: Dataset, colbert: ColBERT, n_negatives: int, random: np.random.Generator
) -> Iterator[dict[str, object]]:
    """Yield the triples of a collection, with the teacher's scores."""
    names, texts = list(dataset.corpus), list(dataset.corpus.values())
    numbers = {name: number for number, name in enumerate(names)}
    bm25 = BM25()
    bm25.add(bm25.encode_documents(texts))
    colbert.add(colbert.encode_documents(texts, progress=True).half())
    for id, query in tqdm(dataset.queries.items(), desc="queries", disable=None):
        grades = dataset.judgements[id]
        answers = [name for name, grade in grades.items() if grade > 0 and name in numbers]
        relevant = np.array([numbers[name] for name in answers])
        if not len(relevant):
            continue
        ranked = teach(query, relevant, bm25, colbert)
        scores = dict(zip(*(part.tolist() for part in ranked.row(0)), strict=True))
        others = [number for number in scores if number not in relevant]
        for positive in relevant.tolist():
            chosen = choose(others, n_negatives, random)
            yield {
                "anchor": query,
                "positive": texts[positive],
                "negatives": [texts[number] for number in chosen],
                "teacher_scores": [round(scores[n], 4) for n in (positive, *chosen)],
            }


def teach(query: str, relevant: Ids, bm25: BM25, colbert: ColBERT) -> Hits:
    """Return the teacher's ranking of BM25's candidates and the documents judged relevant."""
    first = bm25.search(bm25.encode_queries([query]), CANDIDATES)
    candidates = np.union1d(first.row(0)[0], relevant)[None]
    unranked = Hits(candidates, np.zeros(candidates.shape, np.float32))
    second = colbert.rerank(colbert.encode_queries([query]), unranked, candidates.shape[1])
    return fuse(first, second, candidates.shape[1], "relative", WEIGHT)


def choose(ranking: list[int], n: int, random: np.random.Generator) -> list[int]:
    """Return n of a ranking, half of them the first, the others from anywhere behind."""
    behind = ranking[n // 2 :]
    drawn = random.choice(len(behind), min(n - n // 2, len(behind)), replace=False)
    return ranking[: n // 2] + [behind[place] for place in sorted(drawn.tolist())]


if __name__ == "__main__":
    main()
