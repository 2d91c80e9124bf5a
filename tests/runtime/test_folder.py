"""Documents of a folder, and from elsewhere: one file after the other, as if they were one."""

import datetime
import decimal
import gzip
import json
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from glane.collection.dataset import document_rows
from glane.commands.main import main

DOCUMENTS: list[dict[str, Any]] = [
    {"_id": n, "title": f"t{n}", "text": f"tea and sea {n}", "tags": ["a", "b"][: n % 3]}
    for n in range(10)
]


def lines(records: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def parquet(path: Path, records: Sequence[dict[str, Any]], **options: Any) -> None:  # noqa: ANN401
    pytest.importorskip("pyarrow", reason="needs the extra data")
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(records)), path, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files of the documents in their order, and what is passed over."""
    made = tmp_path / "corpus"
    (made / "c" / "deep").mkdir(parents=True)
    (made / "_log").mkdir()
    (made / "a.jsonl").write_bytes(lines(DOCUMENTS[:2]))
    (made / "b.jsonl.gz").write_bytes(gzip.compress(lines(DOCUMENTS[2:3])))
    (made / "b.empty.jsonl").touch()
    (made / "c" / "deep" / "x.json").write_text(json.dumps(DOCUMENTS[3:6]))
    parquet(made / "d.parquet", DOCUMENTS[6:], row_group_size=2)
    for name in (".a.jsonl", "_log/0.json", "README.md", "a.jsonl.crc", "_SUCCESS"):
        (made / name).write_text("nothing to read")
    return made


def read(path: str | Path) -> list[dict[str, Any]]:
    return [record for _, record in document_rows(path, "_id", ["title", "text"])]


def index(path: str | Path, where: Path, *options: str) -> int:
    return main(["index", str(where), "--documents", str(path), "--retriever", "bm25", *options])


def compacted(index: Path) -> list[bytes]:
    assert main(["compact", str(index)]) == 0
    return sorted(path.read_bytes() for path in (index / "segments").iterdir())


def test_a_folder_is_its_files_in_the_order_of_their_names(folder: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.jsonl"
    one.write_bytes(lines(DOCUMENTS))
    assert read(folder) == read(one) == DOCUMENTS
    assert index(one, tmp_path / "i") == index(folder, tmp_path / "j") == 0
    assert compacted(tmp_path / "i") == compacted(tmp_path / "j")


def test_a_record_of_a_folder_is_called_by_its_own_file(folder: Path) -> None:
    rows = document_rows(folder, "_id", ["text"])
    for _ in range(2):
        places = {record["_id"]: rows.place(number) for number, record in rows}
        assert places[1] == f"{str(folder / 'a.jsonl')!r}, line 2"
        assert places[2] == f"{str(folder / 'b.jsonl.gz')!r}, line 1"
        assert places[4] == f"{str(folder / 'c' / 'deep' / 'x.json')!r}, line 1"
        assert places[8] == f"{str(folder / 'd.parquet')!r}, row 3"
    assert rows.name == repr(str(folder))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.jsonl", b'{"_id": "3", "text": ""}', r"e.jsonl', line 1: .* first as 3 in .*x.json', "),
        ("e.jsonl", b'\n{"_id": [3]}', r"e.jsonl', line 2 must be a string or an integer"),
        ("e.jsonl", b'\n{"text": "x"}', r"e.jsonl', line 2 has no key '_id'"),
        ("e.jsonl", b'{"_id": 70, "text": 5}', r"e.jsonl', line 1, id 70: field 'text' must be te"),
        ("e.jsonl", b"{", r"e.jsonl', line 1"),
        ("e.jsonl.zst", b"\x28\xb5\x2f\xfd", r"e.jsonl.zst' is packed with zstd"),
        ("e.parquet", b"PAR1" + bytes(100), r"e.parquet' cannot be read as Parquet"),
    ],
)
def test_what_is_wrong_in_a_folder_is_one_line_and_leaves_nothing(
    name: str,
    content: bytes,
    message: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / name).write_bytes(content)
    assert index(folder, tmp_path / "i") == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(capsys.readouterr().err)
    assert not (tmp_path / "i").exists()


def test_a_folder_without_such_files_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").touch()
    assert index(tmp_path, tmp_path / "i") == 1
    assert "has no file whose name ends in one of .jsonl, " in capsys.readouterr().err


def test_a_folder_of_beir_is_its_corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(lines(DOCUMENTS))
    (tmp_path / "queries.jsonl").write_bytes(lines(DOCUMENTS[:1]))
    assert read(tmp_path) == DOCUMENTS


def test_a_table_of_parquet_is_what_json_lines_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nulls, nested values, dictionaries, large texts and several groups of rows."""
    pytest.importorskip("pyarrow", reason="needs the extra data")
    import pyarrow.parquet

    day, price = datetime.datetime(2020, 1, 2), decimal.Decimal("1.50")
    table = pyarrow.table(
        {
            "_id": pyarrow.array(["x", "y", "z"], pyarrow.large_string()),
            "text": pyarrow.array(["tea", None, "tea"]).dictionary_encode(),
            "meta": [{"at": day, "prices": [price]}, None, {"at": None, "prices": []}],
            "n": [1, None, 3],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    same: list[dict[str, Any]] = [
        {
            "_id": "x",
            "text": "tea",
            "meta": {"at": "2020-01-02 00:00:00.000000", "prices": ["1.50"]},
            "n": 1,
        },
        {"_id": "y", "text": None, "meta": None, "n": None},
        {"_id": "z", "text": "tea", "meta": {"at": None, "prices": []}, "n": 3},
    ]
    (tmp_path / "x.jsonl").write_bytes(lines(same))
    for name, made in (("x.parquet", "i"), ("x.jsonl", "j")):
        assert index(tmp_path / name, tmp_path / made, "--fields", "n:int") == 0
    assert compacted(tmp_path / "i") == compacted(tmp_path / "j")
    capsys.readouterr()
    for bad, message in (
        (table.slice(0, 0), "is empty, or a header alone"),
        (table.drop_columns(["_id"]), "row 1 has no key '_id': it has ['text', 'meta', 'n']"),
        (table.drop_columns(["text"]), "no document has the field 'title': they have ['_id', "),
        (table.append_column("raw", [[b"x"] * 3]), "row 1, id 'x': cannot be"),
    ):
        pyarrow.parquet.write_table(bad, tmp_path / "bad.parquet")
        assert index(tmp_path / "bad.parquet", tmp_path / "k") == 1
        error = capsys.readouterr().err
        assert f"bad.parquet'{', ' if 'row' in message else ''}" in error
        assert message in error


@pytest.fixture
def memory(folder: Path) -> Iterator[str]:
    """The folder in fsspec's memory."""
    fsspec = pytest.importorskip("fsspec", reason="needs the extra data")
    system = fsspec.filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            system.pipe(f"/kept/corpus/{path.relative_to(folder).as_posix()}", path.read_bytes())
    yield "memory://kept/corpus"
    system.rm("/kept", recursive=True)


def test_files_elsewhere_are_read_as_those_of_a_disk(
    memory: str, folder: Path, tmp_path: Path
) -> None:
    assert read(f"{memory}/") == read(f"file://{folder}/") == DOCUMENTS
    assert read(f"{memory}/b.jsonl.gz") == DOCUMENTS[2:3]
    assert read(f"{memory}/d.parquet") == read(f"file://{folder}/d.parquet") == DOCUMENTS[6:]
    assert index(folder, tmp_path / "i") == index(f"{memory}/", tmp_path / "j") == 0
    assert compacted(tmp_path / "i") == compacted(tmp_path / "j")
    rows = document_rows(f"{memory}/", "_id", ["text"])
    assert [rows.place(number) for number, _ in rows][-1].endswith("corpus/d.parquet', row 4")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://nowhere/x.jsonl", "nothing is there; the address of a folder ends in /"),
        ("memory://nowhere/", "has no file whose name ends in one of"),
        ("nowhere://x", "rotocol not known: nowhere"),
    ],
)
def test_what_is_not_elsewhere_is_one_line(
    address: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fsspec", reason="needs the extra data")
    assert index(address, tmp_path / "i") == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_fsspec_an_address_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("glane.collection.remote.find_spec", lambda _: None)
    for address in ("s3://bucket/x.jsonl", "s3://bucket/"):
        assert index(address, tmp_path / "i") == 1
        assert "needs fsspec: pip install 'glane[data]'\n" in capsys.readouterr().err


class Quiet(SimpleHTTPRequestHandler):
    """Sends whole files alone, and says nothing."""

    def do_GET(self) -> None:
        """Refuse one of them."""
        self.send_error(403) if self.path == "/secret" else super().do_GET()

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing."""


def test_a_web_server_that_sends_no_parts_is_read(folder: Path) -> None:
    pytest.importorskip("fsspec", reason="needs the extra data")
    pytest.importorskip("aiohttp", reason="fsspec reads the web by it")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        assert read(f"{address}/b.jsonl.gz") == DOCUMENTS[2:3]
        assert read(f"{address}/d.parquet") == DOCUMENTS[6:]
        for name, code in (("no.jsonl", 404), ("secret", 403)):
            with pytest.raises(OSError, match=rf"{name}' cannot be read: ClientResp.*: {code}, "):
                read(f"{address}/{name}")
    finally:
        server.shutdown()
        server.server_close()


def test_a_packing_that_is_cut_off_elsewhere_is_told(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="needs the extra data")
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(lines(DOCUMENTS * 50))[:-50])
    with pytest.raises(ValueError, match=r"x.jsonl.gz' is damaged, or cut off: "):
        read(f"file://{tmp_path}/x.jsonl.gz")
