"""Runs a command under `strace`, where that is installed, with a home folder of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

STRACE = shutil.which("strace")


def quietly(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that must call no host, and leave nothing of onnxruntime's in its home folder.

    Args:
        arguments: Of `glane`.
        folder: Of the test, for the home folder and what is traced.
    """
    home, log = folder / "home", folder / "log"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    argv = [sys.executable, "-m", "glane", *arguments]
    if STRACE is not None:  # calls of another kind cost nothing
        network = ["-e", "trace=connect,sendto"]
        argv = [STRACE, "-f", "--seccomp-bpf", "-qq", *network, "-o", str(log), *argv]
    done = subprocess.run(
        argv, env={**kept, "HOME": str(home)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "onnxruntime" not in done.stderr
    assert [path for path in home.rglob("*") if "Microsoft" in path.parts] == []
    calls = log.read_text().splitlines() if STRACE is not None else []
    assert [call for call in calls if "AF_INET" in call] == []
    return done
