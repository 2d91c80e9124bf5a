"""The main job on scifact: train on its train split, export, index, and measure on its test split.

For each seed one training run; every model is indexed once and measured twice, reranking alone
and fused with BM25 by the weight that the model brings, or the default. Steps whose folder is there
are not run again. At the end: a table, and a paired test of each fused run against the untrained
model's.

Usage: python benchmarks/scifact.py --data SCIFACT --base ENCODER --out DIR [--seeds 0 1 2]
       [--precisions int8 fp32]; arguments behind `--` go to `glane train`
"""

import argparse
import json
import platform
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from glane.evaluation.paired import compare

PRECISIONS = {"int8": "int8", "fp32": "none"}
"""What `glane export --quantize` calls them."""


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--precisions", choices=PRECISIONS, nargs="+", default=[*PRECISIONS])
    arguments, rest = parsed(parser)
    out: Path = arguments.out
    train = ["train", "colbert", "--base", arguments.base, "--data", arguments.data]
    rows = {"BM25": measure(arguments.data, ["--retriever", "bm25"], out / "bm25")}
    glane([*train, "--max-steps", "0"], out / "untrained")
    for seed in arguments.seeds:
        glane([*train, "--seed", str(seed), *rest], out / f"seed{seed}")
    names = ["untrained", *(f"seed{seed}" for seed in arguments.seeds)]
    for name in names:
        for precision in arguments.precisions:
            alone, fused = both(out / name, arguments.data, PRECISIONS[precision])
            rows |= {f"{name} {precision}": alone, f"{name} {precision} fused": fused}
    show(rows, names, arguments.precisions)


def parsed(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[str]]:
    """Return a program's own arguments, and those behind `--`."""
    own, _, rest = " ".join(map(shlex.quote, sys.argv[1:])).partition(" -- ")
    return parser.parse_args(shlex.split(own)), shlex.split(rest)


def both(checkpoint: Path, data: str, kind: str) -> list[dict[str, Any]]:
    """Export and index a checkpoint where that is missing, and measure it alone and fused."""
    model = checkpoint.with_name(f"{checkpoint.name}-{kind}")
    index = model.with_name(f"{model.name}-index")
    documents = ["--documents", f"{data}/corpus.jsonl", "--retriever", "bm25"]
    export(checkpoint, model, kind)
    glane(["index", *documents, "--reranker", str(model)], index)
    return [
        measure(data, ["--index", str(index), *fuse], Path(f"{index}{label}"))
        for label, fuse in (("", ["--fuse", "none"]), (" fused", []))
    ]


def glane(argv: list[str], out: Path) -> None:
    """Run a command that writes a folder, unless the folder is there."""
    if out.exists():
        return
    positional = [str(out)] if argv[0] == "index" else []
    call([argv[0], *positional, *argv[1:], *([] if positional else ["--out", str(out)])], out)


def export(checkpoint: Path, model: Path, kind: str) -> None:
    """Export a checkpoint, unless the model is there."""
    if not model.exists():
        call(["export", str(checkpoint), str(model), "--quantize", kind], model)


def measure(data: str, argv: list[str], name: Path) -> dict[str, Any]:
    """Evaluate on the test split, unless the result is there."""
    path = name.with_name(f"{name.name}.json")
    if not path.is_file():
        name.parent.mkdir(parents=True, exist_ok=True)
        printed = call(["evaluate", "--dataset", data, *argv, "--per-query", "--json"], path)
        path.write_text(printed)
    return dict(json.loads(path.read_text()))


def call(argv: list[str], made: Path) -> str:
    """Run glane, tell the command and the time on standard error, and return what it prints."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "glane", *argv]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - start
    print(f"{seconds:7.1f} s  glane {shlex.join(argv)}", file=sys.stderr, flush=True)
    return done.stdout


def show(rows: dict[str, dict[str, Any]], names: list[str], precisions: list[str]) -> None:
    """Print the table, the means over seeds, and the paired tests."""
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    for name, row in rows.items():
        print(f"{name:24s} NDCG@10 {row['metrics']['ndcg@10']:.4f}", end="")
        print(f"  a query {row['latency_ms']['p50']:.1f} ms")
    means = {}
    for precision in precisions:
        fused = [rows[f"{name} {precision} fused"]["metrics"]["ndcg@10"] for name in names[1:]]
        means[precision] = statistics.mean(fused)
        print(f"fine-tuned, fused, {precision}: mean of {len(fused)} seeds {means[precision]:.4f}")
    if len(means) == 2:
        print(f"fp32 minus int8: {means['fp32'] - means['int8']:.4f}")
    start = rows[f"untrained {precisions[0]} fused"]["per_query"]["ndcg@10"]
    for name in names[1:]:
        values = rows[f"{name} {precisions[0]} fused"]["per_query"]["ndcg@10"]
        print(f"{name}: {paired(values, start)}")


def paired(values: dict[str, float], others: dict[str, float]) -> str:
    """Return the mean difference, its 95 % interval and its p value."""
    found = compare([others[query] for query in others], [values[query] for query in others])
    limits = f"{found.low:+.4f} to {found.high:+.4f}"
    return f"{found.difference:+.4f} over the untrained ({limits}), p {found.p_value:.2g}"


if __name__ == "__main__":
    main()
