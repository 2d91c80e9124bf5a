"""Finished models of other libraries, against the scores that their owners gave.

`tests/fixtures/owners` holds them as they were saved; `tests/owners` makes them anew.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glane
from glane.commands.main import main
from glane_export import ExportSettings, export_model
from glane_trainer.models import open_model

OWNERS = Path(__file__).parent.parent / "fixtures" / "owners"
NAMES = sorted(path.name for path in OWNERS.iterdir() if path.is_dir())
BOUND = 1e-4
"""Of the difference of a score, for each row of the query."""

RETRIEVERS: dict[str, Any] = {"colbert": glane.ColBERT, "splade": glane.Splade}


def golden(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((OWNERS / f"{name}.golden.json").read_text("utf-8"))
    return record


def off(scores: Any, wanted: dict[str, Any]) -> float:  # noqa: ANN401 (any array)
    """Return the largest difference of a score to the owner's, for each row of its query."""
    theirs = np.array(wanted["scores"])
    rows = np.array([shape[0] for shape in wanted["query_shapes"]])
    return float((np.abs(np.asarray(scores) - theirs) / np.maximum(rows, 1)[:, None]).max())


@pytest.mark.parametrize("name", NAMES)
def test_a_finished_model_scores_as_its_owner_says(name: str) -> None:
    wanted = golden(name)
    model = open_model(OWNERS / name)
    queries = model.encode_queries(wanted["queries"])
    documents = model.encode_documents(wanted["documents"])
    assert off(model.score(queries, documents), wanted) < BOUND


@pytest.mark.parametrize("name", NAMES)
def test_training_of_no_step_keeps_a_finished_model(name: str, tmp_path: Path) -> None:
    wanted, kind = golden(name), open_model(OWNERS / name).checkpoint.kind
    out = tmp_path / "checkpoint"
    command = ["train", kind, "--base", OWNERS / name, "--max-steps", 0, "--out", out]
    assert main([str(word) for word in command]) == 0
    model = open_model(out)
    queries = model.encode_queries(wanted["queries"])
    documents = model.encode_documents(wanted["documents"])
    assert off(model.score(queries, documents), wanted) < BOUND


@pytest.mark.parametrize("name", NAMES)
def test_the_exported_graph_scores_as_the_owner_says(name: str, tmp_path: Path) -> None:
    wanted = golden(name)
    export_model(OWNERS / name, tmp_path / "model", ExportSettings(quantize="none"))
    kind = json.loads((tmp_path / "model" / "glane.json").read_text("utf-8"))["kind"]
    retriever = RETRIEVERS[kind].load(tmp_path / "model")
    queries = retriever.encode_queries(wanted["queries"])
    documents = retriever.encode_documents(wanted["documents"])
    model = open_model(OWNERS / name)
    assert off(model.score(queries, documents), wanted) < BOUND
