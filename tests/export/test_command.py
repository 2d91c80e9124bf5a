"""`glane export` as it is called, and what int8 costs on a collection."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from glane.commands.main import main
from glane_export import ExportSettings, export_model
from glane_export import judged as judged_module
from glane_export.judged import N_CANDIDATES, N_QUERIES, judged_loss, read_judged
from glane_export.texts import ORDINARY
from glane_trainer import Example, telling
from glane_trainer.sample import SAMPLE, read_sample, write_sample


def test_export_prints_a_table_of_bounds(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(checkpoint), str(tmp_path / "model")]) == 0
    output = capsys.readouterr().out
    assert "mean overlap of the first 10" in output
    assert "A vector does not depend on its batch." in output
    assert "Parity is kept." in output
    assert not (tmp_path / "model" / "fusion.json").exists()


def test_export_prints_one_object(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model")
    fused = ["--fuse", "rrf", "--fuse-weight", "0.4"]
    assert main(["export", str(checkpoint), model, "--quantize", "none", *fused, "--json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    said = json.loads((tmp_path / "model" / "fusion.json").read_text())
    assert said == {"fuse": "rrf", "fuse_weight": 0.4}
    assert report["model"] == model
    assert report["precision"] == "fp32"
    assert captured.err == ""


@pytest.mark.parametrize(
    ("extra", "message", "code"),
    [
        (["--texts", "few.txt"], "--texts must hold at least 20 lines of text, got 2", 2),
        (["--texts", "none.txt"], "'none.txt' is not a file", 1),
        (["--texts", "latin.txt"], "'latin.txt', line 1: not UTF-8", 1),
        (["--dataset", "nowhere"], "is not a folder", 1),
        (["--dataset", "nowhere", "--quantize", "none"], "--dataset measures what int8 costs", 2),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    extra: list[str],
    message: str,
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("few.txt").write_text("one\n\ntwo\n")
    Path("latin.txt").write_bytes(b"caf\xe9\n")
    before = sorted(tmp_path.iterdir())
    assert main(["export", str(checkpoint), "model", *extra]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_texts_of_ones_own_are_read_as_editors_save_them(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "".join(f"stone {n} by\u2028the river\r\n\r\n" for n in range(20))
    (tmp_path / "texts.txt.gz").write_bytes(gzip.compress(lines.encode("utf-8-sig")))
    argv = ["export", str(checkpoint), str(tmp_path / "model"), "--quantize", "none"]
    assert main([*argv, "--texts", str(tmp_path / "texts.txt.gz")]) == 0, capsys.readouterr().err


def write_beir(folder: Path, n_documents: int) -> None:
    """Write a collection in which each document answers one query."""
    (folder / "qrels").mkdir(parents=True)
    rows = range(n_documents)
    corpus = [json.dumps({"_id": f"d{i}", "text": f"stone {i} by the river"}) for i in rows]
    queries = [json.dumps({"_id": f"q{i}", "text": f"river stone {i}"}) for i in rows]
    judgements = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in rows)]
    (folder / "corpus.jsonl").write_text("\n".join(corpus))
    (folder / "queries.jsonl").write_text("\n".join(queries))
    (folder / "qrels" / "dev.tsv").write_text("\n".join(judgements))


def test_loss_is_measured_on_a_bounded_part(checkpoint: Path, tmp_path: Path) -> None:
    write_beir(tmp_path / "beir", N_QUERIES + 20)
    export_model(checkpoint, tmp_path / "model", ExportSettings(quantize="none"))
    judged = read_judged(tmp_path / "beir", "dev")
    first, second = judged.parts()
    names = [*first.dataset.queries, *second.dataset.queries]
    assert sorted(names) == sorted(judged.dataset.queries), "each query is in one part"
    n_queries = (N_QUERIES + 20) // 2
    assert first.hits.ids.shape == (n_queries, N_CANDIDATES)
    assert first.hits.ids.max() == len(first.ids) - 1
    least, most = judged_loss("a to a", judged, tmp_path / "model", tmp_path / "model", None)
    assert least.figure == -most.figure
    assert most.kept
    assert most.n == n_queries, "which show it, so that the others are not asked"


def test_more_queries_are_asked_while_too_few_show_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_beir(tmp_path / "beir", 40)
    export_model(checkpoint, tmp_path / "model", ExportSettings(quantize="none"))
    monkeypatch.setattr(judged_module, "N_QUERIES", 9)
    judged = read_judged(tmp_path / "beir", "dev")
    _, most = judged_loss("a to a", judged, tmp_path / "model", tmp_path / "model", None)
    assert (most.n, most.kept) == (24, True)


def test_the_report_says_on_what_and_where_it_was_measured(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_beir(tmp_path / "beir", 30)
    argv = ["export", str(checkpoint), "--json", str(tmp_path / "model"), "--overwrite"]

    def report(*extra: str) -> dict[str, Any]:
        assert main([*argv, *extra]) == 0, capsys.readouterr().err
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    built_in = report("--quantize", "none")
    machine = built_in["machine"]
    assert machine["cpu"]
    assert {"glane", "onnx", "onnxruntime", "torch", "transformers"} <= set(machine["versions"])
    assert built_in["texts"] == {"source": "built-in", "n": 2 * len(ORDINARY)}
    dataset = report("--dataset", str(tmp_path / "beir"))
    assert dataset["texts"] == {"source": "dataset", "n": 60}
    examples = [Example(f"question {i}", f"answer {i}") for i in range(25)]
    write_sample(checkpoint, examples)
    trained = report("--dataset", str(tmp_path / "beir"))
    assert trained["texts"] == {"source": "training data", "n": 50}
    write_sample(checkpoint, examples[:3])
    few = report("--quantize", "none")
    assert few["texts"] == {"source": "training data and built-in", "n": 6 + 2 * len(ORDINARY)}


@pytest.mark.parametrize("content", ["[]", '{"queries": []}', '{"queries": 3, "documents": []}'])
def test_a_damaged_sample_is_one_line(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (checkpoint / SAMPLE).write_text(content)
    assert main(["export", str(checkpoint), str(tmp_path / "model")]) == 1
    assert "must have two lists of strings" in capsys.readouterr().err


def test_a_sample_is_spread_over_distinct_texts(tmp_path: Path) -> None:
    examples = [Example(f"q{i % 500}", f"d{i} \ud800" if i else " ") for i in range(1000)]
    write_sample(tmp_path, examples)
    sample = read_sample(tmp_path)
    assert sample is not None
    assert len(set(sample.queries)) == len(sample.queries) == 50
    assert len(sample.documents) == 53
    assert sample.documents[-1].startswith("d98")
    assert read_sample(tmp_path / "elsewhere") is None


def test_judgements_of_what_the_collection_lacks_are_counted(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_beir(tmp_path / "beir", 20)
    with (tmp_path / "beir" / "qrels" / "dev.tsv").open("a") as file:
        file.write("\nq0\tgone\t1\nlost\td0\t1\n")
    argv = ["export", str(checkpoint), "--dataset", str(tmp_path / "beir")]
    assert main([*argv, str(tmp_path / "a"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["judged"]
    assert told == {"n_queries": 20, "n_unknown_queries": 1, "n_unknown_documents": 1}
    assert main([*argv, str(tmp_path / "b")]) == 0
    assert "1 documents are judged and never found" in capsys.readouterr().out


def test_importing_the_commands_loads_no_torch() -> None:
    code = (
        "import sys, glane_export, glane_export.command, glane_export.demo; "
        "print('torch' in sys.modules, 'onnx' in sys.modules, glane_export.export_model.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "export_model"]


def test_an_export_tells_what_it_does(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(telling, "DELAY", 0.0)
    assert main(["export", str(checkpoint), str(tmp_path / "model"), "--quantize", "none"]) == 0
    printed = capsys.readouterr()
    assert "..." not in printed.out
    assert "tracing the graph ..." in printed.err
