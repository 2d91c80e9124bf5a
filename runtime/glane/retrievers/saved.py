"""A search on disk: its stages, keys and documents in one store, with a copy of its models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from glane.collection.boosts import check_boosts
from glane.errors import CheckpointError, IndexDamaged, option
from glane.model.checkpoint import fingerprint
from glane.model.encoder import Encoder
from glane.retrievers.answers import Fields
from glane.retrievers.collection import STAGES, Collection
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.fusion import read_fusion
from glane.retrievers.opening import check_tables, open_stage
from glane.retrievers.passages import plain
from glane.retrievers.registry import name_of
from glane.store.documents import Documents
from glane.store.lock import LOCK, Lock, writing
from glane.store.manifest import DRAFT, Manifest, read_manifest
from glane.store.names import Names
from glane.store.reading import State, open_state, reopen, steadily
from glane.store.segments import new_name
from glane.store.sweeping import check_is_index, check_replaceable, manifest_there
from glane.store.values import Values, check_types
from glane.store.writing import Content, commit, index_folder, publish
from glane.threads import check_threads

Models = Mapping[str, str | Path | Encoder | None]
"""Model of a stage, by its place, in place of the index's own copy."""


class Saved(NamedTuple):
    """A collection and the index that holds it.

    Attributes:
        collection: What was loaded.
        fields: What of a document it reads.
        state: The state of the index that it is in.
    """

    collection: Collection
    fields: Fields
    state: State


def load(
    folder: str | Path,
    models: Models,
    threads: int | None = None,
    **opening: Any,  # noqa: ANN401 (what `open_state` takes)
) -> Saved:
    """Load the state that was saved last; arrays are mapped, and later writes do not touch it.

    Args:
        folder: The index.
        models: Model by stage, where not the index's own copy is to be taken.
        threads: Threads to compute with; by default what the process may use.
        opening: How the state is opened, as `open_state` takes it.

    Raises:
        CheckpointError: If the index is missing or damaged, or a model did not write it.
    """
    check_threads(threads)
    folder = Path(folder).resolve()

    def opened(manifest: Manifest) -> Saved:
        return _loaded(open_state(folder, **opening), models, threads)

    return steadily(folder, opened)


def _loaded(state: State, models: Models, threads: int | None) -> Saved:
    settings = state.manifest.settings
    fields = fields_of(state)
    given = [place for place in STAGES if models.get(place) is not None]
    there = settings.get("stages")
    named = [*(there if isinstance(there, dict) else ()), *given]
    places = [place for place in STAGES if place in named]
    stages = {place: open_stage(state, place, models.get(place), threads) for place in places}
    if "retriever" not in stages:
        raise IndexDamaged(f"{str(state.folder)!r} is damaged: it has no retriever")
    reranker = stages.get("reranker")
    if reranker is not None and not (
        isinstance(reranker, Reranker) and isinstance(plain(reranker), Reranker)
    ):
        raise IndexDamaged(f"{str(state.folder)!r} is damaged: its reranker does not rerank")
    check_tables(state, places)
    empty = emptied(state, stages["retriever"], reranker)
    if set(empty.tables()) != set(state.parts):
        found = f"{sorted(state.parts)}, not {sorted(empty.tables())}"
        raise IndexDamaged(f"{str(state.folder)!r} is damaged: it has the tables {found}")
    return Saved(empty.filled(state), fields, state)


def emptied(state: State, retriever: Retriever, reranker: Reranker | None) -> Collection:
    """Return an empty collection that is like that of an index, of stages that are given."""
    types = fields_of(state).types
    kept = Documents() if "documents" in state.parts else None
    values = Values(types) if types else None
    fusion = read_fusion(state.manifest.settings["search"].get("fusion", {}), state.folder)
    return Collection(retriever, reranker, Names(), kept, values, fusion)


def fields_of(state: State) -> Fields:
    """Return what of a document an index reads.

    Raises:
        IndexDamaged: If it does not say so, as one that holds a retriever alone.
    """
    folder, record = state.folder, state.manifest.settings.get("search")
    if record is None:
        raise IndexDamaged(f"{str(folder)!r} holds a retriever alone, and no keys")
    match record:
        case {"key": str(key), "on": [*on]} if on and all(isinstance(each, str) for each in on):
            types = _types(record.get("fields", {}), folder)
            return Fields(key, on, types, _boosts(record.get("boosts", {}), on, folder))
    raise IndexDamaged(f"{str(folder)!r} is damaged: it does not name its fields: {record!r}")


def _types(record: Any, folder: Path) -> dict[str, str]:  # noqa: ANN401 (parsed JSON)
    if isinstance(record, dict) and all(isinstance(type, str) for type in record.values()):
        try:
            return check_types(record)
        except ValueError:
            pass
    raise IndexDamaged(f"{str(folder)!r} is damaged: its fields to filter by are {record!r:.200}")


def _boosts(record: Any, on: list[str], folder: Path) -> dict[str, float]:  # noqa: ANN401 (JSON)
    if isinstance(record, dict) and record.keys() <= set(on):
        try:
            check_boosts(record)
        except (TypeError, ValueError):
            pass
        else:
            return {name: float(boost) for name, boost in record.items()}
    raise IndexDamaged(f"{str(folder)!r} is damaged: its boosts of fields are {record!r:.200}")


def commit_to(
    lock: Lock, collection: Collection, fields: Fields, seen: State | None, *, link: bool = False
) -> State:
    """Write what is new, and commit; the state that is returned is the one that was written.

    Args:
        lock: Of the index.
        collection: What it is to hold.
        fields: What of a document it reads.
        seen: The state that `collection` goes on from; None where it replaces what is there.
        link: Whether an index that is made names its models' folders instead of holding copies.

    Raises:
        CheckpointError: If it was written to in the meantime, or a model is not what it was.
    """
    content = _content(collection, fields, None if seen is None else seen.manifest, link)
    commit(lock, content, None if seen is None else seen.manifest)
    return reopen(lock.folder, seen)


def save(
    folder: Path, collection: Collection, fields: Fields, seen: State | None, *, link: bool = False
) -> State:
    """Commit as `commit_to` does, taking the lock.

    Raises:
        FileExistsError: If the folder holds something else than an index.
        LockedError: If somebody else is writing to it.
        CheckpointError: If it was written to in the meantime, or a model is not what it was.
    """
    for stage in collection.stages().values():
        name_of(plain(stage))
    with index_folder(folder) as lock:
        return commit_to(lock, collection, fields, seen, link=link)


@contextmanager
def editing(folder: Path, wait: float = 0) -> Iterator[Lock]:
    """Be the only writer of an index that is there.

    Raises:
        IndexDamaged: If the index is missing or damaged.
        LockedError: If somebody else is writing to it.
    """
    read_manifest(folder)
    with writing(folder, wait) as lock:
        yield lock


class Draft:
    """An index that is being made, chunk by chunk, beside the one that is there."""

    def __init__(self, lock: Lock, fields: Fields, link: bool) -> None:
        """Begin with nothing written."""
        self.lock = lock
        self.fields = fields
        self.link = link
        self.state: State | None = None

    def begin(self, collection: Collection, *, overwrite: bool) -> Collection:
        """Return the collection to go on with: what a stopped run of the same command left.

        Raises:
            FileExistsError: If an index is there, or the rest of another command, and may not be
                replaced.
        """
        folder = self.lock.folder
        check_replaceable(folder, overwrite=overwrite)
        draft = manifest_there(folder, DRAFT)
        if draft is None:
            return collection
        settings = _content(collection, self.fields, draft, self.link).settings
        wanted = json.loads(json.dumps(settings))  # as they were read
        if draft.settings != wanted:
            if not overwrite:
                raise FileExistsError(
                    f"{str(folder)!r} holds what another command left when it was stopped; pass "
                    f"{option('overwrite', 'overwrite=True')} to begin anew"
                )
            return collection
        self.state = reopen(folder, None, DRAFT)
        return collection.filled(self.state)

    def commit(self, collection: Collection) -> Collection:
        """Write what is new, and return the collection as it lies on disk."""
        seen = None if self.state is None else self.state.manifest
        content = _content(collection, self.fields, seen, self.link)
        commit(self.lock, content, seen, DRAFT)
        self.state = reopen(self.lock.folder, self.state, DRAFT)
        return collection.filled(self.state)

    def publish(self) -> State:
        """Let the draft take the place of the index."""
        publish(self.lock)
        return reopen(self.lock.folder, self.state)


def check_free(folder: Path, *, overwrite: bool, wait: float = 0) -> None:
    """Refuse what `drafting` would refuse, before anything is loaded for it.

    Args:
        folder: Where an index is to be made.
        overwrite: Whether an index that is there may be replaced.
        wait: Seconds to wait for another writer, at least 0.

    Raises:
        FileExistsError: If the folder holds something else than an index, or one that may not be
            replaced.
        LockedError: If somebody else is still writing to it.
    """
    check_replaceable(folder, overwrite=overwrite)
    if (folder / LOCK).exists():
        with writing(folder, wait):
            pass


@contextmanager
def drafting(folder: Path, fields: Fields, *, link: bool, wait: float = 0) -> Iterator[Draft]:
    """Be the only writer of an index that is made anew.

    Raises:
        FileExistsError: If the folder holds something else than an index.
        LockedError: If somebody else is writing to it.
    """
    check_is_index(folder)
    with index_folder(folder, wait) as lock:
        yield Draft(lock, fields, link)


def _content(collection: Collection, fields: Fields, old: Manifest | None, link: bool) -> Content:
    stages = collection.stages()
    for stage in stages.values():
        name_of(plain(stage))
    if old is None:
        models, copies = _models(stages, link)
    else:
        models = old.settings["models"]
        copies = {name: _kept for name in old.files if name.startswith("models/")}
    settings = {**described(collection, fields), "models": models}
    return Content(settings, collection.tables(), copies)


def described(collection: Collection, fields: Fields) -> dict[str, Any]:
    """Return what an index says of how it is made, as JSON; where its models lie is left out.

    Args:
        collection: What it holds, or is to hold.
        fields: What of a document it reads.
    """
    fusion = collection.fusion.said()
    return {
        "search": {
            "key": fields.key,
            "on": fields.on,
            **({"boosts": fields.boosts} if fields.boosts else {}),
            **_named(fields.types),
            **({"fusion": fusion} if fusion else {}),
        },
        "stages": {place: stage.record() for place, stage in collection.stages().items()},
    }


def _named(types: Mapping[str, str]) -> dict[str, Any]:
    """Return what an index says of fields to filter by, in their order; nothing without any."""
    return {"fields": dict(types)} if types else {}


Copies = dict[str, Callable[[], Iterator[bytes]]]


def _models(stages: Mapping[str, Retriever], link: bool) -> tuple[dict[str, str], Copies]:
    """Return each stage's model folder as the index names it, and the files to be copied."""
    models: dict[str, str] = {}
    copies: Copies = {}
    name = new_name()  # never used before: no copy is taken for one that lies there already
    for place, stage in stages.items():
        encoder = stage.encoder
        if encoder is None:
            continue
        if link:
            if fingerprint(encoder.folder) != encoder.fingerprint:
                raise CheckpointError(
                    f"{str(encoder.folder)!r} holds another model than when it was loaded; save "
                    "without a link, or load the model again"
                )
            models[place] = str(encoder.folder)
            continue
        models[place] = f"models/{encoder.fingerprint}-{name}"
        copies |= {f"{models[place]}/{file}": read for file, read in encoder.contents().items()}
    return models, copies


def _kept() -> Iterator[bytes]:
    raise AssertionError("a file that lies in the index is not copied again")
