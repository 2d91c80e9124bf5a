"""Fusion that belongs to an index: who says how a search ranks, and what is told of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, ColBERT, FusionSettings, Search
from glane.commands.main import main
from glane.errors import CheckpointError
from glane.retrievers.fusion import DEFAULT_CANDIDATES, DEFAULT_FUSE, DEFAULT_WEIGHT, UNSAID, decide

FIXTURES = Path(__file__).parents[1] / "fixtures"
MODEL = str(FIXTURES / "colbert")

WORDS = ["tea", "sea", "snow", "bees", "bread", "iron", "granite", "stars"]
DOCUMENTS = [
    {"_id": f"d{n}", "text": " ".join(WORDS[(n * step) % len(WORDS)] for step in range(1, 7))}
    for n in range(30)
]
QUERIES = ["tea and bread", "stars over snow", "iron sea"]


def made(fusion: FusionSettings = UNSAID) -> Search:
    search = Search(BM25(), reranker=ColBERT.load(MODEL, threads=1), key="_id", fusion=fusion)
    search.add(DOCUMENTS)
    return search


def answer(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main([*argv, "--threads", "1", "--json"]) == 0, capsys.readouterr().err
    return dict(json.loads(capsys.readouterr().out))


@pytest.fixture
def beir(tmp_path: Path) -> str:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    queries = [{"_id": f"q{n}", "text": text} for n, text in enumerate(QUERIES)]
    for name, records in (("corpus", DOCUMENTS), ("queries", queries)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines)
    rows = ["q0\td3\t1", "q0\td5\t2", "q1\td4\t1", "q2\td7\t0"]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows))
    return str(folder)


@pytest.mark.parametrize(
    ("option", "index", "ranking", "sources"),
    [
        ((), (), (DEFAULT_FUSE, DEFAULT_WEIGHT, DEFAULT_CANDIDATES), ["default"] * 3),
        ((), ("rrf", 0.4, 50), ("rrf", 0.4, 50), ["index"] * 3),
        ((None, 0, 7), ("rrf", 0.4, 50), ("rrf", 0, 7), ["index", "option", "option"]),
        (("none",), ("rrf", 0.4, None), ("none", 0.4, 100), ["option", "index", "default"]),
        (("relative",), ("rrf", 0.4, 50), ("relative", 0.25, 50), ["option", "default", "index"]),
        (("relative",), (None, 0.4, None), ("relative", 0.4, 100), ["option", "index", "default"]),
        (("rrf",), (None, 0.4, None), ("rrf", 0.25, 100), ["option", "default", "default"]),
        ((), ("none", None, 9), ("none", 0.25, 9), ["index", "default", "index"]),
        (("rrf", 1), ("none", 0.4, 9), ("rrf", 1, 9), ["option", "option", "index"]),
    ],
)
def test_an_option_goes_before_the_index_and_that_before_the_default(
    option: tuple[Any, ...], index: tuple[Any, ...], ranking: tuple[Any, ...], sources: list[str]
) -> None:
    found = decide(FusionSettings(*option), FusionSettings(*index), reranks=True)
    assert found[:3] == ranking
    assert [found.sources[name] for name in ("fuse", "fuse_weight", "candidates")] == sources


@pytest.mark.parametrize(
    ("option", "index", "model", "ranking", "sources"),
    [
        ((), (), ("rrf", 0.4, 50), ("rrf", 0.4, 50), ["model"] * 3),
        ((), (None, 0.3), ("rrf", 0.4), ("rrf", 0.3, 100), ["model", "index", "default"]),
        ((), ("relative",), ("rrf", 0.4, 50), ("relative", 0.25, 50), ["index", "default"]),
        (("rrf",), (None, 0.3), ("rrf", 0.4), ("rrf", 0.3, 100), ["option", "index", "default"]),
        (("relative",), (None, 0.3), ("rrf", 0.4), ("relative", 0.25, 100), ["option"]),
        ((), (None, None, 9), (None, 0.4, 7), ("relative", 0.4, 9), ["default", "model", "index"]),
        ((), ("none",), ("rrf", 0.4), ("none", 0.4, 100), ["index", "model", "default"]),
    ],
)
def test_the_model_goes_before_the_default_alone(
    option: tuple[Any, ...],
    index: tuple[Any, ...],
    model: tuple[Any, ...],
    ranking: tuple[Any, ...],
    sources: list[str],
) -> None:
    said = (FusionSettings(*each) for each in (option, index, model))
    found = decide(*said, reranks=True)
    assert found[:3] == ranking
    told = [found.sources[name] for name in ("fuse", "fuse_weight", "candidates")]
    assert told[: len(sources)] == sources
    assert decide(UNSAID, UNSAID, FusionSettings(*model), reranks=False).fuse == "none"


def test_what_a_model_says_goes_with_it_into_an_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODEL, folder)
    (folder / "fusion.json").write_text('{"fuse": "rrf", "fuse_weight": 0.9}')
    search = Search(BM25(), reranker=ColBERT.load(folder, threads=1), key="_id")
    search.add(DOCUMENTS)
    wanted = made().search(QUERIES, k=5, fuse="rrf", fuse_weight=0.9)
    assert search.search(QUERIES, k=5) == wanted != made().search(QUERIES, k=5)
    for link in (False, True):
        index = tmp_path / f"index-{link}"
        search.save(index, link=link)
        assert Search.load(index, threads=1).search(QUERIES, k=5) == wanted
        info = answer(["info", str(index)], capsys)
        assert (info["fuse"], info["fuse_weight"]) == ("rrf", 0.9)
        assert info["ranking_from"] == {
            "fuse": "model",
            "fuse_weight": "model",
            "candidates": "default",
        }
    assert answer(["info", str(folder)], capsys)["fusion"] == {"fuse": "rrf", "fuse_weight": 0.9}


@pytest.mark.parametrize("said", ["[]", "{", '{"fuse": "mean"}', '{"fuse_weight": 2}', '{"k": 1}'])
def test_a_model_that_says_what_cannot_be_said_is_refused(said: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODEL, folder)
    (folder / "fusion.json").write_text(said)
    with pytest.raises(CheckpointError, match=r"fusion\.json"):
        Search(BM25(), reranker=ColBERT.load(folder, threads=1))


def test_a_search_without_a_reranker_fuses_nothing() -> None:
    assert decide(UNSAID, FusionSettings("rrf", 0.4), reranks=False).fuse == "none"
    with pytest.raises(ValueError, match="fuse='rrf' needs a reranker"):
        decide(FusionSettings("rrf"), UNSAID, reranks=False)
    with pytest.raises(ValueError, match="needs a reranker"):
        Search(BM25(), fusion=FusionSettings("relative"))
    assert Search(BM25(), fusion=FusionSettings("none")).ranking().fuse == "none"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (("mean",), ValueError, "fuse must be 'none', 'rrf' or 'relative', got 'mean'"),
        ((None, 1.5), ValueError, "fuse_weight must be between 0 and 1, got 1.5"),
        ((None, float("nan")), ValueError, "fuse_weight must be between 0 and 1, got nan"),
        ((None, "1"), TypeError, "fuse_weight must be a number, got '1'"),
        ((None, True), TypeError, "fuse_weight must be a number, got True"),
        ((None, None, 0), ValueError, "candidates must be at least 1, got 0"),
        ((None, None, 1.5), TypeError, "candidates must be an integer"),
    ],
)
def test_settings_out_of_range_are_refused(
    given: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        FusionSettings(*given)


def test_a_search_with_a_reranker_fuses_by_default_and_none_reranks_alone() -> None:
    search = made()
    fused = search.search(QUERIES, k=9, fuse="relative", fuse_weight=0.25, candidates=100)
    assert search.search(QUERIES, k=9) == fused
    alone = search.search(QUERIES, k=9, fuse="none")
    assert alone.ids == search.search(QUERIES, k=9, fuse="rrf", fuse_weight=0.0).ids
    assert alone.ids != fused.ids


def test_an_index_keeps_its_fusion_through_every_change(tmp_path: Path) -> None:
    given = FusionSettings("rrf", 0.5, 8)
    search = made(given)
    wanted = search.search(QUERIES, k=5, fuse="rrf", fuse_weight=0.5, candidates=8)
    assert search.search(QUERIES, k=5) == wanted != search.search(QUERIES, k=5, candidates=100)
    search.save(tmp_path / "index")
    loaded = Search.load(tmp_path / "index", threads=1)
    assert loaded.fusion == given
    assert loaded.search(QUERIES, k=5) == wanted
    with Search.edit(tmp_path / "index", threads=1) as edited:
        edited.add([{"_id": "new", "text": "granite"}])
        edited.delete(["d0"])
        edited.compact()
    assert loaded.refresh()
    assert loaded.fusion == Search.load(tmp_path / "index", threads=1).fusion == given


def test_the_rankings_of_a_search_are_what_it_gives_by_each_option() -> None:
    search = made(FusionSettings(fuse_weight=0.6))
    found = search.rankings(QUERIES, k=6)
    assert list(found) == ["retriever", "reranked", "fused"]
    assert found["fused"] == search.search(QUERIES, k=6)
    assert found["reranked"] == search.search(QUERIES, k=6, fuse="none")
    lexical = Search(BM25(), key="_id")
    lexical.add(DOCUMENTS)
    assert found["retriever"] == lexical.search(QUERIES, k=6)
    assert lexical.rankings(QUERIES, k=6) == {"retriever": found["retriever"]}
    assert search.rankings([], k=6)["fused"].ids == []


def test_ranking_otherwise_is_a_commit_that_readers_refresh_to(tmp_path: Path) -> None:
    made().save(tmp_path / "index")
    reader = Search.load(tmp_path / "index", threads=1)
    before = reader.search(QUERIES, k=5)
    with Search.edit(tmp_path / "index", threads=1) as edited:
        edited.rank_by(FusionSettings("relative", 0.9), k1=0.4, b=0.1)
    assert reader.search(QUERIES, k=5) == before
    assert reader.refresh()
    fresh = Search(BM25(k1=0.4, b=0.1), reranker=ColBERT.load(MODEL, threads=1), key="_id")
    fresh.add(DOCUMENTS)
    wanted = fresh.search(QUERIES, k=5, fuse="relative", fuse_weight=0.9)
    assert reader.search(QUERIES, k=5) == wanted != before


def test_what_cannot_rank_otherwise_is_refused() -> None:
    search = Search(ColBERT.load(MODEL, threads=1))
    with pytest.raises(TypeError, match="k1 and b are settings of BM25, and the retriever is"):
        search.rank_by(UNSAID, k1=1.0)
    with pytest.raises(ValueError, match="needs a reranker"):
        search.rank_by(FusionSettings("rrf"))
    lexical = made()
    with pytest.raises(ValueError, match=r"b must be in \[0, 1\]"):
        lexical.rank_by(UNSAID, b=2.0)
    assert isinstance(lexical.retriever, BM25)
    assert lexical.retriever.formula.b == 0.75


def test_the_command_line_stores_it_and_says_where_it_comes_from(
    beir: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = str(tmp_path / "index")
    new = ["index", index, "--documents", f"{beir}/corpus.jsonl", "--retriever", "bm25"]
    answer([*new, "--reranker", MODEL, "--fuse", "relative", "--fuse-weight", "0.4"], capsys)
    info = answer(["info", index], capsys)
    assert (info["fuse"], info["fuse_weight"], info["candidates"]) == ("relative", 0.4, 100)
    wanted = {"fuse": "index", "fuse_weight": "index", "candidates": "default"}
    assert info["ranking_from"] == wanted
    measured = ["evaluate", "--dataset", beir, "--index", index, "--metrics", "hits@1"]
    assert answer(measured, capsys)["ranking_from"] == wanted
    found = answer([*measured, "--fuse-weight", "0.1"], capsys)
    assert found["ranking_from"] == {**wanted, "fuse_weight": "option"}
    assert found["fuse_weight"] == 0.1
    query = ["search", index, QUERIES[0]]
    stored = answer([*query, "--fuse", "relative", "--fuse-weight", "0.4"], capsys)["hits"]
    assert answer(query, capsys)["hits"] == stored
    assert answer([*query, "--fuse", "none"], capsys)["hits"] != stored


def test_an_index_made_before_ranks_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    info = answer(["info", str(FIXTURES / "index-format-1")], capsys)
    reranks = info["reranker"] is not None
    assert ("fuse" in info) == reranks
    if reranks:
        assert set(info["ranking_from"].values()) == {"default"}


def test_an_evaluation_tells_all_rankings_of_one_pass(
    beir: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = ["--metrics", "hits@3,hits@1"]
    argv = ["evaluate", "--dataset", beir, "--retriever", "bm25", *metrics]
    alone = answer(argv, capsys)
    assert "metrics_by_ranking" not in alone
    argv += ["--reranker", MODEL]
    run = tmp_path / "run.txt"
    fused = answer([*argv, "--run", str(run)], capsys)
    reranked = answer([*argv, "--fuse", "none"], capsys)
    told = fused["metrics_by_ranking"]
    assert told == reranked["metrics_by_ranking"]
    assert told["retriever"] == alone["metrics"]
    assert told["reranked"] == reranked["metrics"]
    assert told["fused"] == fused["metrics"]
    assert fused["n_without_relevant"] == 1
    search = made()
    wanted = search.search([QUERIES[0]], k=3)
    rows = [line.split() for line in run.read_text().splitlines() if line.startswith("q0 ")]
    assert [row[2] for row in rows] == wanted.ids[0]
    assert [float(row[4]) for row in rows] == pytest.approx(wanted.scores[0], abs=1e-6)
    assert main([*argv, "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "relative fusion at 0.25 (default)" in lines[0]
    assert [line.split()[0] for line in lines[1:5]] == ["hits@3", "retriever", "reranked", "fused"]
    assert [line.split()[1:] for line in lines[2:5]] == [
        [f"{value:.4f}" for value in values.values()] for values in told.values()
    ]
