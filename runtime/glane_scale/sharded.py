"""A search over shards: indexes that hold the documents of one collection between them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from copy import copy
from functools import wraps
from hashlib import blake2b
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, cast

import numpy as np

from glane.collection.records import as_records, check_keys, read_records
from glane.errors import CheckpointError
from glane.hits import NO_ID, Key
from glane.model.progress import bar
from glane.retrievers.answers import Now
from glane.retrievers.changing import Changes
from glane.retrievers.explaining import Explains
from glane.search import Search
from glane.store import files
from glane.store.lock import writing
from glane.store.manifest import DRAFT, SHARDS
from glane.threads import Guard
from glane.types import Ids
from glane_scale.exchange import unite
from glane_scale.shard import Change, Contents, Generation, Reply, Request, Shard
from glane_scale.spread import Asking, Shards, SpreadCollection, spread

VERSION = 1


class Reached(Shards, Protocol):
    """Shards that can be asked what they hold, and changed."""

    def contents(self, known: Sequence[Generation | None]) -> list[Contents | None]:
        """Return what each shard holds; None of one whose state is the known one."""
        ...

    def change(self, changes: Mapping[int, Change], wait: float) -> None:
        """Change some shards, all at once, and wait for each."""
        ...

    def compact(self, wait: float) -> None:
        """Compact every shard, and wait for each."""
        ...


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

    def contents(self, known: Sequence[Generation | None]) -> list[Contents | None]:
        """Return what each holds that is not known."""
        return list(self._threads.map(Shard.contents, self._shards, known))

    def change(self, changes: Mapping[int, Change], wait: float) -> None:
        """Change some shards."""
        self._each((self._shards[own].change, each, wait) for own, each in changes.items())

    def compact(self, wait: float) -> None:
        """Compact every shard."""
        self._each((shard.compact, wait) for shard in self._shards)

    def _each(self, calls: Iterable[tuple[Any, ...]]) -> None:
        """Make calls, all at once; wait for each before an error is raised."""
        started = [self._threads.submit(*call) for call in calls]
        wait_for(started)
        for one in started:
            one.result()


Read = TypeVar("Read", bound=Callable[..., Any])


def again(read: Read) -> Read:
    """Return what reads anew, from the newest state, where the one that it was of is gone."""

    @wraps(read)
    def reads(search: ShardedSearch, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        return search.read(lambda view: read(view, *arguments, **options))

    return cast(Read, reads)


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
        self._fields, self._own = template.fields, template.collection
        self._known: list[Contents] = []
        self._changing = Guard()
        self._wait: float | None = None
        self.refresh()

    search = again(Explains.search)
    rankings = again(Explains.rankings)
    explain = again(Explains.explain)
    explanations = again(Explains.explanations)
    excerpts = again(Explains.excerpts)
    documents = again(Explains.documents)
    numbers = again(Explains.numbers)
    select = again(Explains.select)
    __contains__ = again(Explains.__contains__)

    def refresh(self) -> bool:
        """Take the newest state of the shards.

        Returns:
            Whether there was a newer one.
        """
        with self._changing:
            known: list[Generation | None] = [each.generation for each in self._known]
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

        Yields:
            Another search, of the newest state, which can be changed.

        Raises:
            LockedError: If somebody else is still writing.
        """
        with writing(self.folder, wait):
            writer = copy(self)
            writer._wait = wait
            writer.refresh()
            try:
                yield writer
            finally:
                writer._wait = None
                self.refresh()

    def add(self, documents: Iterable[Mapping[str, Any]]) -> int:
        """Store documents, within `editing`; one whose id is stored already replaces it.

        A document that is there stays in its shard, and a new one goes to the shard that its id
        says. What one shard takes is there whole or not at all: where another fails, the same call
        again mends it.

        Args:
            documents: As `Search.add` takes them.

        Returns:
            How many were stored: those that are new or differ.

        Raises:
            TypeError: As `Search.add`.
            ValueError: Likewise, or if this is not within `editing`.
            LockedError: If somebody else writes to a shard.
            StaleError: If somebody else has written to one.
        """
        self._check_editing()
        records, asking = as_records(documents), self._asking()
        if self.kept is not None:
            self.kept.written(records)  # what no shard could keep is refused before one does
        keys, texts = read_records(records, self.key, self._fields.on, first=not asking.next_id)
        content = [self._fields.content(*pair) for pair in zip(records, texts, strict=True)]
        compared = asking("compared", records, keys, content)
        known = np.array([each[0] for each in compared])
        found = known.max(axis=0, initial=NO_ID)
        named = np.array([_shard_of(key, len(self.shards)) for key in keys], np.int64)
        owners = np.where(found >= 0, known.argmax(axis=0), named)
        again = np.array([row for each in compared for row in each[2]], np.int64)
        again = again[np.argsort(found[again])]
        is_new = np.min([each[1] for each in compared], axis=0)  # where it is not in any
        rows = np.concatenate([again, np.flatnonzero(is_new)])
        numbers = asking.next_id + np.arange(len(rows))
        changes = {}
        for own in np.unique(owners[rows]).tolist():
            mine = rows[owners[rows] == own].tolist()
            changes[own] = Change(
                asking.state[own],
                numbers[owners[rows] == own],
                [records[row] for row in mine],
                [keys[row] for row in mine],
                [texts[row] for row in mine],
            )
        self._change(changes)
        return len(rows)

    def delete(self, keys: Iterable[Key]) -> None:
        """Forget documents, within `editing`.

        Raises:
            TypeError: As `Search.delete`.
            ValueError: Likewise, and nothing is deleted then; or if this is not within `editing`.
            LockedError: If somebody else writes to a shard.
            StaleError: If somebody else has written to one.
        """
        self._check_editing()
        wanted, asking = check_keys(keys), self._asking()
        numbers = self._now.collection.to_delete(wanted)
        where = np.array(asking("find", wanted)).argmax(axis=0)
        changes = {
            own: Change(
                asking.state[own],
                numbers[:0],
                [],
                [wanted[place] for place in np.flatnonzero(where == own)],
                [],
            )
            for own in np.unique(where).tolist()
        }
        self._change(changes)

    def compact(self) -> None:
        """Drop what is left of deleted documents in every shard, within `editing`."""
        wait = self._check_editing()
        try:
            self.shards.compact(wait)
        finally:
            self.refresh()

    def _change(self, changes: Mapping[int, Change]) -> None:
        try:
            self.shards.change(changes, self._check_editing())
        finally:
            self.refresh()

    def _check_editing(self) -> float:
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


def _shard_of(key: Key, n_shards: int) -> int:
    """Return where a new document goes: always to the same shard, so that no two have its id."""
    written = f"{type(key).__name__} {key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(written, digest_size=8).digest()) % n_shards


def part_index(index: str | Path, folder: str | Path, n_shards: int) -> list[int]:
    """Write the documents of an index into shards, each an index of its own; nothing is encoded.

    They are dealt out in turn (`shards_of`), so that each shard has as many.

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
    names = shard_names(n_shards)
    target = Path(folder).resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(f"{str(target)!r} holds something; name a new folder")
    whole = Search.load(index, threads=1)
    target.mkdir(parents=True, exist_ok=True)
    stored = whole.collection.stored()
    owners = shards_of(np.arange(len(stored)), n_shards)
    blocks = [stored[owners == own] for own in range(n_shards)]
    with bar(n_shards, "parting") as parted:
        for name, block in zip(names, blocks, strict=True):
            write_shard(whole, target / name, block)
            parted.update()
    write_shards(target, names)
    return [len(block) for block in blocks]


def shard_names(n_shards: int) -> list[str]:
    """Return what the folders of new shards are called.

    Raises:
        ValueError: If there is none to be.
    """
    if n_shards < 1:
        raise ValueError(f"n_shards must be at least 1, got {n_shards}")
    return [f"shard-{own:0{len(str(n_shards - 1))}d}" for own in range(n_shards)]


def shards_of(places: Ids, n_shards: int) -> Ids:
    """Return the shard of each document of a new collection, by its place among all of them.

    They are dealt out in turn: who reads them once, in their order, fills all shards at once.
    """
    return places % n_shards


def write_shard(whole: Search, folder: Path, numbers: Ids) -> None:
    """Write an index of some documents of another, under the same numbers."""
    part = whole.part(numbers)
    part.compact()
    part.save(folder)


def write_shards(folder: Path, names: Sequence[str]) -> None:
    """Say which folders are the shards of one collection, in `shards.json`."""
    said = {"version": VERSION, "shards": list(names)}
    write_whole(folder / SHARDS, json.dumps(said, indent=2))


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    files.write(new, [text.encode()])
    files.replace(new, path)
    files.sync_folder(path.parent)


def read_shards(folder: Path) -> list[Path]:
    """Return the folders of the shards.

    Raises:
        CheckpointError: If the folder has none, or says so in another way than this version.
    """
    path = folder / SHARDS
    try:
        said = json.loads(path.read_bytes())
    except FileNotFoundError:
        hint = "part an index with `glane shard INDEX FOLDER`"
        if (folder / DRAFT).is_file():
            hint = "writing it was stopped before its end; the same command goes on from there"
        raise CheckpointError(f"{str(folder)!r} has no {SHARDS}; {hint}") from None
    except ValueError as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from None
    names = said.get("shards") if isinstance(said, dict) else None
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    own = {name for name in texts if re.fullmatch(r"[\w-]+", name)}
    if not texts or texts != names or len(own) < len(texts) or said.get("version") != VERSION:
        raise CheckpointError(
            f"{str(path)!r} must name the shards of version {VERSION}, got {str(said)[:200]}"
        )
    return [folder / name for name in texts]
