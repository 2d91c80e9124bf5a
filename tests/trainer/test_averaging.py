"""The mean of checkpoints: of the weights, and only of what has one."""

from pathlib import Path

import pytest
import torch

from glane.commands.main import main
from glane.errors import CheckpointError
from glane_trainer import ColBERT, Splade, load_model
from glane_trainer.averaging import average


def moved(folder: Path, bert: Path, by: float) -> Path:
    """Save a model whose weights are some distance from the start's."""
    model = ColBERT.from_base(bert, dim=8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by)
    model.save(folder)
    return folder


def test_the_weights_are_the_mean(bert: Path, tmp_path: Path) -> None:
    folders = [moved(tmp_path / str(by), bert, by) for by in (0.0, 0.25, 0.5)]
    apart = average(folders, tmp_path / "mean")
    mean, middle = load_model(tmp_path / "mean").state_dict(), load_model(folders[1]).state_dict()
    for name, tensor in middle.items():
        torch.testing.assert_close(mean[name], tensor, rtol=1e-6, atol=1e-6)
    assert apart[1] == pytest.approx(0, abs=1e-6)
    assert apart[0] == pytest.approx(apart[2])
    rules = [(folder / "glane.json").read_bytes() for folder in (tmp_path / "mean", folders[0])]
    assert rules[0] == rules[1]


def test_what_did_not_begin_alike_is_refused(bert: Path, bert_mlm: Path, tmp_path: Path) -> None:
    first = moved(tmp_path / "first", bert, 0.0)
    ColBERT.from_base(bert, dim=4).save(tmp_path / "narrow")
    ColBERT.from_base(bert, dim=8, query_length=7).save(tmp_path / "shorter")
    Splade.from_base(bert_mlm).save(tmp_path / "terms")
    for other in ("narrow", "shorter", "terms"):
        with pytest.raises(CheckpointError, match=r"first' and '.*' have other rules: only"):
            average([first, tmp_path / other], tmp_path / "mean")
    with pytest.raises(ValueError, match="two checkpoints are averaged at least, got 1"):
        average([first], tmp_path / "mean")
    with pytest.raises(FileExistsError):
        average([first, first], first)
    assert not (tmp_path / "mean").exists()


def test_the_command_tells_how_far_apart_they_lie(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (str(moved(tmp_path / str(by), bert, by)) for by in (0.0, 0.5))
    assert main(["average", first, second, "--out", str(tmp_path / "mean")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path / 'mean'}: the mean of 2 checkpoints, which lie ")
    assert main(["average", first, str(tmp_path / "none"), "--out", str(tmp_path / "x")]) == 1
    assert "none" in capsys.readouterr().err
