"""What an index says of its stages: checked, and made of it and of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glane.errors import CheckpointError, GlaneError, IndexDamaged
from glane.model.encoder import Encoder
from glane.retrievers.contract import Retriever
from glane.retrievers.passages import Passages
from glane.retrievers.registry import find
from glane.store.manifest import Manifest
from glane.store.reading import State, check_file
from glane.store.stage import record_of


def check_tables(state: State, places: Sequence[str]) -> None:
    """Refuse an index in which one table has other documents than another.

    Raises:
        IndexDamaged: If two tables differ in their number, or in the number of the next.
    """
    tables = state.manifest.tables
    found = {
        name: (sum(s.n_rows - s.n_deleted for s in tables[name].segments), tables[name].next_id)
        for name in ("keys", *places, "documents")
        if name in tables
    }
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} {count} of {given}" for name, (count, given) in found.items())
        raise IndexDamaged(f"{str(state.folder)!r} is damaged: its tables differ: {told} documents")


def stage_class(record: Mapping[str, Any]) -> type[Retriever]:
    """Return the class that makes a stage of its record.

    Raises:
        ValueError: If there is none.
    """
    return Passages if "passages" in record else find(record["kind"])


def open_stage(
    state: State, place: str, model: str | Path | Encoder | None, threads: int | None
) -> Retriever:
    """Return an empty stage of an index.

    Args:
        state: The index.
        place: The stage, "retriever" or "reranker".
        model: The model to take in place of the index's own copy: its folder, or loaded.
        threads: Threads to compute with; by default what the process may use.

    Raises:
        CheckpointError: If its model cannot be loaded, or did not write what is stored.
        IndexDamaged: If the index does not say how the stage is made, or holds half of its model.
    """
    record, folder = record_of(state, place), state.folder
    try:
        kind = stage_class(record)
    except ValueError as error:
        raise IndexDamaged(f"the {place} of {str(folder)!r} cannot be made: {error}") from None
    own = _model_folder(folder, state.manifest, place)
    if own is not None and model is None:
        for name in state.manifest.files:
            if folder / name == own / Path(name).name:
                check_file(folder, name, state.manifest)
    try:
        made = kind.from_record(record, model if model is not None else own, threads)
    except GlaneError as error:
        raise CheckpointError(f"{str(folder)!r}, {place}: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise IndexDamaged(
            f"{str(folder)!r} is damaged: its {place} cannot be made: {reason}"
        ) from None
    if own is not None and model is None and made.encoder is not None:
        _check_named(state, own, made.encoder)
    return made


def _check_named(state: State, own: Path, encoder: Encoder) -> None:
    """Refuse a copy of a model of which the manifest does not name all: a writer would remove it.

    Raises:
        IndexDamaged: If a file that was read is not named.
    """
    if not own.is_relative_to(state.folder / "models"):  # a link, which is somebody else's
        return
    for name in encoder.contents():
        path = (own / name).relative_to(state.folder).as_posix()
        if path not in state.manifest.files:
            raise IndexDamaged(f"{str(state.folder)!r} is damaged: it does not name {path!r}")


def _model_folder(folder: Path, manifest: Manifest, place: str) -> Path | None:
    """Return where the model of a stage lies; none where the stage has no model.

    Raises:
        IndexDamaged: If it is named by a path that leads out of the index.
    """
    models = manifest.settings.get("models", {})
    model = models.get(place) if isinstance(models, dict) else ""
    if model is None:
        return None
    if not isinstance(model, str) or not model:
        raise IndexDamaged(f"{str(folder)!r} is damaged: its {place} has no model")
    if Path(model).is_absolute():
        return Path(model)
    if not any(name.startswith(f"{model}/") for name in manifest.files):
        raise IndexDamaged(f"{str(folder)!r} is damaged: it does not hold {model!r}")
    return folder / model
