"""Rankings in TREC's format: real scores, in an order that every reader of them keeps."""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.collection.dataset import Dataset
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
