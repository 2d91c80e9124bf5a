"""Whether a training on a few queries ever makes a model worse: several of them, by seed.

For each seed so many train queries of a collection are drawn, a ColBERT learns from them and from
their hard negatives, where the collection has some, with the usual settings, and is exported in
int8. Each ranks the same test queries, alone and fused with BM25 as an index of its own does, and
is compared with the untrained model, query by query; p values of worse models are corrected for
their number (Holm).

The documents that are ranked are a pool: BM25's best for each test query among all, and the
answers. What a step wrote before is not made again.

Usage: python benchmarks/seeds.py BEIR --base ENCODER --out DIR [--seeds 0 1 2] [--queries 750]
       [--tested 500] [--candidates 20]; arguments behind `--` go to `glane train`
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from folds import keep, link
from scifact import both, glane, parsed

from glane import BM25
from glane.collection.dataset import read_beir
from glane.evaluation.paired import Comparison, compare, holm


def main() -> None:
    """Train, export, index and measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("beir", type=Path)
    parser.add_argument("--base", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(10)])
    parser.add_argument("--queries", type=int, default=750, help="drawn of the train split")
    parser.add_argument("--tested", type=int, default=500, help="test queries, drawn as well")
    parser.add_argument("--candidates", type=int, default=20)
    arguments, rest = parsed(parser)
    out: Path = arguments.out
    collection, pool = out / "collection", out / "pool"
    queries = link(arguments.beir, collection)
    negatives = (arguments.beir / "train_hardneg.tsv").exists()
    if not pool.exists():
        write_pool(arguments.beir, pool, arguments.tested, arguments.candidates)
    train = ["train", "colbert", "--base", arguments.base]
    glane([*train, "--max-steps", "0"], out / "untrained")
    start = ranked(out / "untrained", pool)
    found = {}
    for seed in arguments.seeds:
        drawn = np.random.default_rng(seed).permutation(len(queries))[: arguments.queries]
        keep(arguments.beir, collection, f"some{seed}", {queries[n] for n in drawn}, negatives)
        learned = ["--data", str(collection), "--split", f"some{seed}", "--seed", str(seed)]
        glane([*train, *learned, *rest], out / f"seed{seed}")
        found[seed] = ranked(out / f"seed{seed}", pool)
    show(start, found)


def write_pool(beir: Path, pool: Path, n_queries: int, n_candidates: int) -> None:
    """Write a collection of some test queries, BM25's best documents for them, and the answers."""
    dataset = read_beir(beir, "test")
    ids, names = list(dataset.queries), list(dataset.corpus)
    drawn = np.sort(np.random.default_rng(0).permutation(len(ids))[:n_queries])
    chosen = [ids[number] for number in drawn]
    bm25 = BM25()
    bm25.add(bm25.encode_documents(list(dataset.corpus.values())))
    asked = bm25.encode_queries([dataset.queries[id] for id in chosen])
    hits = bm25.search(asked, k=n_candidates)
    kept = {names[number] for row in range(len(chosen)) for number in hits.row(row)[0]}
    kept |= {name for id in chosen for name, grade in dataset.judgements[id].items() if grade > 0}
    print(f"{len(chosen)} test queries, {len(kept)} documents", file=sys.stderr)
    (pool / "qrels").mkdir(parents=True)
    for name, own in (("queries.jsonl", set(chosen)), ("corpus.jsonl", kept)):
        lines = (beir / name).read_text("utf-8").splitlines()
        text = [line for line in lines if str(json.loads(line)["_id"]) in own]
        (pool / name).write_text("\n".join([*text, ""]), "utf-8")
    judged = [
        f"{id}\t{name}\t{grade}"
        for id in chosen
        for name, grade in dataset.judgements[id].items()
        if name in kept
    ]
    table = "\n".join(["query-id\tcorpus-id\tscore", *judged, ""])
    (pool / "qrels" / "test.tsv").write_text(table, "utf-8")


def ranked(checkpoint: Path, pool: Path) -> list[list[float]]:
    """Return the NDCG@10 of each query of the pool, alone and fused."""
    rows = [row["per_query"]["ndcg@10"] for row in both(checkpoint, str(pool), "int8")]
    return [[row[id] for id in sorted(row)] for row in rows]


def show(start: list[list[float]], found: dict[int, list[list[float]]]) -> None:
    """Print what each seed gives, its difference to the start, and the mean of all."""
    for column, label in enumerate(("alone", "fused")):
        values = {seed: row[column] for seed, row in found.items()}
        against = {seed: compare(start[column], row) for seed, row in values.items()}
        worse = [seed for seed, each in against.items() if each.difference < 0]
        p_values = dict(zip(worse, holm([against[seed].p_value for seed in worse]), strict=True))
        print(f"{label}: untrained {np.mean(start[column]):.4f}, {len(start[column])} queries")
        for seed, each in against.items():
            corrected = f", p corrected {p_values[seed]:.2g}" if seed in p_values else ""
            print(f"  seed {seed}: {np.mean(values[seed]):.4f} ({told(each)}){corrected}")
        mean = np.mean(list(values.values()), axis=0)
        beyond = sum(-each.difference > each.half for each in against.values())
        print(f"  mean {mean.mean():.4f} ({told(compare(start[column], mean))})", end="; ")
        print(f"worse by more than the error: {beyond} of {len(values)}")


def told(difference: Comparison) -> str:
    """Return a difference and half of its interval."""
    return f"{difference.difference:+.4f} ± {difference.half:.4f}"


if __name__ == "__main__":
    main()
