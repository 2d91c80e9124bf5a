"""Thread counts from affinity and from the quota files of both versions of control groups."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glane.threads import BLAS_WAIT, available_threads, check_threads


def write_v1(folder: Path, quota: str, period: str) -> None:
    (folder / "cpu").mkdir()
    (folder / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (folder / "cpu" / "cpu.cfs_period_us").write_text(period + "\n")


@pytest.fixture
def unlimited(tmp_path: Path) -> int:
    """The CPUs that affinity alone allows."""
    return available_threads(tmp_path / "nothing")


def test_without_a_quota_the_affinity_counts(unlimited: int) -> None:
    if hasattr(os, "sched_getaffinity"):
        assert unlimited == len(os.sched_getaffinity(0))
    assert unlimited >= 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_narrower_affinity_gives_fewer_threads(tmp_path: Path) -> None:
    cpus = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cpus)})
        assert available_threads(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, cpus)
    assert available_threads(tmp_path) == len(cpus)


@pytest.mark.parametrize("quota", ["100000 100000", "50000 100000", "1 100000\n"])
def test_a_quota_of_one_cpu_or_less_gives_one_thread(quota: str, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert available_threads(tmp_path) == 1


def test_a_quota_is_rounded_up_and_capped_by_the_affinity(tmp_path: Path, unlimited: int) -> None:
    (tmp_path / "cpu.max").write_text("110000 100000")
    assert available_threads(tmp_path) == min(2, unlimited)
    (tmp_path / "cpu.max").write_text("900000000 100000")
    assert available_threads(tmp_path) == unlimited


@pytest.mark.parametrize(
    "content",
    [
        "max 100000",
        "max",
        "",
        "many 100000",
        "100000",
        "1 2 3",
        "100000 0",
        "0 100000",
        "-1 100000",
    ],
)
def test_no_limit_and_malformed_files_leave_the_affinity(
    content: str, tmp_path: Path, unlimited: int
) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert available_threads(tmp_path) == unlimited


def test_bytes_that_are_no_text_leave_the_affinity(tmp_path: Path, unlimited: int) -> None:
    (tmp_path / "cpu.max").write_bytes(b"\xff\xff 100000")
    assert available_threads(tmp_path) == unlimited


def test_version_1_is_read_too(tmp_path: Path) -> None:
    write_v1(tmp_path, "50000", "100000")
    assert available_threads(tmp_path) == 1


@pytest.mark.parametrize("quota", ["-1", "", "many"])
def test_version_1_without_a_limit_leaves_the_affinity(
    quota: str, tmp_path: Path, unlimited: int
) -> None:
    write_v1(tmp_path, quota, "100000")
    assert available_threads(tmp_path) == unlimited


def test_version_1_without_a_period_leaves_the_affinity(tmp_path: Path, unlimited: int) -> None:
    write_v1(tmp_path, "50000", "100000")
    (tmp_path / "cpu" / "cpu.cfs_period_us").unlink()
    assert available_threads(tmp_path) == unlimited


def test_threads_that_are_given_are_taken() -> None:
    assert check_threads(7) == 7
    assert check_threads(None) == available_threads()
    for threads in (0, -2):
        with pytest.raises(ValueError, match=f"threads must be at least 1, got {threads}"):
            check_threads(threads)


@pytest.mark.parametrize("given", [None, "20"])
@pytest.mark.parametrize(
    "program",
    ["from glane import BM25", "from glane.commands.main import parse; parse(['info', 'index'])"],
)
def test_numpy_is_imported_to_wait_asleep_and_the_environment_is_left(
    program: str, given: str | None
) -> None:
    code = f"""
import os, sys
class Seen:
    def find_spec(self, name, path, target=None):
        if name == "numpy":
            print(os.environ.get({BLAS_WAIT!r}))
sys.meta_path.insert(0, Seen())
{program}
print(os.environ.get({BLAS_WAIT!r}))
from glane.threads import import_numpy
import_numpy()
print(os.environ.get({BLAS_WAIT!r}))
"""
    environment = {name: value for name, value in os.environ.items() if name != BLAS_WAIT}
    environment |= {} if given is None else {BLAS_WAIT: given}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [given or "4", str(given), str(given)]


def test_errors_are_imported_without_numpy() -> None:
    code = "from glane import GlaneError; import sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
