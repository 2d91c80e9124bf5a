"""Commands of trainer and export that open a session leave nothing of onnxruntime's behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures"
STRACE = shutil.which("strace")


def run(arguments: list[str], home: Path, log: Path) -> None:
    """Run a command with an empty home folder, its calls of the network in a log."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    network = "trace=connect,sendto"
    trace = [STRACE, "-f", "-qq", "-e", network, "-o", str(log)] if STRACE is not None else []
    argv = [*trace, sys.executable, "-m", "glane", *arguments]
    done = subprocess.run(
        argv, env={**kept, "HOME": str(home)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "onnxruntime" not in done.stderr


def check(home: Path, log: Path) -> None:
    """Refuse a file of onnxruntime's in the home folder, and a call of a host."""
    assert [path for path in home.rglob("*") if "Microsoft" in path.parts] == []
    calls = log.read_text().splitlines() if STRACE is not None else []
    assert [call for call in calls if "AF_INET" in call] == []


def test_an_export_calls_no_host(checkpoint: Path, tmp_path: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    home.mkdir()
    run(["export", str(checkpoint), str(tmp_path / "model"), "--quantize", "none"], home, log)
    check(home, log)


def test_the_demo_calls_no_host(base: Path, tmp_path: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    home.mkdir()
    out = str(tmp_path / "demo")
    run(["demo", "--base", str(base), "--out", out, "--threads", "1"], home, log)
    check(home, log)
