"""Installed size of the base: a fresh virtual environment that has neither pip nor setuptools.

Usage: python benchmarks/install_size.py [--limit MIB]
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Install glane alone and print what `du` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=205, help="MiB; more than this fails")
    limit = parser.parse_args().limit
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder)
        python = str(Path(folder) / "bin" / "python")
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
        subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), str(ROOT)], check=True)
        site = next((Path(folder) / "lib").glob("python*/site-packages"))
        sizes = {path.name: size(path) for path in site.iterdir()}
    for name, mib in sorted(sizes.items(), key=lambda item: -item[1])[:8]:
        print(f"{mib:6.1f} MiB  {name}")
    total = sum(sizes.values())
    print(f"{total:6.1f} MiB  in all, at most {limit}")
    return int(total > limit)


def size(path: Path) -> float:
    """Return the disk usage of a file or folder in MiB."""
    done = subprocess.run(["du", "-sk", path], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
