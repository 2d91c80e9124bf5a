"""An index written as shards from the beginning: each by an actor of Ray, where it stands.

The process that reads the documents deals them out; each actor encodes those of its shard and
commits them block by block. What travels is the documents alone. Nothing is read as shards until
all are whole, and they answer as those that `part_index` makes of one index, bit for bit: which
shard a document is in, and its number, come from the same rule.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ray
from ray.exceptions import RayTaskError

from glane.collection.records import read_record
from glane.model.progress import bar
from glane.retrievers.collection import content_hashes
from glane.retrievers.passages import Passages
from glane.retrievers.saved import described
from glane.search import Search
from glane.store import files
from glane.store.lock import LOCK, writing
from glane.store.manifest import DRAFT, MANIFEST, SHARDS
from glane.types import Ids
from glane_scale.cluster import actor_class, connected
from glane_scale.sharded import shard_names, shards_of, write_shards, write_whole
from glane_scale.spreading import instructions, tell_mixed

AT_ONCE, CHARACTERS = 512, 1 << 19
"""Documents that are committed together, and about their characters, at most, ..."""

WORDS_AT_ONCE, WORDS_CHARACTERS = 1 << 14, 1 << 23
"""... and where words are counted alone."""

READY = 2
"""Blocks that wait for an actor, at most, so that none waits for another's."""

SECONDS = 60.0
"""For an actor that died to let go of its shard."""

Record = Mapping[str, Any]


class Block(NamedTuple):
    """Documents of one shard.

    Attributes:
        numbers: By which the collection knows them, rising.
        records: The documents.
    """

    numbers: Ids
    records: Sequence[Record]


class Written(NamedTuple):
    """What became of some documents.

    Attributes:
        n_documents: That are stored.
        n_truncated: How many of them the model of each stage cut.
    """

    n_documents: int
    n_truncated: dict[str, int]


class Built(NamedTuple):
    """What the shards hold.

    Attributes:
        n_documents: Of each.
        n_passages: Of all, in each stage that parts documents.
    """

    n_documents: list[int]
    n_passages: dict[str, int]


class ShardWriter:
    """An actor: the only writer of one shard, as long as it lives."""

    def __init__(self, folder: str) -> None:
        """Open nothing yet: what fails then is told by the first call."""
        self._folder = folder
        self._open = ExitStack()
        self._search: Search | None = None

    def store(self, block: Block) -> Written:
        """Encode and commit documents; those that are there are not encoded again.

        So a block may be stored twice, but never after one with higher numbers.

        Raises:
            ValueError: If the shard holds others.
        """
        search = self._opened()
        before = _n_truncated(search)
        new = self._new(search, block)
        if len(new.records):
            keys, texts = _read(search, new.records)
            search.store(new.records, keys, texts, numbers=new.numbers)
            search.save(self._folder)
        cut = {place: n - before[place] for place, n in _n_truncated(search).items()}
        return Written(len(block.records), cut)

    def finish(self, n_documents: int) -> dict[str, int]:
        """Return how many passages there are in each stage that parts documents.

        Raises:
            ValueError: If there is another number of documents.
        """
        search = self._opened()
        if len(search) != n_documents:
            raise self._holds_others()
        stages = search.stages().items()
        found = {place: each.n_passages() for place, each in stages if isinstance(each, Passages)}
        self._open.close()
        self._search = None
        return found

    def instructions(self) -> list[str]:
        """Return what products depend on, see `instructions`."""
        return instructions()

    def _opened(self) -> Search:
        if self._search is None:
            editing = Search.edit(self._folder, threads=1, wait=SECONDS)
            self._search = self._open.enter_context(editing)
        return self._search

    def _new(self, search: Search, block: Block) -> Block:
        """Return the documents that are not there."""
        collection = search.collection.snapshot()  # comparing enters words to filter by
        keys, texts = _read(search, block.records)
        content = [search.fields.content(*pair) for pair in zip(block.records, texts, strict=True)]
        compared = collection.compare(block.records, keys, content_hashes(content))
        is_new = compared.known < 0
        there = np.flatnonzero(~is_new)
        same = (compared.known[there] == block.numbers[there]).all()
        same &= not compared.is_new[there].any() and not len(compared.again)
        if not same or (block.numbers[is_new] < collection.keys.rows.next_id).any():
            raise self._holds_others()
        records = [block.records[row] for row in np.flatnonzero(is_new).tolist()]
        return Block(block.numbers[is_new], records)

    def _holds_others(self) -> ValueError:
        return ValueError(
            f"{self._folder!r} holds other documents, of a run that was stopped; remove the folder "
            "that it is in, or name a new one"
        )


def build_shards(
    search: Search,
    documents: Iterable[Record],
    folder: str | Path,
    n_shards: int,
    address: str,
    *,
    n_documents: int,
    gpus: bool = False,
    link: bool = False,
    wait: float = 0,
) -> Built:
    """Write documents into shards, one actor for each; stopped, the same call goes on from there.

    Args:
        search: Empty: how they are searched. Texts that its models cut are counted there.
        documents: As `Search.add` takes them, each id once, in the order of their numbers.
        folder: New, empty, or what such a call left; every machine reaches it by the same path.
        n_shards: At least 1.
        address: Of a cluster, as `connected` takes it.
        n_documents: How many there are.
        gpus: Whether each actor has a GPU of its own, which its models compute on.
        link: Whether the shards name their models' folders instead of holding copies.
        wait: Seconds to wait for another writer, at least 0.

    Raises:
        ConnectionError: If there is no cluster at the address.
        ValueError: If it has fewer cores, or GPUs, than there are to be shards, or the folder holds
            other documents.
        FileExistsError: If it holds something else, or what another call left.
        LockedError: If somebody else is writing to it.
        OSError: If Ray gives up on an actor.
    """
    names = shard_names(n_shards)
    target = Path(folder).resolve()
    made = described(search.collection, search.fields)
    said = json.dumps({"shards": names, "documents": search.kept is not None, **made}, indent=2)
    _check_target(target, said)
    with connected(address, n_shards):
        kind = actor_class(ShardWriter, n_shards, "shards", gpus=gpus)
        with _drafting(target, said, wait):
            for name in names:
                if not (target / name / MANIFEST).exists():
                    search.save(target / name, link=link)
            writers = [kind.remote(str(target / name)) for name in names]
            with _told():
                tell_mixed(ray.get([writer.instructions.remote() for writer in writers]))
                counted = all(stage.encoder is None for stage in search.stages().values())
                dealt = blocks(documents, n_shards, counted=counted)
                counts = _write(search, dealt, writers, n_documents)
                pairs = zip(writers, counts, strict=True)
                passages = ray.get([writer.finish.remote(count) for writer, count in pairs])
            write_shards(target, names)
    places = passages[0]
    return Built(counts, {place: sum(each[place] for each in passages) for place in places})


def _write(
    search: Search, dealt: Iterator[tuple[int, Block]], writers: list[Any], n_documents: int
) -> list[int]:
    """Have blocks stored, and return how many documents each shard has."""
    counts = [0] * len(writers)
    with bar(n_documents, "documents", shown=True) as shown:
        try:
            for own, written in _stored(dealt, writers):
                counts[own] += written.n_documents
                shown.update(written.n_documents)
                for place, n in written.n_truncated.items():
                    _encoder(search, place).n_truncated["document"] += n
        except KeyboardInterrupt:
            told = f"stopped; {sum(counts)} documents are stored"
            raise KeyboardInterrupt(f"{told}, and the same command goes on from there") from None
    return counts


def _stored(
    dealt: Iterator[tuple[int, Block]], writers: list[Any]
) -> Iterator[tuple[int, Written]]:
    """Have blocks stored, and yield shard and what became of them, whichever is done.

    An actor has one block at a time: Ray may begin those that it has to repeat in any order.
    """
    ready: list[deque[Block]] = [deque() for _ in writers]
    running: dict[Any, int] = {}

    def start(own: int) -> None:
        if ready[own] and own not in running.values():
            running[writers[own].store.remote(ready[own].popleft())] = own

    def one() -> tuple[int, Written]:
        (done,), _ = ray.wait(list(running), num_returns=1)
        own = running.pop(done)
        start(own)
        return own, ray.get(done)

    for own, block in dealt:
        ready[own].append(block)
        start(own)
        while len(ready[own]) == READY:
            yield one()
    while running:
        yield one()


def blocks(
    documents: Iterable[Record], n_shards: int, *, counted: bool
) -> Iterator[tuple[int, Block]]:
    """Deal out documents, and yield shard and documents as there are enough of them.

    Args:
        documents: In the order of their numbers.
        n_shards: At least 1.
        counted: Whether words are counted of them alone, and nothing is encoded by a model.
    """
    most = (WORDS_AT_ONCE, WORDS_CHARACTERS) if counted else (AT_ONCE, CHARACTERS)
    dealt: list[list[tuple[int, Record]]] = [[] for _ in range(n_shards)]
    sizes = [0] * n_shards
    for number, record in enumerate(documents):
        own = int(shards_of(np.array(number), n_shards))
        dealt[own].append((number, record))
        sizes[own] += sum(len(value) for value in record.values() if isinstance(value, str))
        if len(dealt[own]) == most[0] or sizes[own] > most[1]:
            yield own, _block(dealt[own])
            dealt[own], sizes[own] = [], 0
    for own, rows in enumerate(dealt):
        if rows:
            yield own, _block(rows)


def _block(rows: list[tuple[int, Record]]) -> Block:
    return Block(np.array([number for number, _ in rows]), [record for _, record in rows])


@contextmanager
def _drafting(target: Path, said: str, wait: float) -> Iterator[None]:
    """Be the only writer of a folder that becomes shards, and say in it how they are made."""
    target.mkdir(parents=True, exist_ok=True)
    with writing(target, wait):
        _check_target(target, said)
        write_whole(target / DRAFT, said)
        yield
        files.remove(target / DRAFT)


def _check_target(target: Path, said: str) -> None:
    """Refuse a folder that no shards can be written into.

    Args:
        target: The folder.
        said: How they are to be made.

    Raises:
        FileExistsError: If it holds something else, or what is made in another way.
    """
    if not os.path.lexists(target):
        return
    there = {path.name for path in target.iterdir()} if target.is_dir() else {SHARDS}
    if SHARDS in there or (DRAFT not in there and there - {LOCK, f"{DRAFT}.new"}):
        raise FileExistsError(f"{str(target)!r} holds something; name a new folder")
    if DRAFT in there and (target / DRAFT).read_text() != said:
        raise FileExistsError(
            f"{str(target)!r} holds what another command left when it was stopped; remove it, or "
            "name a new folder"
        )


@contextmanager
def _told() -> Iterator[None]:
    """Raise what an actor raised as it is."""
    try:
        yield
    except RayTaskError as error:
        raise error.cause from None


def _read(search: Search, records: Sequence[Record]) -> tuple[list[Any], list[str]]:
    """Return id and text of documents that were checked before."""
    read = [read_record(record, search.key, search.on, "a document") for record in records]
    return [key for key, _ in read], [text for _, text in read]


def _encoder(search: Search, place: str) -> Any:  # noqa: ANN401 (of a stage that has one)
    return search.stages()[place].encoder


def _n_truncated(search: Search) -> dict[str, int]:
    """Return how many documents the model of each stage has cut."""
    encoders = {place: _encoder(search, place) for place in search.stages()}
    return {place: each.n_truncated["document"] for place, each in encoders.items() if each}
