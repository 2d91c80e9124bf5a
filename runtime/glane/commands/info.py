"""`glane info`: say what a checkpoint, a model or an index is."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from glane.errors import CheckpointError
from glane.model.checkpoint import CHECKPOINT_FILES, Checkpoint, ModelInfo, fingerprint
from glane.retrievers.collection import STAGES
from glane.store.manifest import MANIFEST, Manifest, read_manifest
from glane.store.reading import damaged_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="a checkpoint, a model or an index")
    parser.add_argument(
        "--verify", action="store_true", help="compare every file of an index with its checksum"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read the folder's JSON files."""
    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{str(folder)!r} is no folder")
    if (folder / MANIFEST).is_file():
        return _index(folder, verify=arguments.verify)
    if arguments.verify:
        raise CheckpointError(f"{str(folder)!r} is no index; only an index keeps checksums")
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


def _index(folder: Path, *, verify: bool) -> dict[str, Any]:
    manifest = read_manifest(folder)
    if verify and (damaged := damaged_files(folder)):
        raise CheckpointError(f"{len(damaged)} damaged files in the index: {', '.join(damaged)}")
    stages, search = manifest.settings["stages"], manifest.settings.get("search", {})
    rows = manifest.tables["retriever"].segments
    n_deleted = sum(segment.n_deleted for segment in rows)
    n_rows = sum(segment.n_rows for segment in rows)
    return {
        "type": "index",
        "folder": str(folder),
        **{stage: stages.get(stage, {}).get("kind") for stage in STAGES},
        **search,
        "n_documents": n_rows - n_deleted,
        "n_deleted": n_deleted,
        "deleted_share": round(n_deleted / n_rows, 4) if n_rows else 0.0,
        "n_segments": len(rows),
        "generation": manifest.generation,
        "bytes": _bytes(folder),
        "bytes_by_part": _bytes_by_part(manifest),
        "fingerprints": {
            stage: record["fingerprint"]
            for stage, record in stages.items()
            if "fingerprint" in record
        },
        "storage": {
            stage: record["storage"] for stage, record in stages.items() if "storage" in record
        },
        **({"verified": len(manifest.files) + 1} if verify else {}),
    }


def _bytes_by_part(manifest: Manifest) -> dict[str, int]:
    """Return the bytes of each table, of the marks of deletion, and of the models."""
    parts = dict.fromkeys([*manifest.tables, "models"], 0)
    for name, entry in manifest.files.items():
        top, below = name.split("/")[:2]
        parts[top if top == "models" else below.partition("-")[0]] += entry.n_bytes
    return parts


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
