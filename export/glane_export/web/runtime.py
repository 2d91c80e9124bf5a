"""onnxruntime-web for a folder that has a model: of npm, or of a copy that is at hand."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "onnxruntime-web"

VERSION = "1.30.0"
"""What the tests of a browser run."""

FILES = {
    "dist/ort.wasm.bundle.min.mjs": "ort.js",
    "dist/ort-wasm-simd-threaded.wasm": "ort.wasm",
    "package.json": "package.json",
}
"""What of the package a page loads, under names that every server has a type for; and its record,
which names its licence."""


def write_runtime(folder: Path, copy: str | None) -> None:
    """Write what runs a model in a browser.

    Args:
        folder: Made here.
        copy: Folder of the package, as unpacked or installed; None fetches it by npm.

    Raises:
        FileNotFoundError: If npm is needed and not here, or the copy lacks a file.
        ValueError: If the copy is of another package or version, or npm fails.
    """
    folder.mkdir()
    if copy is not None:
        _copy(Path(copy), folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        _copy(_fetched(Path(temporary)), folder)


def _fetched(folder: Path) -> Path:
    """Fetch the package by npm, and return where it is unpacked."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(
            f"npm is not here to fetch {PACKAGE}: install Node.js, or name a copy of the package "
            f"with --runtime FOLDER, as `npm pack {PACKAGE}@{VERSION}` makes one elsewhere"
        )
    call = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(folder)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if line.strip()), "nothing")
        raise ValueError(
            f"npm could not fetch {PACKAGE}@{VERSION}: it said {said!r}; name a copy of the "
            "package with --runtime FOLDER"
        )
    (packed,) = folder.glob("*.tgz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def _copy(package: Path, folder: Path) -> None:
    missing = [name for name in FILES if not (package / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{str(package)!r} has no {missing[0]}; --runtime takes the folder of the npm package "
            f"{PACKAGE}@{VERSION}"
        )
    record = json.loads((package / "package.json").read_text("utf-8"))
    found = f"{record.get('name')}@{record.get('version')}"
    if found != f"{PACKAGE}@{VERSION}":
        raise ValueError(f"{str(package)!r} is {found}; --runtime takes {PACKAGE}@{VERSION}")
    for source, target in FILES.items():
        shutil.copyfile(package / source, folder / target)
