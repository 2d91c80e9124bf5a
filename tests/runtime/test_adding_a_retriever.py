"""A retriever from a package outside, as `docs/adding-a-retriever.md` shows it, used everywhere."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, ColBERT, Search
from glane.retrievers.registry import find, names

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
CORPUS = [
    {"_id": "a", "text": "green tea and black tea"},
    {"_id": "b", "text": "green leaves"},
    {"_id": "c", "text": "a river of black stone"},
]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The code of the page, installed as a package of its own."""
    page = (ROOT / "docs" / "adding-a-retriever.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    entry = re.findall(r'```toml\n\[project.entry-points."(.*?)"\]\n(.*?)```', page, re.DOTALL)[0]
    folder = tmp_path / "site"
    info = folder / "overlap-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "overlap.py").write_text(code)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: overlap\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{entry[0]}]\n{entry[1]}".replace('"', ""))
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop("overlap", None)


def glane(package: Path, *arguments: str) -> Any:  # noqa: ANN401 (what a command prints)
    done = subprocess.run(
        [sys.executable, "-m", "glane", *arguments, "--json"],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def test_the_command_line_finds_indexes_and_searches_it(package: Path, tmp_path: Path) -> None:
    corpus, index = tmp_path / "corpus.jsonl", str(tmp_path / "index")
    corpus.write_text("".join(json.dumps(document) + "\n" for document in CORPUS))
    argv = ["--documents", str(corpus), "--on", "text"]
    made = glane(package, "index", index, *argv, "--retriever", "overlap")
    assert (made["retriever"], made["n_documents"]) == ("Overlap", 3)
    found = glane(package, "search", index, "black tea")["hits"]
    assert [(hit["id"], hit["score"]) for hit in found] == [("a", 2.0), ("c", 1.0)]
    corpus.write_text(json.dumps({"_id": "d", "text": "black tea leaves"}) + "\n")
    assert glane(package, "add", index, *argv[:2])["n_added"] == 1
    assert glane(package, "delete", index, "a")["n_documents"] == 3
    glane(package, "compact", index)
    assert glane(package, "search", index, "black tea")["hits"][0]["id"] == "d"
    assert glane(package, "info", index)["retriever"] == "overlap"


def test_it_is_reranked_and_reranks(package: Path, tmp_path: Path) -> None:
    overlap: Any = import_module("overlap").Overlap
    assert find("overlap") == overlap
    assert names()[-1] == "overlap"
    colbert = ColBERT.load(FIXTURES / "colbert", threads=1)
    searches = [
        Search(overlap(), key="_id", on="text"),
        Search(overlap(), reranker=colbert, key="_id", on="text"),
        Search(BM25(), reranker=overlap(), key="_id", on="text", keep_documents=True),
    ]
    for number, search in enumerate(searches):
        search.add(CORPUS[:2])
        search.add(CORPUS[2:])
        wanted = search.search(["black tea", "green", "nothing"])
        assert set(wanted.ids[0]) == {"a", "c"}
        search.save(tmp_path / f"{number}")
        loaded = Search.load(tmp_path / f"{number}", threads=1)
        assert loaded.search(["black tea", "green", "nothing"]) == wanted
        assert type(loaded.retriever) is type(search.retriever)
        loaded.delete(["a"])
        loaded.compact()
        assert loaded.search(["black tea"]).ids == [["c"]]
    assert searches[2].search(["green leaves and black tea"], k=1).ids == [["a"]]


def test_an_index_of_a_retriever_that_is_not_installed_says_so(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Search(import_module("overlap").Overlap())
    search.add([{"id": 1, "text": "tea"}])
    search.save(tmp_path / "index")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(package)])
    with pytest.raises(ValueError, match="unknown retriever 'overlap'; there are"):
        Search.load(tmp_path / "index")


class Backwards(BM25):
    """A subclass that an index would not find again."""


def test_a_subclass_without_a_name_of_its_own_is_not_saved(tmp_path: Path) -> None:
    search = Search(Backwards())
    search.add([{"id": 1, "text": "tea"}])
    assert search.search(["tea"]).ids == [[1]]
    with pytest.raises(TypeError, match=r"Backwards cannot be saved: .* `kind` of its own"):
        search.save(tmp_path / "index")
    assert not (tmp_path / "index").exists()
    alone = Backwards()
    alone.add(alone.encode_documents(["tea"]))
    alone.save(tmp_path / "alone")  # by itself it is asked for by its class
    assert type(Backwards.load(tmp_path / "alone")) is Backwards


def test_what_does_not_keep_the_contract_is_refused() -> None:
    class Half:
        def __len__(self) -> int:
            return 0

    with pytest.raises(TypeError, match=r"must keep the contract of `glane.Retriever`, Half"):
        Search(Half())  # type: ignore[arg-type]
