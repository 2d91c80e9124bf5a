"""A `Search` is one state: whatever stops a change leaves the old one, and no answer mixes two."""

import os
import pickle
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import glane
from glane import BM25, ColBERT, Search, SparseEmbed, Splade, TfIdf
from glane.retrievers.passages import plain
from glane.store.reading import damaged_files

FIXTURES = Path(__file__).parents[1] / "fixtures"
SECONDS = float(os.environ.get("GLANE_STORE_SECONDS", "3"))
GROUP = 6
SOURCE = str(Path(glane.__file__).parent)
QUERIES = ["tea leaf", "river sun", "stone", "brand new"]
DOCUMENTS = [
    {"id": f"d{number}", "text": f"tea leaf river {number}", "price": number} for number in range(6)
]

MAKERS: dict[str, Callable[[], Search]] = {
    "bm25": lambda: Search(BM25(), keep_documents=True),
    "tfidf": lambda: Search(TfIdf(), keep_documents=True),
    "splade": lambda: Search(Splade.load(FIXTURES / "splade", threads=1)),
    "sparse-embed": lambda: Search(SparseEmbed.load(FIXTURES / "sparse-embed", threads=1)),
    "colbert": lambda: Search(ColBERT.load(FIXTURES / "colbert", threads=1)),
    "bm25 + colbert": lambda: reranked(),
}


def reranked() -> Search:
    colbert = ColBERT.load(FIXTURES / "colbert-int8", threads=1)
    return Search(BM25(), reranker=colbert, keep_documents=True)


def change(search: Search) -> None:
    search.add(
        [
            {"id": "d1", "text": "sun on stones"},
            {"id": "d2", "text": DOCUMENTS[2]["text"], "price": 99},
            {"id": "new", "text": "brand new tea"},
        ]
    )


def delete(search: Search) -> None:
    search.delete(["d0", "d3", "d4", "d5"])


CHANGES = [change, delete, Search.compact]


def answers(search: Search) -> object:
    """Everything that can be asked of a search."""
    found = search.search(QUERIES, k=50)
    kept = None if search.kept is None else [search.documents(row) for row in found.ids]
    return len(search), found, kept


def begun(make: Callable[[], Search], folder: Path | None) -> Search:
    search = make()
    search.add(DOCUMENTS[:4])
    search.add(DOCUMENTS[4:])
    search.delete(["d4"])
    search.add(DOCUMENTS[4:5])
    if folder is not None:
        search.save(folder)
    return search


class Interrupt:
    """Raises KeyboardInterrupt at a call of a function of glane, counted from the begin."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code  # no generators: one that is closed swallows what is raised in it
        if event == "call" and code.co_filename.startswith(SOURCE) and not code.co_flags & 0x20:
            self.count += 1
            if self.count == self.at:
                raise KeyboardInterrupt

    def __enter__(self) -> None:
        sys.settrace(self)

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)


@pytest.mark.faults
@pytest.mark.parametrize("loaded", [False, True], ids=["in memory", "loaded"])
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("work", CHANGES, ids=lambda work: work.__name__)
def test_a_change_interrupted_anywhere_leaves_the_old_state_or_the_new(
    work: Callable[[Search], None], name: str, loaded: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "index" if loaded else None
    search = begun(MAKERS[name], folder)
    before = answers(search)
    work(pickle.loads(pickle.dumps(search)))  # what is loaded once for all is loaded now
    whole, counting = pickle.loads(pickle.dumps(search)), Interrupt(0)
    with counting:
        work(whole)
    after = answers(whole)
    points = random.Random(name).sample(range(1, counting.count), min(8, counting.count - 1))
    for point in [1, *points, counting.count]:
        tried = pickle.loads(pickle.dumps(search))
        stop = Interrupt(point)
        with suppress(KeyboardInterrupt), stop:  # threads may have made a call less: then none
            work(tried)
        assert answers(tried) in (before, after), point
        tried.save(tmp_path / "saved")
        assert answers(Search.load(tmp_path / "saved", threads=1)) == answers(tried)
        assert damaged_files(tmp_path / "saved") == []
        work_again(tried, work)
        assert answers(tried) == after


def work_again(search: Search, work: Callable[[Search], None]) -> None:
    if work is delete:
        search.delete([key for key in ("d0", "d3", "d4", "d5") if key in search])
    else:
        work(search)


@pytest.mark.parametrize("part", ["retriever", "reranker", "keys", "kept"])
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, RuntimeError])
def test_a_part_that_fails_to_store_changes_nothing(part: str, error: type[BaseException]) -> None:
    search = begun(reranked, None)
    before = answers(search)
    stage = getattr(search, part)

    def fail(*arguments: object) -> None:
        raise error

    target = stage.stage.index if part == "reranker" else stage
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "add", fail)
        with pytest.raises(error):
            change(search)
    assert answers(search) == before


def test_searches_while_another_thread_changes_see_one_state(tmp_path: Path) -> None:
    """Groups of documents come and go whole: an answer has one of them, or two that follow."""
    search = reranked()
    search.add(group(0))
    end, errors = time.time() + SECONDS, list[str]()
    newest = [0]

    def ask() -> None:
        try:
            last = 0
            while time.time() < end and not errors:
                first = check_groups(search)
                assert last <= first <= newest[0]
                last = first
        except BaseException as error:
            errors.append(repr(error))
            raise

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    while time.time() < end and not errors:
        newest[0] += 1
        search.add(group(newest[0]))
        search.delete([document["id"] for document in group(newest[0] - 1)])
        if newest[0] % 10 == 0:
            search.compact()
            search.save(tmp_path / "index")
    for thread in threads:
        thread.join()
    assert not errors
    assert newest[0] > 3


def check_groups(search: Search) -> int:
    """Ask a search; what it holds is one whole group, or two that follow; return the first."""
    found = search.search(["tea leaf"], k=100, fuse="relative").ids[0]
    seen = sorted({int(str(key).split("-")[0]) for key in found})
    assert len(found) == GROUP * len(seen), found
    assert seen in ([seen[0]], [seen[0], seen[0] + 1]), found
    return seen[0]


def group(number: int) -> list[dict[str, Any]]:
    return [{"id": f"{number}-{row}", "text": f"tea leaf {row}"} for row in range(GROUP)]


def test_two_threads_that_change_wait_for_one_another() -> None:
    search = Search(BM25())
    threads = [
        threading.Thread(
            target=lambda first=first: [
                search.add([{"id": first + number, "text": f"tea {number}"}])
                for number in range(30)
            ]
        )
        for first in (0, 100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(search) == len(search.search(["tea"], k=100).ids[0]) == 60


def test_a_loaded_search_takes_what_others_commit(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    search = begun(reranked, None)
    search.add([{"id": number, "text": f"tea {number}"} for number in range(50)])
    search.save(folder)
    served = Search.load(folder, threads=1)
    assert served.reranker is not None
    encoder, before = served.reranker.encoder, answers(served)
    assert not served.is_stale
    assert not served.refresh()
    change(search)
    search.save(folder)
    assert served.is_stale
    assert answers(served) == before
    unchanged = {part.name: part for part in served.keys.rows.parts}
    assert served.refresh()
    assert not served.is_stale
    assert answers(served) == answers(search)
    assert served.reranker.encoder is encoder, "the model that is loaded is kept"
    kept = [part for part in served.keys.rows.parts if part.name in unchanged]
    assert kept, "what was open stays open"
    assert all(part.arrays is unchanged[part.name].arrays for part in kept)


def test_refreshing_takes_an_index_of_another_model_too(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    begun(MAKERS["colbert"], folder)
    served = Search.load(folder, threads=1)
    other = begun(MAKERS["splade"], folder)
    assert served.refresh()
    assert answers(served) == answers(other)
    assert isinstance(plain(served.retriever), Splade)


def test_a_search_that_was_changed_is_not_refreshed(tmp_path: Path) -> None:
    search = begun(MAKERS["bm25"], tmp_path / "index")
    other = Search.load(tmp_path / "index")
    other.delete(["d1"])
    other.save(tmp_path / "index")
    search.delete(["d2"])
    with pytest.raises(ValueError, match="only a search that is as its index was"):
        search.refresh()
    assert "d1" in search
    assert "d2" not in search
    with pytest.raises(ValueError, match="only a search that is as its index was"):
        Search(BM25()).refresh()


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("saved", ["never", "as it is", "changed since"])
def test_a_pickled_search_answers_the_same(name: str, saved: str, tmp_path: Path) -> None:
    search = begun(MAKERS[name], None if saved == "never" else tmp_path / "index")
    if saved == "changed since":
        change(search)
    for made in (pickle.loads(pickle.dumps(search)), deepcopy(search)):
        assert answers(made) == answers(search)
        made.add([{"id": "more", "text": "more tea"}])
        assert "more" in made
        assert "more" not in search
    if saved == "as it is":
        assert len(pickle.dumps(search)) < 1000


def test_a_search_is_true_and_says_what_it_is(tmp_path: Path) -> None:
    search = Search(BM25())
    assert search
    begun(reranked, tmp_path / "index")
    shown = repr(Search.load(tmp_path / "index", threads=1))
    assert shown.startswith("Search(BM25(")
    for part in ("ColBERT(", "6 documents", str(tmp_path / "index")):
        assert part in shown
