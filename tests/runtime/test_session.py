"""onnxruntime is loaded in one place: silent, without telemetry; what it refuses is one line."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glane import BM25, ColBERT, Search, SparseEmbed, Splade
from glane.errors import CheckpointError
from glane.model import encoder as encoder_module
from glane.model import session as session_module
from glane.retrievers.neural import Neural

FIXTURES = Path(__file__).parents[1] / "fixtures"
LOADED: dict[str, Callable[..., Neural[Any, Any]]] = {
    "colbert": ColBERT.load,
    "colbert-int8": ColBERT.load,
    "splade": Splade.load,
    "sparse-embed": SparseEmbed.load,
}
KINDS = pytest.mark.parametrize("name", LOADED)

GLANE = [sys.executable, "-m", "glane"]
STRACE = shutil.which("strace")


def environment(home: Path) -> dict[str, str]:
    """Return the variables of a user who has set nothing."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    return {**kept, "HOME": str(home)} | {"PYTHONDONTWRITEBYTECODE": "1"}


def collection(folder: Path) -> Path:
    """Write a small collection in BEIR's layout."""
    (folder / "qrels").mkdir(parents=True)
    texts = {"a": "Plants eat light.", "b": "Rivers run to the sea."}
    lines = [json.dumps({"_id": id, "title": "", "text": text}) for id, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "light for plants"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
    return folder


def commands(work: Path, data: Path) -> dict[str, list[str]]:
    """Return command lines that load a model, in the order they are to be run."""
    model, index = str(FIXTURES / "colbert"), str(work / "index")
    documents = str(data / "corpus.jsonl")
    stages = ["--retriever", "splade", "--model", str(FIXTURES / "splade"), "--reranker", model]
    return {
        "index": ["index", index, "--documents", documents, *stages],
        "search": ["search", index, "light for plants"],
        "add": ["add", index, "--documents", documents],
        "evaluate": ["evaluate", "--dataset", str(data), "--index", index, "--metrics", "hits@1"],
        "info": ["info", index, "--verify"],
        "info of a model": ["info", model, "--verify"],
        "compact": ["compact", index],
        "delete": ["delete", index, "a"],
    }


def run_silently(argv: list[str], home: Path, **options: Any) -> str:  # noqa: ANN401 (Popen's)
    """Run a program and return what it says on standard output; nothing else may be said."""
    done = subprocess.run(
        argv, env=environment(home), capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if not line.endswith(" ...")]
    assert told == [], done.stderr
    return str(done.stdout)


def test_no_command_leaves_a_file_in_the_home_folder_or_says_a_word(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for argv in commands(tmp_path, collection(tmp_path / "data")).values():
        run_silently([*GLANE, *argv], home)
    assert list(home.iterdir()) == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_home_folder_that_cannot_be_written_to_is_no_matter(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    for argv in commands(tmp_path, collection(tmp_path / "data")).values():
        run_silently([*GLANE, *argv], home)


def test_a_home_folder_that_is_a_file_is_no_matter(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("")
    for argv in commands(tmp_path, collection(tmp_path / "data")).values():
        run_silently([*GLANE, *argv], home)


@pytest.mark.skipif(STRACE is None, reason="needs strace")
def test_no_host_is_looked_up(tmp_path: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    home.mkdir()
    trace = [str(STRACE), "-f", "-qq", "-e", "trace=socket,connect,sendto", "-o", str(log)]
    data = collection(tmp_path / "data")
    for name in ("index", "search", "evaluate"):
        argv = commands(tmp_path, data)[name]
        run_silently([*trace, *GLANE, *argv], home)
        calls = [line for line in log.read_text().splitlines() if "AF_UNIX" not in line]
        assert [line for line in calls if "socket(" in line or "connect(" in line] == [], name


PROBE = """
import os, sys
before = dict(os.environ)
from glane import ColBERT
colbert = ColBERT.load(sys.argv[1], threads=1)
colbert.encode_queries(["tea"])
colbert.encode_documents(["tea leaf stone river"] * 64)
assert dict(os.environ) == before, set(os.environ) ^ set(before)
n_threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
print(n_threads)
"""


def test_one_thread_is_one_thread_and_the_environment_is_as_before(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PROBE, str(FIXTURES / "colbert")]
    options = {**environment(tmp_path), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(argv, env=options, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    assert done.stderr == ""


@pytest.mark.parametrize("given", ["0", "1"])
def test_what_the_user_says_of_telemetry_stands(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(session_module.SWITCH, given)
    session_module.onnxruntime()
    assert os.environ[session_module.SWITCH] == given
    monkeypatch.delenv(session_module.SWITCH)
    session_module.onnxruntime()
    assert session_module.SWITCH not in os.environ


def test_no_other_module_imports_onnxruntime() -> None:
    root = Path(__file__).parents[2]
    importing = [
        path.name
        for part in ("runtime/glane", "trainer/glane_trainer", "export/glane_export")
        for path in (root / part).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith((" ", "import", "from"))
        and ("import onnxruntime" in line or "from onnxruntime" in line)
        and "InferenceSession" not in line
    ]
    assert set(importing) == {"session.py"}


def changed(name: str, folder: Path, file: str, change: Callable[[Any], Any]) -> Path:
    """Copy a model, with one of its JSON files changed and its proof taken away."""
    shutil.copytree(FIXTURES / name, folder)
    (folder / "parity.json").unlink()
    record = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(change(record)))
    return folder


def beyond_the_embedding(tokenizer: Any) -> Any:  # noqa: ANN401 (parsed JSON)
    tokenizer["model"]["vocab"]["snow"] = 10**6
    return tokenizer


@KINDS
def test_a_token_without_an_embedding_is_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = changed(name, tmp_path / "model", "tokenizer.json", beyond_the_embedding)
    loaded = LOADED[name](model)
    for texts in (["snow"], ["snow", "sun"] * 40):
        with pytest.raises(CheckpointError, match=r"model' failed while it ran: .*") as refusal:
            loaded.encode_documents(texts)
        assert "\n" not in str(refusal.value)
    assert loaded.encode_documents(["sun"]) is not None
    assert capfd.readouterr() == ("", "")


def test_a_token_without_an_embedding_is_one_line_of_a_command(tmp_path: Path) -> None:
    model = changed("colbert", tmp_path / "model", "tokenizer.json", beyond_the_embedding)
    (tmp_path / "c.jsonl").write_text('{"_id": "a", "text": "snow"}\n')
    argv = [*GLANE, "index", str(tmp_path / "index"), "--documents", str(tmp_path / "c.jsonl")]
    argv += ["--retriever", "colbert", "--model", str(model), "--on", "text"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("glane: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["colbert", "sparse-embed"])
def test_vectors_of_another_width_than_the_checkpoint_says_are_refused(
    name: str, tmp_path: Path
) -> None:
    def wider(checkpoint: Any) -> Any:  # noqa: ANN401 (parsed JSON)
        return checkpoint | {"dim": 9}

    loaded = LOADED[name](changed(name, tmp_path / "model", "glane.json", wider))
    with pytest.raises(CheckpointError, match=r"its glane\.json wants float32|wants int64"):
        loaded.encode_documents(["snow"])


def test_a_graph_of_another_kind_is_refused(tmp_path: Path) -> None:
    for kind, other in (("colbert", "splade"), ("splade", "colbert"), ("splade", "sparse-embed")):
        model = changed(kind, tmp_path / f"{kind}-{other}", "glane.json", dict)
        shutil.copy(FIXTURES / other / "model.onnx", model)
        with pytest.raises(CheckpointError, match=r"failed while it ran|but its glane\.json"):
            LOADED[kind](model).encode_documents(["snow"])


Output = list[Any]


def broken(place: int, value: float) -> Callable[..., Output]:
    """Return a `run` whose outputs hold a wrong number."""
    run = session_module.run

    def damaged(*arguments: Any) -> Output:  # noqa: ANN401 (those of `run`)
        outputs = run(*arguments)
        outputs[place] = outputs[place].copy()
        outputs[place].flat[1] = value
        return outputs

    return damaged


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "place"),
    [("colbert", 0), ("colbert-int8", 0), ("splade", 1), ("sparse-embed", 1), ("sparse-embed", 2)],
)
def test_a_number_that_is_not_finite_is_never_part_of_a_vector(
    name: str, place: int, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = LOADED[name](FIXTURES / name, threads=2)
    text = "the sun and the sea"
    assert loaded.encode_documents([text]) is not None
    monkeypatch.setattr(encoder_module, "run", broken(place, value))
    for texts in ([text], [text] * 60):
        with pytest.raises(CheckpointError, match="it gives a number that is not finite"):
            loaded.encode_documents(texts)


def test_a_term_below_0_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    splade = Splade.load(FIXTURES / "splade")
    monkeypatch.setattr(encoder_module, "run", broken(0, -1))
    with pytest.raises(CheckpointError, match="it gives a term whose number is below 0"):
        splade.encode_documents(["the sun"])


def test_padding_may_be_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    run, colbert = session_module.run, ColBERT.load(FIXTURES / "colbert", threads=1)
    texts = ["the sun and the sea", "snow"]
    expected = colbert.encode_documents(texts)

    def damaged(session: Any, batch: Any, *others: Any) -> Output:  # noqa: ANN401 (as `run`)
        (vectors,) = run(session, batch, *others)
        return [np.where(batch.score_mask[..., None], vectors, np.float32(np.nan))]

    monkeypatch.setattr(encoder_module, "run", damaged)
    found = colbert.encode_documents(texts)
    assert np.array_equal(found.values, expected.values)


@pytest.mark.parametrize("file", ["glane.json", "model.json", "parity.json"])
def test_a_file_that_is_nested_too_deeply_is_refused(file: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(FIXTURES / "colbert", model)
    (model / file).write_text('{"a":' + "[" * 200_000 + "]" * 200_000 + "}")
    with pytest.raises(CheckpointError, match=rf"{file}' is nested too deeply"):
        ColBERT.load(model).encode_queries(["snow"])


@KINDS
def test_a_model_that_was_changed_since_its_export_makes_no_vector(
    name: str, tmp_path: Path
) -> None:
    shutil.copytree(FIXTURES / name, tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b'"snow"', b'"snaw"'))
    loaded = LOADED[name](tmp_path / "model")
    with pytest.raises(CheckpointError, match="is damaged or was changed since it was exported"):
        loaded.encode_documents(["snow"])
    (tmp_path / "model" / "parity.json").unlink()
    assert LOADED[name](tmp_path / "model").encode_documents(["snow"]) is not None


@pytest.mark.parametrize("proof", ["[]", "{}", '{"fingerprint": 5}', "null"])
def test_a_proof_that_names_no_model_is_no_proof(proof: str, tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "colbert", tmp_path / "model")
    (tmp_path / "model" / "parity.json").write_text(proof)
    with pytest.raises(CheckpointError, match=r"its parity\.json is of"):
        ColBERT.load(tmp_path / "model").encode_queries(["snow"])


def test_a_session_is_loaded_once_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = session_module.load_session

    def counted(*arguments: Any) -> Any:  # noqa: ANN401 (those of `load_session`)
        loads.append(arguments)
        return load(*arguments)

    monkeypatch.setattr(encoder_module, "load_session", counted)
    colbert = ColBERT.load(FIXTURES / "colbert", threads=2)
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        colbert.encode_queries(["snow"])
        colbert.encode_documents(["snow", "sun " * 20] * 20)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_loads_and_cut_texts_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    colbert = ColBERT.load(FIXTURES / "colbert")
    with caplog.at_level(logging.DEBUG, "glane"):
        colbert.encode_documents(["snow", "snow " * 99])
    assert [record.levelname for record in caplog.records] == ["INFO", "DEBUG"]
    assert "cut 1 of 2 texts (document)" in caplog.text
    assert str(FIXTURES / "colbert" / "model.onnx") in caplog.text
    assert logging.getLogger("glane").handlers == []


def test_lexical_search_loads_neither_bars_nor_onnxruntime() -> None:
    program = (
        "import sys, glane; s = glane.Search(glane.BM25(), on='text', key='id');"
        "s.add([{'id': 1, 'text': 'tea'}], progress=True); s.search(['tea']);"
        "print([m for m in ('tqdm', 'onnxruntime', 'importlib.metadata') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
    assert isinstance(Search(BM25()), Search)
