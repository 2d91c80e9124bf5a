"""The bounds on real weights, where they are installed: what int8 is chosen for."""

import os
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def base() -> Path:
    from glane_export.demo import packaged_base

    try:
        return packaged_base()
    except ModuleNotFoundError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def test_real_weights_keep_the_bounds_with_room(base: Path, tmp_path: Path) -> None:
    from glane_export import export_model
    from glane_trainer import ColBERT

    ColBERT.from_base(base, dim=128).save(tmp_path / "checkpoint")
    report = export_model(tmp_path / "checkpoint", tmp_path / "model")
    figures = {bound["measure"]: bound["figure"] for bound in report["bounds"]}
    assert figures["mean cosine"] > 0.994
    assert figures["lowest cosine"] > 0.95
    assert figures["mean overlap of the first 10"] > 0.93
    assert report["batch_effect"] == 0
    assert report["bytes"] < 24e6
