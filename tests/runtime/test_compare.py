"""`glane compare`: two runs, two reports, or one of each; what is in one alone is said."""

import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from glane.commands.main import main

QRELS = "q1\ta\t1\nq2\tb\t1\nq3\tc\t1\nnone\tc\t0\n"
FIRST = "q1 Q0 a 1 2.5 x\nq2 Q0 z 1 2.5 x\nq3 Q0 z 1 9 x\n"
SECOND = "q1 Q0 a 1 1 y\nq2 Q0 b 1 1 y\nq3 Q0 c 1 1 y\n"


def compared(capsys: pytest.CaptureFixture[str], *argv: object) -> dict[str, Any]:
    assert main(["compare", *map(str, argv), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    code = main(["compare", *map(str, argv)])
    told = capsys.readouterr().err
    assert code in (1, 2)
    assert told.count("\n") == 1
    return told


@pytest.fixture
def runs(tmp_path: Path) -> list[Any]:
    """Two runs, and the options that their judgements are given by."""
    (tmp_path / "first").write_text(FIRST)
    (tmp_path / "second").write_text(SECOND)
    (tmp_path / "qrels.tsv").write_text(QRELS)
    files = [tmp_path / "first", tmp_path / "second"]
    return [*files, "--qrels", tmp_path / "qrels.tsv", "--metrics", "hits@1"]


def test_two_runs_by_hand(runs: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    """0, 1 and 1 more: of four flips of two signs, two lie as far from 0."""
    found = compared(capsys, *runs)
    row = found["metrics"]["hits@1"]
    assert (row["first"], row["second"], row["difference"]) == (0.333333, 1, 0.666667)
    assert (row["n_better"], row["n_worse"], row["n_equal"]) == (2, 0, 1)
    assert (row["p_value"], row["is_exact"], "p_holm" in row) == (0.5, True, False)
    assert 0 <= row["low"] < row["difference"] < row["high"] == 1
    assert (found["n_queries"], found["n_without_relevant"]) == (3, 1)
    assert (found["n_first_alone"], found["n_second_alone"]) == (0, 0)
    assert found["first"]["n_unranked"] == 0, "the query without an answer is left out"
    assert found == compared(capsys, *runs)


def test_a_table_for_people(runs: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *map(str, runs[:-1]), "hits@1,hits@5"]) == 0
    out = capsys.readouterr().out
    head, rows = out.splitlines()[3], out.splitlines()[4:6]
    assert " ".join(head.split()) == (
        "first second difference 95 % interval better worse equal p Holm"
    )
    cells = [row.split() for row in rows]
    assert cells[0][:4] == ["hits@1", "0.3333", "1.0000", "+0.6667"]
    assert [row[-5:] for row in cells] == [["2", "0", "1", "0.5", "1"]] * 2
    assert "1 queries have no relevant document, and are left out" in out
    assert "exact; Holm: p for all metrics together" in out


def test_judged_queries_that_a_run_lacks_count_with_0(
    runs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    runs[1].write_text("q1 Q0 a 1 1 y\nother Q0 a 1 1 y\n")
    found = compared(capsys, *runs)
    assert found["metrics"]["hits@1"]["second"] == 0.333333
    assert found["n_queries"] == 3
    assert (found["second"]["n_unranked"], found["second"]["n_unjudged"]) == (2, 1)
    main(["compare", *map(str, runs)])
    out = capsys.readouterr().out
    assert "2 judged queries are not in the second, and count with 0" in out
    assert "1 queries of the second are not judged, and are left out" in out


def test_scores_decide_and_equal_ones_go_by_falling_id(
    runs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """As trec_eval reads a file, whatever its ranks and the order of its lines."""
    runs[0].write_text("q1 Q0 z 1 1 x\nq1 Q0 a 2 5 x\nq2 Q0 a 1 1 x\nq2 Q0 b 9 1 x\n")
    found = compared(capsys, *runs)
    assert found["metrics"]["hits@1"]["first"] == 0.666667


def test_ids_are_any_text(runs: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    first, second, _, qrels, *_ = runs
    qrels.write_text("né\t\U0001f355\t1\n\u6f22\t-7\t2\n")
    first.write_text("né Q0 \U0001f355 1 1 x\n\u6f22 Q0 ne 1 1 x\n")
    second.write_bytes(gzip.compress("né Q0 x 1 1 x\n\u6f22 Q0 -7 1 1 x\n".encode("utf-8-sig")))
    row = compared(capsys, *runs)["metrics"]["hits@1"]
    assert (row["n_better"], row["n_worse"], row["p_value"], row["difference"]) == (1, 1, 1, 0)


def test_one_query_has_no_interval(runs: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    runs[3].write_text("q2\tb\t1\n")
    row = compared(capsys, *runs)["metrics"]["hits@1"]
    assert (row["low"], row["high"], row["p_value"]) == (None, None, 1)
    assert main(["compare", *map(str, runs)]) == 0
    assert "not known" in capsys.readouterr().out


def test_what_is_compared_with_itself_is_equal(
    runs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    row = compared(capsys, runs[0], *runs[0:1], *runs[2:])["metrics"]["hits@1"]
    assert (row["difference"], row["low"], row["high"], row["p_value"]) == (0, 0, 0, 1)


@pytest.fixture
def measured(runs: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[Path]:
    """What `glane evaluate` reports of the two runs."""
    reports = []
    for run in runs[:2]:
        argv = ["evaluate", "--from-run", str(run), "--qrels", str(runs[3]), "--per-query"]
        assert main([*argv, "--metrics", "hits@1,hits@5", "--json"]) == 0
        reports.append(tmp_path / f"{run.name}.json")
        reports[-1].write_text(capsys.readouterr().out)
    return reports


def test_reports_give_what_their_runs_give(
    runs: list[Any], measured: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = compared(capsys, *runs)["metrics"]
    assert compared(capsys, *measured, "--metrics", "hits@1")["metrics"] == wanted
    both = compared(capsys, *measured)
    assert list(both["metrics"]) == ["hits@1", "hits@5"]
    assert both["metrics"]["hits@5"]["p_holm"] == 1
    mixed = compared(capsys, measured[0], *runs[1:])
    assert mixed["metrics"] == wanted
    assert (mixed["first"]["kind"], mixed["second"]["kind"]) == ("report", "run")
    assert compared(capsys, measured[0], *runs[1:4])["metrics"] == both["metrics"]


def test_a_report_of_a_pipe_is_read_once(
    measured: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    content = json.dumps(json.loads(measured[0].read_text()), indent=2)
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=[content])
    writer.start()
    found = compared(capsys, tmp_path / "pipe", measured[1])
    writer.join()
    assert found["metrics"]["hits@1"]["difference"] == 0.666667


def test_what_is_in_one_report_alone_is_said(
    measured: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads(measured[1].read_text())
    for values in report["per_query"].values():
        values.update({"more": 1.0, "most": 0.0})
        del values["q1"]
    report["per_query"]["recall@7"] = report["per_query"].pop("hits@5")
    measured[1].write_text(json.dumps({**report, "dataset": "other", "split": "dev"}))
    found = compared(capsys, *measured)
    assert (found["n_queries"], found["n_first_alone"], found["n_second_alone"]) == (2, 1, 2)
    assert found["metrics"]["hits@1"]["second"] == 1
    assert found["metrics_of_one_alone"] == ["hits@5", "recall@7"]
    main(["compare", *map(str, measured)])
    out = capsys.readouterr().out
    assert "1 queries are in the first alone, and are left out" in out
    assert "2 queries are in the second alone, and are left out" in out
    assert "not compared, since one alone has them: hits@5, recall@7" in out
    assert "the reports name different collections: qrels.tsv and other/dev" in out


def test_reports_of_ndcg_alone_are_read_as_they_were_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("a", 0.5), ("b", 1)):
        (tmp_path / name).write_text(json.dumps({"per_query": {"q": value, "p": 0.0}}))
    found = compared(capsys, tmp_path / "a", tmp_path / "b")
    assert list(found["metrics"]) == ["ndcg@10"]
    assert found["metrics"]["ndcg@10"]["difference"] == 0.25


REPORTS = [
    ("{", "begins as JSON and is none"),
    ("{}", "has no values of single queries; make it by `glane evaluate --per-query --json`"),
    ('{"per_query": {}}', "has no values of single queries"),
    ('{"per_query": {"hits@1": {}}}', "has no values of single queries"),
    ('{"per_query": {"hits@1": {"q": "1"}}}', "has no values of single queries"),
    ('{"per_query": {"hits@1": {"q": NaN}}}', "has no values of single queries"),
    ('{"per_query": {"hits@1": {"q": 1}, "hits@2": {"p": 1}}}', "has no values of single queries"),
    ('{"per_query": {"hits@1": {"q": 1}, "hits@2": 1}}', "has no values of single queries"),
    ('{"per_query": {"mrr@3": {"q1": 1}}}', "no metric in common: ['hits@1', 'hits@5'] and"),
    ('{"per_query": {"hits@1": {"q": 1}}}', "the two have no query in common, of 3 and 1"),
]


@pytest.mark.parametrize("number", range(len(REPORTS)))
def test_a_broken_report_is_refused(
    number: int, measured: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = REPORTS[number]
    measured[1].write_text(text)
    assert message in refused(capsys, *measured)


def test_options_that_do_not_go_together_are_bad_usage(
    runs: list[Any], measured: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *judged = runs
    assert "is a run, which needs judgements: pass --dataset or" in refused(capsys, first, second)
    assert "--qrels is for runs, and both files are reports" in refused(capsys, *measured, *judged)
    assert "--queries needs --qrels" in refused(capsys, first, second, "--queries", "x")
    assert "pass either --dataset or --qrels" in refused(capsys, *runs, "--dataset", "x")
    assert "unknown metric 'best@1'" in refused(capsys, *measured, "--metrics", "best@1")
    assert "only one file can be standard input" in refused(capsys, "-", "-")
    assert "has no mrr@3; it has" in refused(capsys, *measured, "--metrics", "mrr@3")
    assert "'nowhere' is not a file" in refused(capsys, first, "nowhere", *judged)


def test_runs_without_a_judged_query_are_refused(
    runs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    runs[1].write_text("other Q0 a 1 1 y\n")
    assert "ranks for none of the judged queries" in refused(capsys, *runs)
    runs[3].write_text("q1\ta\t0\n")
    runs[1].write_text(SECOND)
    assert "none of the 1 judged queries has a relevant document" in refused(capsys, *runs)
    runs[3].write_text(QRELS)
    runs[1].write_text("")
    assert "ranks nothing" in refused(capsys, *runs)
