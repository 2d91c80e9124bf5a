"""`glane info`: say what a checkpoint, a model or an index is."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from glane.checkpoint import (
    CHECKPOINT_FILES,
    Checkpoint,
    CheckpointError,
    ModelInfo,
    fingerprint,
)
from glane.search import Search
from glane.store import STAGES, IndexInfo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="a checkpoint, a model or an index")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read the folder's JSON files."""
    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{str(folder)!r} is no folder")
    if (folder / IndexInfo.file_name).is_file():
        return _index(folder)
    if (folder / Checkpoint.file_name).is_file():
        return _model(folder)
    raise CheckpointError(f"{str(folder)!r} is no checkpoint, model or index of glane")


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    lines = []
    for name, value in result.items():
        if isinstance(value, dict):
            lines += [f"{name}:", *(f"  {key:20s} {item}" for key, item in value.items())]
        else:
            lines.append(f"{name:22s} {value}")
    return "\n".join(lines)


def _index(folder: Path) -> dict[str, Any]:
    info = IndexInfo.read(folder)
    search = Search.load(folder)
    return {
        "type": "index",
        "folder": str(folder),
        "retriever": info.retriever,
        "reranker": info.reranker or None,
        "key": info.key,
        "on": info.on,
        "n_documents": len(search),
        "n_deleted": len(search.keys) - len(search),
        "n_segments": 1,
        "bytes": _bytes(folder),
        "fingerprints": {
            stage: fingerprint(folder / "models" / stage)
            for stage in STAGES
            if (folder / "models" / stage).is_dir()
        },
    }


def _model(folder: Path) -> dict[str, Any]:
    checkpoint = Checkpoint.read(folder)
    exported = (folder / ModelInfo.file_name).is_file()
    result: dict[str, Any] = {
        "type": "model" if exported else "checkpoint",
        "folder": str(folder),
        "fingerprint": fingerprint(folder) if exported else fingerprint(folder, CHECKPOINT_FILES),
        "bytes": _bytes(folder),
        "checkpoint": asdict(checkpoint),
    }
    if exported:
        info = ModelInfo.read(folder)
        result["model"] = asdict(info)
        result["batch"] = (
            f"a vector depends on its batch, by up to {info.batch_effect:.4f} in cosine; "
            "glane therefore encodes one text at a time"
            if info.batch_dependent
            else "a vector does not depend on its batch"
        )
    return result


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
