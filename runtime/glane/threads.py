"""How many threads to use: what the process may run on, not what the machine has; how they wait."""

from __future__ import annotations

import math
import os
from _thread import RLock
from pathlib import Path

BLAS_WAIT = "OPENBLAS_THREAD_TIMEOUT"
"""For how long a thread of numpy's BLAS spins before it sleeps: 2 to that power of cycles."""


class Guard(RLock):  # type: ignore[misc]  # final in the stubs alone
    """A lock whose owner can be copied and pickled: what is made of it has a lock of its own."""

    def __reduce__(self) -> tuple[type[Guard], tuple[()]]:
        return Guard, ()


def import_numpy() -> None:
    """Import numpy, where nothing has yet, so that waiting threads of its BLAS sleep.

    Else they spin for 2 to the 26th cycles each time they have nothing to do, the first time as
    soon as numpy is imported: a tenth of all processor time from the start of a process to the
    answer of its first query, on two cores. What the user has set stays, and the environment is
    as it was afterwards.
    """
    given = os.environ.get(BLAS_WAIT)
    os.environ.setdefault(BLAS_WAIT, "4")  # the least that OpenBLAS takes
    try:
        import numpy  # noqa: F401
    finally:
        if given is None:
            del os.environ[BLAS_WAIT]


CGROUP = Path("/sys/fs/cgroup")


def available_threads(cgroup: Path = CGROUP) -> int:
    """Return the CPUs of this process's affinity, capped by its container's quota, at least 1.

    Args:
        cgroup: Where the control groups are mounted, version 2 (`cpu.max`) or version 1
            (`cpu/cpu.cfs_quota_us`); nothing there means no quota.
    """
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    cpus = len(affinity) or os.cpu_count() or 1
    return min(cpus, quota(cgroup) or cpus)


def check_threads(threads: int | None) -> int:
    """Return the threads to use: those given, or else `available_threads`.

    Raises:
        ValueError: If `threads` is below 1.
    """
    if threads is None:
        return available_threads()
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return threads


def quota(cgroup: Path = CGROUP) -> int | None:
    """Return whole CPUs of the container's quota, rounded up, or None where none can be read.

    Args:
        cgroup: As of `available_threads`.
    """
    try:
        if (cgroup / "cpu.max").is_file():
            allowed, period = (cgroup / "cpu.max").read_text().split()
        else:
            allowed = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        cpus = math.ceil(int(allowed) / int(period))  # "max", no number, means no limit; so does -1
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return cpus if cpus > 0 else None
