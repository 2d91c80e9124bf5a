"""Seconds and memory until a training on a large file of triples has its first batch.

python benchmarks/training_data.py
python benchmarks/training_data.py --triples 1000000 2000000 --base FOLDER

The triples are synthetic: words drawn by chance, 800 bytes each, every query another. Each figure
is of a process of its own; memory is its highest resident memory. With --base, also of the whole of
`glane train colbert --max-steps 1`, which measures its start on held-out queries, steps, and
measures again. The last lines say what ten million triples would take, if what grows goes on so.
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
from pathlib import Path
from typing import Any

MANY = 10_000_000
"""Triples that the growth is continued to."""

WORDS = ["tea", "leaf", "river", "stone", "light", "sugar", "plant", "sea", "moss", "rain", "bread"]

BEGIN = """
import sys
from glane_trainer import DEFAULTS, read_data
from glane_trainer.batches import Order
data = read_data(sys.argv[1])
order = Order(data.examples, DEFAULTS["colbert"])
batch = next(order.batches_from(0))
data.examples.known(batch)
data.fingerprint()
"""

NOTHING = "import glane_trainer.data, torch"


def write(path: Path, n_triples: int) -> None:
    """Write triples as JSON lines."""
    draw = random.Random(0)
    words = [f"{first}{second}" for first in WORDS for second in ("", "s", "ing")]
    passages = [" ".join(draw.choices(words, k=60)) for _ in range(20_000)]
    queries = [" ".join(draw.choices(words, k=8)) for _ in range(20_000)]
    with path.open("w") as file:
        for number in range(n_triples):
            positive, negative = draw.choice(passages), draw.choice(passages)
            record = {
                "query": f"{draw.choice(queries)} q{number}",
                "positive": f"{positive} p{number}",
                "negative": f"{negative} n{number}",
            }
            file.write(json.dumps(record) + "\n")


def measured(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return its seconds, those of the processor, and its highest memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with status {status}")
    seconds = time.perf_counter() - start
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--triples", type=int, nargs="+", default=[1_000_000, 2_000_000])
    parser.add_argument("--base", help="folder of an encoder, for the whole of `glane train`")
    arguments = parser.parse_args()
    rows: dict[str, list[tuple[float, ...]]] = {}
    print("| triples | file, MB | until | s | s of the processor | memory, MB |")
    print("|---|---|---|---|---|---|")
    for n_triples in (0, *arguments.triples):
        for name, size, *figures in until_each(n_triples, arguments.base):
            rows.setdefault(name, []).append((n_triples, *figures))
            shown = "{:.1f} | {:.1f} | {:.0f}".format(*figures)
            print(f"| {n_triples:,} | {size:.0f} | {name} | {shown} |", flush=True)
    for name, found in rows.items():
        if len(found) > 1 and found[-2][0] < found[-1][0]:
            (n, *low), (m, *high) = found[-2:]
            far = [b + (b - a) / (m - n) * (MANY - m) for a, b in zip(low, high, strict=True)]
            told = "{:.0f} s, {:.0f} of the processor, {:.0f} MB".format(*far)
            print(f"{MANY:,} triples until {name}, by the growth: {told}")


def until_each(n_triples: int, base: str | None) -> list[tuple[Any, ...]]:
    """Return what is done with a file, its size in MB, and its figures; of 0 triples nothing."""
    python = sys.executable
    if not n_triples:
        return [("torch is loaded", 0.0, *measured([python, "-c", NOTHING]))]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "triples.jsonl"
        write(path, n_triples)
        size = path.stat().st_size / 1e6
        found = [("the first batch", size, *measured([python, "-c", BEGIN, str(path)]))]
        if base is not None:
            command = [python, "-m", "glane", "train", "colbert", "--base", base]
            command += ["--data", str(path), "--out", f"{scratch}/out", "--max-steps", "1"]
            command += ["--eval-queries", "20"]
            found.append(("`glane train --max-steps 1` ends", size, *measured(command)))
    return found


if __name__ == "__main__":
    main()
