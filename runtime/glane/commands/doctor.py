"""`glane doctor`: say what this machine can do, how fast, and what is missing for which command."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Any

from glane.commands.installed import SERVES, WITHOUT_GPU, extras, install, version_of
from glane.commands.speed import encoding_speed, maxsim_speed
from glane.model.processor import parsed, processor
from glane.model.saturation import saturates
from glane.threads import CGROUP, check_threads, quota

MEMORY_FILE = Path("/proc/meminfo")

BASE = ("numpy", "onnxruntime", "onnxruntime-gpu", "tokenizers", "snowballstemmer", "tqdm")

GIBIBYTE = 1 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="folder written by `glane export`, whose encoding is timed as well",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Look at the machine and at what is installed, and measure."""
    threads, model = check_threads(arguments.threads), arguments.model
    encoding = None if model is None else encoding_speed(model, threads)
    name, instructions = processor()
    packages = extras()
    found = {name: version_of(name) for names in packages.values() for name in names}
    return {
        "glane": version_of("glane"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": name,
        "instructions": instructions,
        "saturates": saturates(),
        "processors": os.cpu_count(),
        "quota": quota(),
        "threads": threads,
        "memory_bytes": memory(),
        "disk_free_bytes": {
            place: shutil.disk_usage(place).free for place in (".", tempfile.gettempdir())
        },
        "versions": {name: version for name in BASE if (version := version_of(name))},
        "extras": {extra: {name: found[name] for name in packages[extra]} for extra in packages},
        "missing": {
            extra: {
                "packages": [name for name in packages[extra] if not found[name]],
                "for": SERVES[extra],
                "install": install(extra),
            }
            for extra in packages
            if not packages[extra] or not all(found[name] for name in packages[extra])
        },
        "maxsim": maxsim_speed(threads),
        "encoding": encoding,
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    rows = {
        "glane": f"{result['glane']}, Python {result['python']}, {result['system']}",
        "processor": f"{result['processor']}: {_abilities(result)}",
        "threads": _threads(result),
        "memory": _memory(result["memory_bytes"]),
        "disk": ", ".join(
            f"{free / GIBIBYTE:.1f} GiB free in {place}"
            for place, free in result["disk_free_bytes"].items()
        ),
        "versions": _listed(result["versions"]),
        "speed": _speed(result),
    }
    lines = [f"{name:10s} {text}" for name, text in rows.items()]
    for extra, versions in result["extras"].items():
        if extra not in result["missing"]:
            lines.append(f"{'has':10s} {SERVES[extra]} ({_listed(versions)})")
    lines += [
        f"{'lacks':10s} {lack['for']}: {lack['install']}" for lack in result["missing"].values()
    ]
    if any("torch" in lack["packages"] for lack in result["missing"].values()):
        lines.append(f"{'':10s} without a GPU first {WITHOUT_GPU}")
    return "\n".join(lines)


def memory(meminfo: Path = MEMORY_FILE, cgroup: Path = CGROUP) -> dict[str, int | None]:
    """Return bytes of memory: of the machine, of it available, and what the container may use.

    Each is None where the system does not tell, and `limit` where there is none.

    Args:
        meminfo: As Linux writes it, in KiB; the total alone is known without it.
        cgroup: Where the control groups are mounted, version 2 (`memory.max`) or version 1.
    """
    entries = parsed(meminfo.read_text()) if meminfo.is_file() else {}
    kibibytes = {name: int(value.split()[0]) for name, value in entries.items() if "kB" in value}
    total = kibibytes.get("MemTotal")
    available = kibibytes.get("MemAvailable")
    return {
        "total": _physical() if total is None else total << 10,
        "available": None if available is None else available << 10,
        "limit": _limit(cgroup),
    }


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on this system
        return None


def _limit(cgroup: Path) -> int | None:
    """Return the container's limit; without one the file has "max", or a number without meaning."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((cgroup / name).read_text())
        except (OSError, ValueError):
            continue
        return limit if limit < 1 << 60 else None
    return None


def _abilities(result: dict[str, Any]) -> str:
    instructions = result["instructions"]
    told = (
        "instructions unknown" if instructions is None else " ".join(instructions) or "none of note"
    )
    exact = (
        "come out too small: `glane export --range 7bit`" if result["saturates"] else "are exact"
    )
    return f"{told}; products of uint8 and int8 {exact}"


def _threads(result: dict[str, Any]) -> str:
    allowed = "no quota" if result["quota"] is None else f"a quota of {result['quota']}"
    return f"{result['threads']} used, of {result['processors']} processors with {allowed}"


def _memory(known: dict[str, int | None]) -> str:
    told = {"total": "in all", "available": "available", "limit": "allowed to this container"}
    parts = [f"{n / GIBIBYTE:.1f} GiB {told[name]}" for name, n in known.items() if n is not None]
    return ", ".join(parts) or "unknown"


def _speed(result: dict[str, Any]) -> str:
    at, encoding = result["maxsim"], result["encoding"]
    text = (
        f"{at['milliseconds']:.1f} ms to rerank {at['n_documents']} documents of {at['n_tokens']} "
        f"tokens, {at['dim']} wide, int8"
    )
    if encoding is None:
        return text
    return (
        f"{text}; {encoding['documents_per_second']:.0f} documents of {encoding['n_words']} words "
        f"encoded a second, a query in {encoding['query_milliseconds']:.1f} ms"
    )


def _listed(versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
