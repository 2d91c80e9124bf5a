"""The program `glane` without the trainer: what it prints, what it refuses, what it leaves."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glane import BM25, Search
from glane.commands import documents
from glane.commands.main import main
from glane.model.checkpoint import ModelInfo

FIXTURES = Path(__file__).parents[1] / "fixtures"
MODEL = FIXTURES / "colbert-int8"

CORPUS = [
    {"_id": "leaf", "title": "Leaves", "text": "Plants eat light."},
    {"_id": "sea", "title": "Rivers", "text": "They run to the sea."},
    {"_id": "stone", "title": "", "text": "Granite is hard."},
]


def write_jsonl(path: Path, records: list[Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    return write_jsonl(tmp_path / "corpus.jsonl", CORPUS)


@pytest.fixture
def beir(tmp_path: Path) -> str:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    write_jsonl(folder / "corpus.jsonl", CORPUS)
    queries = [{"_id": "q1", "text": "light of plants"}, {"_id": "q2", "text": "hard granite"}]
    write_jsonl(folder / "queries.jsonl", queries)
    rows = ["query-id\tcorpus-id\tscore", "q1\tleaf\t1", "q2\tstone\t1", ""]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows))
    return str(folder)


@pytest.fixture
def index(corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    folder = str(tmp_path / "index")
    assert main(["index", folder, "--documents", corpus, "--retriever", "bm25"]) == 0
    capsys.readouterr()
    return folder


def answer(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run with --json and return the object: the only thing on standard output."""
    assert main([*argv, "--json"]) == 0, capsys.readouterr().err
    return dict(json.loads(capsys.readouterr().out))


def complaint(argv: list[str], capsys: pytest.CaptureFixture[str], code: int = 1) -> str:
    """Run what must fail with this code and return its one line."""
    assert main(argv) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("glane: ")
    assert printed.err.count("\n") == 1
    return printed.err


def test_index_search_add_and_info(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(["search", index, "plants and light", "-k", "2"], capsys)
    assert [hit["id"] for hit in found["hits"]] == ["leaf"]
    more = write_jsonl(tmp_path / "more.jsonl", [{"_id": "moss", "title": "Moss", "text": "light"}])
    assert answer(["add", index, "--documents", more], capsys)["n_added"] == 1
    again = write_jsonl(tmp_path / "again.jsonl", [{"_id": "sea", "title": "", "text": "salt"}])
    assert answer(["add", index, "--documents", again], capsys)["n_replaced"] == 1
    both = write_jsonl(
        tmp_path / "both.jsonl",
        [
            {"_id": "sea", "title": "", "text": "salt"},
            {"_id": "moss", "title": "Moss", "text": "light"},
        ],
    )
    assert main(["add", index, "--documents", both]) == 0
    assert ": 0 added, 0 replaced, 2 unchanged, 4 documents now, " in capsys.readouterr().out
    info = answer(["info", index], capsys)
    assert (info["n_documents"], info["n_deleted"], info["n_segments"]) == (4, 1, 2)
    assert info["bytes"] > 0
    assert main(["search", index, "salt"]) == 0
    assert "sea" in capsys.readouterr().out
    assert main(["search", index, "nothing of this"]) == 0
    assert capsys.readouterr().out == "nothing found\n"


def test_ids_that_no_terminal_can_print_are_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lone = write_jsonl(tmp_path / "lone.jsonl", [{"_id": "s\ud800", "title": "", "text": "salt"}])
    index = str(tmp_path / "index")
    assert main(["index", index, "--documents", lone, "--retriever", "bm25"]) == 0
    capsys.readouterr()
    assert answer(["search", index, "salt"], capsys)["hits"][0]["id"] == "s\ud800"
    assert main(["search", index, "salt"]) == 0
    assert "s\\ud800" in capsys.readouterr().out


def test_threads_are_checked_by_every_command(
    index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = complaint(["info", index, "--threads", "0"], capsys, 2)
    assert told == "glane: --threads must be at least 1, got 0\n"


def test_delete_compact_and_verify(
    corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = str(tmp_path / "index")
    numbered = write_jsonl(
        tmp_path / "all.jsonl", [*CORPUS, {"_id": 7, "title": "", "text": "ice"}]
    )
    argv = ["index", index, "--documents", numbered, "--retriever", "bm25", "--keep-documents"]
    answer(argv, capsys)
    found = answer(["search", index, "light"], capsys)["hits"]
    assert found[0]["document"] == CORPUS[0]
    assert main(["search", index, "light"]) == 0
    assert "Plants eat light." in capsys.readouterr().out
    deleted = answer(["delete", index, "leaf", "7"], capsys)
    assert (deleted["n_documents"], deleted["n_deleted"]) == (2, 2)
    assert "unknown document '7'" in complaint(["delete", index, "sea", "7"], capsys)
    info = answer(["info", index, "--verify"], capsys)
    assert (info["n_documents"], info["n_deleted"], info["deleted_share"]) == (2, 2, 0.5)
    files = [path for path in Path(index).rglob("*") if path.is_file() and path.name != "lock"]
    assert info["verified"] == len(files)
    assert sum(info["bytes_by_part"].values()) < info["bytes"]
    assert set(info["bytes_by_part"]) >= {"keys", "documents", "retriever", "retriever.terms"}
    assert main(["delete", index, "sea"]) == 0
    assert "1 deleted, 1 left" in capsys.readouterr().out
    assert main(["compact", index]) == 0
    assert "1 documents" in capsys.readouterr().out
    info = answer(["info", index], capsys)
    assert (info["n_documents"], info["n_deleted"], info["n_segments"]) == (1, 0, 1)
    path = next(Path(index).rglob("retriever-*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert str(path) in complaint(["info", index, "--verify"], capsys)
    assert answer(["info", index], capsys)["n_documents"] == 1
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    shutil.copy(MODEL / "glane.json", checkpoint)
    assert "only an index keeps checksums" in complaint(
        ["info", str(checkpoint), "--verify"], capsys
    )


def test_a_linked_index_has_no_copy_of_its_model(
    corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = str(tmp_path / "index")
    argv = ["index", index, "--documents", corpus, "--retriever", "bm25", "--reranker", str(MODEL)]
    answer([*argv, "--link"], capsys)
    assert not list(Path(index).rglob("*.onnx"))
    assert answer(["search", index, "granite"], capsys)["hits"][0]["id"] == "stone"


def test_a_neural_index_carries_its_model(
    corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    index = str(tmp_path / "index")
    stages = ["--retriever", "bm25", "--reranker", str(model)]
    assert answer(["index", index, "--documents", corpus, *stages], capsys)["n_documents"] == 3
    shutil.rmtree(model)
    fused = ["search", index, "plants", "--fuse", "relative", "--fuse-weight", "0.4"]
    assert [hit["id"] for hit in answer(fused, capsys)["hits"]] == ["leaf"]
    info = answer(["info", index], capsys)
    assert list(info["fingerprints"]) == ["reranker"]
    assert main(["info", index]) == 0
    assert info["fingerprints"]["reranker"] in capsys.readouterr().out


@pytest.mark.parametrize("name", ["splade", "splade-inference-free", "sparse-embed"])
def test_a_sparse_index_is_made_searched_and_measured(
    name: str, beir: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, index = tmp_path / "model", str(tmp_path / "index")
    shutil.copytree(FIXTURES / name, model)
    retriever = "sparse-embed" if name == "sparse-embed" else "splade"
    stages = ["--retriever", retriever, "--model", str(model), "--reranker", str(MODEL)]
    long = [{"_id": "long", "title": "", "text": "sea " * 99}, *CORPUS]
    made = answer(
        ["index", index, "--documents", write_jsonl(tmp_path / "long.jsonl", long), *stages], capsys
    )
    assert made["n_truncated"] == 0
    assert made["n_passages"] > made["n_documents"] == len(long)
    cut = ["index", str(tmp_path / "cut"), "--documents", tmp_path / "long.jsonl", *stages]
    made = answer([*map(str, cut), "--no-passages"], capsys)
    assert (made["n_truncated"], made.get("n_passages")) == (1, None)
    assert made["truncated"] == {
        place: {"document": 1, "query": 0} for place in ("retriever", "reranker")
    }
    shown = answer(["info", str(model)], capsys)["checkpoint"]
    assert (shown["kind"], shown["query_terms"], shown["document_terms"]) == (retriever, 8, 16)
    shutil.rmtree(model)
    assert len(answer(["search", index, "many 雨 rain"], capsys)["hits"]) == 4
    info = answer(["info", index], capsys)
    assert set(info["fingerprints"]) == {"retriever", "reranker"}
    argv = ["evaluate", "--dataset", beir, "--index", index, "--metrics", "hits@3"]
    assert main(argv) == 0
    assert " a query, " in capsys.readouterr().out
    terms = answer(argv, capsys)["active_terms"]
    assert 0 < terms["query"] <= 8
    assert 0 < terms["document"] <= 16


def test_a_reranker_is_of_the_kind_its_model_says(
    beir: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["evaluate", "--dataset", beir, "--retriever", "bm25", "--metrics", "hits@1"]
    result = answer([*argv, "--reranker", str(FIXTURES / "sparse-embed")], capsys)
    assert result["reranker"] == "SparseEmbed"
    assert "active_terms" not in result
    refusal = complaint([*argv, "--reranker", str(FIXTURES / "splade")], capsys)
    assert "holds a splade model, which does not rerank" in refusal


def test_info_verifies_an_exported_model_by_what_its_export_proved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    assert answer(["info", str(model), "--verify"], capsys)["verified"] == 5
    for name in ("model.onnx", "tokenizer.json"):
        content = (model / name).read_bytes()
        (model / name).write_bytes(content[:-40] + bytes([content[-40] ^ 4]) + content[-39:])
        assert "is damaged or was changed since it was exported" in complaint(
            ["info", str(model), "--verify"], capsys
        )
        (model / name).write_bytes(content)
    (model / "parity.json").unlink()
    assert "has no parity.json" in complaint(["info", str(model), "--verify"], capsys)


@pytest.mark.parametrize("name", ["glane.json", "model.json", "model.onnx", "tokenizer.json"])
def test_info_of_a_model_that_lacks_a_file_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    (model / name).unlink()
    told = complaint(["info", str(model)], capsys)
    assert str(model) in told
    assert told.count("\n") == 1
    assert name == "glane.json" or f"has no {name}" in told


def test_info_of_a_model_says_whether_its_vectors_depend_on_the_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = answer(["info", str(MODEL)], capsys)
    assert info["type"] == "model"
    assert info["model"]["precision"] == "int8"
    assert info["batch"] == "a vector does not depend on its batch"
    dependent = tmp_path / "dependent"
    shutil.copytree(MODEL, dependent)
    replace(ModelInfo.read(MODEL), batch_dependent=True, batch_effect=0.02).write(dependent)
    assert (
        "0.0200 in cosine; glane therefore encodes one text"
        in answer(["info", str(dependent)], capsys)["batch"]
    )


def test_evaluate_measures_and_writes_a_run(
    beir: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run.txt"
    argv = ["evaluate", "--dataset", beir, "--retriever", "bm25", "--metrics", "hits@1,hits@2"]
    result = answer([*argv, "--run", str(run)], capsys)
    assert result["metrics"] == {"hits@1": 1.0, "hits@2": 1.0}
    assert (result["n_documents"], result["n_queries"]) == (3, 2)
    assert set(result["seconds"]) == {"index", "search"}
    assert set(result["latency_ms"]) == {"p50", "p95"}
    query, q0, id, rank, score, name = run.read_text().splitlines()[0].split()
    assert (query, q0, id, rank, name) == ("q1", "Q0", "leaf", "1", "glane")
    found = Search(BM25(), key="_id", on=["title", "text"])
    found.add(CORPUS)
    assert np.float32(score) == found.search(["light of plants"]).scores[0][0]


def test_evaluate_takes_an_index(
    beir: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = str(tmp_path / "index")
    documents = ["--documents", f"{beir}/corpus.jsonl"]
    answer(["index", index, *documents, "--retriever", "tfidf"], capsys)
    argv = ["evaluate", "--dataset", beir, "--metrics", "hits@1"]
    assert answer([*argv, "--index", index], capsys)["metrics"] == {"hits@1": 1.0}
    assert "either --retriever or --index" in complaint(argv, capsys, 2)


def test_char_wb_is_built_as_asked(beir: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["evaluate", "--dataset", beir, "--retriever", "bm25", "--metrics", "hits@1"]
    grams = ["--analyzer", "char_wb", "--ngrams", "3,5"]
    assert answer([*argv, *grams], capsys)["metrics"] == {"hits@1": 1.0}
    assert "two numbers such as 3,5" in complaint([*argv, "--ngrams", "3"], capsys, 2)


BAD_LINES = [
    (["{"], "line 1: not JSON"),
    (['{"_id": "a", "text": "x"}', "[]"], "line 2: must be an object, got list"),
    (['{"text": "x"}'], "has no key '_id'"),
    (['{"_id": "a", "text": "x"}', '{"_id": "a", "text": "y"}'], "'a' appears twice"),
    (['{"_id": "a", "body": "x"}'], "no document has the field 'title'"),
    ([], "is empty"),
]


@pytest.mark.parametrize(("lines", "message"), BAD_LINES, ids=[m for _, m in BAD_LINES])
def test_bad_documents_are_one_line_and_leave_nothing(
    lines: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(lines))
    argv = ["index", str(tmp_path / "index"), "--documents", str(path), "--retriever", "bm25"]
    assert message in complaint(argv, capsys)
    assert list(tmp_path.iterdir()) == [path]


def test_a_bad_addition_leaves_the_index_as_it_was(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"_id": "moss", "title": "", "text": "light"}\n{"_id": ')
    assert "line 2" in complaint(["add", index, "--documents", str(path)], capsys)
    assert answer(["info", index], capsys)["n_documents"] == 3


def bad_calls(index: str, corpus: str, beir: str) -> list[tuple[list[str], str, int]]:
    new = f"{index}-new"
    bm25 = ["--retriever", "bm25"]
    return [
        (["search", f"{index}-none", "x"], "there is no folder", 1),
        (["search", index, "x", "-k", "0"], "k must be at least 1, got 0", 2),
        (["search", index, "x", "--fuse", "rrf"], "needs a reranker", 2),
        (["search", index, "x", "--model", str(MODEL)], "takes no model", 2),
        (["search", index, "x", "--reranker", str(MODEL)], "has no reranker", 2),
        (["search", index, "x", "--threads", "0"], "threads must be at least 1, got 0", 2),
        (["index", index, "--documents", corpus, *bm25], "exists already", 1),
        (["index", new, "--documents", f"{corpus}.gone", *bm25], "is not a file", 1),
        (
            ["index", new, "--documents", corpus, *bm25, "--model", str(MODEL)],
            "takes no --model",
            2,
        ),
        (["index", new, "--documents", corpus, "--retriever", "colbert"], "needs --model", 2),
        (["index", new, "--documents", corpus, *bm25, "--reranker", index], "has no glane.json", 1),
        (
            ["index", new, "--documents", corpus, *bm25, "--reranker", "model"],
            "there is no folder 'model'; `glane export CHECKPOINT model` makes one",
            1,
        ),
        (
            ["index", new, "--documents", corpus, *bm25, "--on", "body"],
            "no document has the field",
            1,
        ),
        (["index", new, "--documents", corpus, *bm25, "--language", "klingon"], "klingon", 2),
        (
            ["index", new, "--documents", corpus, *bm25, "--pool", "2"],
            "or pass --reranker MODEL",
            2,
        ),
        (
            ["index", new, "--documents", corpus, *bm25, "--reranker", str(MODEL), "--pool", "0"],
            "pool must be at least 1, got 0",
            2,
        ),
        (["info", corpus], "is a file; expected a folder", 1),
        (["info", beir], "is no checkpoint, model or index", 1),
        (["evaluate", "--dataset", beir, *bm25, "--split", "dev"], "there are ['test']", 1),
        (
            ["evaluate", "--dataset", beir, *bm25, "--metrics", "fame@3"],
            "unknown metric 'fame@3'",
            2,
        ),
        (["evaluate", "--dataset", corpus, *bm25], "is not a folder", 1),
    ]


@pytest.mark.parametrize("number", range(21))
def test_a_wrong_call_is_one_line(
    number: int, index: str, corpus: str, beir: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv, message, code = bad_calls(index, corpus, beir)[number]
    assert message in complaint(argv, capsys, code)
    assert not Path(f"{index}-new").exists()


def test_token_vectors_are_stored_as_said_and_told_by_info(
    corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, stages = str(tmp_path / "int8"), ["--retriever", "colbert", "--model", str(MODEL)]
    storage = ["--token-vectors", "int8", "--pool", "2"]
    answer(["index", folder, "--documents", corpus, *stages, *storage], capsys)
    told = answer(["info", folder], capsys)["storage"]
    assert told == {"retriever": {"kind": "int8", "pool": 2, "outlines": True}}
    before = answer(["search", folder, "plants"], capsys)["hits"]
    more = write_jsonl(tmp_path / "more.jsonl", [{"_id": "x", "title": "", "text": ""}])
    answer(["add", folder, "--documents", more], capsys)
    assert answer(["search", folder, "plants"], capsys)["hits"][:3] == before


def test_a_model_that_is_a_pickle_is_never_opened(
    corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    (model / "model.onnx").write_bytes(pickle.dumps(Trap()))
    argv = ["index", str(tmp_path / "i"), "--documents", corpus, "--retriever", "bm25"]
    assert "cannot be run by onnxruntime" in complaint([*argv, "--reranker", str(model)], capsys)
    assert not (tmp_path / "sprung").exists()
    assert not (tmp_path / "i").exists()


def test_a_pickled_array_in_an_index_is_never_opened(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    for path in Path(index).rglob("*.safetensors"):
        path.write_bytes(pickle.dumps(Trap()))
    complaint(["search", index, "plants"], capsys)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["search"], ["index", "x", "--retriever", "y"], ["search", "--no"]]
)
def test_bad_usage_is_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage: glane" in capsys.readouterr().err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert all(f" {name} " in printed for name in ("demo", "train", "export", "index", "evaluate"))


def test_what_is_stored_already_does_not_let_more_be_encoded_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [{"_id": str(n), "text": f"word{n} " * 200} for n in range(600)]
    some = write_jsonl(tmp_path / "some.jsonl", records[:400])
    every = write_jsonl(tmp_path / "all.jsonl", records)
    index = str(tmp_path / "index")
    options = ["--on", "text", "--reranker", str(MODEL), "--retriever", "bm25"]
    monkeypatch.setattr(documents, "CHUNK_BYTES", 60_000)  # as vectors of ten documents take
    answer(["index", index, "--documents", some, *options], capsys)
    written = []
    store = Search.store

    def counted(self: Search, records: list[Any], keys: list[Any], texts: list[str]) -> int:
        written.append(store(self, records, keys, texts))
        return written[-1]

    monkeypatch.setattr(Search, "store", counted)
    answer(["add", index, "--documents", every], capsys)
    assert sum(written) == 200
    assert max(written) <= 2 * documents.AT_FIRST
