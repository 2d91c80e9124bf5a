"""`glane train --report-to`: what accelerate's trackers are told, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glane.commands.main import main
from glane_trainer.trackers import RUNS, Trackers, check_trackers

tracking = pytest.importorskip("accelerate.tracking", reason="needs accelerate")


class Lines(tracking.GeneralTracker):  # type: ignore[misc, name-defined]
    """A tracker as any package may bring one, which writes lines of JSON."""

    name = "lines"
    requires_logging_directory = True

    def __init__(self, run_name: str, logging_dir: str) -> None:
        super().__init__()
        self.path = Path(logging_dir) / f"{run_name}.jsonl"

    @property
    def tracker(self) -> Path:
        return self.path

    def write(self, value: object) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(value) + "\n")

    def start(self) -> None:
        self.write("start")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.write(values)

    def log(self, values: dict[str, Any], step: int | None = None, **_: object) -> None:
        self.write({"step": step, **values})

    def finish(self) -> None:
        self.write("finish")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let accelerate know the tracker, as if its package were installed."""
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "lines", Lines)
    monkeypatch.setattr(tracking, "_available_trackers", ["lines"])


def words(bert: Path, data: Path, out: Path, *more: str) -> list[str]:
    made = ["train", "colbert", "--base", str(bert), "--data", str(data), "--dim", "8"]
    made += ["--out", str(out), "--threads", "1", "--epochs", "1", "--batch-size", "4"]
    return [*made, *more]


@pytest.mark.usefixtures("lines")
def test_a_tracker_is_told_what_is_logged(
    bert: Path, triples: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert main(words(bert, triples(), out, "--report-to", "lines,lines", "--lr", "2e-5")) == 0
    told = [json.loads(line) for line in (tmp_path / RUNS / "out.jsonl").read_text().splitlines()]
    logged = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert told[0] == "start"
    assert told[-1] == "finish"
    assert (told[1]["learning_rate"], told[1]["loss"]) == (2e-5, "contrastive")
    assert all(isinstance(value, bool | int | float | str) for value in told[1].values())
    assert told[2:-1] == logged
    assert 'report-to = "lines,lines"' in (out / "run.toml").read_text()
    config = ["train", "--config", str(out / "run.toml"), "--out", str(tmp_path / "again")]
    assert main(config) == 0
    assert (tmp_path / RUNS / "again.jsonl").exists()


@pytest.mark.usefixtures("lines")
def test_a_tracker_is_ended_where_a_run_is_stopped(
    bert: Path, triples: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> dict[str, float]:
        raise KeyboardInterrupt

    monkeypatch.setattr("glane_trainer.run.learn", stopped)
    assert main(words(bert, triples(), tmp_path / "out", "--report-to", "lines")) == 130
    assert (tmp_path / RUNS / "out.jsonl").read_text().splitlines()[-1] == '"finish"'


def test_nobody_is_told_where_none_is_named(tmp_path: Path) -> None:
    told = Trackers((), tmp_path / "out", {})
    told.tell({"step": 1, "loss": 0.5})
    told.end()
    check_trackers(())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "code", "complaint"),
    [
        ("tensorbored", 2, "--report-to must name trackers of ['aim', "),
        ("", 2, "--report-to must name trackers of ['aim', "),
        ("comet_ml", 1, "--report-to comet_ml needs comet-ml: pip install comet-ml"),
    ],
)
def test_a_tracker_that_is_not_there_is_refused_before_anything(
    bert: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    names: str,
    code: int,
    complaint: str,
) -> None:
    monkeypatch.setattr(tracking, "_available_trackers", [])
    assert main(words(bert, Path("no"), tmp_path / "out", "--report-to", names)) == code
    told = capsys.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_reads_what_it_was_told(tmp_path: Path) -> None:
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    told = Trackers(["tensorboard"], tmp_path / "out", {"lr": 0.1, "objective": {"loss": "kl"}})
    for step in (1, 2):
        told.tell({"step": step, "loss": 0.5 / step})
    told.end()
    events = accumulators.EventAccumulator(str(tmp_path / RUNS / "out"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
