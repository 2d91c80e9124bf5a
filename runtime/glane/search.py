"""`Search`: your documents, your ids, and every stage behind one call."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from glane.collection.boosts import by_boost, read_boosts
from glane.collection.records import as_records, read_records
from glane.errors import GlaneError, IndexDamaged
from glane.hits import Key
from glane.retrievers import saved
from glane.retrievers.answers import Fields, Now
from glane.retrievers.awaiting import awaitable
from glane.retrievers.bm25 import BM25
from glane.retrievers.boosts import encode_boosted
from glane.retrievers.changing import Changes
from glane.retrievers.collection import Collection, check_stages, content_hashes
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.encoding import Each, encode_documents, one_by_one
from glane.retrievers.fusion import UNSAID, FusionSettings, check_reranks
from glane.retrievers.lexical import Lexical
from glane.retrievers.passages import in_passages
from glane.retrievers.saved import Draft
from glane.store.documents import Documents
from glane.store.lock import Lock
from glane.store.manifest import read_manifest
from glane.store.names import Names
from glane.store.values import Values, check_types
from glane.threads import Guard
from glane.types import Ids

LOG = logging.getLogger("glane")


class Search(Changes):
    """A retriever and, where wanted, a reranker over documents given as dictionaries.

    It holds one state, which is made whole before it takes the place of the one before: a change
    that fails, or is interrupted, leaves the old one. Searching is safe from many threads, also
    while another one adds, deletes, compacts, saves or refreshes, and each answer is of one state.
    Changes wait for one another. It works in a process that was forked; pickled, it is loaded
    again from its index, or, where that does not hold all of it, taken along whole.

    >>> from glane import BM25, Search
    >>> search = Search(BM25(), key="id", on=["title", "text"])
    >>> search.add([
    ...     {"id": "leaf", "title": "Leaves", "text": "Plants eat light."},
    ...     {"id": "sea", "title": "Rivers", "text": "They run to the sea."},
    ... ])
    2
    >>> search.search(["how do plants eat light"], k=1).ids
    [['leaf']]
    """

    def __init__(
        self,
        retriever: Retriever,
        *,
        reranker: Reranker | None = None,
        key: str = "id",
        on: str | Sequence[str] = ("text",),
        keep_documents: bool = False,
        fields: Mapping[str, str] | None = None,
        passages: bool = True,
        fusion: FusionSettings = UNSAID,
    ) -> None:
        """Make an empty search.

        Args:
            retriever: Finds the candidates; it must be empty, and stays so: the search goes on
                with a snapshot of its own.
            reranker: Orders them anew; it must be empty, and not the retriever itself.
            key: Field that holds a document's id, a string or an integer.
            on: Field or fields that are searched, joined by a space. With a boost behind it, as in
                `title^2`, a field's words count so many times for BM25 and TfIdf; a stage that has
                a model reads the joined text all the same (`docs/fields-and-phrases.md`).
            keep_documents: Whether the documents are stored too, for `documents` to return.
            fields: Fields that can be filtered by, and their types: "keyword", "int", "float" or
                "date", with [] behind where a document may have several.
            passages: Whether a document that is longer than a model reads is parted, and scored
                by its best passage; else the model reads its beginning alone.
            fusion: How the stages' rankings are joined where a search does not say; what is None
                in it is left to the default.

        Raises:
            TypeError: If a stage does not keep the contract, or the reranker cannot rerank.
            ValueError: If there is no field, a boost is no number from 1e-6 to 1e6, a stage already
                holds documents, both stages are one object, or fusion is asked for without a
                reranker.
        """
        check_stages(retriever, reranker)
        searched, boosts = read_boosts([on] if isinstance(on, str) else list(on))
        if not searched:
            raise ValueError("on must name at least one field, got none")
        types = check_types(fields or {})
        kept = Documents() if keep_documents else None
        values = Values(types) if types else None
        if passages:
            retriever = in_passages(retriever)
            reranker = None if reranker is None else in_passages(reranker)
        check_reranks(fusion, reranks=reranker is not None)
        collection = Collection(retriever, reranker, Names(), kept, values, fusion)
        collection.ranking(UNSAID)  # what its model says can be read
        self._begin(Fields(key, searched, types, boosts), Now(collection))

    def _begin(self, fields: Fields, now: Now, threads: int | None = None) -> None:
        self._fields = fields
        self._threads = threads
        self._now = now
        self._changing = Guard()
        self._each: Each = one_by_one
        self.n_processes = 1
        self._lock: Lock | None = None
        self._draft: Draft | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        now = self._now
        if now.origin is not None and now.is_saved:
            return partial(type(self).load, threads=self._threads), (str(now.origin.folder),)
        return _unpickled, (type(self), self._fields, now.collection, self._threads)

    def add(self, documents: Iterable[Mapping[str, Any]], *, progress: bool = False) -> int:
        """Store documents; one whose id is stored already replaces it.

        One that is stored already with the very same text is not encoded again; where documents
        are kept, a field that is not searched may still differ, and is then replaced. Nothing is
        stored where this raises.

        Args:
            documents: Each with the key and the fields; a field that is missing or empty in some
                documents is empty text there.
            progress: Whether a bar runs on standard error where that is a terminal.

        Returns:
            How many were stored: those that are new or differ.

        Raises:
            TypeError: If `documents` is one dictionary, or holds something else than dictionaries.
            ValueError: If a document lacks the key, a key is neither string nor integer, an id
                appears twice, a field is not text, or a field of `on` is in none of the documents
                (later additions may lack some of them, not all); the message names the document.
        """
        records = as_records(documents)
        with self._changing:
            first = not self._now.collection.keys.rows.next_id
            keys, texts = read_records(records, self.key, self._fields.on, first=first)
            return self.store(records, keys, texts, progress=progress)

    aadd = awaitable(add)

    def store(
        self,
        records: Sequence[Mapping[str, Any]],
        keys: Sequence[Key],
        texts: Sequence[str],
        *,
        numbers: Ids | None = None,
        progress: bool = False,
    ) -> int:
        """Store documents that are read already, as `add` does.

        Args:
            records: The documents, to be kept where they are kept, and to be read where fields are
                boosted.
            keys: Id of each, which need not be in it; no id twice.
            texts: What is searched of each.
            numbers: Of those that will be stored, see `Collection.store`; None for the next.
            progress: Whether a bar runs on standard error where that is a terminal.
        """
        on, boosts = self._fields.on, self._fields.boosts

        def encode(stage: Retriever, rows: Sequence[int]) -> Any:  # noqa: ANN401
            if boosts and isinstance(stage, Lexical):
                parts = by_boost([records[row] for row in rows], on, boosts)
                return encode_boosted(parts, lambda own: encode_documents(stage, own, progress))
            return encode_documents(stage, [texts[row] for row in rows], progress, self._each)

        with self._changing:
            collection = self._now.collection.snapshot()
            contents = map(self._fields.content, records, texts)
            hashes = content_hashes(list(contents))
            n_stored = collection.store(records, keys, hashes, encode, numbers)
            if n_stored:
                self._now = replace(self._now, collection=collection, is_saved=False)
        return n_stored

    def encode_by(self, each: Each, n_processes: int) -> None:
        """Have documents encoded by others than this process, from now on; not part of an index.

        Args:
            each: Yields of each group of texts what the stage would make of it, in order.
            n_processes: That encode: so many times as many documents are worth handing over.
        """
        self._each, self.n_processes = each, n_processes

    def delete(self, keys: Iterable[Key]) -> None:
        """Forget documents.

        Raises:
            TypeError: If `keys` is one string, or holds something else than ids.
            ValueError: If an id is unknown, or appears twice; nothing is deleted then.
        """
        with self._changing:
            collection = self._now.collection.snapshot()
            collection.forget(collection.to_delete(keys))
            self._now = replace(self._now, collection=collection, is_saved=False)

    def rank_by(
        self, fusion: FusionSettings, *, k1: float | None = None, b: float | None = None
    ) -> None:
        """Rank otherwise where a search does not say; what is stored stays as it is.

        Args:
            fusion: How the stages' rankings are joined; what is None in it is left to the default.
            k1: Of the retriever, a BM25; None leaves it.
            b: Likewise.

        Raises:
            TypeError: If the retriever is no BM25 and is to weigh otherwise.
            ValueError: If fusion is asked for without a reranker, or a number is out of range.
        """
        check_reranks(fusion, reranks=self.reranker is not None)
        with self._changing:
            now = self._now
            retriever = now.collection.retriever.snapshot()
            if k1 is not None or b is not None:
                if not isinstance(retriever, BM25):
                    kind = type(retriever).__name__
                    raise TypeError(f"k1 and b are settings of BM25, and the retriever is {kind}")
                retriever = retriever.weighed(k1, b)
            collection = replace(now.collection.snapshot(), retriever=retriever, fusion=fusion)
            self._now = replace(now, collection=collection, is_saved=False)

    def compact(self) -> None:
        """Drop what is left of deleted documents, and join what lies apart; answers stay."""
        with self._changing:
            collection = self._now.collection.snapshot()
            collection.compact()
            LOG.info("compacted %d documents", len(collection.keys))
            self._now = replace(self._now, collection=collection, is_saved=False)

    def keep_only(self, numbers: Ids) -> None:
        """Delete all documents but those of some numbers, of which none may be unknown."""
        with self._changing:
            collection = self._now.collection.snapshot()
            if len(others := collection.others(numbers)):
                collection.forget(others)
                self._now = replace(self._now, collection=collection, is_saved=False)

    def part(self, numbers: Ids) -> Self:
        """Return a search of some of its documents, under the same numbers, in memory alone.

        Args:
            numbers: Of stored documents.
        """
        made = type(self).__new__(type(self))
        collection = self._now.collection.snapshot()
        collection.forget(collection.others(numbers))
        made._begin(self._fields, Now(collection), self._threads)
        return made

    def save(self, folder: str | Path, *, link: bool = False) -> None:
        """Write into a folder: what is new where this was loaded from there, else everything.

        The new state is there whole or not at all; a reader of the old one goes on with it.

        Args:
            folder: New, empty, or an index; another index is replaced.
            link: Whether an index that is made names its models' folders instead of holding
                copies; one that is changed goes on as it began.

        Raises:
            TypeError: If a stage is of a class that an index would not find again.
            FileExistsError: If the folder holds something else than an index.
            LockedError: If somebody else is writing to it.
            CheckpointError: If it was written to since this was loaded from there, or a model is
                no longer what it was.
        """
        folder = Path(folder).resolve()
        with self._changing:
            now = self._now
            if self._draft is not None and folder == self._draft.lock.folder:
                self._now = Now(self._draft.commit(now.collection), None)
                return
            seen = now.origin
            if seen is not None and (seen.folder != folder or not _is_there(folder)):
                seen = None
            if self._lock is not None and folder == self._lock.folder:
                state = saved.commit_to(self._lock, now.collection, self._fields, seen, link=link)
            else:
                state = saved.save(folder, now.collection, self._fields, seen, link=link)
            self._now = Now(now.collection.filled(state), state, is_saved=True)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        model: str | Path | None = None,
        reranker: str | Path | None = None,
        threads: int | None = None,
        verify: bool = False,
    ) -> Self:
        """Load what `save` wrote.

        Of each file the length is checked, of those up to 1 MiB also the checksum. Damage in the
        middle of a longer one is met by a search, as `IndexDamaged` or, where numbers are still
        numbers, as another answer; `verify` reads all and finds any.

        Args:
            folder: The index.
            model: Model folder for the retriever in place of the index's own copy.
            reranker: Model folder for the reranker, likewise.
            threads: Threads to compute with; by default what the process may use.
            verify: Whether every file is read and compared with its checksum.

        Raises:
            CheckpointError: If the index is missing or damaged, or a model is not the one that
                wrote it; the message then names both fingerprints.
        """
        models = {"retriever": model, "reranker": reranker}
        opening = {"verify": True} if verify else {}
        loaded = saved.load(folder, models, threads, **opening)
        made = cls.__new__(cls)
        made._begin(loaded.fields, Now(loaded.collection, loaded.state, is_saved=True), threads)
        return made

    @classmethod
    @contextmanager
    def edit(
        cls, folder: str | Path, *, threads: int | None = None, wait: float = 0
    ) -> Iterator[Self]:
        """Load an index as its only writer; it is saved when the block ends without an error.

        What is saved within the block, by `save` to the same folder, is committed then.

        Args:
            folder: The index.
            threads: Threads to compute with; by default what the process may use.
            wait: Seconds to wait for another writer, at least 0.

        Raises:
            CheckpointError: If the index is missing or damaged.
            LockedError: If somebody else is still writing to it.
        """
        folder = Path(folder).resolve()
        with saved.editing(folder, wait) as lock:
            search = cls.load(folder, threads=threads)
            search._lock = lock
            try:
                yield search
                search.save(folder)
            finally:
                search._lock = None

    @contextmanager
    def editing(self, *, wait: float = 0) -> Iterator[Self]:
        """Change the index that this was loaded from, as its only writer, from its newest state on.

        This search goes on answering from what is committed, and takes the new state when the block
        ends without an error; after one it, and the index, are what they were.

        Args:
            wait: Seconds to wait for another writer, at least 0.

        Yields:
            Another search, of the newest state, which shares the models of this one; it is saved at
            the end.

        Raises:
            ValueError: If this was neither loaded nor saved, or changed since: save it first.
            CheckpointError: If the index is missing or damaged.
            LockedError: If somebody else is still writing to it.
        """
        now = self._now
        if now.origin is None or not now.is_saved:
            raise ValueError("only a search that is as its index was can edit it; save it")
        folder = now.origin.folder
        with saved.editing(folder, wait) as lock:
            writer = type(self).__new__(type(self))
            writer._begin(self._fields, now, self._threads)
            writer.refresh()
            writer._lock = lock
            try:
                yield writer
                if not writer._now.is_saved:
                    writer.save(folder)
            finally:
                writer._lock = None
        self.refresh()

    @contextmanager
    def building(
        self, folder: str | Path, *, overwrite: bool = False, link: bool = False, wait: float = 0
    ) -> Iterator[bool]:
        """Make an index of this search, which is empty, chunk by chunk, as its only writer.

        What is saved to the folder within the block is a draft that no reader sees. It takes the
        place of the index when the block ends without an error; else it stays, and the next
        `building` of an equal search goes on from it: documents that are stored are not encoded
        again.

        Args:
            folder: New, empty, or an index.
            overwrite: Whether an index that is there, or what another command left of one, may be
                replaced.
            link: Whether the index names its models' folders instead of holding copies.
            wait: Seconds to wait for another writer, at least 0.

        Yields:
            Whether it goes on from a draft.

        Raises:
            ValueError: If this search holds documents.
            FileExistsError: If the folder holds something else than an index, or one that may not
                be replaced.
            LockedError: If somebody else is still writing to it.
        """
        if len(self):
            raise ValueError(
                f"an index is built of an empty search, this has {len(self)} documents"
            )
        folder = Path(folder).resolve()
        with self._changing, saved.drafting(folder, self._fields, link=link, wait=wait) as draft:
            self._now = Now(draft.begin(self._now.collection, overwrite=overwrite))
            self._draft = draft
            try:
                yield draft.state is not None
                self.save(folder)
                state = draft.publish()
            finally:
                self._draft = None
            self._now = Now(self._now.collection.filled(state), state, is_saved=True)

    @property
    def is_stale(self) -> bool:
        """Whether the index that this was loaded from or saved to has a newer state on disk.

        Raises:
            IndexDamaged: If the index is no longer there.
        """
        origin = self._now.origin
        return origin is not None and read_manifest(origin.folder) != origin.manifest

    def refresh(self) -> bool:
        """Take the newest state of the index on disk; what is open stays open, models included.

        Searches that are running go on with the state that they began with.

        Returns:
            Whether there was a newer one.

        Raises:
            ValueError: If this was neither loaded nor saved, or changed since: save it first.
            CheckpointError: If the index is missing or damaged; the state stays as it is.
        """
        with self._changing:
            now = self._now
            if now.origin is None or not now.is_saved:
                raise ValueError("only a search that is as its index was can be refreshed; save it")
            if not self.is_stale:
                return False
            try:
                models = {p: stage.encoder for p, stage in now.collection.stages().items()}
                loaded = saved.load(now.origin.folder, models, self._threads, known=now.origin)
            except GlaneError:  # of another model, or none: then it is loaded, or the error told
                loaded = saved.load(now.origin.folder, {}, self._threads, known=now.origin)
            self._fields = loaded.fields
            self._now = Now(loaded.collection, loaded.state, is_saved=True)
            generations = now.origin.manifest.generation, loaded.state.manifest.generation
            LOG.info("refreshed %s from generation %d to %d", now.origin.folder, *generations)
        return True


def _unpickled(
    kind: type[Search], fields: Fields, collection: Collection, threads: int | None
) -> Search:
    made = kind.__new__(kind)
    made._begin(fields, Now(collection), threads)
    return made


def _is_there(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except IndexDamaged:
        return False
    return True
