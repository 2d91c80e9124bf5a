"""Models of others read by glane, and glane's checkpoints read by others: `pytest -m owners`.

Environments and models are made in the folder that `GLANE_OWNERS` names, once, or else in a
temporary one; that takes minutes and some gigabytes.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.owners import environments, tiny
from tests.owners.texts import DOCUMENTS, QUERIES

import glane
from glane_export import ExportSettings, export_model
from glane_trainer.handing import save_as
from glane_trainer.models import open_model

pytestmark = pytest.mark.owners

ROOT = Path(__file__).parent.parent.parent

SCRIPTS = {
    "st": ("st_vectors", "st_terms", "stanford_models"),
    "pylate": ("pylate_models",),
    "cherche": ("cherche_models",),
}

RETRIEVERS: dict[str, Any] = {"colbert": glane.ColBERT, "splade": glane.Splade}

BACK = {
    "pylate": ("pylate", "pylate"),
    "sentence-transformers": ("st", "st-vectors"),
    "stanford": ("st", "st-vectors"),
}
"""Of a ColBERT in each format: the environment that opens it, and how."""

BLANKS = [i for i, text in enumerate(QUERIES) if text != text.strip()]
BLANKS_OF_DOCUMENTS = [i for i, text in enumerate(DOCUMENTS) if text != text.strip()]
"""Texts of which `save-as` says that the other library makes other tokens."""

UNDEFINED = ("cherche-embeddings", "cherche-vectors-bare", "st-dense", "st-autoencoder")
"""What neural-cherche's SparseEmbed scores depends on terms of equal weight; the rest is no model
that glane has."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of environments, and of the models that the owners made in them."""
    folder = Path(os.environ.get("GLANE_OWNERS") or tmp_path_factory.mktemp("owners"))
    environments.make(folder)
    if not (folder / "made").exists():
        tiny.main(str(folder / "bases"))
        for name, scripts in SCRIPTS.items():
            for script in scripts:
                run(folder, name, script, str(folder))
        (folder / "made").touch()
    return folder


def run(folder: Path, environment: str, script: str, *arguments: str) -> None:
    settings = {
        "PYTHONPATH": str(ROOT),
        "GLANE_OWNERS_TINY": str(folder / "bases"),
        "HF_HUB_OFFLINE": "1",
    }
    command = [str(environments.python(folder, environment)), "-m", f"tests.owners.{script}"]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | settings,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def off(scores: Any, golden: dict[str, Any]) -> Any:
    """Return the difference of each score to the owner's, for each row of its query."""
    rows = np.array([max(1, shape[0]) for shape in golden["query_shapes"]])
    return np.abs(np.asarray(scores) - np.array(golden["scores"])) / rows[:, None]


def scored(model: Any) -> Any:
    return model.score(model.encode_queries(QUERIES), model.encode_documents(DOCUMENTS))


def test_models_of_others_score_the_same_or_are_refused(made: Path, tmp_path: Path) -> None:
    wrong: dict[str, float] = {}
    right = 0
    for path in sorted((made / "goldens").glob("*.json")):
        golden = json.loads(path.read_text("utf-8"))
        if path.stem.startswith(UNDEFINED):
            continue
        try:
            model = open_model(made / "models" / path.stem)
        except glane.GlaneError:
            continue
        export_model(
            made / "models" / path.stem, tmp_path / path.stem, ExportSettings(quantize="none")
        )
        retriever = RETRIEVERS[model.checkpoint.kind].load(tmp_path / path.stem)
        queries = retriever.encode_queries(QUERIES)
        figure = off(model.score(queries, retriever.encode_documents(DOCUMENTS)), golden).max()
        right += figure < 1e-4
        wrong |= {path.stem: figure} if figure >= 1e-4 else {}
    assert (wrong, right > 60) == ({}, True)


COLBERTS = (
    "pylate-tiny",
    "pylate-three-layers",
    "pylate-modernbert",
    "pylate-xlm-roberta",
    "st-vectors",
    "st-vectors-expansion-min",
    "st-vectors-skip-queries",
    "stanford-bert",
    "stanford-distilbert",
    "stanford-roberta",
    "cherche-vectors",
)


@pytest.mark.parametrize("name", COLBERTS)
@pytest.mark.parametrize("format", BACK)
def test_what_is_handed_over_scores_the_same_there(
    made: Path, tmp_path: Path, name: str, format: str
) -> None:
    model = open_model(made / "models" / name)
    model.save(tmp_path / "checkpoint")
    try:
        _, remarks = save_as(format, tmp_path / "checkpoint", tmp_path / "folder")
    except glane.GlaneError:
        assert not (tmp_path / "folder").exists()
        return
    environment, how = BACK[format]
    run(made, environment, "reading", how, str(tmp_path / "folder"), str(tmp_path / "golden"))
    figures = off(scored(model), json.loads((tmp_path / "golden").read_text("utf-8")))
    if remarks:
        figures = np.delete(np.delete(figures, BLANKS, 0), BLANKS_OF_DOCUMENTS, 1)
    assert figures.max() < 1e-4


@pytest.mark.parametrize("name", ["st-terms-sum-log1p", "st-terms-active", "st-terms-table"])
def test_terms_that_are_handed_over_score_the_same_there(
    made: Path, tmp_path: Path, name: str
) -> None:
    model = open_model(made / "models" / name)
    model.save(tmp_path / "checkpoint")
    save_as("sentence-transformers", tmp_path / "checkpoint", tmp_path / "folder")
    run(made, "st", "reading", "st-terms", str(tmp_path / "folder"), str(tmp_path / "golden"))
    golden = json.loads((tmp_path / "golden").read_text("utf-8"))
    assert off(scored(model), golden).max() < 1e-4


@pytest.mark.parametrize(("environment", "how"), [("pylate", "pylate"), ("st", "st-vectors")])
def test_others_do_not_read_a_checkpoint_in_part(
    made: Path, tmp_path: Path, environment: str, how: str
) -> None:
    open_model(made / "models" / "pylate-tiny").save(tmp_path / "checkpoint")
    folder = [str(tmp_path / "checkpoint"), str(tmp_path / "golden")]
    with pytest.raises(AssertionError, match="glane_checkpoint"):
        run(made, environment, "reading", how, *folder)
