"""`glane info`: say what a checkpoint, a model or an index is."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from glane.commands.fusing import told_ranking
from glane.commands.streams import visible
from glane.errors import CheckpointError, no_folder
from glane.model.checkpoint import CHECKPOINT_FILES, Checkpoint, ModelInfo, fingerprint
from glane.model.foreign import advice
from glane.model.model_files import FUSION, PROOF, ModelFiles
from glane.model.progress import telling
from glane.retrievers.canary import verify_canaries
from glane.retrievers.collection import STAGES
from glane.retrievers.fusion import UNSAID, decide, read_fusion, read_model_fusion
from glane.retrievers.neural import Neural
from glane.retrievers.passages import plain
from glane.retrievers.registry import NEURAL
from glane.retrievers.saved import load
from glane.store.manifest import DRAFT, MANIFEST, Manifest, read_manifest
from glane.store.reading import State, damaged_files, open_state
from glane.store.stage import record_of

UNFINISHED = "an index that is being made, or was stopped; the same `glane index` goes on from here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="a checkpoint, a model or an index")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare every file of an index with its checksum, and open it; or an exported model "
        "with what its export proved; and what models give on this CPU with what they gave there",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read the folder's JSON files."""
    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise FileNotFoundError(no_folder(folder))
    with telling("reading the folder"):
        if (folder / MANIFEST).exists():
            return _index(folder, verify=arguments.verify)
        if (folder / DRAFT).exists():
            return _draft(folder, verify=arguments.verify)
    if (folder / Checkpoint.file_name).is_file():
        return _model(folder, verify=arguments.verify)
    raise CheckpointError(
        f"{str(folder)!r} is no checkpoint, model or index of glane"
        f"{advice(folder, Checkpoint.file_name)}"
    )


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    return "\n".join(_lines(result, ""))


def _lines(values: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{visible(name)}:", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{visible(name):{22 - len(indent)}s} {visible(value)}")
    return lines


def _index(folder: Path, *, verify: bool) -> dict[str, Any]:
    manifest, canaries = read_manifest(folder), {}
    if verify:
        if damaged := damaged_files(folder):
            raise CheckpointError(
                f"{len(damaged)} damaged files in the index: {', '.join(damaged)}"
            )
        canaries = _open(folder, manifest)
    return {
        "type": "index",
        **_contents(folder, manifest),
        **({"unfinished": UNFINISHED} if (folder / DRAFT).exists() else {}),
        **({"canaries": canaries} if canaries else {}),
        **({"verified": len(manifest.files) + 1} if verify else {}),
    }


def _draft(folder: Path, *, verify: bool) -> dict[str, Any]:
    manifest = read_manifest(folder, DRAFT)
    if verify:
        open_state(folder, name=DRAFT, verify=True)
    return {
        "type": "draft",
        **_contents(folder, manifest),
        "unfinished": UNFINISHED,
        **({"verified": len(manifest.files) + 1} if verify else {}),
    }


def _open(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """Open an index as a search does, or, where it holds a retriever alone, its arrays.

    Returns:
        What each stage's model gives for its canaries.

    Raises:
        CheckpointError: If that is refused, or a model gives something else here.
    """
    if "search" not in manifest.settings:
        open_state(folder)
        return {}
    stages = {p: plain(stage) for p, stage in load(folder, {}).collection.stages().items()}
    return {place: verify_canaries(s) for place, s in stages.items() if isinstance(s, Neural)}


def _contents(folder: Path, manifest: Manifest) -> dict[str, Any]:
    stages = _stages(folder, manifest)
    rows = manifest.tables["retriever"].segments if "retriever" in manifest.tables else []
    n_deleted = sum(segment.n_deleted for segment in rows)
    n_rows = sum(segment.n_rows for segment in rows)
    search = manifest.settings.get("search")
    return {
        "folder": str(folder),
        **{stage: stages.get(stage, {}).get("kind") for stage in STAGES},
        **{name: search.get(name) for name in ("key", "on") if isinstance(search, dict)},
        **{
            name: search[name]
            for name in ("boosts", "fields")
            if isinstance(search, dict) and name in search
        },
        **_ranking(manifest, folder, reranks=STAGES[1] in stages),
        "n_documents": n_rows - n_deleted,
        "n_deleted": n_deleted,
        "deleted_share": round(n_deleted / n_rows, 4) if n_rows else 0.0,
        "n_segments": len(rows),
        "generation": manifest.generation,
        "bytes": _bytes(folder),
        "bytes_by_part": _bytes_by_part(manifest),
        "fingerprints": _of_each(stages, "fingerprint"),
        "storage": _of_each(stages, "storage"),
        "stages": stages,
    }


def _ranking(manifest: Manifest, folder: Path, *, reranks: bool) -> dict[str, Any]:
    """Return how a search of an index with a reranker ranks, and who said it."""
    search, models = manifest.settings.get("search"), manifest.settings.get("models")
    if not isinstance(search, dict) or not reranks:
        return {}
    index, model = read_fusion(search.get("fusion", {}), folder), UNSAID
    if isinstance(models, dict) and isinstance(named := models.get(STAGES[1]), str):
        said = folder / named / FUSION
        model = read_model_fusion(said.read_bytes() if said.is_file() else None, folder / named)
    return told_ranking(decide(UNSAID, index, model, reranks=True))


def _stages(folder: Path, manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return what the index says of each stage that it has.

    Raises:
        IndexDamaged: If that is not what it should be, or there is no retriever.
    """
    state = State(folder, manifest, {})
    there = manifest.settings.get("stages")
    others = [place for place in STAGES[1:] if isinstance(there, dict) and place in there]
    return {place: record_of(state, place) for place in (STAGES[0], *others)}


def _of_each(stages: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    return {place: record[name] for place, record in stages.items() if name in record}


def _bytes_by_part(manifest: Manifest) -> dict[str, int]:
    """Return the bytes of each table, of the marks of deletion, and of the models."""
    parts = dict.fromkeys([*manifest.tables, "models"], 0)
    for name, entry in manifest.files.items():
        top, below = name.split("/")[:2]
        part = top if top == "models" else below.partition("-")[0]
        parts[part] = parts.get(part, 0) + entry.n_bytes
    return parts


def _model(folder: Path, *, verify: bool) -> dict[str, Any]:
    if any((folder / name).exists() for name in (ModelInfo.file_name, "model.onnx", PROOF)):
        return _exported(folder, verify=verify)
    if verify:
        raise CheckpointError(
            f"{str(folder)!r} is a checkpoint; only an index keeps checksums, and an exported "
            "model what was proved of it"
        )
    checkpoint = Checkpoint.read(folder)
    return {
        "type": "checkpoint",
        "folder": str(folder),
        "fingerprint": fingerprint(folder, CHECKPOINT_FILES),
        "bytes": _bytes(folder, "*"),  # what was trained last may lie in a folder below
        "checkpoint": asdict(checkpoint),
    }


def _exported(folder: Path, *, verify: bool) -> dict[str, Any]:
    info, checkpoint = ModelInfo.read(folder), Checkpoint.read(folder)
    files = ModelFiles(folder)
    if verify and PROOF not in files.small:
        raise CheckpointError(f"{str(folder)!r} has no {PROOF}, which names the proved model")
    canary = {}
    if verify:
        files.check_proof()
        canary = {"canary": verify_canaries(NEURAL[checkpoint.kind].load(folder))}
    return {
        "type": "model",
        "folder": str(folder),
        "fingerprint": files.fingerprint,
        "bytes": _bytes(folder),
        "checkpoint": asdict(checkpoint),
        "model": asdict(info),
        **_said(files),
        "batch": (
            f"a vector depends on its batch, by up to {info.batch_effect:.4f} in cosine; "
            "glane therefore encodes one text at a time"
            if info.batch_dependent
            else "a vector does not depend on its batch"
        ),
        **canary,
        **({"verified": len(files.contents())} if verify else {}),
    }


def _said(files: ModelFiles) -> dict[str, Any]:
    """Return what a model says of fusion, where it says anything."""
    said = read_model_fusion(files.small.get(FUSION), files.folder).said()
    return {"fusion": said} if said else {}


def _bytes(folder: Path, pattern: str = "**/*") -> int:
    return sum(file.stat().st_size for file in folder.glob(pattern) if file.is_file())
