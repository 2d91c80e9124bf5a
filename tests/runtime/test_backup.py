"""Backups of a live index: one committed state, whole or not there, and restored as it was."""

import errno
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, CheckpointError, ColBERT, IndexDamaged, LockedError, Search, Splade
from glane.commands.main import main
from glane.store import copying, files
from glane.store.copying import copy_index
from glane.store.lock import writing
from glane.store.manifest import DRAFT, MANIFEST, read_manifest
from glane.store.reading import damaged_files

FIXTURES = Path(__file__).parents[1] / "fixtures"
OPERATIONS = ("make_folder", "write", "sync", "sync_folder", "replace", "remove")
QUERIES = ["tea", "leaf river", "stone", "Straße 茶"]
ROWS = 12


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_sync", lambda path: None)


def documents(n_documents: int, word: str = "tea") -> list[dict[str, Any]]:
    words = [word, "leaf", "river", "stone", "Straße 茶"]
    return [
        {"id": f"é{number}" if number % 2 else number, "text": f"{words[number % 5]} w{number}"}
        for number in range(n_documents)
    ]


def answers(folder: Path) -> object:
    search = Search.load(folder, threads=1, verify=True)
    found = search.search(QUERIES, k=50)
    return len(search), found, None if search.kept is None else search.documents(found.ids[0])


def lexical(folder: Path) -> None:
    search = Search(BM25(), keep_documents=True)
    search.add(documents(ROWS))
    search.delete(["é1"])
    search.save(folder)


def neural(folder: Path, model: Path = FIXTURES / "colbert-int8", *, link: bool = False) -> None:
    search = Search(
        Splade.load(FIXTURES / "splade", threads=1),
        reranker=ColBERT.load(model, threads=1),
        keep_documents=True,
    )
    search.add(documents(ROWS))
    search.delete(["é1"])
    search.save(folder, link=link)


def copytree(source: Path, target: Path) -> None:
    shutil.copytree(source, target)


MAKERS: dict[str, Callable[[Path], None]] = {
    "lexical": lexical,
    "neural": neural,
    "format 1": lambda folder: copytree(FIXTURES / "index-format-1", folder),
    "retriever alone": lambda folder: BM25().save(folder),
    "empty": lambda folder: Search(BM25()).save(folder),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_backup_is_the_state_and_is_restored_as_it_was(name: str, tmp_path: Path) -> None:
    index, backup, again = (tmp_path / each for each in ("index", "backup", "again"))
    MAKERS[name](index)
    made = copy_index(index, backup)
    assert made.n_written == len(made.manifest.files)
    copy_index(backup, again)
    for folder in (backup, again):
        assert damaged_files(folder) == []
        assert read_manifest(folder) == read_manifest(index)
        assert {path.name for path in folder.iterdir()} <= {"segments", "models", "lock", MANIFEST}
        if "search" in made.manifest.settings:
            assert answers(folder) == answers(index)
    (BM25.load(again) if name == "retriever alone" else Search.load(again, threads=1))


def test_backups_made_while_a_writer_commits_and_compacts_are_each_of_one_state(
    tmp_path: Path,
) -> None:
    index, newest, done = tmp_path / "index", tmp_path / "newest", threading.Event()

    def write(generation: int) -> None:
        n_documents = ROWS + generation % 5
        with Search.edit(index) as search:
            search.delete([key for key in range(n_documents, 100) if key in search])
            search.add({"id": key, "text": f"tea {generation}"} for key in range(n_documents))
            if generation % 3 == 0:
                search.compact()

    search = Search(BM25(), keep_documents=True)
    search.add({"id": key, "text": "tea 0"} for key in range(ROWS))
    search.save(index)

    def keep_writing() -> None:
        generation = 0
        while not done.is_set():
            generation += 1
            write(generation)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        seen = []
        for number in range(25):
            copy_index(index, tmp_path / f"{number}")
            copy_index(index, newest, overwrite=True)
            seen += [generation_of(tmp_path / f"{number}"), generation_of(newest)]
    finally:
        done.set()
        writer.join()
    assert seen == sorted(seen)
    assert len(set(seen)) > 1
    copy_index(index, newest, overwrite=True)
    assert answers(newest) == answers(index)


def generation_of(folder: Path) -> int:
    """Look at an index whose states are each of one generation alone, and return that."""
    search = Search.load(folder, verify=True)
    ids = search.search(["tea"], k=100).ids[0]
    texts = {str(document["text"]) for document in search.documents(ids)}
    assert len(texts) == 1
    generation = int(texts.pop().split()[1])
    assert len(ids) == len(search) == ROWS + generation % 5
    return generation


def test_files_that_a_writer_removes_meanwhile_are_copied_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    lexical(index)
    before, commit = answers(index), copying._commit

    def late(*arguments: Any) -> Any:  # noqa: ANN401 (what `_commit` takes and returns)
        with Search.edit(index) as search:
            search.delete([0, "é3"])
            search.compact()
        return commit(*arguments)

    monkeypatch.setattr(copying, "_commit", late)
    copy_index(index, tmp_path / "backup")
    assert answers(tmp_path / "backup") == before != answers(index)


class Fault:
    """Ends the process, or fills the disk, at one of the operations that change the disk."""

    def __init__(self, at: int, *, kill: bool) -> None:
        self.at, self.kill, self.count = at, kill, 0
        self.true = {name: getattr(files, name) for name in OPERATIONS}

    def __enter__(self) -> "Fault":
        for name in OPERATIONS:
            setattr(files, name, self._failing(name))
        return self

    def __exit__(self, *error: object) -> None:
        for name, true in self.true.items():
            setattr(files, name, true)

    def _failing(self, name: str) -> Callable[..., None]:
        def call(*arguments: Any) -> None:  # noqa: ANN401 (what the operation takes)
            self.count += 1
            if self.count == self.at:
                self._fail(name, arguments)
            self.true[name](*arguments)

        return call

    def _fail(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "write":  # half of it is there
            path, chunks = arguments
            self.true["write"](path, half(chunks))
        if self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))


def half(chunks: Iterable[bytes]) -> list[bytes]:
    content = b"".join(chunks)
    return [content[: len(content) // 2]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An index, and a later state of it."""
    folder = tmp_path_factory.mktemp("two")
    lexical(folder / "old")
    shutil.copytree(folder / "old", folder / "new")
    with Search.edit(folder / "new") as search:
        search.add([{"id": "new", "text": "tea leaf"}, {"id": 0, "text": "stone"}])
        search.compact()
    return folder / "old", folder / "new"


def target_of(two: tuple[Path, Path], over: str, folder: Path) -> tuple[Path, Path]:
    """Make what is to be copied, and what is to be copied over."""
    old, new = two
    target = folder / "target"
    if over != "nothing":
        shutil.copytree(old, target)
    if over == "a damaged index":
        victim = max(target.glob("segments/*"), key=lambda path: path.stat().st_size)
        victim.write_bytes(b"0" * victim.stat().st_size)
        return old, target
    return new, target


OVER = pytest.mark.parametrize("over", ["nothing", "an older state", "a damaged index"])


def count_operations(source: Path, target: Path, tmp_path: Path) -> int:
    tried = tmp_path / "tried"
    if target.exists():
        shutil.copytree(target, tried)
    with Fault(-1, kill=False) as counting:
        copy_index(source, tried, overwrite=True)
    return counting.count


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@OVER
def test_a_backup_that_is_killed_is_there_whole_or_not_at_all(
    over: str, two: tuple[Path, Path], tmp_path: Path
) -> None:
    source, target = target_of(two, over, tmp_path)
    wanted = answers(source)
    for at in range(1, count_operations(source, target, tmp_path) + 1):
        folder = tmp_path / f"{at}"
        if target.exists():
            shutil.copytree(target, folder)
        child = os.fork()
        if not child:
            with Fault(at, kill=True):
                copy_index(source, folder, overwrite=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        if (folder / MANIFEST).exists():
            if over != "a damaged index":
                assert answers(folder) in (wanted, answers(two[0]))
        else:
            assert over == "nothing"
            if folder.exists():
                with pytest.raises(IndexDamaged, match=r"has no manifest\.json"):
                    Search.load(folder)
        copy_index(source, folder, overwrite=True)
        assert answers(folder) == wanted
        assert read_manifest(folder) == read_manifest(source)
        left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert left - {"lock"} == {MANIFEST, *read_manifest(source).files}


@OVER
def test_a_full_disk_leaves_what_was_there(
    over: str, two: tuple[Path, Path], tmp_path: Path
) -> None:
    source, target = target_of(two, over, tmp_path)
    for at in range(1, count_operations(source, target, tmp_path) + 1):
        folder = tmp_path / f"{at}"
        if target.exists():
            shutil.copytree(target, folder)
        with Fault(at, kill=False), pytest.raises(OSError, match="No space left"):
            copy_index(source, folder, overwrite=True)
        if over == "nothing":
            assert not (folder / MANIFEST).exists() or answers(folder) == answers(source)
        elif over == "an older state":
            assert answers(folder) in (answers(source), answers(two[0]))
        copy_index(source, folder, overwrite=True)
        assert answers(folder) == answers(source)


def test_a_second_backup_into_the_folder_copies_only_what_is_new(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    old, new = two
    copy_index(old, tmp_path / "backup")
    again = copy_index(old, tmp_path / "backup", overwrite=True)
    assert again.n_written == 0
    copy_index(new, tmp_path / "backup", overwrite=True)
    assert answers(tmp_path / "backup") == answers(new)
    names = {f"segments/{path.name}" for path in (tmp_path / "backup" / "segments").iterdir()}
    assert names == set(read_manifest(new).files), "what the new state does not have is gone"


def test_readers_of_an_index_go_on_and_find_what_was_restored(tmp_path: Path) -> None:
    index, backup = tmp_path / "index", tmp_path / "backup"
    neural(index)
    before = answers(index)
    copy_index(index, backup)
    with Search.edit(index, threads=1) as search:
        search.delete([0, 2])
        search.compact()
    reader = Search.load(index, threads=1)
    assert reader.reranker is not None
    found, encoder = reader.search(QUERIES, k=50), reader.reranker.encoder
    copy_index(backup, index, overwrite=True)
    assert reader.search(QUERIES, k=50) == found
    assert reader.is_stale
    assert reader.refresh()
    assert reader.reranker.encoder is encoder
    assert (len(reader), reader.search(QUERIES, k=50)) == before[:2]  # type: ignore[index]
    with Search.edit(index, threads=1) as search:
        search.add([{"id": "later", "text": "tea"}])
    assert reader.refresh()
    assert "later" in reader


def test_a_model_that_is_only_named_is_in_the_backup(tmp_path: Path) -> None:
    index, backup, model = (tmp_path / each for each in ("index", "backup", "model"))
    shutil.copytree(FIXTURES / "colbert-int8", model)
    neural(index, model, link=True)
    before = answers(index)
    made = copy_index(index, backup)
    assert made.linked == {"retriever": str(FIXTURES / "splade"), "reranker": str(model)}
    shutil.rmtree(model)
    assert answers(backup) == before
    with pytest.raises(CheckpointError):
        copy_index(index, tmp_path / "late")
    shutil.copytree(FIXTURES / "colbert", model)
    with pytest.raises(CheckpointError, match=r"names the model .*, which is \w+ now, not"):
        copy_index(index, tmp_path / "late")
    assert not (tmp_path / "late").exists()
    copy_index(backup, index, overwrite=True)
    assert answers(index) == before
    assert {path.parent.parent.name for path in index.glob("models/*/model.onnx")} == {"models"}


def test_a_draft_is_not_copied_and_does_not_outlive_a_restore(tmp_path: Path) -> None:
    index, backup = tmp_path / "index", tmp_path / "backup"
    lexical(index)
    building = Search(BM25())
    with suppress(KeyboardInterrupt), building.building(index, overwrite=True):
        building.add(documents(2))
        building.save(index)
        raise KeyboardInterrupt
    assert (index / DRAFT).exists()
    copy_index(index, backup)
    assert not (backup / DRAFT).exists()
    copy_index(backup, index, overwrite=True)
    assert not (index / DRAFT).exists()
    assert answers(index) == answers(backup)


def test_damage_is_found_on_both_ways(tmp_path: Path) -> None:
    index, backup = tmp_path / "index", tmp_path / "backup"
    lexical(index)
    copy_index(index, backup)
    for folder, other in ((index, "more"), (backup, "back")):
        victim = next(
            path for path in folder.glob("segments/documents-*") if "deleted" not in path.name
        )
        content = victim.read_bytes()
        victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(IndexDamaged, match=r"documents-\w+.safetensors.*checksum differs"):
            copy_index(folder, tmp_path / other)
        victim.write_bytes(content[:-1])
        with pytest.raises(IndexDamaged, match=r"documents-\w+.safetensors.*bytes, not"):
            copy_index(folder, tmp_path / other)
        victim.unlink()
        with pytest.raises(IndexDamaged, match=r"documents-\w+.safetensors.* cannot be read"):
            copy_index(folder, tmp_path / other)
        assert not (tmp_path / other).exists()
        victim.write_bytes(content)


def test_an_unreadable_manifest_is_replaced_by_a_restore(tmp_path: Path) -> None:
    index, backup = tmp_path / "index", tmp_path / "backup"
    lexical(index)
    copy_index(index, backup)
    (index / MANIFEST).write_text("{")
    (index / DRAFT).write_text("{")
    with pytest.raises(IndexDamaged):
        copy_index(index, tmp_path / "other")
    copy_index(backup, index, overwrite=True)
    assert answers(index) == answers(backup)


def test_links_in_the_target_are_not_followed(tmp_path: Path) -> None:
    index, backup, others = (tmp_path / each for each in ("index", "backup", "others"))
    neural(index)
    copy_index(index, backup)
    (model,) = {path.parent for path in backup.glob("models/*/model.onnx")} - {
        min(path.parent for path in backup.glob("models/*/model.onnx"))
    }
    model.rename(others)
    model.symlink_to(others)
    before = sorted(path.name for path in others.iterdir())
    copy_index(index, backup, overwrite=True)
    assert not model.is_symlink()
    assert sorted(path.name for path in others.iterdir()) == before
    assert answers(backup) == answers(index)
    (backup / "segments").rename(tmp_path / "segments")
    (backup / "segments").symlink_to(tmp_path / "segments")
    with pytest.raises(FileExistsError, match="is a link"):
        copy_index(index, backup, overwrite=True)
    assert list((tmp_path / "segments").iterdir())


def test_what_is_not_an_index_is_refused_and_left_alone(tmp_path: Path) -> None:
    index, folder = tmp_path / "index", tmp_path / "folder"
    lexical(index)
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(IndexDamaged, match=r"has no manifest\.json; is it an index\?"):
        copy_index(folder, tmp_path / "backup")
    with pytest.raises(IndexDamaged, match=r"there is no folder '.*missing'; `glane index` "):
        copy_index(tmp_path / "missing", tmp_path / "backup")
    with pytest.raises(FileExistsError, match="is not an index"):
        copy_index(index, folder, overwrite=True)
    with pytest.raises(FileExistsError, match="is not an index"):
        copy_index(index, folder / "notes.txt", overwrite=True)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert not (tmp_path / "backup").exists()
    copy_index(index, tmp_path / "backup")
    with pytest.raises(FileExistsError, match="pass --overwrite"):
        copy_index(index, tmp_path / "backup")
    for source, target in ((index, index), (index, index / "segments" / "x"), (index, tmp_path)):
        with pytest.raises(ValueError, match="another folder than its own"):
            copy_index(source, target, overwrite=True)
    with writing(tmp_path / "backup"), pytest.raises(LockedError):
        copy_index(index, tmp_path / "backup", overwrite=True)
    with writing(index):  # a writer of the source keeps nobody from copying it
        copy_index(index, tmp_path / "other")


def test_backup_and_restore_by_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index, backup = tmp_path / "index", tmp_path / "backup"
    lexical(index)
    assert main(["backup", str(index), str(backup), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["n_documents"] == ROWS - 1
    assert made["n_written"] == made["n_files"] == len(read_manifest(index).files)
    shutil.rmtree(index)
    assert main(["restore", str(backup), str(index)]) == 0
    told = capsys.readouterr().out
    assert f"{index}: {ROWS - 1} documents" in told
    assert answers(index) == answers(backup)
    assert main(["restore", str(backup), str(index)]) == 1
    assert "pass --overwrite" in capsys.readouterr().err
    assert main(["restore", str(backup), str(index), "--overwrite"]) == 0
    assert main(["backup", str(tmp_path), str(tmp_path / "new")]) == 1
    assert "has no manifest.json; is it an index?" in capsys.readouterr().err
