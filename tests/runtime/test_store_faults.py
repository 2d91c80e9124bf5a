"""What an index is after its writer was killed, the power went, or the disk was full.

Every change of the disk goes through `glane.store.files`; here each of its operations fails once.
"""

import errno
import gc
import os
import shutil
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, Search
from glane.store import files

OPERATIONS = (
    *("make_folder", "write", "sync", "sync_folder"),
    *("replace", "remove", "remove_folder"),
)
QUERIES = ["tea", "leaf river", "stone", "water moss"]

Before = Callable[[str, tuple[Any, ...]], None]


def documents(first: int, last: int) -> list[dict[str, Any]]:
    words = ["tea", "leaf", "river", "stone", "moss"]
    return [
        {"id": f"d{number}", "text": f"{words[number % 5]} {words[number % 3]} w{number}"}
        for number in range(first, last)
    ]


def add(search: Search) -> None:
    search.add([*documents(18, 30), {"id": "d3", "text": "water"}])


def delete(search: Search) -> None:
    search.delete(["d1", "d17"])


def compact(search: Search) -> None:
    search.compact()


ACTIONS = pytest.mark.parametrize("action", [add, delete, compact], ids=lambda f: f.__name__)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no disk: what a kill leaves the kernel has, and power cuts are replayed."""
    monkeypatch.setattr(files, "_sync", lambda path: None)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two segments, some rows of both deleted."""
    folder = tmp_path_factory.mktemp("base") / "index"
    search = Search(BM25(), keep_documents=True)
    search.add(documents(0, 14))
    search.delete(["d2"])
    search.save(folder)
    search.add(documents(14, 20))
    search.delete(["d15", "d4"])
    search.save(folder)
    return folder


def copy(folder: Path, target: Path) -> Path:
    """Link the files of an index, none of which ever changes, into another folder."""
    shutil.copytree(folder, target, copy_function=os.link, ignore=shutil.ignore_patterns("lock"))
    return target


def change(folder: Path, action: Callable[[Search], None]) -> None:
    with Search.edit(folder) as search:
        action(search)


def state(folder: Path) -> object:
    """Everything that can be asked of an index."""
    search = Search.load(folder)
    found = search.search(QUERIES, k=50)
    assert search.kept is not None
    return len(search), found, [search.documents(row) for row in found.ids]


def check_next_write(folder: Path) -> None:
    with Search.edit(folder) as search:
        before = len(search)
        search.add([{"id": "next", "text": "another one"}])
    assert len(Search.load(folder)) == before + 1
    named = {path.name for path in folder.iterdir()}
    assert named == {"lock", "manifest.json", "segments"}


def intercept(patch: pytest.MonkeyPatch, before: Before) -> None:
    """Call `before` with name and arguments ahead of every operation on files."""

    def wrap(name: str, operation: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:  # noqa: ANN401
            if name == "write":
                arguments = (arguments[0], list(map(bytes, arguments[1])))
            before(name, arguments)
            operation(*arguments)

        return call

    for name in OPERATIONS:
        patch.setattr(files, name, wrap(name, getattr(files, name)))


def recorded(work: Callable[[], None]) -> list[tuple[str, tuple[Any, ...]]]:
    """Do some work, and return the operations on files that did it."""
    operations: list[tuple[str, tuple[Any, ...]]] = []
    with pytest.MonkeyPatch.context() as patch:
        intercept(patch, lambda *operation: operations.append(operation))
        work()
    return operations


def half_written(path: Path, chunks: Iterable[bytes]) -> None:
    content = b"".join(chunks)
    path.write_bytes(content[: len(content) // 2])


def killed_at(number: int, folder: Path, action: Callable[[Search], None]) -> None:
    """Change an index in another process, which is killed ahead of one operation, or within it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads, of which the child has none
        child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the change ended before it could be killed"
        return
    gc.disable()  # what others left may end by joining threads, which this process does not have
    count = 0

    def kill(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if count == number:
            if name == "write":
                half_written(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    try:
        intercept(pytest.MonkeyPatch(), kill)
        change(folder, action)
    finally:
        os._exit(0)


@ACTIONS
def test_a_writer_killed_at_any_operation_leaves_the_last_committed_state(
    action: Callable[[Search], None], base: Path, tmp_path: Path
) -> None:
    whole = copy(base, tmp_path / "whole")
    names = [name for name, _ in recorded(partial(change, whole, action))]
    before, after = state(base), state(whole)
    committed = names.index("replace")
    for number in range(len(names)):
        folder = copy(base, tmp_path / f"killed-{number}")
        killed_at(number, folder, action)
        assert state(folder) == (after if number > committed else before), names[number]
        check_next_write(folder)
        shutil.rmtree(folder)


def test_there_are_enough_places_to_be_killed_at(base: Path, tmp_path: Path) -> None:
    count = 0
    for action in (add, delete, compact):
        work = partial(change, copy(base, tmp_path / action.__name__), action)
        count += len(recorded(work))
    assert count >= 200


@dataclass(eq=False)
class Node:
    """A file or a folder: what a process sees of it, and what the disk has."""

    content: bytes = b""
    on_disk: bytes = b""
    entries: dict[str, "Node"] = field(default_factory=dict)
    entries_on_disk: dict[str, "Node"] = field(default_factory=dict)
    is_folder: bool = False


class Disk:
    """A folder on a disk that keeps only what was synced."""

    def __init__(self, root: Path) -> None:
        self.path = root
        self.root = self._read(root)

    def _read(self, path: Path) -> Node:
        if path.is_file():
            return Node(path.read_bytes(), path.read_bytes())
        entries = {below.name: self._read(below) for below in path.iterdir()}
        return Node(entries=dict(entries), entries_on_disk=dict(entries), is_folder=True)

    def _node(self, path: Path) -> Node:
        node = self.root
        for name in path.relative_to(self.path).parts:
            node = node.entries[name]
        return node

    def apply(self, operation: str, arguments: tuple[Any, ...], *, eager_renames: bool) -> None:
        """Do one operation.

        Args:
            operation: Its name.
            arguments: Its arguments, the path first.
            eager_renames: Whether a rename is on the disk at once, before other names.
        """
        path, *rest = arguments
        folder = self.root if path == self.path else self._node(path.parent)
        if operation in ("make_folder", "write"):
            made = Node(is_folder=operation == "make_folder")
            made.content = b"".join(rest[0]) if rest else b""
            folder.entries[path.name] = made
        elif operation == "sync":
            self._node(path).on_disk = self._node(path).content
        elif operation == "sync_folder":
            self._node(path).entries_on_disk = dict(self._node(path).entries)
        elif operation == "replace":
            folder.entries[rest[0].name] = folder.entries.pop(path.name)
            if eager_renames:
                folder.entries_on_disk[rest[0].name] = folder.entries[rest[0].name]
        else:
            del folder.entries[path.name]

    def after_power_cut(self, *, names_kept: bool) -> dict[str, bytes | None]:
        """Return what is left, by path; folders have no content.

        Args:
            names_kept: Whether names that were not synced are there, and only content is lost.
        """
        left: dict[str, bytes | None] = {}

        def walk(node: Node, path: str) -> None:
            for name, below in (node.entries if names_kept else node.entries_on_disk).items():
                left[f"{path}{name}"] = None if below.is_folder else below.on_disk
                walk(below, f"{path}{name}/")

        walk(self.root, "")
        return left


def materialized(left: dict[str, bytes | None], folder: Path) -> Path:
    folder.mkdir()
    for name, content in left.items():
        (folder / name).mkdir() if content is None else (folder / name).write_bytes(content)
    return folder


def states_after_power_cut(
    base: Path, folder: Path, operations: list[tuple[str, tuple[Any, ...]]]
) -> Iterator[dict[str, bytes | None]]:
    """Yield every different folder that a power cut between two operations may leave."""
    seen: set[frozenset[tuple[str, bytes | None]]] = set()
    for eager_renames in (False, True):
        disk = Disk(base)
        for number in range(len(operations) + 1):
            for names_kept in (False, True):
                left = disk.after_power_cut(names_kept=names_kept)
                key = frozenset(left.items())
                if key not in seen:
                    seen.add(key)
                    yield left
            if number < len(operations):
                name, (path, *rest) = operations[number]
                moved = base / path.relative_to(folder)
                disk.apply(name, (moved, *rest), eager_renames=eager_renames)


@ACTIONS
def test_a_power_cut_at_any_operation_leaves_the_old_state_or_the_new(
    action: Callable[[Search], None], base: Path, tmp_path: Path
) -> None:
    whole = copy(base, tmp_path / "whole")
    operations = recorded(partial(change, whole, action))
    before, after = state(base), state(whole)
    found = []
    for left in states_after_power_cut(base, whole, operations):
        folder = materialized(left, tmp_path / "cut")
        found.append(state(folder))
        assert found[-1] in (before, after)
        check_next_write(folder)
        shutil.rmtree(folder)
    assert found[0] == before
    assert after in found


def test_a_power_cut_at_the_first_save_leaves_nothing_or_all(tmp_path: Path) -> None:
    for name in ("base", "index"):
        (tmp_path / name).mkdir()

    def save() -> None:
        search = Search(BM25(), keep_documents=True)
        search.add(documents(0, 3))
        search.save(tmp_path / "index")

    operations = recorded(save)
    after = state(tmp_path / "index")
    for left in states_after_power_cut(tmp_path / "base", tmp_path / "index", operations):
        folder = materialized(left, tmp_path / "cut")
        assert not (folder / "manifest.json").exists() or state(folder) == after
        shutil.rmtree(folder)


@ACTIONS
def test_a_full_disk_at_any_write_changes_nothing(
    action: Callable[[Search], None], base: Path, tmp_path: Path
) -> None:
    whole = copy(base, tmp_path / "whole")
    names = [name for name, _ in recorded(partial(change, whole, action))]
    before, after = state(base), state(whole)
    for number in range(names.count("write")):
        folder = copy(base, tmp_path / f"full-{number}")
        search = Search.load(folder)
        action(search)
        left = number

        def fill(name: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if name == "write":
                left -= 1
                if left < 0:
                    half_written(*arguments)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        there = {path for path in folder.rglob("*") if path.name != "lock"}
        with pytest.MonkeyPatch.context() as patch:
            intercept(patch, fill)
            with pytest.raises(OSError, match="No space left"):
                search.save(folder)
        assert state(folder) == before
        assert {path for path in folder.rglob("*") if path.name != "lock"} == there
        search.save(folder)
        assert state(folder) == after


def test_a_full_disk_at_the_first_save_leaves_nothing(tmp_path: Path) -> None:
    def fill(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "write":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    search = Search(BM25())
    search.add(documents(0, 3))
    with pytest.MonkeyPatch.context() as patch:
        intercept(patch, fill)
        with pytest.raises(OSError, match="No space left"):
            search.save(tmp_path / "index")
    assert list(tmp_path.iterdir()) == []
    search.save(tmp_path / "index")
    assert len(Search.load(tmp_path / "index")) == 3
