"""A model folder read without glane: the programs of `docs/model-folder.md`."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from glane.model.checkpoint import Checkpoint
from glane.model.preparation import TextPreparer
from glane.retrievers.canary import encoded
from glane.retrievers.registry import NEURAL
from glane_export import ExportSettings, export_loaded, export_model
from glane_trainer.colbert import ColBERT
from glane_trainer.projection import random_projection

from .conftest import FIXTURES, bert

DOC = Path(__file__).parents[2] / "docs" / "model-folder.md"

FP32 = ExportSettings(quantize="none")

TEXTS = [
    *("", " ", "?!", "a", "the river, and the sea.", "(*)" * 30, "日本語", "naïve café", "🎉🔥"),
    "snow on the mountain " * 20,
]

RULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "expanded": {"query_expansion": True, "skip_punctuation": True},
    "attended": {"query_expansion": True, "attend_to_expansion": True, "expansion_length": 9},
    "prompts": {"query_prompt": "the ", "document_prompt": "a: ", "suffix": " [MASK] [MASK]"},
    "skipping": {"skipped_tokens": ["the", "sea"], "skip_in_queries": True},
}


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def stranger() -> Callable[[Path], Any]:
    """The class that the documentation shows."""
    names: dict[str, Any] = {"__name__": "stranger"}
    exec(compile(block("python"), str(DOC), "exec"), names)
    made: Callable[[Path], Any] = names["Model"]
    return made


def colbert_folder(folder: Path, rules: dict[str, Any]) -> Path:
    tokenizer_json = (FIXTURES / "colbert" / "tokenizer.json").read_text()
    checkpoint = Checkpoint(dim=8, query_length=12, document_length=24, **rules)
    model = ColBERT(
        bert(), random_projection(16, 8, seed=0), TextPreparer(checkpoint, tokenizer_json)
    )
    export_loaded(model.eval(), folder, FP32)
    return folder


def assert_equal(folder: Path, stranger: Callable[[Path], Any]) -> None:
    """Compare what the documentation's program makes of each text with what glane does."""
    ours = NEURAL[Checkpoint.read(folder).kind].load(folder)
    theirs = stranger(folder)
    for role in ("query", "document"):
        for text, expected in zip(TEXTS, encoded(ours, role, TEXTS), strict=True):
            keys, values = theirs.encode(text, role)
            np.testing.assert_array_equal(keys, expected.keys, err_msg=f"{role} {text!r}")
            np.testing.assert_allclose(values, expected.values, atol=1e-5)


@pytest.mark.parametrize("name", RULES)
def test_the_documented_python_gives_what_glane_gives(
    name: str, tmp_path: Path, stranger: Callable[[Path], Any]
) -> None:
    assert_equal(colbert_folder(tmp_path / "model", RULES[name]), stranger)


def test_the_documented_python_reads_sparse_models(
    sparse_checkpoint: Path, tmp_path: Path, stranger: Callable[[Path], Any]
) -> None:
    export_model(sparse_checkpoint, tmp_path / "model", FP32)
    assert_equal(tmp_path / "model", stranger)
    axes = declared(tmp_path / "model")
    assert axes["weights"] == axes["terms"] == ["n", "n_terms"]
    assert axes.get("embeddings", ["n", "n_terms", 8]) == ["n", "n_terms", 8]


def test_the_documented_python_runs_by_itself_and_finds_the_canaries(
    checkpoint: Path, tmp_path: Path
) -> None:
    export_model(checkpoint, tmp_path / "model")
    code = (
        f"import sys; sys.modules['glane'] = None; sys.argv[0] = 'consumer.py'\n{block('python')}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", "PYTHONIOENCODING": "utf-8"},
    )
    cosines = [float(line.split()[0]) for line in done.stdout.splitlines()]
    assert len(cosines) == 10
    assert min(cosines) > 0.9999


def test_shapes_are_declared(checkpoint: Path, tmp_path: Path) -> None:
    export_model(checkpoint, tmp_path / "colbert", FP32)
    axes = declared(tmp_path / "colbert")
    assert axes == {
        "input_ids": ["n", "length"],
        "attention_mask": ["n", "length"],
        "token_vectors": ["n", "length", 8],
    }


def declared(folder: Path) -> dict[str, list[str | int]]:
    graph = onnx.load(str(folder / "model.onnx")).graph
    return {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


@pytest.mark.owners
def test_the_documented_javascript_finds_the_canaries(tmp_path: Path) -> None:
    """With node, and the packages that npm brings."""
    npm, node = shutil.which("npm"), shutil.which("node")
    assert npm is not None
    assert node is not None
    packages = ("onnxruntime-web@1.30.0", "@huggingface/tokenizers@0.2.0")
    subprocess.run([npm, "init", "-y"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([npm, "install", *packages], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "consumer.mjs").write_text(block("javascript"), encoding="utf-8")
    folders = [colbert_folder(tmp_path / name, rules) for name, rules in RULES.items()]
    made = runpy.run_path(str(FIXTURES.parent / "make_fixtures.py"))["CHECKPOINTS"]
    for kind in ("splade", "sparse-embed"):
        made[kind](tmp_path / f"{kind}-checkpoint")
        export_model(tmp_path / f"{kind}-checkpoint", tmp_path / kind, FP32)
        folders.append(tmp_path / kind)
    for folder in folders:
        done = subprocess.run(
            [node, "consumer.mjs", str(folder)],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        cosines = [float(line.split()[0]) for line in done.stdout.splitlines()]
        assert len(cosines) == 10
        assert min(cosines) > 0.9999, folder.name
