"""What `glane train` says: before torch is loaded, while it works, and when it is told to stop."""

import argparse
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from glane.commands.main import main
from glane_trainer import command, openmp, telling
from glane_trainer.interrupt import Terminated, deferred_interrupt, stopped_by_sigterm


def python(code: str, **environment: str) -> str:
    """Return what a fresh interpreter prints."""
    unset = {*openmp.SETTINGS, *openmp.OTHERS}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**kept, **environment},
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--max-steps", "0", "--dim", "64", "--base", "x"], "--dim 64 needs --data"),
        (["--max-steps", "0"], "--base is missing"),
        (["--base", "x"], "--data is missing"),
        (["--base", "x", "--data", "y", "--lr", "0"], "--lr must be above 0"),
        (["--base", "x", "--data", "y", "--epochs", "many"], "invalid int value"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_before_torch_is_loaded(
    tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    words = ["train", "colbert", "--out", str(tmp_path / "out"), *arguments]
    code = (
        "import contextlib, io, sys\n"
        "from glane.commands.main import main\n"
        "told = io.StringIO()\n"
        "with contextlib.redirect_stderr(told):\n"
        "    try:\n"
        f"        code = main({words!r})\n"
        "    except SystemExit as stop:\n"
        "        code = stop.code\n"
        "print(code, 'torch' in sys.modules, told.getvalue())"
    )
    printed = python(code)
    assert complaint in printed
    assert re.match("[12] False ", printed), printed
    assert list(tmp_path.iterdir()) == []


def test_the_width_of_a_base_needs_no_data(bert: Path, tmp_path: Path) -> None:
    words = ["train", "colbert", "--max-steps", "0", "--base", str(bert)]
    assert main([*words, "--dim", "16", "--out", str(tmp_path / "same")]) == 0
    assert main([*words, "--dim", "8", "--projection", "random", "--out", str(tmp_path / "r")]) == 0
    assert main([*words, "--dim", "8", "--out", str(tmp_path / "narrower")]) == 2
    assert not (tmp_path / "narrower").exists()


def test_of_several_processes_the_first_writes_an_untrained_model(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", "colbert", "--max-steps", "0", "--base", str(bert)]
    words += ["--out", str(tmp_path / "out")]
    monkeypatch.setenv("RANK", "1")
    assert main(words) == 0
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("RANK", "0")
    assert main(words) == 0
    assert (tmp_path / "out" / "model.safetensors").is_file()
    monkeypatch.setenv("RANK", "1")
    assert main(words) == 0, "one that comes later finds what the first has written"


def test_importing_the_command_loads_no_torch() -> None:
    code = "import sys, glane_trainer, glane_trainer.command; print('torch' in sys.modules)"
    assert python(code) == "False"


def test_every_public_name_is_there() -> None:
    code = (
        "import glane_trainer as t; "
        "print(all(hasattr(t, name) and name in dir(t) for name in t.__all__))"
    )
    assert python(code) == "True"
    with pytest.raises(ImportError, match="no_such_name"):
        exec("from glane_trainer import no_such_name")


def test_help_tells_every_default(unexplained: Callable[[str], list[str]]) -> None:
    assert unexplained("train") == []
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    shown = " ".join(parser.format_help().split())
    for text in (
        "default 3 (colbert), 5 (splade, sparse-embed)",
        "default 6e-05 (colbert), 0.0001 (splade, sparse-embed)",
        "default the lower half (colbert), 0 (splade, sparse-embed)",
        "fewer are faster; default 128",
    ):
        assert text in shown


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--lr", "0"], "--lr must be above 0, got 0.0"),
        (["--query-flops", "-1"], "--query-flops must be at least 0, got -1.0"),
        (["--flops-rise", "2"], "--flops-rise must be from 0 to 1, got 2.0"),
        (["--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["--train-document-length", "3"], "--train-document-length must be at least 4, got 3"),
        (["--contrastive-weight", "-1"], "--contrastive-weight must be at least 0"),
        (["--holdout", "1"], "--holdout must be from 0 to below 1, got 1.0"),
        (["--freeze-layers", "9"], "--freeze-layers is 9, but the encoder has 2 layers"),
        (["--document-length", "999"], "--document-length is 999, but the encoder reads 320"),
        (["--query-terms", "3"], "--query-terms of a colbert must be 0, got 3"),
        (["--dev-split", "dev"], "--dev-split needs a BEIR folder"),
    ],
)
def test_errors_call_options_as_they_are_typed(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    complaint: str,
) -> None:
    words = ["train", "colbert", "--base", str(bert), "--data", str(triples()), "--dim", "8"]
    assert main([*words, "--out", str(tmp_path / "out"), "--threads", "1", *options]) in (1, 2)
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_threads_wait_asleep_unless_the_user_chose() -> None:
    code = (
        "import os; from glane_trainer.openmp import wait_asleep; wait_asleep(); "
        "print(*(os.environ.get(n) for n in ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')))"
    )
    assert python(code) == "PASSIVE 0"
    assert python(code, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE None"
    assert python(code, GOMP_SPINCOUNT="9") == "None 9"
    assert python(code, KMP_BLOCKTIME="9") == "None None"
    assert python(f"import torch; {code}") == "None None", "it is too late"


def test_a_stage_that_takes_long_is_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = threading.Event()
    tell = telling.tell

    def note(line: str) -> None:
        tell(line)
        told.set()

    monkeypatch.setattr(telling, "DELAY", 0.0)
    monkeypatch.setattr(telling, "tell", note)
    with telling.stage("making tea"):
        assert told.wait(60)
    assert capsys.readouterr() == ("", "making tea ...\n")
    monkeypatch.setattr(telling, "DELAY", 1e6)
    with telling.stage("making tea"):
        pass
    assert capsys.readouterr().err == ""
    with pytest.raises(ValueError, match="no water"), telling.stage("making tea"):
        raise ValueError("no water")


def test_steps_are_told_of_now_and_then_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    monkeypatch.setattr(telling, "DELAY", 1.0)
    with telling.Steps(100, 10) as steps:
        for _ in range(30):
            clock += 4.0
            steps.advance({"loss": 0.5, "lr": 1e-5, "examples_per_second": 9.0})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 11 of 100: loss 0.5, lr 1e-05"
    assert lines[1] == "step 19 of 100: loss 0.5, lr 1e-05, 5 min left"
    assert [line.split()[1] for line in lines] == ["11", "19", "27", "35"]


def test_an_end_is_told_of_what_took_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    monkeypatch.setattr(telling, "DELAY", 1.0)
    for seconds, told in ((0.5, ""), (2.0, "tea is made\n")):
        with telling.ending("tea is made"):
            clock += seconds
        assert capsys.readouterr().err == told


@pytest.mark.parametrize("n_columns", [0, 60])
def test_a_terminal_has_a_bar_whatever_width_it_says(
    monkeypatch: pytest.MonkeyPatch, n_columns: int
) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, n_columns, 0, 0))
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with telling.Steps(3, 0) as steps:
            for _ in range(3):
                steps.advance({"loss": 0.5})
        monkeypatch.undo()
    shown = b""
    with suppress(OSError):  # all is read
        while piece := os.read(master, 1 << 16):
            shown += piece
    os.close(master)
    assert b"3/3" in shown
    assert b"loss=0.5" in shown


def test_nothing_is_told_where_there_is_no_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    telling.tell("tea")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_training_tells_what_it_does_on_standard_error_alone(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
) -> None:
    monkeypatch.setattr(telling, "DELAY", 0.0)
    words = ["train", "colbert", "--base", str(bert), "--data", str(triples()), "--dim", "8"]
    words += ["--out", str(tmp_path / "out"), "--threads", "1", "--max-steps", "2", "--epochs", "1"]
    assert main([*words, *more]) == 0
    printed = capsys.readouterr()
    assert "..." not in printed.out
    for line in ("step 0: held-out NDCG@10", "step 1 of 2: loss "):
        assert line in printed.err


def test_what_was_dropped_is_said(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        {"anchor": "tea", "positive": "tea grows", "negatives": ["tea grows", "granite"]},
        {"anchor": "tea", "positive": "granite", "negative": "the sea"},
    ]
    words = ["train", "colbert", "--base", str(bert), "--data", str(triples(*rows)), "--dim", "8"]
    words += ["--out", str(tmp_path / "out"), "--threads", "1", "--epochs", "1", "--holdout", "0"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "1 negatives were the example's own positive: dropped" in printed
    assert "1 negatives answer their query by another line: no negatives of it" in printed


def test_sigterm_stops_a_block_as_ctrl_c_does_and_is_put_off_likewise() -> None:
    before = signal.getsignal(signal.SIGTERM)
    done: list[str] = []

    def work() -> None:
        with stopped_by_sigterm():
            with deferred_interrupt():
                signal.raise_signal(signal.SIGTERM)
                done.append("the block")
            done.append("what follows")

    def work_on() -> None:
        with stopped_by_sigterm(), deferred_interrupt():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)  # the second takes effect at once
            done.append("work that was to stop")

    with pytest.raises(Terminated) as stopped:
        work()
    assert done == ["the block"]
    assert stopped.value.exit_code == 143
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(Terminated):
        work_on()
    assert done == ["the block"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_signals_that_are_handled_otherwise_are_left_alone() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopped_by_sigterm(), deferred_interrupt():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            assert seen == []
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, ctrl_c)


def test_in_another_thread_no_signal_is_touched() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def work() -> None:
        with stopped_by_sigterm(), deferred_interrupt():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
