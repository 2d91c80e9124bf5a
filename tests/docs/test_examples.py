"""Each program of `examples/` runs, and does what it says."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.docs import made

from glane import BM25, Search

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

DOCUMENTS = [
    {"id": "leaf", "text": "Plants eat light."},
    {"id": "sea", "text": "Rivers run to the sea."},
]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    search = Search(BM25(), keep_documents=True)
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    monkeypatch.setenv("GLANE_INDEX", str(tmp_path / "index"))
    return tmp_path / "index"


def run(program: str, *words: str) -> str:
    """Return what a program prints."""
    command = [sys.executable, str(EXAMPLES / program), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_program_is_told_of_and_tested() -> None:
    told = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")]:
        assert f"`{path.name}`" in told
        assert f'"{path.name}"' in Path(__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("wie kann ich kündigen", "Wie kündige ich mein Abonnement?"),
        ("Rückgabe getragener Schuhe", "Kann ich getragene Schuhe zurückgeben?"),
        ("changing the password", "How do I change my password?"),
        ("worn shoe return", "Can I return shoes that I have worn?"),
    ],
)
def test_the_help_centre_answers_in_the_language_it_is_asked_in(question: str, first: str) -> None:
    assert run("help_centre.py", question).splitlines()[0] == first


def test_the_help_centre_may_be_asked_for_one_language() -> None:
    assert run("help_centre.py", "Visa", "--lang", "de").startswith("Welche Zahlungsarten")
    assert run("help_centre.py", "aardvark") == "nothing found\n"


def test_the_service_answers_and_takes_documents(index: Path) -> None:
    testing = pytest.importorskip("fastapi.testclient", reason="pip install 'glane[serve]'")
    app = runpy.run_path(str(EXAMPLES / "service.py"))["app"]
    with testing.TestClient(app) as client:
        (answer,) = client.get("/answers", params={"q": "what plants eat"}).json()
        assert answer["document"] == DOCUMENTS[0]
        assert client.put("/documents", json=[{"id": "tea", "text": "Tea."}]).json() == {
            "stored": 1
        }
        assert client.put("/documents", json=[{"text": "Tea."}]).status_code == 422
        assert client.get("/answers", params={"q": "tea", "k": 0}).status_code == 422
        found = client.get("/answers", params={"q": "tea"}).json()
    assert [answer["document"]["id"] for answer in found] == ["tea"]
    assert Search.load(index).search(["tea"]).ids == [["tea"]]


def test_the_function_answers_and_says_what_cannot_be_asked(index: Path) -> None:
    handler = runpy.run_path(str(EXAMPLES / "function.py"))["handler"]
    (hit,) = handler({"query": "rivers"})["hits"]
    assert hit["id"] == "sea"
    for wrong in ({}, {"query": 7}, {"query": "sea", "k": 0}, {"query": "sea", "k": "many"}):
        assert handler(wrong)["status"] == 400


def test_the_notebook_runs_from_top_to_bottom() -> None:
    notebook = json.loads((EXAMPLES / "first_steps.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    namespace: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), namespace)
    assert namespace["again"].search(["bees", "iron"]).ids == [["bees"], []]


def test_the_training_script_goes_from_a_base_to_an_index(tmp_path: Path) -> None:
    made.make(tmp_path, "base")
    made.make(tmp_path, "beir_folder")
    words = [str(tmp_path / name) for name in ("base", "beir_folder", "out")]
    printed = run("distilling.py", *words, "--max-steps", "2")
    assert "\nheld-out NDCG@10: " in printed
    assert len(Search.load(tmp_path / "out" / "index")) > 0
