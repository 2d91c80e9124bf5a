"""Canaries: a model that gives the same here as where it was exported, and one that does not."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from glane import BM25, ColBERT, Search
from glane.commands.main import main
from glane.model.checkpoint import Checkpoint
from glane.model.model_files import CANARY
from glane.model.preparation import Role
from glane.model.saturation import PRODUCT, saturates
from glane.retrievers.canary import Canary, cosine, encoded, write_canaries
from glane.retrievers.registry import NEURAL

FIXTURES = Path(__file__).parents[1] / "fixtures"

TEXTS = ["the river runs to the sea", "?!", "", "日本語"]

MODELS = ["colbert", "colbert-int8", "splade", "splade-inference-free", "sparse-embed"]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    """Copy a fixture, and write its canaries here."""

    def make(name: str = "colbert") -> Path:
        made = tmp_path / name
        shutil.copytree(FIXTURES / name, made)
        roles: tuple[Role, ...] = ("query", "document")
        model = NEURAL[Checkpoint.read(made).kind].load(made, threads=1)
        write_canaries([row for role in roles for row in encoded(model, role, TEXTS)], made)
        return made

    return make


def verified(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["info", str(path), "--verify", "--json"]) == 0, capsys.readouterr().err
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_the_same_where_it_was_exported(
    folder: Callable[[str], Path], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    found = verified(folder(name), capsys)["canary"]
    assert found["n_texts"] == 2 * len(TEXTS)
    assert found["lowest_cosine"] == pytest.approx(1, abs=1e-6)
    assert found["cpu_saturates"] == saturates()


def test_a_model_of_before_has_no_canaries(capsys: pytest.CaptureFixture[str]) -> None:
    found = verified(FIXTURES / "colbert", capsys)["canary"]
    assert (found["n_texts"], found["lowest_cosine"]) == (0, None)


@pytest.mark.parametrize("name", MODELS)
def test_other_vectors_are_told_in_one_line(
    folder: Callable[[str], Path], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = folder(name)
    change(path, values=lambda values: values + np.linspace(0, values.max() / 2, len(values)))
    assert main(["info", str(path), "--verify"]) == 1
    error = capsys.readouterr().err
    assert "gives other vectors here than where it was exported: the lowest cosine" in error
    assert ("--range 7bit" in error) == (saturates() and name == "colbert-int8")
    assert error.count("\n") == 1


def change(path: Path, **changes: Callable[[Any], Any]) -> None:
    """Change entries of each canary; `values` as numbers."""
    record = json.loads((path / CANARY).read_text("utf-8"))
    for row in record["canaries"]:
        for name, new in changes.items():
            row[name] = new(row[name]) if name != "values" else renewed(row[name], new)
    (path / CANARY).write_text(json.dumps(record), encoding="utf-8")


def renewed(values: str, new: Callable[[Any], Any]) -> str:
    numbers = np.frombuffer(base64.b64decode(values), "<f4")
    changed = new(numbers) if len(numbers) else numbers
    return base64.b64encode(changed.astype("<f4").tobytes()).decode()


def test_a_text_of_fewer_tokens_is_another() -> None:
    one = Canary("query", "x", np.arange(3), np.eye(3, dtype=np.float32))
    other = Canary("query", "x", np.arange(2), np.eye(3, dtype=np.float32)[:2])
    nothing = Canary("query", "x", np.arange(0), np.eye(3, dtype=np.float32)[:0])
    wider = Canary("query", "x", np.arange(3), np.ones((3, 4), np.float32))
    assert cosine(one, one) == pytest.approx(1)
    assert cosine(one, other) == pytest.approx(2 / 6**0.5)
    assert cosine(nothing, nothing) == 1
    assert cosine(one, nothing) == cosine(nothing, one) == 0
    assert cosine(one, wider) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": lambda shape: [shape[0] + 1, *shape[1:]]},
        {"shape": lambda shape: 3},
        {"keys": lambda keys: "none"},
        {"keys": lambda keys: [*keys, 7]},
        {"role": lambda role: "passage"},
        {"text": lambda text: 7},
        {"values": None},
    ],
)
def test_damaged_canaries_are_told_in_one_line(
    folder: Callable[[], Path],
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Callable[[Any], Any] | None],
) -> None:
    path = folder()
    if changes == {"values": None}:
        text = (path / CANARY).read_text("utf-8").replace('"values": "', '"values": "€')
        (path / CANARY).write_text(text, encoding="utf-8")
    else:
        change(path, **{name: new for name, new in changes.items() if new is not None})
    assert main(["info", str(path), "--verify"]) == 1
    error = capsys.readouterr().err
    assert "holds no canaries" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", ["[]", "{}", '{"format_version": 1}', "3", "{"])
def test_what_is_no_canary_file_is_told(
    folder: Callable[[], Path], capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = folder()
    (path / CANARY).write_text(content)
    assert main(["info", str(path), "--verify"]) == 1
    assert CANARY in capsys.readouterr().err


def test_a_later_format_is_refused(
    folder: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder()
    (path / CANARY).write_text('{"format_version": 2, "canaries": []}')
    assert main(["info", str(path), "--verify"]) == 1
    assert "upgrade glane" in capsys.readouterr().err


def test_an_index_verifies_its_models(
    folder: Callable[[], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = Search(BM25(), reranker=ColBERT.load(folder()))
    search.add([{"id": "a", "text": "the river"}])
    search.save(tmp_path / "index")
    found = verified(tmp_path / "index", capsys)["canaries"]
    assert list(found) == ["reranker"]
    assert found["reranker"]["lowest_cosine"] == pytest.approx(1, abs=1e-6)


def test_what_saturates_is_found_by_a_graph_that_multiplies() -> None:
    session = onnxruntime.InferenceSession(PRODUCT, providers=["CPUExecutionProvider"])
    rows, weights = np.full((3, 64), 2, np.uint8), np.full((64, 5), -3, np.int8)
    (products,) = session.run(None, {"a": rows, "b": weights})
    assert (np.asarray(products) == -2 * 3 * 64).all(), "small ones come out whole everywhere"
    assert saturates() in (True, False)
