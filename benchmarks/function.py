"""A function's bundle: whether it fits, and how long its first answer takes.

Usage: python benchmarks/function.py MODEL BEIR OUT [--documents 1000] [--words 45]

It installs the base of this checkout into OUT/bundle, makes an index of BM25 and MODEL (int8
vectors) over the first documents, cut at so many words (about 64 tokens), and asks it in a process
of one core that has no network and cannot write (where the system lets this program arrange that;
it says so). It prints bytes against the gateway's bound, memory, processor time up to the first
answer, and how large an index would still fit.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from glane import BM25, Search, read_beir
from glane.maxsim.index import TokenStorage
from glane.retrievers.passages import plain
from glane.retrievers.registry import load_reranker

BOUND = 262_144_000
"""Bytes that a function may have unzipped."""

ROOT = Path(__file__).parents[1]

PROGRAM = """
import json, resource, sys, time
sys.path[:0] = [sys.argv[1]]
from glane_serve.function import handler
body = json.dumps({"query": sys.argv[2], "k": 3})
answer = handler({"httpMethod": "POST", "path": "/search", "body": body})
used = resource.getrusage(resource.RUSAGE_SELF)
told = {"status": answer["statusCode"], "hits": len(json.loads(answer["body"])["hits"]),
        "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1e3}
try:
    open(sys.argv[1] + "/written", "w")
    told["read_only"] = False
except OSError:
    told["read_only"] = True
print(json.dumps(told))
"""

ALONE = """
mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"
"""
"""Makes a folder one that cannot be written, and goes on; in a place of its own."""


def main() -> None:
    """Build, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--words", type=int, default=45)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    bundle = arguments.out / "bundle"
    install(bundle)
    own = n_bytes(bundle)
    index = bundle / "index"
    documents, query = texts(arguments)
    stage = load_reranker(arguments.model)
    plain(stage).store_as(TokenStorage(kind="int8"))
    search = Search(BM25(), reranker=stage, keep_documents=True)
    search.add(documents)
    search.save(index)
    model = n_bytes(index / "models")
    rest = n_bytes(index) - model
    whole = n_bytes(bundle)
    print(f"base install {own / 1e6:.1f} MB, model {model / 1e6:.1f}, index {rest / 1e6:.1f}")
    print(f"bundle {whole:,} of {BOUND:,} bytes: {'fits' if whole <= BOUND else 'does not fit'}")
    left = BOUND - own - model
    print(
        f"largest index: {left * len(documents) / rest:,.0f} such documents ({left / 1e6:.1f} MB)"
    )
    told = [asked(bundle, index, query) for _ in range(arguments.rounds)]
    for name, unit in (("cpu", "s of processor time"), ("memory", "MB of memory at most")):
        values = sorted(each[name] for each in told)
        print(
            f"first answer: {values[len(values) // 2]:.2f} ({values[0]:.2f} to "
            f"{values[-1]:.2f}) {unit}"
        )
    print(
        f"could not write: {told[0]['read_only']}; no network: {is_alone()}; answers: "
        f"{[each['status'] for each in told]}, {told[0]['hits']} hits"
    )


def install(bundle: Path) -> None:
    """Install the base of this checkout."""
    shutil.rmtree(bundle, ignore_errors=True)
    constraints = ["-c", str(ROOT / "constraints.txt")]
    argv = [sys.executable, "-m", "pip", "install", "-q", *constraints]
    subprocess.run([*argv, "--target", str(bundle), str(ROOT)], check=True)
    shutil.rmtree(bundle / "bin", ignore_errors=True)


def texts(arguments: argparse.Namespace) -> tuple[list[dict[str, str]], str]:
    """Return short documents, and a query."""
    dataset = read_beir(arguments.data, "test")
    some = list(dataset.corpus.items())[: arguments.documents]
    cut = [{"id": id, "text": " ".join(text.split()[: arguments.words])} for id, text in some]
    return cut, next(iter(dataset.queries.values()))


def asked(bundle: Path, index: Path, query: str) -> dict[str, float]:
    """Ask for one answer, in a process of its own on one core."""
    argv = [sys.executable, "-I", "-S", "-B", "-c", PROGRAM, str(bundle), query]
    if is_alone():
        argv = ["unshare", "-n", "-m", "sh", "-c", ALONE, "sh", str(bundle), *argv]
    environment = {"GLANE_INDEX": str(index), "PATH": os.environ["PATH"]}
    ran = subprocess.run(
        argv, env=environment, capture_output=True, text=True, preexec_fn=one_core, check=False
    )
    if ran.returncode:
        raise SystemExit(ran.stderr)
    told: dict[str, float] = json.loads(ran.stdout)
    return told


def one_core() -> None:
    """Let this process run on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def is_alone() -> bool:
    """Return whether a process can be given a place without network, and with mounts of its own."""
    argv = ["unshare", "-n", "-m", "true"]
    return bool(shutil.which("unshare")) and not subprocess.run(argv, check=False).returncode


def n_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
