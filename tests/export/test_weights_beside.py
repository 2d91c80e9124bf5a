"""Models whose weights are too large for one file: they lie beside the graph."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from glane import BM25, ColBERT, Search
from glane.commands.main import main
from glane.errors import CheckpointError
from glane.model.checkpoint import fingerprint
from glane_export import ExportSettings, export_model, onnx_files

DATA = "model.onnx.data"

TEXTS = ["", "the river runs to the sea", "日本語"]


@pytest.fixture
def large(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Export as a model that is too large for one file is exported."""
    monkeypatch.setattr(onnx_files, "LARGEST", 100)
    monkeypatch.setattr(onnx_files, "LEAST", 64)

    def make(quantize: Literal["none", "int8", "fp16"] = "none") -> Path:
        export_model(checkpoint, tmp_path / "large", ExportSettings(quantize=quantize))
        return tmp_path / "large"

    return make


@pytest.mark.parametrize("quantize", ["none", "int8", "fp16"])
def test_they_are_exported_and_give_the_same(
    large: Callable[..., Path],
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quantize: Literal["none", "int8", "fp16"],
) -> None:
    folder = large(quantize)
    modes = [(folder / name).stat().st_mode for name in ("model.onnx", DATA)]
    assert modes[0] == modes[1], "who may read one may read the other"
    monkeypatch.undo()
    export_model(checkpoint, tmp_path / "whole", ExportSettings(quantize=quantize))
    assert not (tmp_path / "whole" / DATA).exists()
    ours, whole = (
        ColBERT.load(at).encode_documents(TEXTS).values for at in (folder, tmp_path / "whole")
    )
    np.testing.assert_allclose(ours, whole, atol=1e-6)
    assert main(["info", str(folder), "--verify"]) == 0


def test_sparse_models_too(
    sparse_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_files, "LARGEST", 100)
    monkeypatch.setattr(onnx_files, "LEAST", 64)
    export_model(sparse_checkpoint, tmp_path / "large", ExportSettings(quantize="none"))
    assert (tmp_path / "large" / DATA).exists()


def test_the_fingerprint_is_of_both_files(large: Callable[..., Path]) -> None:
    folder = large()
    model = ColBERT.load(folder)
    before = fingerprint(folder)
    assert model.encoder.fingerprint == before
    assert json.loads((folder / "parity.json").read_text())["fingerprint"] == before
    spoiled = bytearray((folder / DATA).read_bytes())
    spoiled[40] ^= 1
    (folder / DATA).write_bytes(spoiled)
    assert fingerprint(folder) != before
    with pytest.raises(CheckpointError, match="is damaged or was changed"):
        ColBERT.load(folder).encode_queries(["sea"])


def test_weights_that_are_gone_are_told_in_one_line(
    large: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = large()
    (folder / DATA).unlink()
    assert main(["info", str(folder), "--verify"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_was_replaced_before_it_was_loaded_is_refused(
    large: Callable[..., Path], tmp_path: Path
) -> None:
    folder = large()
    model = ColBERT.load(folder)
    folder.rename(tmp_path / "old")
    shutil.copytree(tmp_path / "old", folder)
    with pytest.raises(CheckpointError, match="was replaced since it was opened"):
        model.encode_queries(["sea"])


def test_weights_written_to_after_they_were_read_are_refused(large: Callable[..., Path]) -> None:
    folder = large()
    model = ColBERT.load(folder)
    assert model.encoder.fingerprint
    with (folder / DATA).open("r+b") as file:
        file.write(b"\x01")
    with pytest.raises(CheckpointError, match="was written to since it was opened"):
        model.encode_queries(["sea"])


def test_an_index_has_a_copy_of_both(large: Callable[..., Path], tmp_path: Path) -> None:
    folder = large()
    search = Search(BM25(), reranker=ColBERT.load(folder))
    search.add([{"id": "a", "text": "the river"}, {"id": "b", "text": "the sea"}])
    expected = search.search(["sea"], k=2).ids
    search.save(tmp_path / "index")
    shutil.rmtree(folder)
    assert main(["info", str(tmp_path / "index"), "--verify"]) == 0
    assert Search.load(tmp_path / "index").search(["sea"], k=2).ids == expected
    (copy,) = (tmp_path / "index").rglob(DATA)
    assert copy.parent.parent.name == "models"


def test_a_model_of_one_file_has_no_other_left_beside_it(
    large: Callable[..., Path], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = large()
    monkeypatch.undo()
    export_model(checkpoint, folder, ExportSettings(quantize="none", overwrite=True))
    assert not (folder / DATA).exists()
