"""A manifest with a right checksum and a wrong shape is told in one line by every command."""

import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, CheckpointError, ColBERT, FusionSettings, Search, SparseEmbed
from glane.commands.main import main
from glane.store.manifest import SEAL

FIXTURES = Path(__file__).parents[1] / "fixtures"

OTHERS: list[Any] = [None, True, -1, 1e308, "x", [], [5], {}, {"x": 1}, 10**40]
"""A value of each type of JSON, and some of the right type that are wrong."""

DOCUMENTS = [{"_id": "leaf", "text": "Plants eat light."}, {"_id": "sea", "text": "Rivers run."}]


def sealed(record: dict[str, Any]) -> bytes:
    """Return the manifest with a checksum that is right."""
    body = json.dumps(record, ensure_ascii=False, indent=1).removesuffix("\n}").encode()
    return body + f'{SEAL}{zlib.crc32(body):08x}"\n}}\n'.encode()


def fields(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every field, at every depth."""
    if path:
        yield path
    rows = enumerate(value) if isinstance(value, list) else ()
    for name, below in value.items() if isinstance(value, dict) else rows:
        yield from fields(below, (*path, name))


def changed(record: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """Return the record with another value in one place, without it where that is `...`."""
    made = json.loads(json.dumps(record))
    place = made
    for name in path[:-1]:
        place = place[name]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return dict(made)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of every kind of table: words, token vectors, kept documents, deleted rows."""
    folder = tmp_path_factory.mktemp("good")
    search = Search(
        BM25(),
        reranker=ColBERT.load(FIXTURES / "colbert-int8", threads=1),
        key="_id",
        on="text",
        keep_documents=True,
        fusion=FusionSettings("relative", 0.4, 50),
    )
    search.add([*DOCUMENTS, {"_id": "gone", "text": "Granite."}])
    search.save(folder / "index")
    with Search.edit(folder / "index", threads=1) as edited:
        edited.delete(["gone"])
    return folder


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sparse")
    model = SparseEmbed.load(FIXTURES / "sparse-embed", threads=1)
    search = Search(model, key="_id", on="text")
    search.add(DOCUMENTS)
    search.save(folder / "index")
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    record = json.loads((folder / "manifest.json").read_text())
    del record["crc32"]
    return dict(record)


def opens(folder: Path) -> bool:
    """Return whether an index is opened and searched; whatever is refused is refused by name."""
    try:
        Search.load(folder, threads=1).search(["plants light"], k=2)
    except CheckpointError:
        return False
    return True


def change(folder: Path) -> None:
    """Change what was opened: it works, or is refused as a wrong argument is."""
    try:
        with Search.edit(folder, threads=1) as edited:
            edited.add([{"_id": "moss", "text": "light moss", "x": "moss"}])
            edited.delete(["sea"])
            edited.compact()
    except ValueError:
        return
    assert opens(folder)


@pytest.mark.parametrize("name", ["good", "sparse"])
def test_every_field_of_another_type_is_refused_by_name_or_does_no_harm(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """None ends in another error than `CheckpointError`, and what opens can be written to."""
    index = tmp_path / "index"
    shutil.copytree(request.getfixturevalue(name) / "index", index)
    record = manifest(index)
    places = list(fields(record))
    assert len(places) > 40
    n_refused = n_tried = 0
    taken: dict[tuple[str | int, ...], bytes] = {}
    for path in places:
        for value in (..., *(OTHERS[::4] if path[0] == "files" else OTHERS)):
            n_tried += 1
            content = sealed(changed(record, path, value))
            (index / "manifest.json").write_bytes(content)
            if opens(index):
                taken[path] = content
            else:
                n_refused += 1
    assert n_refused > 0.8 * n_tried
    for number, content in enumerate(taken.values()):
        shutil.copytree(index, tmp_path / str(number))
        (tmp_path / str(number) / "manifest.json").write_bytes(content)
        change(tmp_path / str(number))


COMMANDS = ("info", "verify", "search", "add", "delete", "compact", "evaluate", "tune")


def argv(command: str, index: str, folder: Path) -> list[str]:
    beir = ["--dataset", str(folder / "beir"), "--metrics", "hits@1"]
    return {
        "info": ["info", index],
        "verify": ["info", index, "--verify"],
        "search": ["search", index, "plants", "--threads", "1"],
        "add": ["add", index, "--documents", str(folder / "more.jsonl"), "--threads", "1"],
        "delete": ["delete", index, "sea", "--threads", "1"],
        "compact": ["compact", index, "--threads", "1"],
        "evaluate": ["evaluate", "--index", index, *beir, "--threads", "1"],
        "tune": ["tune", index, "--dataset", str(folder / "beir"), "--threads", "1"],
    }[command]


def write_beir(folder: Path) -> None:
    (folder / "qrels").mkdir(parents=True)
    rows = {"corpus": DOCUMENTS, "queries": [{"_id": "q", "text": "plants"}]}
    for name, records in rows.items():
        text = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(text)
    (folder / "qrels" / "test.tsv").write_text("q\tleaf\t1\n")


WRONG: list[tuple[tuple[str | int, ...], Any]] = [
    (("settings",), {}),
    (("settings", "stages"), ...),
    (("settings", "stages"), []),
    (("settings", "stages", "retriever"), 5),
    (("settings", "stages", "retriever", "kind"), ["x"]),
    (("settings", "stages", "retriever", "analyzer"), "x"),
    (("settings", "stages", "retriever", "settings"), {"k1": "a"}),
    (("settings", "stages", "reranker"), []),
    (("settings", "stages", "reranker", "storage"), None),
    (("settings", "stages", "reranker", "storage", "pool"), 0),
    (("settings", "search"), 5),
    (("settings", "search", "on"), 5),
    (("settings", "search", "fusion"), 5),
    (("settings", "search", "fusion"), {"fuse": "mean"}),
    (("settings", "search", "fusion", "fuse_weight"), "much"),
    (("settings", "search", "fusion", "candidates"), 0),
    (("settings", "models"), {}),
    (("settings", "models", "reranker"), 5),
    (("tables",), {}),
    (("tables",), []),
    (("tables", "retriever"), ...),
    (("tables", "keys"), None),
    (("tables", "keys", "segments"), "abc"),
    (("tables", "keys", "segments", 0, "n_deleted"), 10**12),
    (("files",), {}),
    (("generation",), "x"),
    (("format_version",), True),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_a_wrong_manifest_in_one_line(
    command: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_beir(tmp_path / "beir")
    (tmp_path / "more.jsonl").write_text('{"_id": "moss", "text": "light"}\n')
    record = manifest(good / "index")
    for number, (path, value) in enumerate(WRONG):
        index = tmp_path / f"index-{number}"
        shutil.copytree(good / "index", index)
        content = sealed(changed(record, path, value))
        (index / "manifest.json").write_bytes(content)
        code = main(argv(command, str(index), tmp_path))
        printed = capsys.readouterr()
        if command != "info":
            assert code == 1, (path, value, printed.out)
        if code:
            assert code == 1
            assert printed.out == ""
            assert printed.err.startswith("glane: ")
            assert printed.err.count("\n") == 1
            assert (index / "manifest.json").read_bytes() == content


def test_a_damaged_or_unfinished_index_is_one_line(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index"
    shutil.copytree(good / "index", index)
    text = (index / "manifest.json").read_bytes()
    for content in (b"", b"{", text[:-9], b"[]", b"\xff\xfe", b"[" * 100_000, text + b"x"):
        (index / "manifest.json").write_bytes(content)
        for command in ("info", "verify", "search"):
            assert main(argv(command, str(index), tmp_path)) == 1
            assert capsys.readouterr().err.count("\n") == 1
    (index / "manifest.json").unlink()
    (index / "draft.json").write_bytes(text)
    assert main(["info", str(index), "--json", "--verify"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["type"], told["n_documents"], told["retriever"]) == ("draft", 2, "bm25")
    assert "the same `glane index` goes on" in told["unfinished"]
    assert main(["search", str(index), "plants"]) == 1
    assert "indexing was stopped before its end" in capsys.readouterr().err
