"""What an index is after its writer was killed, the power went, or the disk was full.

Every change of the disk goes through `glane.store.files`; here each of its operations fails once.
"""

import errno
import gc
import os
import shutil
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, ColBERT, Search, Splade, TokenStorage
from glane.store import files
from glane.store.manifest import DRAFT, MANIFEST, read_manifest

OPERATIONS = (
    *("make_folder", "write", "sync", "sync_folder"),
    *("replace", "remove", "remove_folder"),
)
QUERIES = ["tea", "leaf river", "stone", "water moss"]
FIXTURES = Path(__file__).parents[1] / "fixtures"

Before = Callable[[str, tuple[Any, ...]], None]


def documents(first: int, last: int) -> list[dict[str, Any]]:
    words = ["tea", "leaf", "river", "stone", "moss"]
    return [
        {"id": f"d{number}", "text": f"{words[number % 5]} {words[number % 3]} w{number}"}
        for number in range(first, last)
    ]


def lexical() -> Search:
    return Search(BM25(), keep_documents=True)


def neural() -> Search:
    """Two models, token vectors with outlines, and the documents."""
    colbert = ColBERT.load(FIXTURES / "colbert-int8", threads=1)
    colbert.store_as(TokenStorage(kind="int8", outlines=True))
    splade = Splade.load(FIXTURES / "splade", threads=1)
    return Search(splade, reranker=colbert, keep_documents=True)


KINDS = {"lexical": lexical, "neural": neural}


def edited(change: Callable[[Search], None], folder: Path, make: Callable[[], Search]) -> None:
    with Search.edit(folder, threads=1) as search:
        change(search)


def add(search: Search) -> None:
    search.add([*documents(18, 30), {"id": "d3", "text": "water"}])


def touch(search: Search) -> None:
    """Change a field that is not searched: what was encoded is stored again."""
    search.add([{**documents(5, 6)[0], "price": 3}, documents(40, 41)[0]])


def delete(search: Search) -> None:
    search.delete(["d1", "d17"])


def compact(search: Search) -> None:
    search.compact()


def replace(folder: Path, make: Callable[[], Search]) -> None:
    """Another index in place of the old one, its models included."""
    search = make()
    search.add(documents(50, 58))
    search.save(folder)


def build(folder: Path, make: Callable[[], Search]) -> None:
    """The same, chunk by chunk, as `glane index --overwrite` does."""
    search = make()
    with search.building(folder, overwrite=True):
        for first in (60, 64):
            search.add(documents(first, first + 4))
            search.save(folder)


Action = Callable[[Path, Callable[[], Search]], None]
EDITS = {change.__name__: partial(edited, change) for change in (add, touch, delete, compact)}
CHANGES: dict[str, Action] = {**EDITS, "replace": replace, "build": build}
ACTIONS = pytest.mark.parametrize("action", CHANGES)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no disk: what a kill leaves the kernel has, and power cuts are replayed."""
    monkeypatch.setattr(files, "_sync", lambda path: None)


@dataclass(frozen=True)
class Case:
    """An index to be changed.

    Attributes:
        folder: Two segments, some rows of both deleted.
        make: Makes an empty search of its kind.
    """

    folder: Path
    make: Callable[[], Search]


@pytest.fixture(
    scope="module", params=["lexical", pytest.param("neural", marks=pytest.mark.faults)]
)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    make = KINDS[request.param]
    return Case(first_index(make, tmp_path_factory.mktemp("base") / "index"), make)


def first_index(make: Callable[[], Search], folder: Path) -> Path:
    search = make()
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


def state(folder: Path) -> object:
    """Everything that can be asked of an index."""
    search = Search.load(folder, threads=1)
    found = search.search(QUERIES, k=50)
    assert search.kept is not None
    return len(search), found, [search.documents(row) for row in found.ids]


def check_next_write(folder: Path) -> None:
    """Write once more; nothing may lie about that neither index nor draft names."""
    with Search.edit(folder, threads=1) as search:
        before = len(search)
        search.add([{"id": "next", "text": "another one"}])
    assert len(Search.load(folder, threads=1)) == before + 1
    named = {"lock"}
    for manifest in (MANIFEST, DRAFT):
        if (folder / manifest).exists():
            named |= {manifest, *read_manifest(folder, manifest).files}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == named


def check_next_build(folder: Path, make: Callable[[], Search], wanted: object) -> None:
    """Do the build again: it goes on from what is there, and leaves nothing else."""
    build(folder, make)
    assert state(folder) == wanted
    assert not (folder / DRAFT).exists()


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


def killed_at(number: float, folder: Path, work: Callable[[], None]) -> None:
    """Change an index in another process, which is killed ahead of one operation, or within it.

    Args:
        number: The operation; half of one more is in the midst of it, where it is a write.
        folder: The index.
        work: Changes it.
    """
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
        if count == int(number):
            if number > count:
                half_written(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    try:
        intercept(pytest.MonkeyPatch(), kill)
        work()
    finally:
        os._exit(0)


def places_to_be_killed_at(names: Sequence[str]) -> list[float]:
    """Return each operation, and the midst of each write."""
    halves = [number + 0.5 for number, name in enumerate(names) if name == "write"]
    return sorted([*range(len(names)), *halves])


@ACTIONS
def test_a_writer_killed_at_any_operation_leaves_the_last_committed_state(
    action: str, base: Case, tmp_path: Path
) -> None:
    change = CHANGES[action]
    whole = copy(base.folder, tmp_path / "whole")
    operations = recorded(partial(change, whole, base.make))
    before, after = state(base.folder), state(whole)
    names = [name for name, _ in operations]
    committed = [
        name == "replace" and arguments[1].name == MANIFEST for name, arguments in operations
    ].index(True)
    for number in places_to_be_killed_at(names):
        folder = copy(base.folder, tmp_path / f"killed-{number}")
        killed_at(number, folder, partial(change, folder, base.make))
        assert state(folder) == (after if number > committed else before), names[int(number)]
        if action == "build" and number <= committed:
            check_next_build(folder, base.make, after)
        check_next_write(folder)
        shutil.rmtree(folder)


@pytest.mark.faults
def test_there_are_enough_places_for_faults(tmp_path: Path) -> None:
    """Kills, power cuts and full disks on the index that has all: models, documents, vectors."""
    count = 0
    folder = first_index(neural, tmp_path / "index")
    for action, change in CHANGES.items():
        whole = copy(folder, tmp_path / action)
        operations = recorded(partial(change, whole, neural))
        names = [name for name, _ in operations]
        cuts = list(states_after_power_cut(folder, whole, operations))
        count += len(places_to_be_killed_at(names)) + len(cuts) + names.count("write")
    assert count >= 400


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
    action: str, base: Case, tmp_path: Path
) -> None:
    whole = copy(base.folder, tmp_path / "whole")
    operations = recorded(partial(CHANGES[action], whole, base.make))
    before, after = state(base.folder), state(whole)
    found = []
    for left in states_after_power_cut(base.folder, whole, operations):
        folder = materialized(left, tmp_path / "cut")
        found.append(state(folder))
        assert found[-1] in (before, after)
        if action == "build" and found[-1] == before:
            check_next_build(folder, base.make, after)
        check_next_write(folder)
        shutil.rmtree(folder)
    assert found[0] == before
    assert after in found


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_power_cut_at_the_first_save_leaves_nothing_or_all(
    make: Callable[[], Search], tmp_path: Path
) -> None:
    for name in ("base", "index"):
        (tmp_path / name).mkdir()

    def save() -> None:
        search = make()
        search.add(documents(0, 3))
        search.save(tmp_path / "index")

    operations = recorded(save)
    after = state(tmp_path / "index")
    for left in states_after_power_cut(tmp_path / "base", tmp_path / "index", operations):
        folder = materialized(left, tmp_path / "cut")
        assert not (folder / "manifest.json").exists() or state(folder) == after
        shutil.rmtree(folder)


@ACTIONS
def test_a_full_disk_at_any_write_changes_nothing(action: str, base: Case, tmp_path: Path) -> None:
    change = CHANGES[action]
    whole = copy(base.folder, tmp_path / "whole")
    names = [name for name, _ in recorded(partial(change, whole, base.make))]
    before, after = state(base.folder), state(whole)
    for number in range(names.count("write")):
        folder = copy(base.folder, tmp_path / f"full-{number}")
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
            with pytest.raises(OSError, match=r"No space left.*; the index is as before"):
                change(folder, base.make)
        assert state(folder) == before
        if action != "build":  # which leaves what it has committed of its draft
            assert {path for path in folder.rglob("*") if path.name != "lock"} == there
        change(folder, base.make)
        assert state(folder) == after


def test_a_search_whose_save_met_a_full_disk_can_be_saved(base: Case, tmp_path: Path) -> None:
    folder = copy(base.folder, tmp_path / "index")
    search = Search.load(folder, threads=1)
    add(search)
    with pytest.MonkeyPatch.context() as patch:
        intercept(patch, full)
        with pytest.raises(OSError, match="No space left"):
            search.save(folder)
    answers = search.search(QUERIES, k=50)
    search.save(folder)
    assert Search.load(folder, threads=1).search(QUERIES, k=50) == answers


def full(name: str, arguments: tuple[Any, ...]) -> None:
    """Let every write end in a full disk, before its first byte."""
    if name == "write":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_at_the_first_save_leaves_nothing(tmp_path: Path) -> None:
    search = Search(BM25())
    search.add(documents(0, 3))
    with pytest.MonkeyPatch.context() as patch:
        intercept(patch, full)
        with pytest.raises(OSError, match="No space left"):
            search.save(tmp_path / "index")
    assert list(tmp_path.iterdir()) == []
    search.save(tmp_path / "index")
    assert len(Search.load(tmp_path / "index")) == 3
