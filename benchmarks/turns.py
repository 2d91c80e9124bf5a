"""What programs share that compare engines: turns in processes of their own, and what is told.

Every engine runs in a process of its own, on the same number of cores, and is asked for one turn
after the other: glane, a peer, the next peer, glane again. So none has another's memory, threads
or caches, and what else the machine does meets all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON")
"""Whose `_NUM_THREADS` says how many threads a library takes."""

OURS = ("glane", "numpy", "onnxruntime", "tokenizers", "snowballstemmer")


class Turn(NamedTuple):
    """What came of one turn.

    Attributes:
        figures: What was measured, by name with its unit.
        answer: Ids of what was found, a list a query; empty where nothing is searched for.
    """

    figures: dict[str, float]
    answer: list[list[int]]


class Engine(NamedTuple):
    """One of those that are compared.

    Attributes:
        start: Makes all ready that is not measured, and returns what makes a turn.
        needs: Modules without which it is missing.
    """

    start: Callable[[argparse.Namespace], Callable[[], Turn]]
    needs: tuple[str, ...] = ()


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long the work took, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def add_arguments(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Add the arguments that all comparisons have."""
    parser.add_argument("--rounds", type=int, default=rounds, help="turns; one more, not counted")
    parser.add_argument("--threads", type=int, default=1, help="and cores, of each engine")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file for the result")
    parser.add_argument("--engine", help=argparse.SUPPRESS)


def compare(engines: Mapping[str, Engine], arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure engines in turns; print the table, and write it as JSON where that is asked for.

    The first engine is the one that ratios and overlaps refer to. In the process of one engine
    this serves its turns and ends the process.

    Returns:
        The result, as it is written.
    """
    if arguments.engine is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-arguments.threads :])
        serve(engines[arguments.engine], arguments)
        sys.exit()
    missing = {
        name: [module for module in engine.needs if find_spec(module) is None]
        for name, engine in engines.items()
    }
    there = [name for name, modules in missing.items() if not modules]
    load = round(os.getloadavg()[0], 1)
    turns = ask(there, arguments)
    modules = {module for name in there for module in engines[name].needs}
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": shlex.join(["python", *relative(sys.argv)]),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "load": load,
        "versions": {"python": platform.python_version(), **versions(modules)},
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "figures": figures(turns),
        "missing": {name: modules for name, modules in missing.items() if modules},
    }
    print(told(result))
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    return result


def relative(argv: list[str]) -> list[str]:
    """Return a command as it is typed in the checkout, its folders by their last names.

    >>> relative(["/there/benchmarks/bm25.py", "/data/scifact", "--out", "/there/bm25.json"])
    ['benchmarks/bm25.py', 'scifact']
    """
    program, words = Path(argv[0]), argv[1:]
    if "--out" in words:
        place = words.index("--out")
        words = words[:place] + words[place + 2 :]
    names = [Path(word).name if word.startswith("/") else word for word in words]
    return [f"{program.parent.name}/{program.name}", *names]


class Told(NamedTuple):
    """What an engine told: its turns, and the most memory its process had, in MB."""

    turns: list[Turn]
    memory: float


def ask(names: Iterable[str], arguments: argparse.Namespace) -> dict[str, Told]:
    """Start the process of each engine, and ask them for turns, one after the other."""
    environment = os.environ | {f"{name}_NUM_THREADS": str(arguments.threads) for name in THREADS}
    processes = {}
    try:
        for name in names:
            argv = [sys.executable, *sys.argv, "--engine", name]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            processes[name] = subprocess.Popen(argv, env=environment, **pipes)  # type: ignore[call-overload]
            heard(name, processes[name])
        turns: dict[str, list[Turn]] = {name: [] for name in processes}
        for _ in range(arguments.rounds + 1):
            for name, process in processes.items():
                say(process, "turn")
                turns[name].append(Turn(*heard(name, process)))
        return {
            name: Told(turns[name][1:], say(process, "memory") or heard(name, process))
            for name, process in processes.items()
        }
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def say(process: subprocess.Popen[str], word: str) -> None:
    """Ask the process of an engine for something."""
    assert process.stdin is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()


def heard(name: str, process: subprocess.Popen[str]) -> Any:  # noqa: ANN401 (of JSON)
    """Return what the process of an engine says next."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{name} ended with status {process.wait()}")
    return json.loads(line)


def serve(engine: Engine, arguments: argparse.Namespace) -> None:
    """Answer what is asked of an engine; what libraries print goes to standard error."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    turn = engine.start(arguments)
    print(json.dumps("ready"), file=told, flush=True)
    for line in sys.stdin:
        answer = turn() if line == "turn\n" else peak_memory()
        print(json.dumps(answer), file=told, flush=True)


class Memory(NamedTuple):
    """Of a process, or the largest of several, in MB; Linux only.

    Attributes:
        resident: Mapped files included.
        own: Of its own.
    """

    resident: float
    own: float


def memory(pid: int) -> Memory:
    """Return a process's memory as it is now; none once it has ended."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return Memory(0, 0)
    found = dict(re.findall(r"^(Rss|Anonymous): +(\d+) kB$", told, re.MULTILINE))
    return Memory(*(int(found.get(name, 0)) / 1e3 for name in ("Rss", "Anonymous")))


def peak_memory() -> float:
    """Return the most memory that this process had, files it maps included, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def figures(told: Mapping[str, Told]) -> list[dict[str, Any]]:
    """Return the table: a record for each figure of each engine."""
    first = next(iter(told.values()))
    records = []
    for what in first.turns[0].figures:
        base = statistics.median(turn.figures[what] for turn in first.turns)
        for name, one in told.items():
            values = [turn.figures[what] for turn in one.turns if what in turn.figures]
            if values:
                median = statistics.median(values)
                records.append(
                    {
                        "figure": what,
                        "engine": name,
                        "median": median,
                        "lowest": min(values),
                        "highest": max(values),
                        "ratio": median / base,
                        "memory, MB": one.memory,
                        "overlap": overlap(first.turns[-1].answer, one.turns[-1].answer),
                    }
                )
    return records


def overlap(ours: list[list[int]], theirs: list[list[int]]) -> float | None:
    """Return the share of our hits that are theirs too, on average over queries with hits.

    >>> overlap([[1, 2], [3], []], [[2, 9], [3], [7]])
    0.75
    """
    shares = [
        len({*mine} & {*other}) / len({*mine})
        for mine, other in zip(ours, theirs, strict=True)
        if mine
    ]
    return statistics.mean(shares) if shares else None


def told(result: Mapping[str, Any]) -> str:
    """Return a result as Markdown: where and when, the command, and a table.

    The longer of engines and lines goes down, so that tables stay narrow.
    """
    names = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    load = "not noted" if result["load"] is None else result["load"]
    where = (
        f"{result['date']}; {result['machine']}, load beside it: {load}; "
        f"threads an engine: {result['threads']}; rounds: {result['rounds']}; {names}."
    )
    missing = [
        f"{name} is missing: {', '.join(modules)} not installed"
        for name, modules in result["missing"].items()
    ]
    return "\n\n".join([where, f"`{result['command']}`", table(result["figures"]), *missing])


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures of engines as a table of Markdown."""
    grid: dict[str, dict[str, str]] = {}
    for row in rows:
        grid.setdefault(row["figure"], {})[row["engine"]] = cell(row)
    last = {row["engine"]: row for row in rows}
    grid["memory, MB"] = {name: f"{row['memory, MB']:,.0f}" for name, row in last.items()}
    if any(row["overlap"] is not None for row in rows):
        grid["overlap"] = {name: f"{row['overlap']:.4f}" for name, row in last.items()}
    if len(last) > len(grid):
        grid = {name: {line: grid[line].get(name, "") for line in grid} for name in last}
    across = list(dict.fromkeys(name for cells in grid.values() for name in cells))
    lines = [f"| | {' | '.join(across)} |", f"|---|{'---|' * len(across)}"]
    for name, cells in grid.items():
        lines.append(f"| {name} | {' | '.join(cells.get(other, '') for other in across)} |")
    return "\n".join(lines)


def cell(row: Mapping[str, Any]) -> str:
    """Return median, spread, and how many times the first engine's median it is."""
    spread = f" ({short(row['lowest'])} to {short(row['highest'])})"
    times = f", x{row['ratio']:.3g}" if row["ratio"] != 1 else ""
    return f"{short(row['median'])}{spread if row['lowest'] < row['highest'] else ''}{times}"


def short(number: float) -> str:
    """Return a number with four digits, or more of a large one.

    >>> short(0.085641), short(12711.6)
    ('0.08564', '12,712')
    """
    return f"{number:.4g}" if number < 1000 else f"{number:,.0f}"


def versions(modules: Iterable[str]) -> dict[str, str]:
    """Return the versions of what we stand on, and of the packages of some modules."""
    packages = packages_distributions()
    names = {packages[module][0] for module in modules if module in packages}
    return {name: version(name) for name in [*OURS, *sorted(names - {*OURS})]}


def processor() -> str:
    """Return the model of the processor where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
