"""What can be asked of a search: reading alone, from one state that is taken once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from glane.collection.boosts import content
from glane.collection.records import as_key
from glane.collection.where import read_filter
from glane.errors import GlaneError, IndexDamaged
from glane.hits import Key, Results, check_k
from glane.model.preparation import check_texts
from glane.retrievers.awaiting import awaitable
from glane.retrievers.collection import Collection
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.fusion import UNSAID, Fuse, FusionSettings, Ranked, Ranking
from glane.retrievers.timing import Timings, timed
from glane.store.documents import Documents
from glane.store.names import Names
from glane.store.reading import State, damaged_files
from glane.types import Ids


class Fields(NamedTuple):
    """What of a document is read.

    Attributes:
        key: Field of its id.
        on: Fields that are searched.
        types: Fields that can be filtered by, and their types, see `check_types`.
        boosts: By how much the words of a field count, of those where that is not 1.
    """

    key: str
    on: list[str]
    types: dict[str, str] = {}  # noqa: RUF012 (never changed)
    boosts: dict[str, float] = {}  # noqa: RUF012 (likewise)

    def content(self, record: Mapping[str, Any], text: str) -> str:
        """Return what tells of a document, whose text is given, whether it is encoded already."""
        return content(record, text, self.on, self.boosts)


@dataclass(frozen=True, slots=True)
class Now:
    """What a `Search` is at one moment: replaced as a whole, never changed.

    Attributes:
        collection: What it answers from.
        origin: The state of the index that it was loaded from or saved to last, or None.
        is_saved: Whether that state holds all of the collection.
    """

    collection: Collection
    origin: State | None = None
    is_saved: bool = False


class Answers:
    """The part of a `Search` that reads; safe from many threads."""

    _fields: Fields
    _now: Now

    @property
    def now(self) -> Now:
        """What it is now, taken at once; a change of the search puts another in its place."""
        return self._now

    @property
    def fields(self) -> Fields:
        """What of a document is read."""
        return self._fields

    @property
    def collection(self) -> Collection:
        """What it answers from, as it is now."""
        return self._now.collection

    @property
    def retriever(self) -> Retriever:
        """First stage, as it is now; a change of the search puts another in its place."""
        return self._now.collection.retriever

    @property
    def reranker(self) -> Reranker | None:
        """Second stage, likewise, or None."""
        return self._now.collection.reranker

    @property
    def key(self) -> str:
        """Field of a document's id."""
        return self._fields.key

    @property
    def on(self) -> list[str]:
        """Fields that are searched."""
        return list(self._fields.on)

    @property
    def boosts(self) -> dict[str, float]:
        """By how much the words of a field count, of those where that is not 1."""
        return dict(self._fields.boosts)

    @property
    def types(self) -> dict[str, str]:
        """Fields that can be filtered by, and their types."""
        return dict(self._fields.types)

    @property
    def fusion(self) -> FusionSettings:
        """How the stages' rankings are joined where a search does not say; part of an index."""
        return self._now.collection.fusion

    @property
    def keys(self) -> Names:
        """Id of each document, by its number."""
        return self._now.collection.keys

    @property
    def kept(self) -> Documents | None:
        """The documents themselves, or None where they are not kept."""
        return self._now.collection.kept

    @property
    def origin(self) -> State | None:
        """The state of the index that it was loaded from or saved to last, or None."""
        return self._now.origin

    @property
    def is_saved(self) -> bool:
        """Whether `origin` holds all of it."""
        return self._now.is_saved

    def __len__(self) -> int:
        """Return how many documents are stored."""
        return len(self.keys)

    def __bool__(self) -> bool:
        """Return True: an empty search is a search."""
        return True

    def __contains__(self, key: object) -> bool:
        plain = as_key(key)
        return plain is not None and bool(self.keys.find([plain])[0] >= 0)

    def __repr__(self) -> str:
        now = self._now
        stages = ", ".join(map(repr, now.collection.stages().values()))
        place = "" if now.origin is None else f", {str(now.origin.folder)!r}"
        return f"Search({stages}, on={self.on}, {len(now.collection.keys)} documents{place})"

    def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        candidates: int | None = None,
        fuse: Fuse | None = None,
        fuse_weight: float | None = None,
        prune: int | None = None,
        filter: str | Mapping[str, Any] | None = None,
        phrases: bool | None = None,
        timings: bool = False,
    ) -> Results:
        """Return the k best documents for each query.

        Args:
            queries: Any strings.
            k: Documents wanted per query, at least 1.
            candidates: Documents that the retriever hands to the reranker, at least 1; k where
                that is more. None stands for the index's, else the reranker's model's, else 100.
            fuse: How the scores of retriever and reranker are joined; "none" takes the
                reranker's alone. None stands for the index's way, else the model's, else
                "relative".
            fuse_weight: Share of the retriever's score, in [0, 1]. None stands for the index's,
                else the model's, where that is for this way of fusing, else 0.25.
            prune: Candidates that the reranker looks at in one turn, at least 1: it stops after a
                turn that leaves the k best as they were, and may miss what lies further down
                (`docs/fusion.md`). None stands for the index's, else the model's, else all at once.
            filter: Which documents may be found, by the fields that can be filtered by: in words
                such as `year >= 2020 and lang in ("de", "en")` (`glane.collection.where`), or as
                an object such as `{"year": {">=": 2020}, "lang": ["de", "en"]}`. Every stage
                looks at these alone; terms weigh as they do among all documents.
            phrases: Whether each hit of a lexical retriever holds every "exact phrase" that its
                query has in double quotes (`docs/fields-and-phrases.md`); else, and by a model,
                quotes are read as text. None stands for so where documents are kept.
            timings: Whether the results say what each stage took, as `timings`.

        Raises:
            TypeError: If `queries` is one string, or holds something else than strings.
            ValueError: If `k`, `candidates` or `prune` is below 1, or fusion is asked for without a
                reranker or with a wrong method or weight, or the filter cannot be read, names
                another field or a value of another type, or `phrases` is true, a query has one
                and documents are not kept.
            IndexDamaged: If files of the index turn out to be damaged.
        """
        texts = check_texts(queries, "queries")
        now = self._now
        ranking = now.collection.ranking(FusionSettings(fuse, fuse_weight, candidates, prune))
        k, width = widths(now, k, ranking)
        took: Timings | None = {} if timings else None
        ranked = self._ranked(now, texts, (k, width), ranking, filter, phrases, took)
        with damage_named(now):
            with timed(took if ranked.is_fused(ranking) else None, "fuse"):
                hits = ranked.best(k, ranking)
            results = now.collection.named(hits)
        results.timings = took
        return results

    asearch = awaitable(search)

    def _ranked(
        self,
        now: Now,
        texts: list[str],
        sizes: tuple[int, int],
        ranking: Ranking,
        filter: str | Mapping[str, Any] | None,
        phrases: bool | None,
        took: Timings | None = None,
    ) -> Ranked:
        """Return what each stage says of some queries, as `search` takes them.

        Args:
            now: What is searched.
            texts: The queries.
            sizes: From `widths`.
            ranking: How the stages are joined.
            filter: As `search` takes it.
            phrases: Likewise.
            took: What each stage takes is added to it.
        """
        condition = None if filter is None else read_filter(filter)
        is_kept = now.collection.kept is not None
        quoted = self._fields.on if phrases or (phrases is None and is_kept) else []
        with damage_named(now):
            within = None
            if condition is not None:
                with timed(took, "filter"):
                    within = now.collection.within(condition)
            return now.collection.ranked(texts, *sizes, ranking, within, took, quoted)

    def rankings(
        self, queries: Sequence[str], k: int = 10, option: FusionSettings = UNSAID
    ) -> dict[str, Results]:
        """Return the k best documents for each query by each way that a search may rank.

        Args:
            queries: Any strings; quotes are read as text, as those of a collection are meant.
            k: Documents wanted per query, at least 1.
            option: What is asked of this search, as `search` takes it.

        Returns:
            By "retriever" and, where there is a reranker, by "reranked" and "fused"; of the last
            two one is what `search` returns.

        Raises:
            TypeError: As `search`.
            ValueError: Likewise.
            IndexDamaged: Likewise.
        """
        texts = check_texts(queries, "queries")
        now = self._now
        ranking = now.collection.ranking(option)
        k, width = widths(now, k, ranking)
        with damage_named(now):
            ways = now.collection.ranked(texts, k, width, ranking).ways(k, ranking)
            return {way: now.collection.named(hits) for way, hits in ways.items()}

    def ranking(self, option: FusionSettings = UNSAID) -> Ranking:
        """Return how a search ranks, and who said it.

        Args:
            option: What is asked of this search, as `search` takes it.

        Raises:
            ValueError: If fusion is asked for without a reranker.
        """
        return self._now.collection.ranking(option)

    def select(self, filter: str | Mapping[str, Any]) -> list[Key]:
        """Return the ids of all documents that keep a filter, in order of their numbers.

        Args:
            filter: As `search` takes it.

        Raises:
            ValueError: If it cannot be read, names another field or a value of another type.
        """
        now = self._now
        with damage_named(now):
            numbers = np.flatnonzero(now.collection.within(read_filter(filter)))
            return now.collection.keys.names(numbers)

    def documents(self, keys: Iterable[Key]) -> list[dict[str, Any]]:
        """Return documents as they were added.

        Raises:
            TypeError: If `keys` is one string, or holds something else than ids.
            ValueError: If an id is unknown, or documents are not kept.
        """
        return documents_of(self._now, keys)

    def numbers(self, keys: Iterable[Key]) -> Ids:
        """Return the numbers of stored documents, which their stages know them by.

        Raises:
            TypeError: If `keys` is one string, or holds something else than ids.
            ValueError: If an id is unknown.
        """
        return self._now.collection.numbers(keys)

    def stages(self) -> dict[str, Retriever]:
        """Return the stages that there are, by their place, "retriever" and "reranker"."""
        return self._now.collection.stages()

    def n_unsaved_bytes(self) -> int:
        """Return the bytes of what was stored and lies in memory alone."""
        return self._now.collection.n_unsaved_bytes()


def widths(now: Now, k: int, ranking: Ranking) -> tuple[int, int]:
    """Return how many documents are found, and how many are reranked for that."""
    n_documents = max(1, len(now.collection.keys))
    k = min(check_k(k), n_documents)
    return k, min(max(k, ranking.candidates), n_documents)


def documents_of(now: Now, keys: Iterable[Key]) -> list[dict[str, Any]]:
    """Return documents as they were added; see `Answers.documents`."""
    kept = now.collection.kept
    if kept is None:
        raise ValueError("documents are not kept; pass keep_documents=True")
    numbers = now.collection.numbers(keys)
    with damage_named(now):
        return kept.get(numbers)


@contextmanager
def damage_named(now: Now) -> Iterator[None]:
    """Turn an error that damaged files have caused into one that names them."""
    try:
        yield
    except GlaneError:
        raise
    except (ArithmeticError, LookupError, ValueError, MemoryError) as error:
        origin = now.origin
        if origin is None or not (damaged := damaged_files(origin.folder)):
            raise
        raise IndexDamaged(f"{str(origin.folder)!r} is damaged: {', '.join(damaged)}") from error
