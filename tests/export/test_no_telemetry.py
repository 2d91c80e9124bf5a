"""A command that opens a session leaves nothing of onnxruntime's behind; see `test_demo` too."""

from pathlib import Path

from tests.export.tracing import quietly


def test_an_export_calls_no_host(checkpoint: Path, tmp_path: Path) -> None:
    quietly(["export", str(checkpoint), str(tmp_path / "model"), "--quantize", "none"], tmp_path)
