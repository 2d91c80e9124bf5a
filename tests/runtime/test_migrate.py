"""Another model for an index: encoded beside the state that serves, resumed, swapped at once."""

import csv
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, ColBERT, Search, SparseEmbed, Splade
from glane.commands import migrating
from glane.commands.main import main
from glane.store import files
from glane.store.lock import writing
from glane.store.manifest import DRAFT, MANIFEST, read_manifest
from glane.store.reading import damaged_files

FIXTURES = Path(__file__).parents[1] / "fixtures"
QUERIES = ["tea leaf", "river sun", "stone", "brand new", "Straße 茶"]
WORDS = ["tea", "leaf", "river", "stone", "moss", "Straße 茶"]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_sync", lambda path: None)


def documents(n_documents: int) -> list[dict[str, Any]]:
    return [
        {
            "_id": f"é{number}" if number % 2 else number,
            "title": WORDS[number % 6],
            "text": "" if number == 4 else f"{WORDS[number % 5]} w{number} " * (1 + number % 7 * 9),
            "year": 2000 + number,
        }
        for number in range(n_documents)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ColBERT of other weights than the fixture, as far as a fingerprint tells."""
    return FIXTURES / "colbert-int8"


def stages(name: str, colbert: Path) -> dict[str, Any]:
    if name == "colbert":
        return {"retriever": ColBERT.load(colbert, threads=1)}
    first = BM25() if name == "bm25" else Splade.load(FIXTURES / "splade", threads=1)
    return {"retriever": first, "reranker": ColBERT.load(colbert, threads=1)}


def made(folder: Path, name: str, colbert: Path, *, keep: bool = True, link: bool = False) -> None:
    """Make an index in which numbers have gaps, and several segments."""
    search = Search(
        **stages(name, colbert),
        key="_id",
        on=["title", "text"],
        keep_documents=keep,
        fields={"year": "int"},
    )
    changed = [{**documents(40)[11], "year": 1990}, {**documents(40)[6], "text": "tea again"}]
    search.add(documents(20))
    search.add(documents(40)[20:])
    search.delete([0, "é3", "é5", 8, 30])
    search.add(changed)
    search.save(folder, link=link)


def answers(search: Search) -> object:
    ways: list[Any] = ["none"] if search.reranker is None else ["none", "rrf"]
    found = [
        search.search(QUERIES, k=50, fuse=how, filter=where)
        for how in ways
        for where in (None, "year < 2010")
    ]
    kept = None if search.kept is None else [search.documents(row) for row in found[0].ids]
    return len(search), found, kept, search.select("year < 2005")


def migrate(folder: Path, *options: str) -> int:
    return main(["migrate", str(folder), *options, "--threads", "1"])


OPTION = {"colbert": "--model", "bm25": "--reranker", "splade": "--reranker"}
NAMES = pytest.mark.parametrize("name", OPTION)


@NAMES
@pytest.mark.parametrize("link", [False, True], ids=["copied", "linked"])
def test_a_migrated_index_answers_as_one_made_with_the_model(
    name: str, link: bool, model: Path, tmp_path: Path
) -> None:
    made(tmp_path / "index", name, FIXTURES / "colbert", link=link)
    made(tmp_path / "wanted", name, model, link=link)
    served = Search.load(tmp_path / "index", threads=1)
    before = answers(served)
    assert migrate(tmp_path / "index", OPTION[name], str(model)) == 0
    assert damaged_files(tmp_path / "index") == []
    wanted = answers(Search.load(tmp_path / "wanted", threads=1))
    assert answers(Search.load(tmp_path / "index", threads=1, verify=True)) == wanted
    assert answers(served) == before != wanted
    assert served.refresh()
    assert answers(served) == wanted
    named = read_manifest(tmp_path / "index").settings["models"].values()
    assert {Path(folder).is_absolute() for folder in named} == {link}
    with Search.edit(tmp_path / "index", threads=1) as search:
        search.add([{"_id": "later", "title": "tea", "text": "later"}])
    assert "later" in Search.load(tmp_path / "index", threads=1)


@NAMES
def test_what_is_not_encoded_is_taken_over_as_the_files_that_it_is(
    name: str, model: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    made(index, name, FIXTURES / "colbert")
    before = read_manifest(index)
    assert migrate(index, OPTION[name], str(model)) == 0
    after = read_manifest(index)
    changed = "retriever" if name == "colbert" else "reranker"
    for table, entry in after.tables.items():
        same = {part.name for part in entry.segments} == {
            part.name for part in before.tables[table].segments
        }
        assert same == (table.partition(".")[0] != changed), table
        assert entry.next_id == before.tables[table].next_id or "." in table
    assert after.generation > before.generation
    assert not (index / DRAFT).exists()
    left = {str(path.relative_to(index)) for path in index.rglob("*") if path.is_file()}
    assert left - {"lock"} == {MANIFEST, *after.files}


def in_small_chunks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(migrating, "AT_ONCE", 4)
    patch.setattr(migrating, "CHUNK_BYTES", 0)


def killed(index: Path, option: str, model: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrate in a process that is killed when it is about to write its draft for the nth time."""
    child = os.fork()
    if not child:
        commit, count = files.replace, [0]

        def replace(source: Path, target: Path) -> None:
            count[0] += 1
            if count[0] == at:
                os.kill(os.getpid(), signal.SIGKILL)
            commit(source, target)

        in_small_chunks(monkeypatch)
        monkeypatch.setattr(files, "replace", replace)
        migrate(index, option, str(model))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def report(capsys: pytest.CaptureFixture[str], index: Path, *options: str) -> dict[str, Any]:
    capsys.readouterr()
    assert migrate(index, *options, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@NAMES
def test_a_migration_that_is_killed_goes_on_from_there(
    name: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made(tmp_path / "made", name, FIXTURES / "colbert")
    made(tmp_path / "wanted", name, model)
    wanted = answers(Search.load(tmp_path / "wanted", threads=1))
    before = answers(Search.load(tmp_path / "made", threads=1))
    for at, n_resumed in ((1, 0), (2, 4), (5, 16), (10, 35), (11, 35)):
        index = tmp_path / f"{at}"
        shutil.copytree(tmp_path / "made", index)
        killed(index, OPTION[name], model, at, monkeypatch)
        assert answers(Search.load(index, threads=1)) == before
        told = report(capsys, index, OPTION[name], str(model))
        assert (told["n_resumed"], told["n_encoded"]) == (n_resumed, 35 - n_resumed)
        assert answers(Search.load(index, threads=1, verify=True)) == wanted


Change = Callable[[Search], None]


def touch(search: Search) -> None:
    search.add([{**documents(40)[13], "year": 1980}])


def add(search: Search) -> None:
    search.add([{"_id": "new", "title": "moss", "text": "moss new"}])
    search.add([{**documents(40)[2], "text": "replaced"}])


def delete(search: Search) -> None:
    search.delete(["é1", 2, 38])


def delete_most(search: Search) -> None:
    search.delete(search.select("year != 2020")[1:])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("change", [touch, add, delete, delete_most, Search.compact])
@pytest.mark.parametrize("name", ["colbert", "bm25"])
def test_the_index_may_change_before_a_stopped_migration_goes_on(
    change: Change,
    name: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    index = tmp_path / "index"
    made(index, name, FIXTURES / "colbert")
    made(tmp_path / "wanted", name, model)
    killed(index, OPTION[name], model, 5, monkeypatch)
    for folder in (index, tmp_path / "wanted"):
        with Search.edit(folder, threads=1) as search:
            change(search)
            if change is not Search.compact:
                change_again = {"_id": "last", "title": "stone", "text": "last"}
                search.add([change_again])
    generation = read_manifest(index).generation
    assert report(capsys, index, OPTION[name], str(model))["n_resumed"] > 0
    assert read_manifest(index).generation > generation
    wanted = answers(Search.load(tmp_path / "wanted", threads=1))
    assert answers(Search.load(index, threads=1, verify=True)) == wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_draft_of_something_else_is_not_taken_for_the_migration(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What `glane index --overwrite` left has the same settings, and other documents."""
    index = tmp_path / "index"
    made(index, "bm25", FIXTURES / "colbert")
    made(tmp_path / "wanted", "bm25", model)
    other = Search(
        **stages("bm25", model),
        key="_id",
        on=["title", "text"],
        keep_documents=True,
        fields={"year": "int"},
    )
    with pytest.raises(KeyboardInterrupt), other.building(index, overwrite=True):
        left_behind(other, index)
    assert (index / DRAFT).exists()
    assert report(capsys, index, "--reranker", str(model))["n_resumed"] == 0
    wanted = answers(Search.load(tmp_path / "wanted", threads=1))
    assert answers(Search.load(index, threads=1, verify=True)) == wanted


def left_behind(search: Search, index: Path) -> None:
    search.add([{"_id": number, "title": "other", "text": f"o{number}"} for number in range(9)])
    search.delete([1, 2])
    search.save(index)
    raise KeyboardInterrupt


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "documents.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def final_documents() -> list[dict[str, Any]]:
    """Return what `made` has in its index at the end, and some that it has not."""
    rows = {row["_id"]: row for row in documents(45)}
    rows["é11"]["year"] = 1990
    rows[6]["text"] = "tea again"
    return list(rows.values())


@pytest.mark.parametrize("order", ["as it was made", "backwards", "digits as text"])
def test_an_index_without_documents_takes_those_of_a_file(
    order: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index"
    made(index, "bm25", FIXTURES / "colbert", keep=False)
    made(tmp_path / "wanted", "bm25", model, keep=False)
    rows = final_documents()
    if order == "digits as text":
        path = tmp_path / "documents.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["_id", "title", "text"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    else:
        path = written(tmp_path / "file", rows[::-1] if order == "backwards" else rows)
    assert migrate(index, "--reranker", str(model)) == 2
    assert "keeps no documents; pass them with --documents" in capsys.readouterr().err
    told = report(capsys, index, "--reranker", str(model), "--documents", str(path))
    assert (told["n_documents"], told["n_unknown"]) == (35, 10)
    wanted = answers(Search.load(tmp_path / "wanted", threads=1))
    assert answers(Search.load(index, threads=1)) == wanted


def test_a_file_that_lacks_a_document_or_has_another_text_is_refused_before_any_is_encoded(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    made(index, "bm25", FIXTURES / "colbert", keep=False)
    before = read_manifest(index)
    monkeypatch.setattr(migrating, "migrate", None)
    rows = final_documents()
    argv = ["--reranker", str(model), "--documents"]
    path = written(tmp_path / "short", [row for row in rows if row["_id"] not in (2, "é7")])
    assert migrate(index, *argv, str(path)) == 1
    assert "lacks 2 documents of the index, such as 2" in capsys.readouterr().err
    rows[7]["text"] = "another"
    assert migrate(index, *argv, str(written(tmp_path / "other", rows))) == 1
    told = capsys.readouterr().err
    assert "line 8, id 'é7': its text differs" in told
    assert read_manifest(index) == before
    assert not (index / DRAFT).exists()


def test_kept_documents_that_are_not_what_was_encoded_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index"
    search = Search(**stages("bm25", FIXTURES / "colbert"), key="_id", keep_documents=True)
    search.store([{"other": 1}], ["a"], ["a text that the document does not have"])
    search.save(index)
    assert migrate(index, "--reranker", str(model)) == 1
    assert "document 'a' does not have the text that the index holds" in capsys.readouterr().err
    rows = [{"_id": "a", "text": "a text that the document does not have"}]
    path = written(tmp_path / "file", rows)
    assert migrate(index, "--reranker", str(model), "--documents", str(path)) == 0


def test_kinds_may_change_and_a_reranker_may_come(tmp_path: Path) -> None:
    index = tmp_path / "index"
    search = Search(Splade.load(FIXTURES / "splade", threads=1), key="_id", keep_documents=True)
    search.add(documents(9))
    search.save(index)
    sparse, colbert = FIXTURES / "sparse-embed", FIXTURES / "colbert"
    assert migrate(index, "--model", str(colbert), "--reranker", str(sparse)) == 0
    wanted = Search(
        ColBERT.load(colbert, threads=1),
        reranker=SparseEmbed.load(sparse, threads=1),
        key="_id",
        keep_documents=True,
    )
    wanted.add(documents(9))
    for how in ("none", "rrf"):
        asked: Any = {"k": 20, "fuse": how}
        found = Search.load(index, threads=1).search(QUERIES, **asked)
        assert found == wanted.search(QUERIES, **asked)


@pytest.mark.parametrize("n_documents", [0, 1])
def test_an_index_of_nothing_or_one_is_migrated_too(
    n_documents: int, model: Path, tmp_path: Path
) -> None:
    search = Search(**stages("colbert", FIXTURES / "colbert"), key="_id", keep_documents=True)
    search.add(documents(3))
    search.delete([row["_id"] for row in documents(3)[n_documents:]])
    search.save(tmp_path / "index")
    assert migrate(tmp_path / "index", "--model", str(model)) == 0
    with Search.edit(tmp_path / "index", threads=1) as again:
        again.add(documents(4))
    assert len(Search.load(tmp_path / "index").search(["tea"], k=9).ids[0]) == 4


def test_an_index_of_the_first_format_is_migrated(tmp_path: Path, model: Path) -> None:
    index = tmp_path / "index"
    shutil.copytree(FIXTURES / "index-format-1", index)
    search = Search.load(index, threads=1)
    if search.kept is None or search.reranker is None:
        pytest.skip("the fixture keeps no documents")
    found = search.search(QUERIES, k=5, fuse="none")
    assert migrate(index, "--reranker", str(model)) == 0
    again = Search.load(index, threads=1, verify=True).search(QUERIES, k=5, fuse="none")
    assert list(map(set, again.ids)) == list(map(set, found.ids))


def test_the_same_model_again_is_nothing_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path / "index", "bm25", FIXTURES / "colbert")
    before = read_manifest(tmp_path / "index")
    assert migrate(tmp_path / "index", "--reranker", str(FIXTURES / "colbert")) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert read_manifest(tmp_path / "index") == before


def test_wrong_calls_are_one_line(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index"
    made(index, "bm25", FIXTURES / "colbert")
    for options, code, told in (
        ((), 2, "pass --model, --reranker or both"),
        (("--model", str(model)), 1, "has the retriever bm25, which takes no model"),
        (("--reranker", str(FIXTURES / "splade")), 1, "does not rerank"),
        (("--reranker", str(tmp_path)), 1, "glane.json"),
    ):
        assert migrate(index, *options) == code
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1
    assert migrate(tmp_path / "nothing", "--reranker", str(model)) == 1
    assert "`glane index` makes indexes" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
    BM25().save(tmp_path / "alone")
    assert migrate(tmp_path / "alone", "--reranker", str(model)) == 1
    assert "holds a retriever alone" in capsys.readouterr().err
    with writing(index):
        assert migrate(index, "--reranker", str(model)) == 1
    assert "is being written to by" in capsys.readouterr().err
