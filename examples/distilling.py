"""A small ColBERT that learns from the scores of a better ranking, then is exported and searched.

Usage: python examples/distilling.py BASE BEIR OUT [--max-steps N]

BASE is a sentence encoder (a folder, or a name on the Hugging Face hub), BEIR a folder with
`qrels/train.tsv`. The teacher is BM25 and the untrained model, fused: what `glane mine` writes of
each question's candidates is what the scores of the student are to become. It needs
`pip install 'glane[train,export]'`; the same as commands stands in `docs/mining.md`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from glane import BM25, ColBERT, Search, read_beir
from glane.commands.main import main as glane
from glane_export import export_model
from glane_trainer import DEFAULTS, Objective, read_data, train
from glane_trainer import ColBERT as TrainedColBERT


def main() -> None:
    """Mine, train, export, search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("--max-steps", type=int)
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir()
    TrainedColBERT.from_base(arguments.base).save(out / "start")
    export_model(out / "start", out / "teacher")
    triples = str(out / "triples.jsonl")
    mining = ["mine", "--data", arguments.data, "--reranker", str(out / "teacher")]
    if glane([*mining, "--fuse-weight", "0.25", "--out", triples]):
        raise SystemExit(1)  # what was wrong is told
    settings = replace(
        DEFAULTS["colbert"],
        objective=Objective(loss="kl", contrastive_weight=1.0),
        max_steps=arguments.max_steps,
    )
    student = TrainedColBERT.from_base(arguments.base)
    result = train(student, read_data(triples, holdout=0.1), out / "checkpoint", settings)
    print(f"held-out NDCG@10: {result['start_score']} before, {result['best_score']} kept")
    export_model(out / "checkpoint", out / "model")
    search = Search(BM25(), reranker=ColBERT.load(out / "model"))
    corpus = read_beir(arguments.data, "train").corpus
    search.add({"id": id, "text": text} for id, text in corpus.items())
    search.save(out / "index")
    print(f"{out / 'index'}: {len(search)} documents")


if __name__ == "__main__":
    main()
