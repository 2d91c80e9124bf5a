"""A `Search` on disk: its stages, keys and documents in one store, with a copy of its models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from glane.errors import CheckpointError
from glane.model.checkpoint import MODEL_FILES, QUERY_WEIGHTS
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.neural import Neural
from glane.retrievers.registry import LEXICAL, NEURAL, name_of
from glane.search import Search
from glane.store.lock import writing
from glane.store.manifest import MANIFEST, Manifest, read_manifest
from glane.store.reading import State, check_size, open_state
from glane.store.segments import new_name
from glane.store.stage import placed
from glane.store.writing import Content, commit
from glane.store.writing import save as save_content
from glane.threads import check_threads

STAGES = ("retriever", "reranker")
COPIED = (*MODEL_FILES, QUERY_WEIGHTS, "model.json", "parity.json")


class Origin(NamedTuple):
    """Where a search was loaded from or saved last.

    Attributes:
        folder: The index.
        manifest: The state it was then in.
    """

    folder: Path
    manifest: Manifest


def save(search: Search, folder: str | Path, *, link: bool = False) -> None:
    """Write what is new where the search came from there, else everything; readers go on.

    Args:
        search: What is to be kept.
        folder: New, empty, or an index; another index is replaced.
        link: Whether an index that is made names its models' folders instead of holding copies;
            one that is changed goes on as it began.

    Raises:
        FileExistsError: If the folder holds something else than an index.
        LockedError: If somebody else is writing to it.
        CheckpointError: If it was written to since the search was loaded from there.
    """
    folder = Path(folder).resolve()
    origin = search.origin
    if origin is not None and (origin.folder != folder or not (folder / MANIFEST).exists()):
        origin = None
    seen = origin.manifest if origin else None
    search.origin = Origin(folder, save_content(folder, _content(search, folder, seen, link), seen))


def load(
    folder: str | Path, models: Mapping[str, str | Path | None], threads: int | None = None
) -> Search:
    """Load the state that was saved last; arrays are mapped, and later writes do not touch it.

    Args:
        folder: The index.
        models: Model folder by stage; none for the index's own copy.
        threads: Threads to compute with; by default what the process may use.

    Raises:
        CheckpointError: If the index is missing or damaged, or a model did not write it.
    """
    check_threads(threads)
    state = open_state(folder)
    settings = state.manifest.settings
    if "search" not in settings:
        raise CheckpointError(f"{str(folder)!r} holds a retriever alone, and no keys")
    stages = {
        place: _stage(state, place, models.get(place), threads)
        for place in STAGES
        if place in settings["stages"] or models.get(place)
    }
    search = Search(
        stages["retriever"],
        reranker=cast(Reranker | None, stages.get("reranker")),
        key=settings["search"]["key"],
        on=settings["search"]["on"],
        keep_documents="documents" in state.parts,
    )
    for name, rows in _tables(search).items():
        state.fill(name, rows)
    search.origin = Origin(Path(folder).resolve(), state.manifest)
    return search


@contextmanager
def edit(folder: str | Path, threads: int | None = None) -> Iterator[Search]:
    """Yield a loaded search as its only writer, and save it when the block ends without an error.

    Raises:
        CheckpointError: If the index is missing or damaged.
        LockedError: If somebody else is writing to it.
    """
    folder = Path(folder).resolve()
    read_manifest(folder)
    with writing(folder):
        search = load(folder, {}, threads)
        yield search
        assert search.origin is not None, "it was loaded"
        seen = search.origin.manifest
        content = _content(search, folder, seen, link=False)
        search.origin = Origin(folder, commit(folder, content, seen))


def model_folder(folder: Path, manifest: Manifest, place: str) -> Path | None:
    """Return where the model of a stage lies; none where the stage has no model."""
    model = manifest.settings.get("models", {}).get(place)
    return None if model is None else folder / model  # an absolute path stays as it is


def _content(search: Search, folder: Path, old: Manifest | None, link: bool) -> Content:
    stages = dict(zip(STAGES, (search.retriever, search.reranker), strict=True))
    present = {place: stage for place, stage in stages.items() if stage is not None}
    for stage in present.values():
        name_of(stage)
    if old is None:
        models, copies = _models(present, link)
    else:
        models = old.settings["models"]
        copies = {name: folder / name for name in old.files if name.startswith("models/")}
    settings = {
        "search": {"key": search.key, "on": search.on},
        "stages": {place: stage.record() for place, stage in present.items()},
        "models": models,
    }
    return Content(settings, _tables(search), copies)


def _models(stages: Mapping[str, Retriever], link: bool) -> tuple[dict[str, str], dict[str, Path]]:
    """Return each stage's model folder as the index names it, and the files to be copied."""
    models: dict[str, str] = {}
    copies: dict[str, Path] = {}
    name = new_name()  # never used before: no copy is taken for one that lies there already
    for place, stage in stages.items():
        if not isinstance(stage, Neural):
            continue
        source = stage.encoder.folder
        copy = f"models/{stage.encoder.fingerprint}-{name}"
        models[place] = str(source.resolve()) if link else copy
        for file in COPIED:
            if not link and (source / file).is_file():
                copies[f"{copy}/{file}"] = source / file
    return models, copies


def _tables(search: Search) -> dict[str, Any]:
    tables = {"keys": search.keys.rows, **placed(search.retriever, "retriever")}
    if search.reranker is not None:
        tables |= placed(search.reranker, "reranker")
    return tables | ({} if search.kept is None else {"documents": search.kept.rows})


def _stage(state: State, place: str, model: str | Path | None, threads: int | None) -> Retriever:
    """Return an empty stage, of the model that wrote what is stored."""
    record = state.manifest.settings["stages"].get(place)
    if record is None:
        raise CheckpointError(f"{str(state.folder)!r} has no {place}; index again with one")
    kind = record["kind"]
    if kind in LEXICAL:
        if model is not None:
            raise CheckpointError(
                f"the {place} of {str(state.folder)!r} is {kind}; it takes no model"
            )
        return LEXICAL[kind].from_record(record)
    if kind not in NEURAL:
        raise CheckpointError(f"{str(state.folder)!r} has the unknown {place} {kind!r}")
    own = model_folder(state.folder, state.manifest, place)
    if own is None:
        raise CheckpointError(f"{str(state.folder)!r} is damaged: its {place} has no model")
    stage = NEURAL[kind].load(model or own, threads=threads)
    stage.adopt(record, state.folder)
    for name in state.manifest.files:
        if name.startswith("models/"):
            check_size(state.folder, name, state.manifest)
    return stage
