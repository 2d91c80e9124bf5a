"""Where the store meets the model folder, the file system, other writers and older formats."""

import errno
import fcntl
import json
import os
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glane import (
    BM25,
    CheckpointError,
    ColBERT,
    IndexDamaged,
    LockedError,
    Search,
    SparseVectors,
    Splade,
    TfIdf,
)
from glane.retrievers.registry import LEXICAL
from glane.store import files
from glane.store.lock import writing
from glane.store.manifest import DRAFT, SEAL, read_manifest
from glane.store.reading import damaged_files

FIXTURES = Path(__file__).parents[1] / "fixtures"
DOCUMENTS = [
    {"id": "leaf", "text": "Plants turn light into sugar."},
    {"id": "sea", "text": "All rivers run to the sea."},
]


def model(folder: Path, name: str = "colbert") -> Path:
    shutil.copytree(FIXTURES / name, folder)
    return folder


def reranked(folder: Path) -> Search:
    search = Search(BM25(), reranker=ColBERT.load(folder, threads=1))
    search.add(DOCUMENTS)
    return search


def answer(folder: Path) -> object:
    return Search.load(folder, threads=1).search(["light of the sea"], k=2)


# The model of an index


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


def replaced(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(FIXTURES / "colbert-int8", folder)


def renamed(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def without_its_small_files(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.unlink()


@pytest.mark.parametrize("fate", [removed, replaced, renamed, without_its_small_files])
@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_an_index_has_its_model_whatever_became_of_the_folder(
    fate: Callable[[Path], None], relative: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = model(tmp_path / "model")
    search = reranked(Path("model") if relative else folder)
    wanted = search.search(["light of the sea"], k=2)
    fate(folder)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    search.save(tmp_path / "index")
    assert answer(tmp_path / "index") == wanted
    names = {path.name for path in (tmp_path / "index" / "models").rglob("*") if path.is_file()}
    assert names >= {path.name for path in (FIXTURES / "colbert").iterdir()}


def test_a_graph_that_was_written_to_in_place_is_refused_before_the_commit(
    tmp_path: Path,
) -> None:
    folder = model(tmp_path / "model")
    search = reranked(folder)
    graph = bytearray((folder / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    with (folder / "model.onnx").open("r+b") as file:
        file.write(graph)
    with pytest.raises(CheckpointError, match="was written to since it was opened"):
        search.save(tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_a_link_to_a_model_that_is_another_by_now_is_refused(tmp_path: Path) -> None:
    folder = model(tmp_path / "model")
    search = reranked(folder)
    replaced(folder)
    with pytest.raises(CheckpointError, match="holds another model than when it was loaded"):
        search.save(tmp_path / "index", link=True)
    assert not (tmp_path / "index").exists()


def test_what_is_open_can_be_saved_after_its_index_was_made_anew(tmp_path: Path) -> None:
    reranked(model(tmp_path / "model")).save(tmp_path / "index")
    running = Search.load(tmp_path / "index", threads=1)
    wanted = running.search(["light of the sea"], k=2)
    other = Search(TfIdf())
    other.add(DOCUMENTS)
    other.save(tmp_path / "index")
    running.save(tmp_path / "backup")
    shutil.rmtree(tmp_path / "index")
    assert answer(tmp_path / "backup") == wanted


@pytest.mark.parametrize("link", [False, True], ids=["copied", "linked"])
def test_opening_goes_on_while_others_replace_the_index(link: bool, tmp_path: Path) -> None:
    folder, models = tmp_path / "index", [model(tmp_path / "a"), model(tmp_path / "b", "splade")]
    makers = [lambda: reranked(models[0]), lambda: sparse(models[1])]
    makers[0]().save(folder, link=link)
    stop = threading.Event()
    opened: list[str] = []

    def read() -> None:
        while not stop.is_set():
            search = Search.load(folder, threads=1)
            assert len(search.search(["sea"], k=2).ids[0]) >= 1
            opened.append(type(search.retriever).__name__)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(12):
        makers[number % 2]().save(folder, link=link)
    stop.set()
    thread.join()
    assert {"BM25", "Passages"} <= set(opened)


def sparse(folder: Path) -> Search:
    search = Search(Splade.load(folder, threads=1))
    search.add(DOCUMENTS)
    return search


# Links and files of others


@pytest.mark.parametrize("top", ["models", "segments"])
def test_nothing_is_removed_through_a_link(top: str, tmp_path: Path) -> None:
    folder, precious = tmp_path / "index", tmp_path / "precious"
    (precious / "sub").mkdir(parents=True)
    (precious / "sub" / "thesis.txt").write_text("mine")
    reranked(model(tmp_path / "model")).save(folder)
    if (folder / top).exists():
        shutil.copytree(folder / top, precious, dirs_exist_ok=True)
        shutil.rmtree(folder / top)
    (folder / top).symlink_to(precious)
    assert answer(folder)
    before = sorted(precious.rglob("*"))
    with pytest.raises(FileExistsError, match=f"{top}' is a link"), Search.edit(folder) as search:
        search.add([{"id": "new", "text": "moss"}])
    assert sorted(precious.rglob("*")) == before
    assert (precious / "sub" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("place", ["segments/x", "models/x", "manifest.json.new", "draft.json.new"])
def test_a_link_where_an_index_writes_is_removed_and_not_followed(
    place: str, tmp_path: Path
) -> None:
    folder, precious = tmp_path / "index", tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("mine")
    reranked(model(tmp_path / "model")).save(folder)
    (folder / place).symlink_to(precious if "/" in place else precious / "thesis.txt")
    with Search.edit(folder) as search:
        search.add([{"id": "new", "text": "moss"}])
    assert not os.path.lexists(folder / place)
    assert (precious / "thesis.txt").read_text() == "mine"
    assert "new" in Search.load(folder)


def test_a_lock_that_is_a_link_or_has_another_name_is_not_written_to(tmp_path: Path) -> None:
    folder, precious = tmp_path / "index", tmp_path / "thesis.txt"
    search = Search(BM25())
    search.add(DOCUMENTS)
    search.save(folder)
    precious.write_text("mine")
    (folder / "lock").unlink()
    (folder / "lock").symlink_to(precious)
    with pytest.raises(OSError, match="is a link, which a lock may not be"):
        search.save(folder)
    (folder / "lock").unlink()
    os.link(precious, folder / "lock")
    search.save(folder)
    assert precious.read_text() == "mine"


def test_a_writer_whose_folder_was_made_anew_leaves_the_others_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    write, done = files.write, list[bool]()

    def write_and_lose(path: Path, chunks: Any) -> None:  # noqa: ANN401
        if not done:
            done.append(True)
            shutil.rmtree(folder)
            other = Search(BM25())
            other.add([{"id": "other", "text": "tea"}])
            other.save(folder)
        write(path, chunks)

    monkeypatch.setattr(files, "write", write_and_lose)
    search = Search(BM25())
    search.add(DOCUMENTS)
    try:
        search.save(folder)
    except OSError:
        assert "other" in Search.load(folder)
    assert damaged_files(folder) == []


# Writers that wait


def test_a_writer_waits_for_another_as_long_as_it_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    search = Search(BM25())
    search.add(DOCUMENTS)
    search.save(folder)
    begun, release = threading.Event(), threading.Event()

    def hold() -> None:
        with writing(folder):
            begun.set()
            release.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait()
    start = time.monotonic()
    with pytest.raises(LockedError, match="is being written to by process"), Search.edit(folder):
        pass
    with pytest.raises(LockedError), Search.edit(folder, wait=0.3):
        pass
    assert time.monotonic() - start >= 0.3
    threading.Timer(0.2, release.set).start()
    with Search.edit(folder, wait=60) as edited:
        edited.add([{"id": "late", "text": "tea"}])
    holder.join()
    assert "late" in Search.load(folder)


def test_two_writers_that_wait_both_get_their_turns(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    search = Search(BM25())
    search.add(DOCUMENTS)
    search.save(folder)

    def write(name: str) -> None:
        for number in range(8):
            with Search.edit(folder, wait=60) as edited:
                edited.add([{"id": f"{name}{number}", "text": "tea"}])

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Search.load(folder)) == 18


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    search = Search(BM25())
    search.add(DOCUMENTS)
    search.save(folder)

    def refuse(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="has no locks; write on a local disk") as caught:
        search.save(folder)
    assert str(folder) in str(caught.value)
    assert len(Search.load(folder)) == 2


# Manifests of others


def sealed(record: dict[str, Any]) -> bytes:
    body = json.dumps(record, ensure_ascii=False, indent=1).removesuffix("\n}").encode()
    return body + f'{SEAL}{zlib.crc32(body):08x}"\n}}\n'.encode()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with every kind of entry in its manifest."""
    folder = tmp_path_factory.mktemp("whole") / "index"
    search = Search(
        BM25(), reranker=ColBERT.load(FIXTURES / "colbert", threads=1), keep_documents=True
    )
    search.add(DOCUMENTS * 1)
    search.add([{"id": n, "text": f"tea {n}"} for n in range(5)])
    search.save(folder)
    search.delete(["leaf"])
    search.save(folder)
    return folder


def leaves(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a manifest, containers included."""
    found = [path] if path else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value or ())
        if isinstance(value, list)
        else ()
    )
    for key, below in items:
        found += leaves(below, (*path, key))
    return found


JUNK = st.sampled_from(
    [None, True, -1, 0, 7, 10**40, 1.5, "", "x", "../../etc", "/etc/passwd", [], [1], {}, {"a": 1}]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_manifest_of_any_wrong_shape_is_one_clear_error(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    record = json.loads((whole / "manifest.json").read_text())
    record.pop("crc32")
    path = data.draw(st.sampled_from(leaves(record)))
    target = record
    for key in path[:-1]:
        target = target[key]
    if data.draw(st.booleans()):
        target[path[-1]] = data.draw(JUNK)
    elif isinstance(target, dict):
        del target[path[-1]]
    folder = tmp_path_factory.mktemp("forged") / "index"
    shutil.copytree(whole, folder, copy_function=os.link)
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").write_bytes(sealed(record))
    try:
        Search.load(folder, threads=1).search(["tea light"], k=3, fuse="relative", fuse_weight=0.5)
    except CheckpointError:
        pass
    finally:
        shutil.rmtree(folder.parent)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "segments/../../secret"])
@pytest.mark.parametrize("where", ["files", "deleted", "segment", "model"])
def test_a_path_that_leaves_the_index_is_not_followed(
    name: str, where: str, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    shutil.copytree(whole, folder)
    (tmp_path / "secret").write_bytes(b"secret")
    record = json.loads((folder / "manifest.json").read_text())
    record.pop("crc32")
    if where == "segment":
        record["tables"]["keys"]["segments"][0]["name"] = name
    elif where == "model":
        record["settings"]["models"]["reranker"] = "../secret"
    else:
        record["files"][name] = [6, zlib.crc32(b"secret")]
    if where == "deleted":
        record["tables"]["keys"]["deleted"] = [name]
    (folder / "manifest.json").write_bytes(sealed(record))
    for use in (Search.load, damaged_files, read_manifest):
        if where == "model" and use is not Search.load:
            continue
        with pytest.raises(IndexDamaged):
            use(folder)


def test_a_manifest_that_is_not_a_file_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    os.mkfifo(tmp_path / "index" / "manifest.json")
    with pytest.raises(IndexDamaged, match="is not a regular file"):
        Search.load(tmp_path / "index")


def test_a_manifest_without_end_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Search(BM25())
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    monkeypatch.setattr("glane.store.manifest.MOST_BYTES", 100)
    with pytest.raises(IndexDamaged, match="more than 100"):
        Search.load(tmp_path / "index")


# Damage


def test_damage_of_a_short_file_is_met_at_opening_by_name(whole: Path, tmp_path: Path) -> None:
    for path in sorted(whole.rglob("*.safetensors")):
        folder = tmp_path / "index"
        shutil.copytree(whole, folder)
        damaged = folder / path.relative_to(whole)
        content = bytearray(damaged.read_bytes())
        content[-1] ^= 0x40
        damaged.write_bytes(content)
        with pytest.raises(IndexDamaged, match=f"{path.name}' is damaged: its checksum differs"):
            Search.load(folder)
        shutil.rmtree(folder)


def test_damage_of_a_long_file_is_named_by_the_search_or_by_verifying(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offsets that became huge or negative: `IndexDamaged`, and no other error, or an answer."""
    monkeypatch.setattr("glane.store.reading.CHECKED_BYTES", 0)
    named = 0
    for path in sorted(whole.rglob("*.safetensors")):
        content = path.read_bytes()
        for place in range(8 + int.from_bytes(content[:8], "little"), len(content), 37):
            folder = tmp_path / "index"
            shutil.copytree(whole, folder)
            flipped = bytearray(content)
            flipped[place] ^= 0xFF
            (folder / path.relative_to(whole)).write_bytes(flipped)
            with pytest.raises(IndexDamaged, match="is damaged"):
                Search.load(folder, threads=1, verify=True)
            try:
                search = Search.load(folder, threads=1)
                found = search.search(["tea light", "sea 3"], k=3).ids
                search.documents(found[0])
            except IndexDamaged:
                named += 1
            shutil.rmtree(folder)
    assert named > 10


# An index that is made chunk by chunk


def stopped(search: Search, folder: Path, documents: list[dict[str, Any]]) -> None:
    """Begin to build an index, and be stopped after a save and an addition more."""
    half = len(documents) // 2
    with search.building(folder) as goes_on:
        assert not goes_on
        search.add(documents[:half])
        search.save(folder)
        search.add(documents[half:])
        raise KeyboardInterrupt


class Counting(BM25):
    """Remembers what it encoded."""

    encoded: ClassVar[list[str]] = []

    def encode_documents(self, documents: Sequence[str]) -> SparseVectors:
        self.encoded.extend(documents)
        return super().encode_documents(documents)


def test_a_draft_is_gone_on_with_and_seen_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LEXICAL, "bm25", Counting)
    folder = tmp_path / "index"
    documents = [{"id": number, "text": f"tea {number}"} for number in range(30)]
    with pytest.raises(KeyboardInterrupt):
        stopped(Search(Counting()), folder, documents[:20])
    assert (folder / DRAFT).exists()
    with pytest.raises(IndexDamaged, match="indexing was stopped before its end"):
        Search.load(folder)
    again = Search(Counting())
    Counting.encoded.clear()
    with again.building(folder) as goes_on:
        assert goes_on
        assert again.add(documents) == 20
    assert Counting.encoded == [f"tea {number}" for number in range(10, 30)]
    assert len(Search.load(folder)) == len(again) == 30
    assert not (folder / DRAFT).exists()
    assert damaged_files(folder) == []


def test_a_draft_of_another_command_is_not_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    with pytest.raises(KeyboardInterrupt):
        stopped(Search(BM25()), folder, DOCUMENTS)
    for other in (Search(TfIdf()), Search(BM25(k1=2.0)), Search(BM25(), on="title")):
        with (
            pytest.raises(FileExistsError, match="what another command left"),
            other.building(folder),
        ):
            pass
    with Search(TfIdf()).building(folder, overwrite=True) as goes_on:
        assert not goes_on
    assert len(Search.load(folder)) == 0


def test_an_index_stays_until_the_one_in_its_place_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    old = Search(BM25())
    old.add(DOCUMENTS)
    old.save(folder)
    with (
        pytest.raises(FileExistsError, match=r"pass --overwrite \(`overwrite=True`\)"),
        Search(BM25()).building(folder),
    ):
        pass
    search = Search(BM25())
    with search.building(folder, overwrite=True):
        search.add([{"id": "new", "text": "light sea"}])
        search.save(folder)
        assert Search.load(folder).search(["light"]).ids == [["leaf"]]
        with pytest.raises(LockedError), Search.edit(folder):
            pass
    assert Search.load(folder).search(["light"]).ids == [["new"]]
    assert not old.origin or old.is_stale


# Older formats


def test_an_index_of_the_first_format_opens_and_is_upgraded_by_writing(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    shutil.copytree(FIXTURES / "index-format-1", folder)
    search = Search.load(folder, threads=1)
    queries = ["light on plants", "river stone tea"]
    wanted = search.search(queries, k=3, fuse="relative", fuse_weight=0.5)
    assert wanted.ids == [["leaf", "tea"], ["tea", 7]]
    assert search.documents(["tea"]) == [
        {"id": "tea", "title": "Tea", "text": "Green tea grows on hills, in the light."}
    ]
    assert damaged_files(folder) == []
    with Search.edit(folder, threads=1) as edited:
        edited.add([{"id": "new", "title": "", "text": "brand new"}])
        edited.delete(["new"])
    assert (
        Search.load(folder, threads=1).search(queries, k=3, fuse="relative", fuse_weight=0.5)
        == wanted
    )
    with Search.edit(folder, threads=1) as edited:
        edited.compact()
    assert (
        Search.load(folder, threads=1).search(queries, k=3, fuse="relative", fuse_weight=0.5)
        == wanted
    )
    assert not list(folder.rglob("*.npy"))
    assert damaged_files(folder) == []


def test_an_index_of_tfidf_of_the_first_format_opens(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "tfidf-format-1", tmp_path / "index")
    found = Search.load(tmp_path / "index").search(["tea rivers"])
    assert found.ids == [["b", "a"]]
    assert found.scores == [[pytest.approx(0.6666667), pytest.approx(0.28867513)]]


# What grows


def test_compacting_joins_the_terms_too() -> None:
    bm25 = BM25()
    for words in ("tea leaf river stone iron", "snow bees", "bread"):
        bm25.add(bm25.encode_documents([words]))
        bm25.tables()  # as each commit does
    assert len(bm25.tables()["terms"].parts) > 1
    bm25.compact()
    assert len(bm25.tables()["terms"].parts) == 1
    assert bm25.search(bm25.encode_queries(["bread", "leaf"]), 1).ids.tolist() == [[2], [0]]


def test_terms_that_no_document_holds_are_forgotten_by_compacting(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    sizes = []
    for round_ in range(4):
        search = Search.load(folder) if round_ else Search(BM25())
        search.add([{"id": "log", "text": " ".join(f"w{round_}x{n}" for n in range(500))}])
        search.add([{"id": "keep", "text": "green tea"}])
        search.compact()
        search.save(folder)
        assert search.search([f"w{round_}x7", "green", "w0x7"]).ids == [
            ["log"],
            ["keep"],
            [] if round_ else ["log"],
        ]
        sizes.append(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    assert max(sizes) < 1.2 * sizes[0]


def test_a_segment_of_a_table_holds_one_open_file(tmp_path: Path) -> None:
    search, size = Search(BM25(), keep_documents=True), 64
    number = 0
    while size:
        search.add([{"id": number + n, "text": f"tea {number + n}"} for n in range(size)])
        number, size = number + size, size // 2
    search.save(tmp_path / "index")
    before = len(os.listdir("/proc/self/fd"))
    loaded = Search.load(tmp_path / "index")
    opened = len(os.listdir("/proc/self/fd")) - before
    assert loaded.origin is not None
    tables = loaded.origin.manifest.tables.values()
    assert opened <= sum(len(table.segments) for table in tables)


def test_what_was_saved_is_mapped_and_no_longer_in_memory(tmp_path: Path) -> None:
    search = reranked(FIXTURES / "colbert")
    assert search.n_unsaved_bytes() > 0
    search.save(tmp_path / "index")
    assert search.n_unsaved_bytes() == 0
    search.add([{"id": "more", "text": "tea"}])
    assert search.n_unsaved_bytes() > 0
