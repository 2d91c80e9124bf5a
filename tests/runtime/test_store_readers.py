"""Readers in threads and processes while a writer works: each answer is of one committed state."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from glane import BM25, Search
from glane.store import files

SECONDS = float(os.environ.get("GLANE_STORE_SECONDS", "3"))
"""How long they work; 30 in CI."""

ROWS = 12


def check(search: Search) -> int:
    """Ask an index; each of its states is all of one generation, and return that."""
    ids, scores = search.search(["tea"], k=100)
    texts = {str(document["text"]) for document in search.documents(ids[0])}
    assert len(texts) == 1, f"documents of several states: {texts}"
    assert len(set(scores[0])) == 1
    generation = int(texts.pop().split()[1])
    assert len(ids[0]) == len(search) == ROWS + generation % 5
    return generation


def read(folder: Path, end: float) -> int:
    """Open and search until the time is over; return how many states were seen."""
    seen: set[int] = set()
    last = 0
    while time.time() < end:
        search = Search.load(folder)
        generation = check(search)
        assert generation >= last
        last = generation
        seen.add(generation)
        for _ in range(5):
            assert check(search) == generation
    return len(seen)


def write(folder: Path, generation: int) -> None:
    """Make the next state: every document anew, and as many as the generation says."""
    n_documents = ROWS + generation % 5
    with Search.edit(folder) as search:
        surplus = [key for key in range(n_documents, 100) if key in search]
        search.delete(surplus)
        search.add({"id": key, "text": f"tea {generation}"} for key in range(n_documents))
        if generation % 7 == 0:
            search.compact()


def test_readers_see_one_state_whatever_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_sync", lambda path: None)
    folder = tmp_path / "index"
    search = Search(BM25(), keep_documents=True)
    search.add({"id": key, "text": "tea 0"} for key in range(ROWS))
    search.save(folder)
    end = time.time() + SECONDS
    argv = [sys.executable, __file__, str(folder), str(end)]
    processes = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors: list[BaseException] = []

    def read_in_thread() -> None:
        try:
            read(folder, end)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read_in_thread) for _ in range(8)]
    for thread in threads:
        thread.start()
    generation = 0
    while time.time() < end and not errors:
        generation += 1
        write(folder, generation)
    for thread in threads:
        thread.join()
    for process in processes:
        printed = process.communicate()[1]
        assert process.returncode == 0, printed
    assert errors == []
    assert check(Search.load(folder)) == generation > 0


if __name__ == "__main__":
    read(Path(sys.argv[1]), float(sys.argv[2]))
