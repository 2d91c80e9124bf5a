"""Resident memory of indexing with ColBERT: many short documents, a corpus, very long ones.

python benchmarks/memory.py short MODEL
python benchmarks/memory.py corpus MODEL --corpus scifact/corpus.jsonl
python benchmarks/memory.py long MODEL

Each figure is of a process of its own: `loaded` has the model loaded and one text encoded,
`indexed` is the highest resident memory of `glane index`, mapped files included. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

LOADED = """
import sys
from glane import ColBERT
ColBERT.load(sys.argv[1], threads=int(sys.argv[2])).encode_documents(["one text"])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""

WORDS = ["tea", "leaf", "river", "stone", "light", "sugar", "plant", "sea", "moss", "rain"]


def texts(case: str, n_documents: int, n_words: int) -> Iterator[str]:
    """Yield texts of random words; they differ, as those of a collection do."""
    choose = random.Random(case)
    for number in range(n_documents):
        yield " ".join([*choose.choices(WORDS, k=n_words - 1), str(number)])


def write_documents(path: Path, arguments: argparse.Namespace) -> int:
    """Write the documents as JSON lines; return how many there are."""
    if arguments.case == "corpus":
        with open(arguments.corpus, encoding="utf-8") as file:
            lines = [line for line, _ in zip(file, range(arguments.documents), strict=False)]
        path.write_text("".join(lines), encoding="utf-8")
        return len(lines)
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts(arguments.case, arguments.documents, arguments.words)):
            file.write(json.dumps({"_id": str(number), "title": "", "text": text}) + "\n")
    return int(arguments.documents)


def peak_of(command: list[str]) -> int:
    """Run a command; return the highest resident memory of its process, in kB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with status {status}")
    return int(usage.ru_maxrss)


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=["short", "corpus", "long"])
    parser.add_argument("model", help="exported ColBERT")
    parser.add_argument("--corpus", help="JSON lines with _id, title and text")
    parser.add_argument("--documents", type=int, help="default 200,000, all, or 500")
    parser.add_argument("--words", type=int, help="of a document: default 16, or 20,000")
    parser.add_argument("--token-vectors", default="int8")
    parser.add_argument("--threads", default="2")
    arguments = parser.parse_args()
    defaults = {"short": (200_000, 16), "corpus": (10**9, 0), "long": (500, 20_000)}
    n_documents, n_words = defaults[arguments.case]
    arguments.documents = arguments.documents or n_documents
    arguments.words = arguments.words or n_words
    command = [sys.executable, "-c", LOADED, arguments.model, arguments.threads]
    loaded = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    with tempfile.TemporaryDirectory() as scratch:
        documents = Path(scratch) / "documents.jsonl"
        written = write_documents(documents, arguments)
        start = time.perf_counter()
        indexed = peak_of(
            [
                *(sys.executable, "-m", "glane", "index", f"{scratch}/index"),
                *("--documents", str(documents), "--retriever", "colbert"),
                *("--model", arguments.model, "--token-vectors", arguments.token_vectors),
                *("--threads", arguments.threads),
            ]
        )
        seconds = time.perf_counter() - start
        size = sum(path.stat().st_size for path in Path(scratch, "index").rglob("*"))
    print(
        f"{arguments.case}: {written} documents in {seconds:.0f} s, index {size / 1e6:.0f} MB; "
        f"resident: loaded {loaded / 1e3:.0f} MB, indexed {indexed / 1e3:.0f} MB, "
        f"{(indexed - loaded) / 1e3:.0f} MB more"
    )


if __name__ == "__main__":
    main()
