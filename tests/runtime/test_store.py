"""An index on disk: what it holds after any change, what it refuses, and what it says of itself."""

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from glane import (
    BM25,
    CheckpointError,
    ColBERT,
    Search,
    SparseEmbed,
    Splade,
    TfIdf,
    TokenStorage,
)
from glane.errors import LockedError
from glane.model import encoder
from glane.postings import postings
from glane.retrievers.contract import Retriever
from glane.store import files, sweeping
from glane.store import writing as store_writing
from glane.store.lock import writing
from glane.store.manifest import Manifest, read_manifest
from glane.store.names import Name
from glane.store.reading import damaged_files

FIXTURES = Path(__file__).parents[1] / "fixtures"
DOCUMENTS: list[dict[str, Any]] = [
    {"id": "leaf", "text": "plants eat light"},
    {"id": 7, "text": "they run to the sea"},
    {"id": "7", "text": "granite is hard"},
]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait for the disk."""
    monkeypatch.setattr(files, "_sync", lambda path: None)


def filled(folder: Path, documents: list[dict[str, Any]] = DOCUMENTS) -> Path:
    search = Search(BM25())
    search.add(documents)
    search.save(folder)
    return folder


WORDS = st.lists(st.sampled_from(["tea", "leaf", "river", "stone", "light"]), max_size=5)
KEYS = st.one_of(st.integers(0, 5), st.sampled_from(["0", "1", "a", "\ud83d", "é" * 300, ""]))
QUERIES = ["tea leaf", "river stone stone", "light tea river"]


def colbert() -> ColBERT:
    made = ColBERT.load(FIXTURES / "colbert", threads=1)
    made.store_as(TokenStorage(kind="int4", pool=2, outlines=True))
    return made


RETRIEVERS: list[Callable[[], Retriever]] = [
    BM25,
    TfIdf,
    colbert,
    partial(Splade.load, FIXTURES / "splade", threads=1),
    partial(SparseEmbed.load, FIXTURES / "sparse-embed", threads=1),
]


class AnySequence(RuleBasedStateMachine):
    """Changes of an index in any order against a dictionary, and a fresh build of what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp()) / "index"
        self.left: dict[Name, str] = {}
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(encoder, "BATCH_TOKENS", 1)  # a text alone has the same bits each time

    @initialize(retriever=st.sampled_from(RETRIEVERS))
    def start(self, retriever: Callable[[], Retriever]) -> None:
        self.retriever = retriever
        self.search = Search(retriever(), keep_documents=True)

    @rule(texts=st.dictionaries(KEYS, WORDS.map(" ".join), max_size=4))
    def add(self, texts: dict[Name, str]) -> None:
        self.search.add({"id": key, "text": text} for key, text in texts.items())
        new = {key: text for key, text in texts.items() if self.left.get(key) != text}
        self.left = {key: text for key, text in self.left.items() if key not in new} | new

    @rule(keys=st.sets(KEYS, max_size=4))
    def delete(self, keys: set[Name]) -> None:
        known = [key for key in keys if key in self.left]
        self.search.delete(known)
        self.left = {key: text for key, text in self.left.items() if key not in known}

    @rule()
    def compact(self) -> None:
        self.search.compact()

    @rule()
    def save(self) -> None:
        self.search.save(self.folder)

    @rule()
    def reopen(self) -> None:
        self.search.save(self.folder)
        self.search = Search.load(self.folder, threads=1)
        assert damaged_files(self.folder) == []

    @invariant()
    def equals_a_fresh_build(self) -> None:
        if not hasattr(self, "search"):
            return
        fresh = Search(self.retriever())
        fresh.add({"id": key, "text": text} for key, text in self.left.items())
        assert len(self.search) == len(self.left)
        found = self.search.search(QUERIES, k=20)
        assert found == fresh.search(QUERIES, k=20)
        assert all(key in self.search for key in self.left)
        kept = self.search.documents(self.left)
        assert kept == [{"id": key, "text": text} for key, text in self.left.items()]

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.folder.parent)


TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = settings(
    max_examples=40,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_numbers_are_never_given_twice_and_kept_through_compaction(tmp_path: Path) -> None:
    search = Search.load(filled(tmp_path / "index"))
    search.add([{"id": "leaf", "text": "leaves"}])
    search.delete(["7"])
    assert search.keys.find(["leaf", 7, "7"]).tolist() == [3, 1, -1]
    search.compact()
    search.save(tmp_path / "index")
    loaded = Search.load(tmp_path / "index")
    assert loaded.keys.find(["leaf", 7, "7"]).tolist() == [3, 1, -1]
    loaded.add([{"id": "7", "text": "new"}])
    assert loaded.keys.find(["7"]).tolist() == [4]


def test_a_small_change_writes_little(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index", [{"id": i, "text": f"tea {i}"} for i in range(500)])
    before = {path: path.stat().st_ino for path in folder.rglob("*.safetensors")}
    with Search.edit(folder) as search:
        search.add([{"id": "new", "text": "leaf"}])
        search.delete([3])
    after = {path: path.stat().st_ino for path in folder.rglob("*.safetensors")}
    assert before.items() <= after.items()
    new = sum(path.stat().st_size for path in after.keys() - before.keys())
    assert new < sum(path.stat().st_size for path in before) / 5


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, which tells what is resident")
def test_lists_that_were_read_are_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [{"id": n, "text": f"tea leaf {n}"} for n in range(20_000)]
    folder = filled(tmp_path / "index", documents)
    kept, given_back = Search.load(folder), Search.load(folder)
    before = resident_lists(folder)
    answers = kept.search(["tea leaf"])
    taken = resident_lists(folder) - before
    assert taken > 0
    monkeypatch.setattr(postings, "TOUCHED_BYTES", 0)
    assert given_back.search(["tea leaf"]) == answers
    del kept  # what is left is the other's alone
    assert resident_lists(folder) < taken / 2
    assert given_back.search(["tea leaf"]) == answers


def resident_lists(folder: Path) -> int:
    """Return the bytes of mapped inverted lists that are in memory."""
    total, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            counts = str(folder) in line and "/retriever-" in line
        elif counts and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def test_files_of_deleted_numbers_stay_few(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index", [{"id": i, "text": "tea"} for i in range(100)])
    for number in range(30):
        with Search.edit(folder) as search:
            search.delete([number])
    assert len(list(folder.rglob("keys-deleted-*.safetensors"))) <= 8
    assert len(Search.load(folder)) == 70


def test_only_one_writes(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index")
    with writing(folder):
        with pytest.raises(LockedError, match=f"being written to by process {os.getpid()} on"):
            Search.load(folder).save(folder)
        with pytest.raises(LockedError), Search.edit(folder):
            pytest.fail("the block must not run")
    assert (folder / "lock").read_bytes() == b""
    Search.load(folder).save(folder)


def test_what_another_has_written_is_not_overwritten(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index")
    mine, other = Search.load(folder), Search.load(folder)
    other.add([{"id": "new", "text": "tea"}])
    other.save(folder)
    mine.delete(["leaf"])
    with pytest.raises(CheckpointError, match="generation 1: it is at 2; load it again"):
        mine.save(folder)
    assert "new" in Search.load(folder)


def test_an_index_made_anew_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index")
    mine = Search.load(folder)
    shutil.rmtree(folder)
    filled(folder, [{"id": "other", "text": "tea"}])
    mine.delete(["leaf"])
    with pytest.raises(CheckpointError, match="generation 1: it is at 1; load it again"):
        mine.save(folder)
    assert "other" in Search.load(folder)


def test_a_writer_that_is_refused_leaves_the_others_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, make = tmp_path / "index", sweeping.make_index_folder
    with contextlib.ExitStack() as other:

        def make_and_lose(path: Path) -> bool:
            made = make(path)
            other.enter_context(writing(path))
            return made

        monkeypatch.setattr(store_writing, "make_index_folder", make_and_lose)
        with pytest.raises(LockedError, match="is being written to by process"):
            filled(folder)
        assert folder.is_dir()


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name in ("lock", "models/mine.bin"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="exists already, and is not an index"):
        filled(tmp_path)
    assert (tmp_path / "models" / "mine.bin").read_text() == "mine"


def test_an_error_in_a_change_saves_nothing(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index")

    def fail() -> None:
        with Search.edit(folder) as search:
            search.delete(["leaf"])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert "leaf" in Search.load(folder)


def test_another_index_replaces_the_old_whole(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index")
    with Search.edit(folder) as search:
        search.delete(["leaf"])
    reader = Search.load(folder)
    fresh = Search(TfIdf())
    fresh.add([{"id": i, "text": f"tea {i}"} for i in range(4)])
    fresh.save(folder)
    assert reader.search(["granite"]).ids == [["7"]]
    assert Search.load(folder).search(["tea"]).ids == [[0, 1, 2, 3]]
    assert isinstance(Search.load(folder).retriever, TfIdf)
    assert damaged_files(folder) == []


def test_a_search_saved_elsewhere_is_whole_there(tmp_path: Path) -> None:
    search = Search.load(filled(tmp_path / "one"))
    search.delete(["leaf"])
    search.save(tmp_path / "two")
    shutil.rmtree(tmp_path / "one")
    assert Search.load(tmp_path / "two").search(["sea"]).ids == [[7]]
    assert len(Search.load(tmp_path / "two")) == 2


def test_documents_are_returned_only_where_they_are_kept(tmp_path: Path) -> None:
    search = Search(BM25(), keep_documents=True)
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    loaded = Search.load(tmp_path / "index")
    assert loaded.documents(["7", "leaf"]) == [DOCUMENTS[2], DOCUMENTS[0]]
    with pytest.raises(ValueError, match="unknown document 'nobody'"):
        loaded.documents(["leaf", "nobody"])
    with pytest.raises(ValueError, match="documents are not kept"):
        Search(BM25()).documents([])


def test_a_flipped_byte_in_any_file_is_found_by_name(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index")
    with Search.edit(folder) as search:
        search.delete(["leaf"])
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name == "lock":
            continue
        content = path.read_bytes()
        for place in {0, len(content) // 2, len(content) - 1}:
            flipped = bytearray(content)
            flipped[place] ^= 1 << place % 8
            path.write_bytes(flipped)
            if path.name == "manifest.json":
                with pytest.raises(CheckpointError, match=r"manifest\.json"):
                    damaged_files(folder)
            else:
                assert damaged_files(folder) == [str(path)]
        path.write_bytes(content)
    assert damaged_files(folder) == []


def test_a_damaged_header_is_refused_in_one_way(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index")
    path = next(folder.rglob("keys-*.safetensors"))
    content = path.read_bytes()
    for place, bit in product(range(8 + int.from_bytes(content[:8], "little")), range(8)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        with contextlib.suppress(CheckpointError):
            Search.load(folder)


def test_damage_is_not_reported_of_files_that_a_writer_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = filled(tmp_path / "index")
    read, first = read_manifest, list[Manifest]()

    def read_and_commit(path: Path, name: str = "manifest.json") -> Manifest:
        manifest = read(path, name)
        if not first:
            first.append(manifest)
            with Search.edit(folder) as search:
                search.add([{"id": n, "text": "moss"} for n in range(100)])
        return manifest

    monkeypatch.setattr("glane.store.reading.read_manifest", read_and_commit)
    assert damaged_files(folder) == []
    assert set(first[0].files) - set(read(folder).files), "files were removed"


def test_a_truncated_or_missing_file_is_found_at_opening(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index")
    with Search.edit(folder) as search:
        search.delete(["leaf"])
    for path in sorted(folder.rglob("*.safetensors")):
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        with pytest.raises(CheckpointError, match=f"{path.name}' is damaged: it has"):
            Search.load(folder)
        path.unlink()
        with pytest.raises(CheckpointError, match=f"{path.name}' cannot be read: No such file"):
            Search.load(folder)
        assert damaged_files(folder) == [str(path)]
        path.write_bytes(content)
    Search.load(folder)


def test_a_newer_manifest_is_refused_by_number(tmp_path: Path) -> None:
    folder = filled(tmp_path / "index")
    record = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(record | {"format_version": 3}))
    for call in (
        Search.load,
        damaged_files,
        read_manifest,
        Search.load(filled(tmp_path / "x")).save,
    ):
        with pytest.raises(
            CheckpointError, match="format_version 3; this version of glane reads 1 and 2"
        ):
            call(folder)


def test_ids_are_checked_wherever_they_are_given(tmp_path: Path) -> None:
    search = Search(BM25(), keep_documents=True)
    search.add([{"id": "a", "text": "tea"}, {"id": "b", "text": "tea"}])
    for call in (search.delete, search.documents):
        with pytest.raises(TypeError, match="ids must be a list, got one string 'ab'"):
            call("ab")
        with pytest.raises(TypeError, match=r"must be a string or an integer, got float: 1\.5"):
            call([1.5])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="got one dictionary"):
        search.add({"id": "c", "text": "tea"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="not JSON compliant"):
        search.add([{"id": "c", "text": "tea", "value": float("nan")}])
    assert len(search) == 2


def test_a_retriever_alone_has_no_keys(tmp_path: Path) -> None:
    BM25().save(tmp_path / "bm25")
    with pytest.raises(CheckpointError, match="a retriever alone, and no keys"):
        Search.load(tmp_path / "bm25")


def test_a_linked_model_is_named_and_checked(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(FIXTURES / "colbert", model)
    search = Search(BM25(), reranker=ColBERT.load(model, threads=1))
    search.add(DOCUMENTS)
    search.save(tmp_path / "index", link=True)
    assert not list((tmp_path / "index").rglob("*.onnx"))
    with Search.edit(tmp_path / "index") as loaded:
        loaded.delete(["leaf"])
    assert Search.load(tmp_path / "index").search(["sea"]).ids[0] == [7]
    shutil.copy(FIXTURES / "colbert-int8" / "model.onnx", model)
    with pytest.raises(CheckpointError, match="was written by the model"):
        Search.load(tmp_path / "index")


def test_indexing_again_repairs_a_damaged_copy_of_the_model(tmp_path: Path) -> None:
    def save() -> object:
        search = Search(ColBERT.load(FIXTURES / "colbert", threads=1))
        search.add(DOCUMENTS)
        search.save(tmp_path / "index")
        return search.search(["sea"])

    expected = save()
    path = next((tmp_path / "index").rglob("model.onnx"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    save()
    assert Search.load(tmp_path / "index").search(["sea"]) == expected
    assert len(list((tmp_path / "index" / "models").iterdir())) == 1


def test_every_file_of_a_copied_model_is_checked_at_opening(tmp_path: Path) -> None:
    search = Search(ColBERT.load(FIXTURES / "colbert", threads=1))
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    path = next((tmp_path / "index").rglob("model.json"))
    path.write_text(path.read_text() + " ")
    with pytest.raises(CheckpointError, match=r"model\.json' is damaged: it has"):
        Search.load(tmp_path / "index")
