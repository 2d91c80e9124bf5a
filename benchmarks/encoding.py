"""How to share texts out over threads, with the weights in memory once.

For long and for short texts, batches of several sizes: texts per second, the median over turns, and
processor time. Usage: python benchmarks/encoding.py MODEL [--documents CORPUS.jsonl] [--turns 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glane.collection.dataset import read_jsonl
from glane.collection.fields import join_fields
from glane.model.preparation import Batch, TextPreparer
from glane.model.session import load_session, onnxruntime, run
from glane.threads import available_threads

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def main() -> None:
    """Measure every way in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--documents", required=True)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    texts = [join_fields(r, ["title", "text"]) for _, r in read_jsonl(arguments.documents)]
    preparer = TextPreparer.load(arguments.model)
    threads = available_threads()
    print(f"onnxruntime {onnxruntime().__version__}, {threads} threads, {arguments.model}")
    for name, sample in (("long", texts[:64]), ("short", [text[:100] for text in texts[:256]])):
        rows = sorted(preparer.tokenize(sample, "document").rows, key=len, reverse=True)
        ways = {
            (label, budget): way(preparer, rows, budget)
            for label, way in ways_of(Path(arguments.model) / "model.onnx", threads).items()
            for budget in (1, 256, 1024, 4096)
        }
        seconds: dict[tuple[str, int], list[float]] = {key: [] for key in ways}
        processor: dict[tuple[str, int], list[float]] = {key: [] for key in ways}
        for _ in range(arguments.turns + 1):
            for key, work in ways.items():
                start, used = time.perf_counter(), time.process_time()
                work()
                seconds[key].append(time.perf_counter() - start)
                processor[key].append(time.process_time() - used)
        tokens = np.mean([len(row) for row in rows])
        for (label, budget), times in seconds.items():
            rates = sorted(len(rows) / t for t in times[1:])  # the first turn warms up
            size = "one text a run" if budget == 1 else f"{budget} tokens a run"
            cost = 1000 * statistics.median(processor[label, budget][1:]) / len(rows)
            print(
                f"{name} ({tokens:.0f} tokens)  {label:38s} {size:18s} "
                f"{statistics.median(rates):7.1f} texts/s  ({rates[0]:.1f} to {rates[-1]:.1f}), "
                f"processor {cost:.1f} ms a text"
            )


Way = Callable[[TextPreparer, list[np.ndarray], int], Callable[[], None]]


def ways_of(path: Path, threads: int) -> dict[str, Way]:
    """Return the ways to use the threads."""
    wide, narrow = load_session(path, threads), load_session(path, 1)

    def in_turn(session: InferenceSession) -> Way:
        def way(preparer: TextPreparer, rows: list[np.ndarray], budget: int) -> Callable[[], None]:
            batches = batches_of(preparer, rows, budget)
            return lambda: [run(session, batch) for batch in batches] and None

        return way

    def at_once(session: InferenceSession) -> Way:
        def way(preparer: TextPreparer, rows: list[np.ndarray], budget: int) -> Callable[[], None]:
            batches = batches_of(preparer, rows, budget)

            def work() -> None:
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(lambda batch: run(session, batch), batches))

            return work

        return way

    return {
        "a session of all threads, in turn": in_turn(wide),
        "a session of all threads, runs at once": at_once(wide),
        "a session of one thread, in turn": in_turn(narrow),
        "a session of one thread, runs at once": at_once(narrow),
    }


def batches_of(preparer: TextPreparer, rows: list[np.ndarray], budget: int) -> list[Batch]:
    """Pad runs of rows, sorted by length, that together keep within a budget of tokens."""
    batches, start = [], 0
    while start < len(rows):
        n_texts = max(1, budget // len(rows[start]))
        batches.append(preparer.batch(rows[start : start + n_texts], "document"))
        start += n_texts
    return batches


if __name__ == "__main__":
    main()
