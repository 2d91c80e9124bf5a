"""Rankings in TREC's format: real scores, in an order that every reader of them keeps."""

import gzip
import json
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import BM25, Search
from glane.collection.dataset import Dataset
from glane.collection.runs import read_run
from glane.commands.main import main
from glane.commands.run_file import falling, write_run
from glane.evaluation.measures import Evaluation, evaluate
from glane.hits import Results

SCORES = st.lists(st.floats(-(2.0**90), 2.0**90, width=32), max_size=30).map(
    lambda scores: sorted(scores, reverse=True)
)


@settings(deadline=None)
@given(SCORES)
def test_scores_fall_strictly_and_are_real_where_they_can_be(scores: list[float]) -> None:
    made, n_lowered = falling(scores)
    assert all(after < before for before, after in pairwise(made))
    assert sum(float(a) != b for a, b in zip(made, scores, strict=True)) == n_lowered
    if len(set(scores)) == len(scores):
        assert n_lowered == 0
    read = [np.float32(str(score)) for score in made]
    assert read == made, "as text and back"


Rows = Mapping[str, tuple[Sequence[str | int], Sequence[float]]]


def evaluation_of(rows: Rows) -> Evaluation:
    judged = {query: {"a": 1} for query in rows}
    dataset = Dataset({"a": "leaf"}, {query: query for query in rows}, judged)
    return evaluate(
        lambda query, k: Results([list(rows[query][0])], [list(rows[query][1])]),
        dataset,
        ["hits@9"],
    )


def test_readers_find_the_very_order(tmp_path: Path) -> None:
    """Sorted by score, then by falling id, as trec_eval does."""
    rows: Rows = {"q1": (["a", "z", "b", "c"], [2.5, 2.5, 2.5, -1.0]), "q2": ([7, "x"], [0.1, 0.0])}
    told = write_run(tmp_path / "run", evaluation_of(rows))
    assert told == {"file": str(tmp_path / "run"), "n_lowered": 2}
    lines = [line.split() for line in (tmp_path / "run").read_text().splitlines()]
    assert all(len(line) == 6 for line in lines)
    assert lines[0] == ["q1", "Q0", "a", "1", "2.5", "glane"]
    assert lines[4] == ["q2", "Q0", "7", "1", "0.1", "glane"]
    for query, (ids, _) in rows.items():
        own = [(np.float32(line[4]), line[2]) for line in lines if line[0] == query]
        assert [id for _, id in sorted(own, reverse=True)] == [str(id) for id in ids]


def test_the_library_measures_a_run_as_it_was_measured(tmp_path: Path) -> None:
    ir_measures = pytest.importorskip("ir_measures", reason="needs the extra eval")
    rows = {"q1": (["z", "a", "b"], [1.0, 1.0, 1.0])}
    evaluation = evaluation_of(rows)
    write_run(tmp_path / "run", evaluation)
    run = list(ir_measures.read_trec_run(str(tmp_path / "run")))
    measure = ir_measures.parse_measure("RR@10")
    assert ir_measures.calc_aggregate([measure], {"q1": {"a": 1}}, run) == {measure: 0.5}


def beir(folder: Path, document: str, query: str) -> list[str]:
    (folder / "qrels").mkdir(parents=True)
    rows: dict[str, dict[str, Any]] = {
        "corpus": {"_id": document, "text": "tea"},
        "queries": {"_id": query, "text": "tea"},
    }
    for name, row in rows.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(row))
    judged = f"{query}\t{document}\t1"
    (folder / "qrels" / "test.tsv").write_bytes(judged.encode("utf-8", "surrogatepass"))
    return ["evaluate", "--dataset", str(folder), "--retriever", "bm25", "--metrics", "hits@1"]


@pytest.mark.parametrize("id", ["doc 0", "a\u00a0b", "a\u3000", "x\u2028y", ""])
def test_ids_with_white_space_are_refused_by_name_before_anything(
    id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glane.commands.evaluate.build_search", None)
    run = tmp_path / "run"
    assert main([*beir(tmp_path / "d", id, "q"), "--run", str(run)]) == 1
    told = capsys.readouterr().err
    assert f"the document id {id!r} is empty or has white space" in told
    assert not run.exists()


def test_a_run_that_cannot_be_written_is_refused_before_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glane.commands.evaluate.build_search", None)
    argv = beir(tmp_path / "d", "a", "q")
    for place, message in ((tmp_path, "is a folder"), (tmp_path / "no" / "run", "is not a folder")):
        assert main([*argv, "--run", str(place)]) == 1
        assert message in capsys.readouterr().err


def test_a_run_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.write_text("before")
    evaluation = evaluation_of({"q1": (["a"], [1.0])})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            write_run(run, evaluation)
    assert run.read_text() == "before"
    assert list(tmp_path.iterdir()) == [run]
    link = tmp_path / "link"
    link.symlink_to(run)
    write_run(link, evaluation)
    assert link.is_symlink()
    assert run.read_text() == "q1 Q0 a 1 1.0 glane\n"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_run(pipe, evaluation_of({"q1": (["a"], [1.0])}))
    assert os.read(reader, 100) == b"q1 Q0 a 1 1.0 glane\n"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


RUN = """q1 Q0 d2 1 1.5 mine
q1 Q0 d10 9 1.50000000001 mine
q1\tQ0\td1\t2\t-3e0\tmine

q3 0 d1 1 7 mine
q9 Q0 d1 1 .5 other name
"""


def test_a_run_is_ordered_as_trec_eval_orders_it(tmp_path: Path) -> None:
    """By score as float32, then by falling id, whatever the ranks."""
    path = tmp_path / "run.gz"
    path.write_bytes(gzip.compress(RUN.replace("other name", "other").encode("utf-8-sig")))
    assert read_run(path) == {
        "q1": [("d2", 1.5), ("d10", 1.50000000001), ("d1", -3.0)],
        "q3": [("d1", 7.0)],
        "q9": [("d1", 0.5)],
    }


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text("aZé\U0001f355\uff21", min_size=1, max_size=3),
        st.sampled_from([1.0, 1.0000000001, 0.5, -2.0, 3e38, 1e39]),
        min_size=1,
        max_size=6,
    )
)
def test_a_run_is_ordered_as_the_library_orders_it(scores: dict[str, float]) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="needs the extra eval")
    finite = {id: score for id, score in scores.items() if score < 1e39}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        path.write_text("".join(f"q Q0 {id} 1 {score} x\n" for id, score in finite.items()))
        order = [id for id, _ in read_run(path)["q"]] if finite else []
    for rank, id in enumerate(order, 1):
        measured = pytrec_eval.RelevanceEvaluator({"q": {id: 1}}, {"recip_rank"})
        assert measured.evaluate({"q": finite})["q"]["recip_rank"] == pytest.approx(1 / rank)


BAD_RUNS = [
    (RUN, "line 6: expected six columns, query Q0 document rank score name, got 7: 'q9 Q0 d1"),
    ("q Q0 d 1 2.5\n", "line 1: expected six columns"),
    ("q Q0 d 1 high x\n", "line 1: the score must be a number, got 'high'"),
    ("q Q0 d 1 nan x\n", "line 1: the score must be a number, got 'nan'"),
    ("q Q0 d 1 1e999 x\n", "line 1: the score must be a number, got '1e999'"),
    ("q Q0 d 1 1_0 x\n", "line 1: the score must be a number, got '1_0'"),
    ("q Q0 d 1 2 x\np Q0 d 1 2 x\nq Q0 d 2 1 x\n", "line 3: document 'd' appears twice for"),
    ("", "ranks nothing"),
    ("z Q0 d 1 2 x\n", "ranks for none of the judged queries"),
]


@pytest.mark.parametrize("number", range(len(BAD_RUNS)))
def test_what_is_wrong_with_a_run_is_said_by_line(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = BAD_RUNS[number]
    (tmp_path / "run").write_text(text)
    argv = beir(tmp_path / "d", "d", "q")
    argv[argv.index("--retriever") :] = ["--from-run", str(tmp_path / "run"), "--metrics", "hits@1"]
    assert main(argv) == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_run_that_was_written_is_measured_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also the document that is the query, which is passed over in both."""
    folder = tmp_path / "d"
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": id, "text": "tea " * n} for n, id in enumerate(["a", "b", 3], 1)]
    (folder / "corpus.json").write_text(json.dumps(documents))
    queries = [{"_id": "a", "text": "tea"}, {"_id": 5, "text": "tea tea"}, {"_id": "n", "text": ""}]
    (folder / "queries.json").write_text(json.dumps(queries))
    (folder / "qrels" / "test.tsv").write_text("a\tb\t1\n5\t3\t1\n5\tz\t1\nn\tb\t1\n")
    argv = ["evaluate", "--dataset", str(folder), "--metrics", "hits@1,hits@2", "--json"]
    run = str(tmp_path / "run")
    assert main([*argv, "--retriever", "bm25", "--run", run]) == 0
    own = json.loads(capsys.readouterr().out)
    ranked = Path(run).read_text()
    Path(run).write_text(ranked + "a Q0 a 0 99.5 x\nx Q0 b 1 1 x\n")
    assert main([*argv, "--from-run", run]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["metrics"] == own["metrics"]
    assert measured["n_passed_over"] == own["n_passed_over"] == 1
    assert (measured["n_unranked"], measured["n_unjudged"]) == (1, 1)
    assert (measured["n_unknown_documents"], measured["n_documents"]) == (1, 3)
    assert main([*argv[:-1], "--from-run", run]) == 0
    out = capsys.readouterr().out
    assert "1 judged queries are not in the run, and count with 0" in out


def test_ids_of_an_index_that_a_run_cannot_carry_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = Search(BM25())
    search.add([{"id": "a", "text": "tea"}, {"id": "b c", "text": "sea"}])
    search.save(tmp_path / "index")
    (tmp_path / "q.json").write_text('{"id": 1, "query": "tea"}')
    (tmp_path / "r").write_text("1 0 a 1\n")
    argv = ["evaluate", "--index", str(tmp_path / "index"), "--metrics", "hits@1"]
    argv += ["--queries", str(tmp_path / "q.json"), "--qrels", str(tmp_path / "r")]
    assert main([*argv, "--run", str(tmp_path / "run")]) == 1
    assert "--run: the document id 'b c' is empty or has white space" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


CLASHES = [
    (["--retriever", "bm25"], "pass --dataset, or --documents, --queries and --qrels"),
    (["--dataset", "x"], "pass either --retriever or --index, or --from-run"),
    (["--dataset", "x", "--retriever", "bm25", "--index", "i"], "pass either --retriever or"),
    (["--dataset", "x", "--queries", "q", "--index", "i"], "pass either --dataset or --queries"),
    (["--queries", "q", "--qrels", "r", "--retriever", "bm25"], "--queries needs --documents"),
    (["--documents", "d", "--index", "i"], "--documents needs --queries and --qrels"),
    (["--queries", "q", "--qrels", "r", "--index", "i", "--split", "dev"], "--split is of --data"),
    (["--queries", "-", "--qrels", "-", "--index", "i"], "only one file can be standard input"),
    (["--queries", "-", "--qrels", "r", "--from-run", "-"], "only one file can be standard input"),
    (["--dataset", "x", "--index", "i", "--on", "a,"], "--key and --on must name fields"),
    (["--dataset", "x", "--from-run", "r", "--run", "s"], "--run does not go with --from-run"),
    (["--dataset", "x", "--from-run", "r", "--fuse", "rrf"], "--fuse does not go with --from-run"),
    (["--dataset", "x", "--from-run", "r", "--reranker", "m"], "--reranker does not go with"),
]


@pytest.mark.parametrize("number", range(len(CLASHES)))
def test_options_of_an_evaluation_that_clash_are_bad_usage(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    argv, message = CLASHES[number]
    assert main(["evaluate", *argv]) == 2
    assert message in capsys.readouterr().err
