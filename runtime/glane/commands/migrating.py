"""An index for other models: what they make of its documents is encoded anew, all else stays.

The new vectors are written into a draft beside the state that is there, which is searched
meanwhile. Keys, documents, filters and stages whose model stays are taken over as the files that
they are. A document keeps its number, so what has been encoded when a migration was stopped is
still right, whatever was added and deleted since.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glane.commands.documents import CHUNK_BYTES, CHUNK_SECONDS
from glane.commands.indexed_texts import Read, Texts, check_texts
from glane.errors import CheckpointError
from glane.maxsim.index import TokenStorage
from glane.model.checkpoint import Checkpoint
from glane.model.encoder import Encoder
from glane.model.progress import bar
from glane.retrievers.colbert import ColBERT
from glane.retrievers.collection import STAGES, Collection, stored_hashes
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.encoding import encode_documents
from glane.retrievers.opening import open_stage
from glane.retrievers.passages import in_passages
from glane.retrievers.registry import NEURAL, RERANKERS
from glane.retrievers.saved import Draft, drafting, emptied, fields_of
from glane.store.names import Names
from glane.store.reading import State, open_state
from glane.store.segments import ids_left
from glane.store.stage import record_of
from glane.types import Ids

AT_ONCE = 64
"""Documents encoded at once at most, ..."""

CHARACTERS = 1 << 16
"""... and no more once their texts have so many characters."""


class Migrated(NamedTuple):
    """What was done.

    Attributes:
        collection: What the index holds now.
        models: Fingerprints before and after, by the stages whose model changed.
        n_encoded: Documents that were encoded by this run.
        n_resumed: Documents that an earlier run had encoded.
    """

    collection: Collection
    models: dict[str, tuple[str | None, str]]
    n_encoded: int
    n_resumed: int


def open_models(state: State, models: Mapping[str, str], threads: int | None) -> dict[str, Encoder]:
    """Open the models that an index is to have, by stage; without those that it has already.

    Args:
        state: The index.
        models: Folder of each.
        threads: Threads to compute with; by default what the process may use.

    Raises:
        CheckpointError: If a model cannot be read, or does not do for the stage.
    """
    opened = {}
    for place, model in models.items():
        kind, there = Checkpoint.read(model).kind, _record(state, place)
        if place == "reranker" and kind not in RERANKERS:
            raise CheckpointError(
                f"{model!r} holds a {kind} model, which does not rerank; expected one of "
                f"{list(RERANKERS)}"
            )
        if there and there["kind"] not in NEURAL:
            raise CheckpointError(
                f"{str(state.folder)!r} has the {place} {there['kind']}, which takes no model; "
                "--reranker changes the reranker's"
            )
        encoder = Encoder(model, kind, threads)
        if there.get("fingerprint") != encoder.fingerprint:
            opened[place] = encoder
    return opened


def migrate(
    state: State, encoders: Mapping[str, Encoder], texts: Texts, threads: int | None, wait: float
) -> Migrated:
    """Encode the documents of an index with other models, and let it have these in one commit.

    Args:
        state: The index.
        encoders: The models, by stage.
        texts: The documents.
        threads: Threads to compute with; by default what the process may use.
        wait: Seconds to wait for another writer, at least 0.

    Raises:
        CheckpointError: If the index changed in more than its documents meanwhile.
        LockedError: If somebody else is writing to it.
        ValueError: If a document has another text than the one that was encoded.
        KeyboardInterrupt: If it is stopped; the message says what is encoded.
    """
    folder, fields = state.folder, fields_of(state)
    before = {place: _record(state, place).get("fingerprint") for place in encoders}
    with drafting(folder, fields, link=_is_linked(state), wait=wait) as draft:
        now = open_state(folder)
        if now.manifest.settings != state.manifest.settings:
            raise CheckpointError(f"{str(folder)!r} was made anew meanwhile; migrate it again")
        collection = _begun(draft, _emptied(now, encoders, threads), now, list(encoders))
        total = len(collection.keys)
        n_resumed = len(_changed(collection, list(encoders))[0])
        collection = _encode(draft, collection, list(encoders), texts)
        draft.publish()
    models = {place: (before[place], encoder.fingerprint) for place, encoder in encoders.items()}
    return Migrated(collection, models, total - n_resumed, n_resumed)


def _record(state: State, place: str) -> dict[str, Any]:
    stages = state.manifest.settings.get("stages")
    there = isinstance(stages, dict) and place in stages
    return record_of(state, place) if there or place == STAGES[0] else {}


def _is_linked(state: State) -> bool:
    """Return whether an index names its models instead of holding them."""
    models = state.manifest.settings.get("models") or {}
    return bool(models) and all(Path(model).is_absolute() for model in models.values())


def _emptied(state: State, encoders: Mapping[str, Encoder], threads: int | None) -> Collection:
    """Return an empty collection that is like that of an index, with stages of the new models."""
    there = [place for place in STAGES if place in encoders or _record(state, place)]
    records = {
        place: _new_record(state, place, encoders[place])
        if place in encoders
        else record_of(state, place)
        for place in there
    }
    settings = {**state.manifest.settings, "stages": records}
    told = replace(state, manifest=replace(state.manifest, settings=settings))
    stages = {place: open_stage(told, place, encoders.get(place), threads) for place in there}
    reranker = stages.get("reranker")
    if reranker is not None and not isinstance(reranker, Reranker):
        raise CheckpointError(f"{str(state.folder)!r} is damaged: its reranker does not rerank")
    return emptied(state, stages["retriever"], reranker)


def _new_record(state: State, place: str, encoder: Encoder) -> dict[str, Any]:
    """Return what is to be said of a stage: what was, if the new model is of the same kind."""
    there, kind = _record(state, place), encoder.checkpoint.kind
    if there.get("kind") == kind:
        return {**there, "fingerprint": encoder.fingerprint}
    made = NEURAL[kind](encoder)
    if isinstance(made, ColBERT):
        made.store_as(TokenStorage(outlines=place == "retriever"))
    return made.record() if there and "passages" not in there else in_passages(made).record()


def _begun(
    draft: Draft, collection: Collection, state: State, changed: Sequence[str]
) -> Collection:
    """Return the collection to go on with: the index, and what a stopped migration has encoded.

    Args:
        draft: Where that may be.
        collection: Empty.
        state: The index.
        changed: Stages that are not taken over.
    """
    begun, keys = draft.begin(collection, overwrite=True), Names()
    state.fill("keys", keys.rows)
    if draft.state is not None and _is_part_of(_changed(begun, changed), begun.keys, keys):
        for stage in _changed(begun, changed):
            gone = np.setdiff1d(ids_left(stage.tables()[""].parts), ids_left(keys.rows.parts))
            if len(gone):
                stage.delete(gone)
        collection = replace(
            collection,
            retriever=(begun if "retriever" in changed else collection).retriever,
            reranker=(begun if "reranker" in changed else collection).reranker,
        )
    else:
        draft.state = None
    # Last, as snapshots of a lexical stage share its vocabulary.
    for name, rows in collection.tables().items():
        if name.partition(".")[0] not in changed:
            state.fill(name, rows)
    return collection


def _is_part_of(stages: Sequence[Retriever], then: Names, now: Names) -> bool:
    """Return whether a draft holds, of the documents of an index, all up to some number.

    Args:
        stages: What it has encoded.
        then: The keys in it.
        now: Those of the index.
    """
    (next_id, *others) = {stage.tables()[""].next_id for stage in stages}
    stored = ids_left(now.rows.parts)
    stored = stored[stored < next_id]
    held = [ids_left(rows.parts) for rows in (then.rows, *(s.tables()[""] for s in stages))]
    if others or any(len(np.setdiff1d(stored, ids)) for ids in held):
        return False
    return np.array_equal(stored_hashes(then, stored), stored_hashes(now, stored))


def _changed(collection: Collection, changed: Sequence[str]) -> list[Retriever]:
    return [stage for place, stage in collection.stages().items() if place in changed]


def _encode(
    draft: Draft, collection: Collection, changed: Sequence[str], texts: Texts
) -> Collection:
    """Encode what is not, and commit it to the draft as it is."""
    keys, next_id = collection.keys, _changed(collection, changed)[0].tables()[""].next_id
    numbers = collection.stored()
    n_done = int(np.searchsorted(numbers, next_id))
    n_saved, last = n_done, time.monotonic()
    try:
        with bar(len(numbers), "documents", shown=True) as shown:
            shown.update(n_done)
            for chunk in _chunks(texts(keys, numbers[n_done:])):
                own = numbers[n_done : n_done + len(chunk)]
                check_texts(keys, own, chunk)
                for stage in _changed(collection, changed):
                    vectors = encode_documents(stage, [read.text for read in chunk], progress=False)
                    _add(stage, vectors, own)
                n_done += len(chunk)
                shown.update(len(chunk))
                waited = time.monotonic() - last
                if collection.n_unsaved_bytes() > CHUNK_BYTES or waited > CHUNK_SECONDS:
                    collection = draft.commit(collection)
                    n_saved, last = n_done, time.monotonic()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; {n_saved} of {len(numbers)} documents are encoded, the index is as it was, "
            "and the same command goes on from there"
        ) from None
    for stage in _changed(collection, changed):
        rows = stage.tables()[""]
        rows.fill(rows.parts, keys.rows.next_id)
    return draft.commit(collection)


def _chunks(texts: Iterator[Read]) -> Iterator[list[Read]]:
    chunk: list[Read] = []
    n_characters = 0
    for read in texts:
        chunk.append(read)
        n_characters += len(read.text)
        if len(chunk) == AT_ONCE or n_characters > CHARACTERS:
            yield chunk
            chunk, n_characters = [], 0
    if chunk:
        yield chunk


def _add(stage: Retriever, vectors: Any, numbers: Ids) -> None:  # noqa: ANN401 (what it encodes)
    """Store documents under numbers of their own, rising; those between stay unused."""
    rows = stage.tables()[""]
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    for start, stop in pairwise([0, *breaks.tolist(), len(numbers)]):
        rows.fill(rows.parts, int(numbers[start]))
        stage.add(vectors[start:stop])
