"""Which settings of a ColBERT's training are better, by the queries it may learn from alone.

The train queries of a collection are dealt into folds. For each of the settings and each fold a
model learns from the others, and ranks the answers and BM25's best documents for the fold's own,
alone and fused with BM25 by the usual weight, as `glane train` measures held-out queries. So every
train query is ranked by a model that never saw it, and no test query is looked at. The first
settings are what the others are compared with, query by query.

Documents are cut at the model's length, vectors are float32. A training whose folder is there is
not run again.

Usage: python benchmarks/folds.py BEIR --base ENCODER --out DIR [--folds 3] [--hard-negatives]
       [--options "--document-length 512 --dim 384"] "" "--batch-size 128 --lr 2e-4 --epochs 10"
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glane.collection.dataset import Dataset, read_beir
from glane.evaluation.paired import compare
from glane.retrievers.fusion import DEFAULT_WEIGHT
from glane_trainer import load_model
from glane_trainer.evaluation import Evaluator, Scorer

Table = npt.NDArray[np.float64]

CANDIDATES = 100
"""BM25's best documents that are ranked for a query, besides those that answer it."""


def main() -> None:
    """Train what is missing, rank, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("beir", type=Path)
    parser.add_argument("settings", nargs="+", help="options of `glane train colbert`, quoted")
    parser.add_argument("--options", default="", help="of all trainings, likewise")
    parser.add_argument("--base", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--hard-negatives", action="store_true")
    arguments = parser.parse_args()
    collection = arguments.out / "collection"
    folds = deal(arguments.beir, collection, arguments.folds, arguments.hard_negatives)
    values = [
        np.concatenate(
            [
                trained(
                    [arguments.options, settings], arguments.base, collection, number, arguments.out
                )
                for number in range(folds)
            ]
        )
        for settings in ("--max-steps 0", *arguments.settings)
    ]
    show(["untrained", *arguments.settings], values)


def deal(beir: Path, collection: Path, n_folds: int, hard_negatives: bool) -> int:
    """Write the collection with two files of judgements a fold, and return how many folds.

    `restN` is what a model learns from that ranks the queries of `foldN`.
    """
    queries = link(beir, collection)
    n_folds = min(n_folds, len(queries))
    dealt = np.random.default_rng(0).permutation(len(queries)) % n_folds
    for number in range(n_folds):
        for name, own in (("fold", dealt == number), ("rest", dealt != number)):
            chosen = {queries[row] for row in np.flatnonzero(own)}
            keep(beir, collection, f"{name}{number}", chosen, hard_negatives and name == "rest")
    return n_folds


def link(beir: Path, collection: Path) -> list[str]:
    """Link a collection's texts into a folder, and return the ids of its train queries."""
    (collection / "qrels").mkdir(parents=True, exist_ok=True)
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (collection / name).exists():
            (collection / name).symlink_to((beir / name).resolve())
    lines = (beir / "qrels" / "train.tsv").read_text("utf-8").splitlines()[1:]
    return list(dict.fromkeys(line.split("\t")[0] for line in lines))


def keep(beir: Path, collection: Path, split: str, queries: Set[str], negatives: bool) -> None:
    """Write the train judgements of some queries as a split of a linked collection.

    With negatives their lines of `train_hardneg.tsv` go beside it.
    """
    files = {beir / "qrels" / "train.tsv": collection / "qrels" / f"{split}.tsv"}
    if negatives:
        files[beir / "train_hardneg.tsv"] = collection / f"{split}_hardneg.tsv"
    for path, kept in files.items():
        head, *lines = path.read_text("utf-8").splitlines()
        own = [line for line in lines if line.split("\t")[0] in queries]
        kept.write_text("\n".join([head, *own, ""]), "utf-8")


def trained(settings: Sequence[str], base: str, collection: Path, number: int, out: Path) -> Table:
    """Return what a fold's queries give, shape (n_queries, 2): alone, and fused."""
    options = [option for each in settings for option in shlex.split(each)]
    name = "-".join(option.removeprefix("--") for option in options) or "usual"
    checkpoint = out / f"{name}.{number}"
    if not checkpoint.exists():
        learned = ["--data", str(collection), "--split", f"rest{number}", "--holdout", "0"]
        command = ["train", "colbert", "--base", base, *learned, "--start-share", "0"]
        asked = [*command, *options, "--out", str(checkpoint)]
        subprocess.run([sys.executable, "-m", "glane", *asked], check=True)
    return ranked(load_model(checkpoint), read_beir(collection, f"fold{number}"))


def ranked(model: Scorer, dataset: Dataset) -> Table:
    """Return NDCG@10 of each query over BM25's candidates, alone and fused."""
    evaluator = Evaluator(dataset, len(dataset.queries), 0, CANDIDATES)
    scores = evaluator(model).scores
    return np.array([evaluator.values(scores, weight) for weight in (None, DEFAULT_WEIGHT)]).T


def show(names: Sequence[str], values: Sequence[Table]) -> None:
    """Print what each of the settings gives, and its difference to the first."""
    print(f"{len(values[0])} queries; differences to: {names[1] or 'as usual'}")
    for name, own in zip(names, values, strict=True):
        told = []
        for column, label in enumerate(("alone", "fused")):
            against = compare(values[1][:, column], own[:, column])
            mean = own[:, column].mean()
            told.append(f"{label} {mean:.4f} ({against.difference:+.4f} ± {against.half:.4f})")
        print(*told, name or "as usual", sep="  ")


if __name__ == "__main__":
    main()
