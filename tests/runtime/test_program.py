"""The program at its edges: streams, encodings, Ctrl-C, ids that forge, options that clash."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glane
from glane import BM25, ColBERT, Search, TfIdf
from glane.commands.installed import COMMANDS
from glane.commands.main import main
from glane.commands.streams import as_json, streams, visible, write_line
from glane.model import progress

FIXTURES = Path(__file__).parents[1] / "fixtures"
MODEL = str(FIXTURES / "colbert-int8")

IDS = ["café", "\U0001f600", "x\ud800", "a\x1b[31m\n   1  9.9  forged", "\u202ertl", "\x9b2J", "雨"]

ENCODINGS = ["ascii", "latin-1", "cp1252", "utf-8", "utf-16", "cp037"]


def complaint(argv: list[str], capsys: pytest.CaptureFixture[str], code: int) -> str:
    assert main(argv) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("glane: ")
    assert printed.err.count("\n") == 1
    return printed.err


def answer(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main([*argv, "--json"]) == 0, capsys.readouterr().err
    return dict(json.loads(capsys.readouterr().out))


def write_jsonl(path: Path, records: list[Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def write_beir(folder: Path, corpus: list[Any], queries: list[Any], rows: list[str]) -> str:
    (folder / "qrels").mkdir(parents=True)
    write_jsonl(folder / "corpus.jsonl", corpus)
    write_jsonl(folder / "queries.jsonl", queries)
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows))
    return str(folder)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An index of ids of all kinds, with the documents kept."""
    search = Search(BM25(), key="_id", on="text", keep_documents=True)
    search.add([{"_id": id, "text": f"tea {id}"} for id in IDS])
    folder = tmp_path_factory.mktemp("program") / "index"
    search.save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def reranked(tmp_path_factory: pytest.TempPathFactory) -> str:
    search = Search(BM25(), reranker=ColBERT.load(MODEL, threads=1), key="_id", on="text")
    search.add([{"_id": "a", "text": "green tea"}, {"_id": "b", "text": "granite"}])
    folder = tmp_path_factory.mktemp("program") / "reranked"
    search.save(folder)
    return str(folder)


def run(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of the shell in which `glane` is the program."""
    line = f'glane() {{ "{sys.executable}" -m glane "$@"; }}; {command}'
    env = {**os.environ, "PYTHONUNBUFFERED": "", **environment}
    return subprocess.run(["bash", "-c", line], capture_output=True, env=env, timeout=120)


def commands(index: str, beir: str) -> list[list[str]]:
    documents = ["--documents", f"{beir}/corpus.jsonl"]
    return [
        ["index", f"{index}-new", *documents, "--retriever", "bm25"],
        ["add", f"{index}-new", *documents],
        ["search", f"{index}-new", "tea"],
        ["info", f"{index}-new", "--verify"],
        ["evaluate", "--dataset", beir, "--index", f"{index}-new", "--metrics", "hits@1"],
        ["delete", f"{index}-new", "a"],
        ["compact", f"{index}-new"],
    ]


@pytest.fixture
def beir(tmp_path: Path) -> str:
    corpus = [{"_id": "a", "title": "T", "text": "green tea"}, {"_id": "b", "text": "granite"}]
    return write_beir(tmp_path / "beir", corpus, [{"_id": "q", "text": "tea"}], ["q\ta\t1"])


class Encoded(io.TextIOWrapper):
    """A stream of an encoding that remembers what was written."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n")

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding, "surrogatepass")


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda below: st.lists(below) | st.dictionaries(st.text(st.characters()), below),
    ),
    st.sampled_from(ENCODINGS),
)
def test_json_is_json_in_every_encoding(value: object, encoding: str) -> None:
    stream = Encoded(encoding)
    write_line(stream, as_json({"value": value}, stream))
    text = stream.text()
    assert text.count("\n") == 1

    def strict(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    read = json.loads(text, parse_constant=strict)["value"]
    finite = json.loads(json.dumps(value), parse_constant=lambda name: None)
    assert read == finite


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_program_prints_json_in_every_encoding(encoding: str, index: str) -> None:
    done = run(f'glane search "{index}" tea --json', PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    hits = json.loads(done.stdout.decode(encoding))["hits"]
    assert {hit["id"] for hit in hits} == set(IDS)


@settings(deadline=None)
@given(st.text(st.characters()), st.sampled_from(ENCODINGS))
def test_text_that_is_shown_is_one_line_that_any_stream_takes(text: str, encoding: str) -> None:
    stream = Encoded(encoding)
    write_line(stream, visible(text))
    shown = stream.text()
    assert len(shown.splitlines()) <= 1
    assert not set(shown[:-1]) & {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u202e"}


def test_an_id_cannot_forge_a_line(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", index, "tea"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * len(IDS)
    assert all("\x1b" not in line and "\x9b" not in line and "\u202e" not in line for line in lines)
    assert "café" in "".join(lines)
    told = complaint(["delete", index, "a\x1b[31m\nforged"], capsys, 1)
    assert "\x1b" not in told


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_without_streams_every_command_is_quiet_and_works(
    closed: str, beir: str, tmp_path: Path
) -> None:
    words = [" ".join(f"'{word}'" for word in each) for each in commands(str(tmp_path / "i"), beir)]
    done = run("; ".join(f"glane {line} {closed}; echo $? >> '{tmp_path}/codes'" for line in words))
    assert (tmp_path / "codes").read_text().split() == ["0"] * len(words)
    assert done.stderr == b""
    assert Search.load(tmp_path / "i-new", verify=True).search(["granite"]).ids == [["b"]]


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("closed", [None, "closed"])
def test_streams_that_are_none_or_closed_are_quiet(
    name: str, closed: str | None, beir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = None
    if closed:
        stream = io.StringIO()
        stream.close()
    monkeypatch.setattr(sys, name, stream)
    codes = [main(argv) for argv in commands(str(tmp_path / "i"), beir)]
    codes.append(main(["search", str(tmp_path / "gone"), "x"]))
    assert getattr(sys, name) is stream
    monkeypatch.undo()
    assert codes == [0, 0, 0, 0, 0, 0, 0, 1]


def test_a_stream_that_is_missing_has_its_descriptor_taken() -> None:
    code = "import os; from glane.commands.streams import streams\nwith streams(): "
    code += "print(os.open(os.devnull, os.O_RDONLY))"
    done = run(f"'{sys.executable}' -c '{code}' 2>&- <&-")
    assert int(done.stdout) > 2


def test_a_reader_that_is_gone_is_silent_and_a_full_disk_is_named(index: str) -> None:
    done = run(f"glane search '{index}' tea | head -c 0; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == (b"0\n", b"")
    for call in (f"search '{index}' tea", "--help", "info --help", "--version"):
        done = run(f"glane {call} > /dev/full")
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1
        assert b"No space left on device: '<stdout>'" in done.stderr
    done = run("(read line; glane --help; echo $? >&2) < <(sleep 1; echo) | true")
    assert done.stderr == b"0\n"


def test_streams_are_given_back() -> None:
    before = sys.stdout, sys.stderr
    with streams():
        assert (sys.stdout, sys.stderr) == before
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("module", ["numpy", "glane.search", "argparse", "json"])
def test_ctrl_c_while_modules_are_imported_is_one_line(module: str, index: str) -> None:
    """A module that interrupts its own import stands for one that takes long."""
    code = (
        "import os, signal, sys\n"
        "class Slow:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {module!r}:\n"
        "            sys.meta_path.remove(self)\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        f"            os.kill(os.getpid(), signal.SIGINT)\n"
        "from glane.commands.main import main\n"
        f"[sys.modules.pop(name) for name in list(sys.modules) if name.startswith({module!r})]\n"
        "sys.meta_path.insert(0, Slow())\n"
        f"sys.argv = ['glane', 'search', {index!r}, 'tea']\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"glane: stopped\n")


def test_an_error_that_came_of_ctrl_c_is_told_as_that(
    index: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an import of a module in C, or a lazy one, makes of it."""

    def interrupted(*_: object, **__: object) -> None:
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as stop:
                raise ImportError("initialization failed") from stop
        except ImportError:
            raise ModuleNotFoundError("could not import") from None

    monkeypatch.setattr(Search, "load", interrupted)
    assert complaint(["search", index, "tea"], capsys, 130) == "glane: stopped\n"


def test_importing_the_entry_loads_nothing_that_takes_long() -> None:
    code = "import glane.commands.main, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    loaded = set(done.stdout.split())
    assert not loaded & {"numpy", "tokenizers", "argparse", "json", "typing", "glane.search"}


def test_ctrl_c_in_the_midst_of_work_is_one_line(tmp_path: Path) -> None:
    words = [{"_id": str(n), "text": f"word{n} " * 200} for n in range(20_000)]
    documents = write_jsonl(tmp_path / "many.jsonl", words)
    argv = ["index", str(tmp_path / "i"), "--documents", documents, "--retriever", "bm25"]
    process = subprocess.Popen(
        [sys.executable, "-m", "glane", *argv, "--on", "text"], stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "i").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith(b"glane: stopped")
    assert errors.count(b"\n") == 1


def clashes(index: str, beir: str, documents: str) -> list[tuple[list[str], str]]:
    new = ["index", f"{index}-other", "--documents", documents]
    measured = ["evaluate", "--dataset", beir]
    bm25 = ["--retriever", "bm25"]
    return [
        (["search", index, "x", "-k", "0"], "-k must be at least 1, got 0"),
        (["search", index, "x", "--candidates", "-3"], "--candidates must be at least 1, got -3"),
        (["search", index, "x", "--fuse-weight", "2"], "--fuse-weight must be from 0 to 1, got 2"),
        (["search", index, "x", "--fuse-weight", "nan"], "must be from 0 to 1, got nan"),
        (["search", index, "x", "--threads", "0"], "--threads must be at least 1, got 0"),
        (["search", index, "x", "--fuse", "relative"], "--fuse relative needs a reranker"),
        (["search", index, "x", "--model", MODEL], "takes no model"),
        (["search", index, "x", "--reranker", MODEL], "has no reranker"),
        (["add", index, "--documents", documents, "--wait", "-1"], "--wait must be at least 0"),
        (["delete", index, "x", "--wait", "nan"], "--wait must be at least 0, got nan"),
        (["compact", index, "--wait", "-0.5"], "--wait must be at least 0, got -0.5"),
        ([*new, *bm25, "--pool", "0"], "--pool must be at least 1, got 0"),
        ([*new, *bm25, "--pool", "2"], "need a ColBERT model"),
        ([*new, *bm25, "--token-vectors", "int8"], "need a ColBERT model"),
        ([*new, *bm25, "--model", MODEL], "takes no --model"),
        ([*new, *bm25, "--language", "klingon"], "--language must be one of"),
        ([*new, *bm25, "--ngrams", "2,3"], "--ngrams needs --analyzer char or char_wb"),
        ([*new, *bm25, "--analyzer", "char", "--ngrams", "5,2"], "--ngrams must be (low, high)"),
        ([*new, *bm25, "--analyzer", "char", "--ngrams", "²,3"], "two numbers such as 3,5"),
        ([*new, *bm25, "--analyzer", "char", "--language", "german"], "--language needs"),
        ([*new, *bm25, "--on", "text,"], "--key and --on must name fields"),
        ([*new, *bm25, "--key", ""], "--key and --on must name fields"),
        ([*new, "--retriever", "splade"], "--retriever splade needs --model"),
        (
            [*new, "--retriever", "colbert", "--model", MODEL, "--analyzer", "char"],
            "takes no --analyzer",
        ),
        (measured, "either --retriever or --index"),
        ([*measured, *bm25, "--index", index], "either --retriever or --index"),
        ([*measured, *bm25, "--fuse", "rrf"], "--fuse rrf needs a reranker"),
        ([*measured, *bm25, "--metrics", "fame@3"], "--metrics: unknown metric 'fame@3'"),
        ([*measured, *bm25, "--metrics", ""], "--metrics: unknown metric ''"),
        ([*measured, "--index", index, "--language", "german"], "--language is for a new index"),
        ([*measured, "--index", index, "--pool", "2"], "--pool is for a new index"),
        ([*measured, "--index", index, "--fuse", "rrf"], "--fuse rrf needs a reranker"),
    ]


@pytest.mark.parametrize("number", range(32))
def test_options_that_are_wrong_or_clash_are_bad_usage(
    number: int, index: str, beir: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv, message = clashes(index, beir, f"{beir}/corpus.jsonl")[number]
    assert message in complaint(argv, capsys, 2)
    assert not Path(f"{index}-other").exists()


def test_what_cannot_be_made_is_refused_before_a_model_is_loaded(
    index: str, beir: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that is not there would be told first, if it were looked for first."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").touch()
    documents = ["--documents", f"{beir}/corpus.jsonl"]
    stages = ["--retriever", "splade", "--model", str(tmp_path / "no-model")]
    told = complaint(["index", index, *documents, *stages], capsys, 1)
    assert "exists already; pass --overwrite" in told
    told = complaint(
        ["index", str(tmp_path / "mine"), *documents, *stages, "--overwrite"], capsys, 1
    )
    assert "exists already, and is not an index" in told
    with Search.edit(index):
        told = complaint(["index", index, *documents, *stages, "--overwrite"], capsys, 1)
    assert "is being written to by process" in told
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["note"]
    told = complaint(["index", str(tmp_path / "new"), *documents, *stages], capsys, 1)
    assert "no-model" in told
    assert not (tmp_path / "new").exists()


def test_a_query_that_is_cut_is_told(reranked: str, capsys: pytest.CaptureFixture[str]) -> None:
    query = "filler " * 300 + "green tea"
    assert main(["search", reranked, query]) == 0
    told = capsys.readouterr().out
    assert told.endswith("\n1 query was longer than the reranker reads, and was cut\n")
    found = answer(["search", reranked, query], capsys)
    assert found["truncated"] == {"reranker": {"document": 0, "query": 1}}
    assert answer(["search", reranked, "tea"], capsys)["truncated"]["reranker"]["query"] == 0
    assert main(["search", reranked, "tea"]) == 0
    assert "cut" not in capsys.readouterr().out


@pytest.mark.parametrize("retriever", [BM25, TfIdf])
def test_a_query_without_any_word_is_told(
    retriever: type[BM25 | TfIdf], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = Search(retriever(), key="_id", on="text")
    search.add([{"_id": "a", "text": "green tea"}])
    search.save(tmp_path / "i")
    assert main(["search", str(tmp_path / "i"), "?! ..."]) == 0
    name = retriever.__name__
    assert f"nothing found\n{name} sees no word in the query" in capsys.readouterr().out
    assert answer(["search", str(tmp_path / "i"), "?! ..."], capsys)["n_query_terms"] == 0
    assert answer(["search", str(tmp_path / "i"), "unheard of"], capsys)["n_query_terms"] > 0
    assert main(["search", str(tmp_path / "i"), "unheard"]) == 0
    assert capsys.readouterr().out == "nothing found\n"


def test_an_evaluation_says_what_was_cut_unknown_and_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = [
        {"_id": "long", "text": "word " * 200 + "tea"},
        {"_id": "q", "title": "Title", "text": "green tea"},
        {"_id": "b", "text": "granite"},
    ]
    queries = [
        {"_id": "q", "text": "green tea"},
        {"_id": "none", "text": "tea " * 300},
        {"_id": "other", "text": "granite"},
    ]
    rows = ["q\tlong\t1", "q\tgone\t1", "none\tb\t0", "other\tb\t1", "lost\tb\t1"]
    beir = write_beir(tmp_path / "beir", corpus, queries, rows)
    argv = ["evaluate", "--dataset", beir, "--retriever", "bm25", "--reranker", MODEL]
    argv += ["--metrics", "hits@1", "--threads", "1", "--no-passages"]
    found = answer(argv, capsys)
    counts = ("n_queries", "n_unknown_queries", "n_unknown_documents", "n_without_relevant")
    assert [found[name] for name in (*counts, "n_passed_over")] == [3, 1, 1, 1, 1]
    assert found["truncated"] == {"reranker": {"document": 1, "query": 1}}
    assert main(argv) == 0
    told = capsys.readouterr().out
    for line in (
        "1 judged queries have no text in the collection",
        "1 judged documents are not in the collection",
        "1 queries have no relevant document, and are left out",
        "1 queries found themselves as a document",
        "1 document was longer than the reranker reads, and was cut",
        "1 query was longer than the reranker reads, and was cut",
    ):
        assert line in told


def test_an_evaluation_records_what_makes_it(beir: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["evaluate", "--dataset", beir, "--retriever", "bm25", "--metrics", "hits@1"]
    plain = answer([*argv, "--reranker", MODEL], capsys)
    assert set(plain["versions"]) == {"glane", "numpy", "onnxruntime", "tokenizers", "python"}
    assert plain["stages"]["retriever"]["settings"]["k1"] > 0
    assert plain["stages"]["retriever"]["analyzer"]["language"] == "english"
    assert len(plain["stages"]["reranker"]["fingerprint"]) == 64
    german = answer([*argv, "--language", "german"], capsys)
    assert german["stages"]["retriever"]["analyzer"]["language"] == "german"


def test_info_shows_the_settings_of_every_stage(
    reranked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = answer(["info", reranked, "--verify"], capsys)
    assert told["stages"]["retriever"]["analyzer"]["kind"] == "words"
    assert told["stages"]["reranker"]["storage"]["kind"] == "int8"
    assert main(["info", reranked]) == 0
    shown = capsys.readouterr().out
    assert "language         english" in shown.replace("  language", "language")
    assert "k1" in shown


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_what_takes_long_is_told_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.0)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.telling("opening the index"):
        deadline = time.monotonic() + 30
        while not terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.001)
    assert terminal.getvalue() == "opening the index ...\n"
    piped = io.StringIO()
    monkeypatch.setattr(sys, "stderr", piped)
    with progress.telling("opening the index"):
        assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())
    assert piped.getvalue() == ""


def test_what_is_quick_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.telling("opening the index"):
        pass
    assert terminal.getvalue() == ""


def test_every_public_name_is_found_and_others_are_not() -> None:
    assert set(glane.__all__) <= set(dir(glane))
    assert all(getattr(glane, name) is not None for name in glane.__all__)
    assert glane.__version__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(glane, "nonsense")  # noqa: B009
    assert getattr(glane, "saved").__name__ == "glane.retrievers.saved"  # noqa: B009


LOADED = sorted(COMMANDS.keys() - {"serve", "mcp"})
"""Commands whose modules need their extra; the others look at their arguments first."""


@pytest.mark.parametrize("name", LOADED)
def test_a_command_whose_extra_is_missing_says_in_one_line_what_to_install(name: str) -> None:
    absent = "import sys; sys.modules.update(dict.fromkeys(('onnx', 'torch', 'transformers')));"
    code = f"{absent} from glane.commands.main import main; sys.exit(main([{name!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    line = rf"glane: glane {name} needs \w+: pip install 'glane\[{COMMANDS[name]}\]'\n"
    assert re.fullmatch(line, done.stderr)
