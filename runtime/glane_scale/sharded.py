"""A search over shards: indexes that hold the documents of one collection between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from glane.collection.records import read_records
from glane.errors import CheckpointError
from glane.hits import Key, Results
from glane.model.progress import bar
from glane.retrievers.answers import Now
from glane.retrievers.changing import Changes
from glane.search import Search
from glane.store import files
from glane.store.lock import writing
from glane.store.manifest import SHARDS
from glane.threads import Guard
from glane.types import Ids
from glane_scale.exchange import unite
from glane_scale.shard import Change, Contents, Reply, Request, Shard, StaleError
from glane_scale.spread import Asking, Shards, SpreadCollection, spread

VERSION = 1

TURNS = 3
"""How often a search is begun anew where the documents change under it."""

T = TypeVar("T")


class Reached(Shards, Protocol):
    """Shards that can be asked what they hold, and changed."""

    def contents(self, known: Sequence[int | None]) -> list[Contents | None]:
        """Return what each shard holds; None of one whose generation is the known one."""
        ...

    def write(self, changes: Mapping[int, Sequence[Change]], wait: float) -> None:
        """Store documents in some shards, all at once."""

    def delete(self, keys: Mapping[int, Sequence[Key]], wait: float) -> None:
        """Delete documents of some shards, all at once."""

    def compact(self, wait: float) -> None:
        """Compact every shard."""


class LocalShards:
    """Shards in this process, each asked in a thread of its own."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Open them.

        Args:
            folders: Of their indexes.
        """
        self._shards = [Shard(folder, threads=1) for folder in folders]
        self._threads = ThreadPoolExecutor(len(folders), "shard")

    def __len__(self) -> int:
        return len(self._shards)

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask some shards, all at once."""
        return list(self._threads.map(lambda each: self._shards[each.own].ask(each), requests))

    def contents(self, known: Sequence[int | None]) -> list[Contents | None]:
        """Return what each holds that is not known."""
        return list(self._threads.map(Shard.contents, self._shards, known))

    def write(self, changes: Mapping[int, Sequence[Change]], wait: float) -> None:
        """Store documents in some shards."""
        self._each(changes, lambda shard, own: shard.write(own, wait))

    def delete(self, keys: Mapping[int, Sequence[Key]], wait: float) -> None:
        """Delete documents of some shards."""
        self._each(keys, lambda shard, own: shard.delete(own, wait))

    def compact(self, wait: float) -> None:
        """Compact every shard."""
        list(self._threads.map(lambda shard: shard.compact(wait), self._shards))

    def _each(self, given: Mapping[int, T], call: Callable[[Shard, T], None]) -> None:
        done = [self._threads.submit(call, self._shards[own], each) for own, each in given.items()]
        for one in done:
            one.result()


class ShardedSearch(Changes):
    """A search whose documents lie in several indexes; it answers as one index of them all.

    Scores, order and ids are those of the index that was parted, bit for bit, also after further
    changes: a document's number is its own in all of them, and words weigh as they do among all
    documents. Safe from many threads; each answer is of one state.

    Attributes:
        folder: That names the shards.
        shards: Where they are asked.
    """

    def __init__(self, folder: str | Path, shards: Reached | None = None) -> None:
        """Open the newest state.

        Args:
            folder: Written by `part_index`.
            shards: Where its shards are asked; by default in this process.

        Raises:
            CheckpointError: If the folder or a shard is missing or damaged.
        """
        self.folder = Path(folder).resolve()
        folders = read_shards(self.folder)
        self.shards: Reached = LocalShards(folders) if shards is None else shards
        template = Search.load(folders[0], threads=1)
        self._fields, self._own = template._fields, template.collection
        self._known: list[Contents] = []
        self._changing = Guard()
        self._wait: float | None = None
        self.refresh()

    def search(self, queries: Sequence[str], k: int = 10, **options: Any) -> Results:  # noqa: ANN401
        """Return the k best documents for each query; see `Search.search`."""
        for _ in range(TURNS - 1):
            try:
                return super().search(queries, k, **options)
            except StaleError:
                self.refresh()
        return super().search(queries, k, **options)

    def refresh(self) -> bool:
        """Take the newest state of the shards.

        Returns:
            Whether there was a newer one.
        """
        with self._changing:
            known: list[int | None] = [each.generation for each in self._known]
            newer = self.shards.contents(known or [None] * len(self.shards))
            if not any(newer):
                return False
            pairs = zip_longest(newer, self._known)
            self._known = [each for new, old in pairs if (each := new or old) is not None]
            counted = [each.counted for each in self._known if each.counted is not None]
            asking = Asking(self.shards, self._known, unite(counted) if counted else None)
            self._now = Now(spread(self._own, asking), is_saved=True)
        return True

    @contextmanager
    def editing(self, *, wait: float = 0) -> Iterator[Self]:
        """Change the documents as their only writer; each change is committed as it is made.

        Args:
            wait: Seconds to wait for another writer, at least 0.

        Raises:
            LockedError: If somebody else is still writing.
        """
        with writing(self.folder, wait):
            self.refresh()
            self._wait = wait
            try:
                yield self
            finally:
                self._wait = None

    def add(self, documents: Iterable[Mapping[str, Any]]) -> int:
        """Store documents, within `editing`; one whose id is stored already replaces it.

        A document that is there stays in its shard; new ones are shared out. What one shard takes
        is there whole or not at all: where another fails, the same call again mends it.

        Args:
            documents: As `Search.add` takes them.

        Returns:
            How many were stored: those that are new or differ.

        Raises:
            TypeError: As `Search.add`.
            ValueError: Likewise.
        """
        if isinstance(documents, Mapping):
            raise TypeError("documents must be a list of dictionaries, got one dictionary")
        wait, records, asking = self._editing(), list(documents), self._asking()
        if self.kept is not None:
            self.kept.written(records)  # what no shard could keep is refused before one does
        keys, texts = read_records(records, self.key, self._fields.on, first=not asking.next_id)
        content = [self._fields.content(*pair) for pair in zip(records, texts, strict=True)]
        compared = asking("compared", records, keys, content)
        known = np.array([each[0] for each in compared])
        owners = known.argmax(axis=0)
        stored = known.max(axis=0, initial=-1) >= 0
        is_new = np.min([each[1] for each in compared], axis=0)  # where it is not in any
        again = [int(row) for each in compared for row in each[2]]
        again.sort(key=lambda row: int(known[owners[row], row]))
        rows = [*again, *np.flatnonzero(is_new).tolist()]
        fresh = [row for row in rows if not stored[row]]
        owners[fresh] = np.arange(len(fresh)) * len(self.shards) // max(1, len(fresh))
        changes: dict[int, list[Change]] = {}
        number = asking.next_id
        for own, run in groupby(rows, key=lambda row: int(owners[row])):
            some = list(run)
            change = Change(
                number,
                [records[row] for row in some],
                [keys[row] for row in some],
                [texts[row] for row in some],
            )
            changes.setdefault(own, []).append(change)
            number += len(some)
        self.shards.write(changes, wait)
        self.refresh()
        return len(rows)

    def delete(self, keys: Iterable[Key]) -> None:
        """Forget documents, within `editing`.

        Raises:
            TypeError: As `Search.delete`.
            ValueError: Likewise; nothing is deleted then.
        """
        wait, wanted = self._editing(), keys if isinstance(keys, str) else list(keys)
        numbers = self._now.collection.numbers(wanted)
        if len(np.unique(numbers)) < len(numbers):
            raise ValueError("an id appears twice among those to delete")
        where = np.array(self._asking()("find", list(wanted))).argmax(axis=0)
        own = {
            shard: [key for key, each in zip(wanted, where.tolist(), strict=True) if each == shard]
            for shard in np.unique(where).tolist()
        }
        self.shards.delete(own, wait)
        self.refresh()

    def compact(self) -> None:
        """Drop what is left of deleted documents in every shard, within `editing`."""
        self.shards.compact(self._editing())
        self.refresh()

    def _editing(self) -> float:
        """Return how long to wait for the writers of shards.

        Raises:
            ValueError: If this is not the only writer.
        """
        if self._wait is None:
            raise ValueError("shards are changed within `with search.editing() as writer:`")
        return self._wait

    def _asking(self) -> Asking:
        collection = self._now.collection
        assert isinstance(collection, SpreadCollection), "`refresh` makes it"
        return collection.asking()


def part_index(index: str | Path, folder: str | Path, n_shards: int) -> list[int]:
    """Write the documents of an index into shards, each an index of its own; nothing is encoded.

    Documents that follow one another stay together, and each shard has as many.

    Args:
        index: Folder of the index, which stays as it is.
        folder: New or empty.
        n_shards: At least 1.

    Returns:
        How many documents each shard has.

    Raises:
        ValueError: If there is no shard to be.
        FileExistsError: If the folder holds something.
        CheckpointError: If the index is missing or damaged.
    """
    if n_shards < 1:
        raise ValueError(f"n_shards must be at least 1, got {n_shards}")
    target = Path(folder).resolve()
    numbers = Search.load(index, threads=1).collection.stored()
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"{str(target)!r} holds something; name a new folder")
    target.mkdir(parents=True, exist_ok=True)
    names = [f"shard-{own:0{len(str(n_shards - 1))}d}" for own in range(n_shards)]
    blocks = np.array_split(numbers, n_shards)
    with bar(n_shards, "parting") as parted:
        for name, block in zip(names, blocks, strict=True):
            write_shard(index, target / name, block)
            parted.update()
    write_shards(target, names)
    return [len(block) for block in blocks]


def write_shard(index: str | Path, folder: Path, numbers: Ids) -> None:
    """Write an index of some documents of another, under the same numbers."""
    part = Search.load(index, threads=1)
    part.keep_only(numbers)
    part.compact()
    part.save(folder)


def write_shards(folder: Path, names: Sequence[str]) -> None:
    """Say which folders are the shards of one collection, in `shards.json`."""
    said = {"version": VERSION, "shards": list(names)}
    new = folder / f"{SHARDS}.new"
    files.write(new, [json.dumps(said, indent=2).encode()])
    files.replace(new, folder / SHARDS)
    files.sync_folder(folder)


def read_shards(folder: Path) -> list[Path]:
    """Return the folders of the shards.

    Raises:
        CheckpointError: If the folder has none, or says so in another way than this version.
    """
    path = folder / SHARDS
    try:
        said = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(
            f"{str(folder)!r} has no {SHARDS}; part an index with `glane shard INDEX FOLDER`"
        ) from None
    except ValueError as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from None
    names = said.get("shards") if isinstance(said, dict) else None
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    if not texts or texts != names or said.get("version") != VERSION:
        raise CheckpointError(
            f"{str(path)!r} must name the shards of version {VERSION}, got {str(said)[:200]}"
        )
    return [folder / name for name in texts]
