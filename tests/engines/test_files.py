"""Mappings, schemas, documents and queries are those that are kept as they should be."""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engines.conftest import FIXTURES, LONG, QUERIES, SHORT
from tests.engines.golden import GOLDEN, plain, write

from glane import Search
from glane.commands.main import main
from glane.commands.program import Defaults
from glane.integrations.pushed import Pushed
from glane_engines import lucene, vespa
from glane_engines.command import ENGINES
from glane_engines.files import fill

ALL = [document for document in LONG if document["id"] != 7]


def assert_near(found: Any, expected: Any) -> None:  # noqa: ANN401
    """Compare JSON; the model's numbers may differ a little between processors."""
    assert type(found) is type(expected)
    if isinstance(found, dict):
        assert list(found) == list(expected)
        for name, value in found.items():
            assert_near(value, expected[name])
    elif isinstance(found, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_near(one, other)
    elif isinstance(found, float):
        assert found == pytest.approx(expected, abs=0.01)
    else:
        assert found == expected


def test_files_are_the_golden_ones(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    write(folder, tmp_path)
    paths = [path.relative_to(folder) for path in folder.rglob("*.*") if path.suffix != ".onnx"]
    golden = {path.relative_to(GOLDEN) for path in GOLDEN.rglob("*.*")}
    assert set(paths) == golden
    for own in paths:
        text, kept = plain(folder, own), (GOLDEN / own).read_text("utf-8")
        if own.suffix in (".ndjson", ".jsonl"):
            assert_near(
                *([json.loads(line) for line in each.splitlines()] for each in (text, kept))
            )
        else:
            assert text == kept
    model = folder / "vespa-both" / "application" / "models" / "colbert.onnx"
    assert model.read_bytes() == (FIXTURES / "colbert" / "model.onnx").read_bytes()


def maxsim(query: list[list[float]], document: list[list[float]]) -> float:
    return sum(
        max(sum(a * b for a, b in zip(one, other, strict=True)) for other in document)
        for one in query
    )


@pytest.mark.parametrize("retriever", ["bm25", "tfidf", "splade"])
def test_by_hand_the_files_give_the_scores_of_the_index(
    make_index: Callable[..., Path], tmp_path: Path, retriever: str
) -> None:
    search = Search.load(make_index(SHORT, retriever), threads=1)
    pushed = Pushed(search)
    lucene.write(pushed, "opensearch", tmp_path)
    lines = [json.loads(each) for each in (tmp_path / "documents.ndjson").read_text().splitlines()]
    documents = dict(zip([each["index"]["_id"] for each in lines[::2]], lines[1::2], strict=True))
    for query in QUERIES[:4]:
        body = fill(tmp_path / "query.json", pushed, query, k=50)
        asked = body["query"]["neural_sparse"][retriever]["query_tokens"]
        script = body["rescore"]["query"]["rescore_query"]["script_score"]["script"]
        assert script["params"]["shift"] == len(script["params"]["tokens"])
        expected = search.rankings([query], 50)
        for way in ("retriever", "reranked"):
            scores = dict(zip(expected[way].ids[0], expected[way].scores[0], strict=True))
            for key, score in scores.items():
                own = documents[str(key)]
                found = sum(weight * own[retriever].get(name, 0) for name, weight in asked.items())
                if way == "reranked":
                    found = maxsim(script["params"]["tokens"], own["colbert"])
                assert found == pytest.approx(score, abs=1e-3)
        assert body["size"] == 50
        assert body["rescore"]["window_size"] == 100


def test_vespa_is_asked_by_tensors(make_index: Callable[..., Path], tmp_path: Path) -> None:
    index = make_index(ALL)
    pushed = Pushed(index, threads=1)
    vespa.write(pushed, tmp_path)
    body = fill(tmp_path / "query.json", pushed, "tea leaf", k=3)
    assert json.loads(body["asked"]) == dict.fromkeys(body["input.query(terms)"], 1)
    assert list(body["input.query(tokens)"]) == [str(n) for n in range(12)]
    assert body["hits"] == 3
    lines = (tmp_path / "documents.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == len(ALL)
    assert json.loads(json.loads(lines[3])["fields"]["document"]) == ALL[3]


def test_a_template_of_another_state_is_refused(
    make_index: Callable[..., Path], tmp_path: Path
) -> None:
    index = make_index(SHORT)
    vespa.write(Pushed(index, threads=1), tmp_path)
    with Search.edit(index, threads=1) as search:
        search.delete(["d1"])
    with pytest.raises(ValueError, match="holds another index, or another state"):
        fill(tmp_path / "query.json", Pushed(index, threads=1), "tea")


@pytest.mark.parametrize("engine", ENGINES)
def test_every_argument_is_explained(engine: str) -> None:
    parser = argparse.ArgumentParser(formatter_class=Defaults)
    ENGINES[engine].declare(parser)
    assert [action.dest for action in parser._actions if not action.help] == []
    assert "None" not in parser.format_help()


@pytest.mark.parametrize("engine", ["elasticsearch", "opensearch", "vespa"])
def test_the_command_tells_what_it_wrote(
    engine: str,
    make_index: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = str(tmp_path / engine)
    assert main(["push", engine, str(make_index(ALL)), folder]) == 0
    told = capsys.readouterr().out
    assert f": {len(ALL)} documents, for {engine} " in told
    assert ("are of several passages, which are joined here" in told) == (engine != "vespa")
    shutil.rmtree(folder)
    assert main(["push", engine, str(make_index(LONG)), folder]) == 1
    assert "which are the same here; make them text" in capsys.readouterr().err
    assert not Path(folder).exists()
