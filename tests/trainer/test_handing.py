"""Checkpoints in the folders of other libraries, read again by glane; `tests/owners` asks those."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glane.commands.main import main
from glane.errors import CheckpointError
from glane.types import Scores
from glane_trainer import ColBERT, SparseEmbed, Splade
from glane_trainer.bases.modules import read_modules
from glane_trainer.handing import FORMATS, save_as
from glane_trainer.model import Model
from glane_trainer.models import open_model

OWNERS = Path(__file__).parent.parent / "fixtures" / "owners"
WORDPIECE = OWNERS / "st-vectors-expansion-min"
MASKED = OWNERS / "st-terms-sum-log1p"
BYTES = OWNERS / "pylate-modernbert"

TEXTS = ["", "the light over the sea", "?! 42", "森林の火", "The wind grows cold. " * 12]

MARKED: dict[str, Any] = {
    "query_prefix": "[unused0]",
    "document_prefix": "[unused1]",
    "query_prompt": "",
    "document_prompt": "",
    "query_length": 20,
    "expansion_length": 0,
    "document_length": 40,
    "query_expansion": True,
}


def scores(model: Model[Any]) -> Scores:
    found: Scores = model.score(model.encode_queries(TEXTS), model.encode_documents(TEXTS))
    return found


def colbert(folder: Path = WORDPIECE, **rules: Any) -> ColBERT:  # noqa: ANN401
    return ColBERT.from_base(folder, **rules)


def splade(**rules: Any) -> Splade:  # noqa: ANN401
    return Splade.from_base(MASKED, **rules)


Make = Callable[[], Model[Any]]

MODELS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "marked": (lambda: colbert(**MARKED), tuple(FORMATS)),
    "marked, attended, punctuation skipped": (
        lambda: colbert(**MARKED, attend_to_expansion=True, skip_punctuation=True),
        tuple(FORMATS),
    ),
    "no marker, no expansion": (
        lambda: colbert(
            **{**MARKED, "query_prefix": "", "document_prefix": "", "query_expansion": False}
        ),
        ("pylate", "sentence-transformers"),
    ),
    "one prompt": (
        lambda: colbert(query_prompt="see: ", document_prompt="see: ", expansion_length=0),
        ("pylate", "sentence-transformers"),
    ),
    "two prompts, expansion up to a floor": (
        lambda: colbert(query_prompt="ask: ", document_prompt="text: "),
        ("sentence-transformers",),
    ),
    "layers": (
        lambda: colbert(OWNERS / "pylate-three-layers"),
        ("pylate", "sentence-transformers"),
    ),
    "bytes": (lambda: colbert(BYTES), ("pylate", "sentence-transformers")),
    "metaspace": (
        lambda: colbert(OWNERS / "pylate-xlm-roberta"),
        ("pylate", "sentence-transformers"),
    ),
    "words skipped": (lambda: colbert(OWNERS / "pylate-skiplist-unknown"), ("pylate",)),
    "skipped in queries": (
        lambda: colbert(OWNERS / "st-vectors-skip-queries"),
        ("sentence-transformers",),
    ),
    "terms": (lambda: splade(query_terms=12, document_terms=12), ("sentence-transformers",)),
    "all terms": (lambda: splade(pooling="max", activation="relu"), ("sentence-transformers",)),
    "table": (lambda: Splade.from_base(OWNERS / "st-terms-table"), ("sentence-transformers",)),
}
CASES = [(name, format) for name, (_, formats) in MODELS.items() for format in formats]


@pytest.mark.parametrize(("name", "format"), CASES, ids=[" as ".join(case) for case in CASES])
def test_what_is_handed_over_scores_the_same(name: str, format: str, tmp_path: Path) -> None:
    model = MODELS[name][0]()
    model.save(tmp_path / "checkpoint")
    save_as(format, tmp_path / "checkpoint", tmp_path / "folder")
    again = open_model(tmp_path / "folder")
    assert not (tmp_path / "folder" / "glane.json").exists()
    np.testing.assert_allclose(scores(again), scores(model), atol=2e-5, rtol=1e-6)


REFUSED: dict[str, tuple[Make, str, str]] = {
    "suffix": (
        lambda: colbert(**MARKED, suffix=" [MASK]"),
        "stanford",
        "no `suffix`, here it is ' \\[MASK",
    ),
    "suffix, PyLate": (lambda: colbert(**MARKED, suffix=" x"), "pylate", "no `suffix`"),
    "suffix, terms": (lambda: splade(suffix=" x"), "sentence-transformers", "no `suffix`"),
    "prompts": (
        lambda: colbert(query_prompt="ask: ", document_prompt=""),
        "pylate",
        "one prompt for queries and documents, here .* 'ask: ' and ''",
    ),
    "floor": (lambda: colbert(), "pylate", "`expansion_length` 12"),
    "no marker": (
        lambda: colbert(**{**MARKED, "query_prefix": ""}),
        "stanford",
        "needs `query_prefix`",
    ),
    "prompt": (
        lambda: colbert(**{**MARKED, "query_prompt": "q "}),
        "stanford",
        "no text before a query",
    ),
    "no expansion": (
        lambda: colbert(**{**MARKED, "query_expansion": False}),
        "stanford",
        "always expands queries",
    ),
    "layers": (lambda: colbert(OWNERS / "pylate-three-layers"), "stanford", "one linear layer"),
    "skipped": (
        lambda: colbert(**MARKED, skipped_tokens=["the"]),
        "stanford",
        "mark of punctuation",
    ),
    "skipped in queries": (
        lambda: colbert(**MARKED, skip_punctuation=True, skip_in_queries=True),
        "pylate",
        "`skip_in_queries` is true",
    ),
    "terms apart": (
        lambda: splade(query_terms=4, document_terms=8),
        "sentence-transformers",
        "`query_terms` is 4 and `document_terms` 8",
    ),
    "decoder of an encoder": (
        lambda: Splade.from_base(WORDPIECE, document_length=40),
        "sentence-transformers",
        "masked language model",
    ),
    "kind, PyLate": (lambda: splade(), "pylate", "no splade"),
    "kind, Stanford": (lambda: splade(), "stanford", "no splade"),
    "kind": (
        lambda: SparseEmbed.from_base(OWNERS / "cherche-terms-short", dim=4, document_length=40),
        "sentence-transformers",
        "no sparse-embed",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_format_cannot_hold_is_refused_by_name(name: str, tmp_path: Path) -> None:
    make, format, reason = REFUSED[name]
    make().save(tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match=f"cannot be saved as {format}: .*{reason}"):
        save_as(format, tmp_path / "checkpoint", tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one of \['pylate', .*got 'gguf'"):
        save_as("gguf", tmp_path, tmp_path / "folder")


def test_a_folder_that_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    colbert(**MARKED).save(tmp_path / "checkpoint")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    with pytest.raises(FileExistsError, match="--overwrite"):
        save_as("pylate", tmp_path / "checkpoint", tmp_path / "folder")
    save_as("pylate", tmp_path / "checkpoint", tmp_path / "folder", overwrite=True)
    assert not (tmp_path / "folder" / "mine").exists()


def test_blanks_that_the_other_library_treats_otherwise_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    colbert(BYTES, strip=False).save(tmp_path / "keeps")
    folder = [str(tmp_path / "keeps"), str(tmp_path / "folder")]
    assert main(["save-as", "pylate", *folder]) == 0
    said = capsys.readouterr().out
    assert "PyLate drops the white space around a text, which this checkpoint keeps" in said
    assert "open it with PyLate, as pylate.models.ColBERT" in said
    assert main(["save-as", "sentence-transformers", *folder, "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["remarks"] == []


def test_the_command_line_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splade().save(tmp_path / "checkpoint")
    capsys.readouterr()
    command = ["save-as", "stanford", str(tmp_path / "checkpoint"), str(tmp_path / "folder")]
    assert main(command) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].endswith("colbert-ai has late interaction alone, and no splade")


def test_a_checkpoint_names_a_module_that_no_other_library_has(tmp_path: Path) -> None:
    colbert().save(tmp_path / "checkpoint")
    (module,) = json.loads((tmp_path / "checkpoint" / "modules.json").read_text("utf-8"))
    assert module["type"] == "glane_checkpoint.to_be_read_after.glane_save_as"
    with pytest.raises(CheckpointError, match="glane_save_as"):
        read_modules(tmp_path / "checkpoint")


def test_a_checkpoint_of_before_is_read(tmp_path: Path) -> None:
    model = colbert(**MARKED)
    model.save(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "modules.json").unlink()
    np.testing.assert_array_equal(scores(open_model(tmp_path / "checkpoint")), scores(model))
