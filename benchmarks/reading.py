"""Seconds and memory of reading a large file of records, one layout after another.

python benchmarks/reading.py
python benchmarks/reading.py --records 5000000 --index

Each figure is of a process of its own; memory is its highest resident memory. Of `glane index` of
the same records by BM25 it includes the pages of the index that are mapped.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

READ = """
import sys
from glane.collection.rows import Rows
n = 0
for n, (number, record) in enumerate(Rows(sys.argv[1]), 1):
    pass
assert n == int(sys.argv[2]), n
"""

NOTHING = "import glane.collection.rows"

WORDS = ["tea", "leaf", "river", "stone", "light", "sugar", "plant", "sea", "moss", "rain"]


def records(n_records: int) -> Iterator[dict[str, str]]:
    """Yield documents of twelve words; they differ, as those of a collection do."""
    draw = random.Random(0)
    for number in range(n_records):
        yield {"_id": str(number), "title": "", "text": " ".join(draw.choices(WORDS, k=12))}


def as_lines(n_records: int) -> Iterator[str]:
    """Yield JSON lines."""
    return (json.dumps(record) + "\n" for record in records(n_records))


def as_array(n_records: int) -> Iterator[str]:
    """Yield a JSON array on one line."""
    for number, record in enumerate(records(n_records)):
        yield (", " if number else "[") + json.dumps(record)
    yield "]"


def as_table(n_records: int) -> Iterator[str]:
    """Yield CSV with every text in quotes."""
    yield "_id,title,text\n"
    for record in records(n_records):
        yield f'{record["_id"]},,"{record["text"]}"\n'


def write_parquet(path: Path, n_records: int) -> None:
    """Write Parquet with row groups of 100,000 rows."""
    import pyarrow
    import pyarrow.parquet

    made = records(n_records)
    schema = pyarrow.schema([(name, pyarrow.string()) for name in ("_id", "title", "text")])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(made, 100_000)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def write(path: Path, content: Iterable[str]) -> None:
    """Write text, packed where the name says so."""
    with gzip.open(path, "wt", 1) if path.suffix == ".gz" else path.open("w") as file:
        file.writelines(content)


def beside(write_to: Callable[[Path, int], None], path: Path, n_records: int) -> None:
    """Write in a process of its own: one that is measured begins with the memory of this one."""
    process = multiprocessing.get_context("spawn").Process(target=write_to, args=(path, n_records))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"writing {path.name} ended with status {process.exitcode}")


def measured(command: list[str]) -> tuple[float, int]:
    """Run a command; return its seconds and its highest resident memory in kB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with status {status}")
    return time.perf_counter() - start, int(usage.ru_maxrss)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=5_000_000)
    parser.add_argument("--index", action="store_true", help="also `glane index` the JSON lines")
    arguments = parser.parse_args()
    n = arguments.records
    layouts = {
        "records.jsonl": as_lines,
        "records.json": as_array,
        "records.csv": as_table,
        "records.jsonl.gz": as_lines,
    }
    _, before = measured([sys.executable, "-c", NOTHING])
    print(f"{n:,} records; {before / 1e3:.0f} MB before the first")
    print("| layout | file, MB | s | records/s | memory, MB |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name in (*layouts, "records.parquet"):
            path = Path(scratch) / name
            if name in layouts:
                write(path, layouts[name](n))
            elif find_spec("pyarrow") is None:
                continue
            else:
                beside(write_parquet, path, n)
            seconds, memory = measured([sys.executable, "-c", READ, str(path), str(n)])
            size = path.stat().st_size / 1e6
            print(
                f"| {name} | {size:.0f} | {seconds:.1f} | {n / seconds:,.0f} | {memory / 1e3:.0f} |"
            )
            path.unlink()
        if arguments.index:
            path = Path(scratch) / "records.jsonl"
            write(path, as_lines(n))
            command = [sys.executable, "-m", "glane", "index", f"{scratch}/index"]
            command += ["--documents", str(path), "--on", "text", "--retriever", "bm25"]
            seconds, memory = measured(command)
            print(f"`glane index --retriever bm25`: {seconds:.0f} s, {memory / 1e3:.0f} MB")


if __name__ == "__main__":
    main()
