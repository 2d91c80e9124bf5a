"""An index on disk: a folder with the stages' arrays, the keys, and a copy of the models.

index.json  keys.json  hashes.npy  retriever/  reranker/  models/{retriever,reranker}/
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glane.checkpoint import FORMAT_VERSION, MODEL_FILES, QUERY_WEIGHTS, CheckpointError, Schema
from glane.folders import new_folder
from glane.neural import Neural
from glane.retriever import LEXICAL, NEURAL, Retriever, name_of
from glane.search import HASH_BYTES, Search
from glane.threads import check_threads
from glane.vectors import read_array

STAGES = ("retriever", "reranker")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexInfo(Schema):
    """What an index is made of: `index.json`.

    Attributes:
        format_version: Version of this schema.
        retriever: Name of the first stage.
        reranker: Name of the second stage; empty where there is none.
        key: Field of a document's id.
        on: Fields that are searched.
    """

    file_name = "index.json"

    format_version: int = FORMAT_VERSION
    retriever: str
    reranker: str
    key: str
    on: list[str]


def save(search: Search, folder: str | Path) -> None:
    """Write a search into a folder that appears whole or not at all.

    Raises:
        FileExistsError: If the folder holds something else than an index.
    """
    folder = Path(folder)
    ours = (folder / IndexInfo.file_name).is_file()
    empty = folder.is_dir() and not any(folder.iterdir())
    stages: list[Retriever | None] = [search.retriever, search.reranker]
    names = ["" if stage is None else name_of(stage) for stage in stages]
    with new_folder(folder, overwrite=ours or empty) as new:
        IndexInfo(retriever=names[0], reranker=names[1], key=search.key, on=search.on).write(new)
        keys = json.dumps(search.keys, ensure_ascii=False)
        (new / "keys.json").write_text(keys, encoding="utf-8")
        np.save(new / "hashes.npy", _hashes(search), allow_pickle=False)
        for place, stage in zip(STAGES, stages, strict=True):
            if stage is not None:
                (new / place).mkdir()
                stage.save(new / place)
            if isinstance(stage, Neural):
                copy_model(stage.encoder.folder, new / "models" / place)


def load(
    folder: str | Path, models: Mapping[str, str | Path | None], threads: int | None = None
) -> Search:
    """Load what `save` wrote.

    Args:
        folder: The index.
        models: Model folder by stage; none for the index's own copy.
        threads: Threads to compute with; by default what the process may use.

    Raises:
        CheckpointError: If the index is missing or damaged, or a model did not write it.
    """
    folder = Path(folder)
    info = IndexInfo.read(folder)
    check_threads(threads)
    stages = {
        place: _load_stage(name, folder, place, models.get(place), threads)
        for place, name in zip(STAGES, (info.retriever, info.reranker), strict=True)
        if name or models.get(place)
    }
    search = Search.__new__(Search)
    search.retriever = stages["retriever"]
    search.reranker = stages.get("reranker")  # type: ignore[assignment]
    search.key, search.on = info.key, info.on
    search.keys = _read_keys(folder / "keys.json")
    search._numbers = {key: i for i, key in enumerate(search.keys) if key is not None}
    hashes = _read_hashes(folder / "hashes.npy", len(search.keys))
    search._hashes = {key: hashes[number].tobytes() for key, number in search._numbers.items()}
    for place, stage in stages.items():
        if len(stage) != len(search):
            raise CheckpointError(
                f"{str(folder)!r} is damaged: keys.json has {len(search)} documents, "
                f"{place} has {len(stage)}"
            )
    return search


def copy_model(source: Path, target: Path) -> None:
    """Copy the files of a model; copies, not links: an index must not change with its source."""
    target.mkdir(parents=True)
    for name in (*MODEL_FILES, QUERY_WEIGHTS, "model.json", "parity.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _load_stage(
    name: str, folder: Path, place: str, model: str | Path | None, threads: int | None
) -> Retriever:
    if not name:
        raise CheckpointError(f"{str(folder)!r} has no {place}; index again with one")
    if name in LEXICAL:
        if model is not None:
            raise CheckpointError(f"the {place} of {str(folder)!r} is {name}; it takes no model")
        return LEXICAL[name].load(folder / place)
    if name in NEURAL:
        return NEURAL[name].load(
            model or folder / "models" / place, folder / place, threads=threads
        )
    raise CheckpointError(f"{str(folder)!r} has the unknown {place} {name!r}; upgrade glane")


def _hashes(search: Search) -> npt.NDArray[np.uint8]:
    """Return the hash of each number's text, shape (n, HASH_BYTES); 0 where it was deleted."""
    rows = [search._hashes[key] if key is not None else bytes(HASH_BYTES) for key in search.keys]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, HASH_BYTES)


def _read_hashes(path: Path, n_keys: int) -> npt.NDArray[np.uint8]:
    hashes = read_array(path, mapped=False)
    if hashes.dtype != np.uint8 or hashes.shape != (n_keys, HASH_BYTES):
        raise CheckpointError(f"{str(path)!r} does not fit keys.json")
    return hashes


def _read_keys(path: Path) -> list[str | int | None]:
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from None
    if not isinstance(keys, list):
        raise CheckpointError(f"{str(path)!r} must hold a list of keys")
    return keys
