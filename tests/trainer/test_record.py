"""What a training leaves on record: a log as it goes, and a card that people and the hub read."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glane.commands.main import main
from glane.evaluation.paired import compare
from glane.model.checkpoint import Checkpoint, Kind
from glane_trainer import state
from glane_trainer.card import Made, language_of, write_card
from glane_trainer.keep import Kept, Look
from glane_trainer.state import FOLDER, LOG

LOGGED = Path(FOLDER) / LOG


def words(bert: Path, data: Path, out: Path, *more: str) -> list[str]:
    made = ["train", "colbert", "--base", str(bert), "--data", str(data), "--dim", "8"]
    made += ["--out", str(out), "--threads", "1", "--epochs", "2", "--batch-size", "4"]
    return [*made, *more]


def log_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def killed_at(step: int, argv: list[str]) -> None:
    """Run a training that is killed, as by `kill -9`, in one of its steps."""
    code = (
        "import os, signal, sys\n"
        "from glane.commands.main import main\n"
        "from glane_trainer import run\n"
        "learn, steps = run.learn, []\n"
        "def killed(*arguments):\n"
        "    steps.append(1)\n"
        f"    if len(steps) == {step}:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return learn(*arguments)\n"
        "run.learn = killed\n"
        f"main({argv!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_killed_run_leaves_its_log_and_is_begun_again(
    bert: Path, triples: Callable[..., Path], tmp_path: Path
) -> None:
    argv = words(bert, triples(), tmp_path / "out")
    killed_at(3, argv)
    logged = log_of(tmp_path / "out" / LOGGED)
    assert [record["step"] for record in logged] == [0, 1, 2]
    assert "ndcg@10" in logged[0]
    assert {"loss", "lr"} <= logged[2].keys()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [FOLDER]
    assert main([*argv, "--resume"]) == 1, "nothing was saved"
    assert main(argv) == 0, "and what is there is no training"
    finished = log_of(tmp_path / "out" / LOG)
    assert [record["step"] for record in finished][:3] == [0, 1, 2]
    assert finished[1]["loss"] == logged[1]["loss"]
    assert not (tmp_path / "out" / FOLDER).exists()


def test_a_resumed_run_goes_on_with_the_log_of_its_checkpoint(
    bert: Path, triples: Callable[..., Path], tmp_path: Path
) -> None:
    """The steps after it are done again, and logged once."""
    argv = words(bert, triples(), tmp_path / "out", "--save-steps", "2")
    killed_at(4, argv)
    path = tmp_path / "out" / LOGGED
    assert [record["step"] for record in log_of(path)] == [0, 1, 2, 3]
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # a line that the kill tore
    assert main(argv) == 1, "an interrupted training is there"
    assert main([*argv, "--resume"]) == 0
    assert main(words(bert, triples(), tmp_path / "whole", "--save-steps", "2")) == 0
    resumed, whole = (log_of(tmp_path / name / LOG) for name in ("out", "whole"))
    for name in ("step", "lr", "ndcg@10"):
        assert [record.get(name) for record in resumed] == [record.get(name) for record in whole]
    losses = [[record.get("loss", 0) for record in log] for log in (resumed, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4), "of two processes"


def test_a_run_over_a_finished_model_leaves_that_alone_until_it_ends(
    bert: Path, triples: Callable[..., Path], tmp_path: Path
) -> None:
    argv = words(bert, triples(), tmp_path / "out")
    assert main(argv) == 0
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in written}
    killed_at(2, [*argv, "--overwrite", "--seed", "1"])
    assert {path: path.read_bytes() for path in written} == before
    assert [record["step"] for record in log_of(tmp_path / "out" / LOGGED)] == [0, 1]
    assert main(argv) == 1, "the model is not lost for want of --overwrite"


def test_a_log_that_cannot_be_written_ends_the_run(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "append_log", full)
    assert main(words(bert, triples(), tmp_path / "out")) == 1
    assert "No space left on device" in capsys.readouterr().err


def header_of(card: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    _, header, _ = card.split("---\n", 2)
    return dict(yaml.safe_load(header))


def test_the_card_of_a_training(
    bert: Path, triples: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = words(bert, triples(), tmp_path / "out", "--lr", "0.00012", "--json")
    assert main(argv) == 0
    result = json.loads(capsys.readouterr().out)
    card = (tmp_path / "out" / "README.md").read_text()
    header = header_of(card)
    assert header["library_name"] == "glane"
    assert header["pipeline_tag"] == "sentence-similarity"
    assert {"glane", "ColBERT"} <= set(header["tags"])
    assert "base_model" not in header, "a folder is no name on the hub"
    assert str(bert.parent) not in card, "a path is nobody's business"
    made = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert made["settings"]["data"] in card
    assert made["settings"]["held_out"] in card
    assert f"| 0, the start | {result['start_score']:.4f} |" in card
    assert "| learning_rate | 0.00012 |" in card
    assert f"* {result['examples']} examples to learn from" in card
    assert "* 'triples.jsonl': " in card
    assert f"| torch | {made['versions']['torch']} |" in card
    assert "glane export THIS_FOLDER model" in card
    assert result["remark"] in card
    assert "`run.toml` repeats it" in card


def test_the_card_says_that_nothing_was_held_out(
    bert: Path, triples: Callable[..., Path], tmp_path: Path
) -> None:
    assert main(words(bert, triples(), tmp_path / "out", "--holdout", "0")) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "whether this model is better than its start is unknown" in card
    assert "NDCG@10 of" not in card
    assert "training.png" not in card


@pytest.mark.parametrize(
    ("kind", "task", "used"),
    [
        ("colbert", "sentence-similarity", "--retriever bm25 --reranker model"),
        ("splade", "feature-extraction", "--retriever splade --model model"),
        ("sparse-embed", "feature-extraction", "--retriever sparse-embed --model model"),
    ],
)
def test_a_card_by_hand(kind: Kind, task: str, used: str, tmp_path: Path) -> None:
    settings = {"lr": 0.1, "objective": {"loss": "kl"}, "data": "da7a", "held_out": "he1d"}
    record = {"settings": settings, "versions": {"glane": "9"}, "steps": 7, "step": 5}
    record |= {"device": "cpu", "precision": "fp32"}
    (tmp_path / "settings.json").write_text(json.dumps(record))
    texts = {"queries": [], "documents": ["der Tee ist von dem Berg und die See ist es nicht"]}
    (tmp_path / "sample.json").write_text(json.dumps(texts))
    start, end = (
        Look(step=0, start_share=1.0, values=[0.1, 0.2]),
        Look(step=5, start_share=0.25, values=[0.3, 0.5]),
    )
    checkpoint = Checkpoint(
        kind=kind,
        base="some-owner/some.base",
        dim=0 if kind == "splade" else 8,
        query_terms=0 if kind == "colbert" else 9,
        document_terms=0 if kind == "colbert" else 99,
        inference_free=kind == "splade",
    )
    kept = Kept(end, against_start=compare(start.values, end.values))
    made = Made(
        checkpoint=checkpoint, learned="3 examples", looks=[start, end], kept=kept, remark=""
    )
    write_card(tmp_path, made)
    card = (tmp_path / "README.md").read_text()
    header = header_of(card)
    assert (header["language"], header["pipeline_tag"]) == ("de", task)
    assert header["base_model"] == "some-owner/some.base"
    assert used in card
    assert "| 5, with 25% of the start's weights | 0.4000 |" in card
    assert "+0.2500 over the start (95 % interval over the queries: +0.2000 to +0.3000)" in card
    assert "| loss | kl |" in card
    assert "run.toml" not in card, "a script leaves none"
    assert ("Its queries need no model" in card) == (kind == "splade")
    assert ("99 of a document at most" in card) == (kind != "colbert")


def test_a_language_is_named_only_where_it_is_plain() -> None:
    english, french = "the tea is of the hills", "le thé est dans les collines et la mer"
    norwegian = "vi er fra Norge og har ikke noe av det som de hadde etter krigen, men hva så"
    assert language_of([english] * 9 + [french]) == "en"
    assert language_of([french] * 300) == "fr"
    assert language_of([norwegian]) == "no"
    assert language_of([english, french]) is None
    assert language_of(["\u8336\u306f\u5c71\u3067\u80b2\u3064", "12", ""]) is None
    assert language_of([]) is None
