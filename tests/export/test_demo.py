"""`glane demo` with a tiny random base: the whole chain, as a user calls it."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.export.tracing import quietly

from glane.collection.dataset import read_beir
from glane.commands.main import main
from glane_export.demo import BASE_PACKAGE, SAMPLE, packaged_base


def test_the_demo_makes_what_it_says_and_calls_no_host(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    done = quietly(["demo", "--base", str(base), "--out", str(out), "--threads", "1"], tmp_path)
    assert "BM25" in done.stdout
    assert "ColBERT, fine-tuned, int8" in done.stdout
    assert "$ glane train colbert" in done.stderr
    for name in ("checkpoint/training.png", "model/parity.json", "index/manifest.json"):
        assert (out / name).is_file()
    assert str(tmp_path) not in (out / "index" / "manifest.json").read_text()
    assert main(["search", str(out / "index"), "stars at night", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"]
    assert main(["demo", "--base", str(base), "--out", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_the_sample_is_a_sound_collection() -> None:
    train, test = read_beir(SAMPLE, "train"), read_beir(SAMPLE, "test")
    assert len(train.corpus) >= 300
    assert sum(map(len, train.judgements.values())) >= 200
    assert len(test.queries) >= 60
    assert set(train.queries).isdisjoint(test.queries)
    assert set(train.queries.values()).isdisjoint(test.queries.values())
    assert len(set(train.corpus.values())) == len(train.corpus)


def test_the_packaged_base_is_found_and_checked() -> None:
    if find_spec(BASE_PACKAGE.replace("-", "_")) is None:
        pytest.skip("the extra `demo` is not installed")
    assert (packaged_base() / "config.json").is_file()
