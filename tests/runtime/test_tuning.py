"""Tuning: what settings give is what a search would, and a choice is told by other queries."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import BM25, ColBERT, Dataset, Retriever, Search, TfIdf, evaluate
from glane.commands.main import main
from glane.commands.tune import asked_of
from glane.evaluation.choosing import choose, folds_of, interval, plainest, t_quantile
from glane.retrievers.tuning import Setting, measured, settings_of

MODEL = Path(__file__).parents[1] / "fixtures" / "colbert"
WORDS = ["tea", "sea", "snow", "bees", "bread", "iron", "granite", "stars", "birds", "yeast"]


def judged(n_documents: int = 60, n_queries: int = 12) -> Dataset:
    """A collection drawn at random; one query is a document, one judged document is missing."""
    draw = np.random.default_rng(5)
    texts = [
        " ".join(draw.choice(WORDS, size=int(draw.integers(1, 30)))) for _ in range(n_documents)
    ]
    corpus = {f"d{n}": text for n, text in enumerate(texts)}
    queries = {f"q{n}": " ".join(draw.choice(WORDS, size=3)) for n in range(n_queries)}
    judgements = {
        id: {f"d{n}": int(draw.integers(0, 4)) for n in draw.choice(n_documents, 5, replace=False)}
        | {"d1": 1}
        for id in queries
    }
    corpus["q0"], judgements["q1"]["gone"] = queries["q0"], 2
    judgements["q2"] = {"d3": 0, "d4": -1}
    return Dataset(corpus, queries, judgements)


def filled(data: Dataset, retriever: Retriever, *, reranks: bool) -> Search:
    reranker = ColBERT.load(MODEL, threads=1) if reranks else None
    search = Search(retriever, reranker=reranker, key="_id")
    search.add([{"_id": id, "text": text} for id, text in data.corpus.items()])
    return search


@pytest.mark.parametrize(
    "setting",
    [
        Setting(1.5, 0.75, 100, 0.25),
        Setting(0.6, 0.3, 20, 0.5),
        Setting(3.0, 0.9, 11, 0.0),
        Setting(0.9, 0.5, 200, 1.0),
        Setting(2.0, 0.75, None, None),
    ],
)
def test_what_a_setting_gives_is_what_a_search_with_it_is_measured_to_give(
    setting: Setting,
) -> None:
    pytest.importorskip("ir_measures", reason="needs the extra eval")
    data = judged()
    reranks = setting.candidates is not None
    search = filled(data, BM25(), reranks=reranks)
    queries = asked_of(search, data)
    assert len(queries) == len(data.queries) - 1
    values = measured(search.retriever, search.reranker, queries, [setting, setting])
    assert (values[0] == values[1]).all()
    assert setting.k1 is not None
    assert setting.b is not None
    other = filled(data, BM25(k1=setting.k1, b=setting.b), reranks=reranks)
    wanted = evaluate(
        lambda query, k: other.search(
            [query], k, candidates=setting.candidates, fuse_weight=setting.fuse_weight
        ),
        data,
        ["ndcg@10"],
    )
    assert data.is_query("q0")
    assert values[0] == pytest.approx(list(wanted.per_query["ndcg@10"].values()), abs=1e-9)


def test_the_default_is_first_and_no_setting_appears_twice() -> None:
    reranker = ColBERT.load(MODEL, threads=1)
    for retriever, second in ((BM25(), reranker), (BM25(), None), (TfIdf(), reranker)):
        found = settings_of(retriever, second)
        assert len(set(found)) == len(found) > 1
        assert found[0].changes(found[0]) == 0
        assert all(setting.changes(found[0]) > 0 for setting in found[1:])
    assert settings_of(BM25(k1=9), reranker)[0] == Setting(1.5, 0.75, 100, 0.25)
    with pytest.raises(ValueError, match="TfIdf alone has nothing to tune"):
        settings_of(TfIdf(), None)


def test_bm25_that_weighs_otherwise_scores_as_one_that_was_made_so() -> None:
    texts = ["green tea", "black tea, green tea", "coffee and tea and tea", "stone"]
    bm25, made = BM25("bm25+", k1=1.1), BM25("bm25+", k1=0.2, b=0.1)
    for each in (bm25, made):
        each.add(each.encode_documents(texts))
    query = bm25.encode_queries(["green tea"])
    before = bm25.search(query, k=4).to_lists()
    weighed = bm25.weighed(0.2, 0.1)
    assert weighed.search(query, k=4).to_lists() == made.search(query, k=4).to_lists() != before
    assert bm25.search(query, k=4).to_lists() == before
    assert weighed.settings() == made.settings()
    weighed.add(weighed.encode_documents(["more tea"]))
    assert (len(bm25), len(weighed)) == (4, 5)


def test_noise_is_not_chosen_and_a_gain_of_every_query_is() -> None:
    draw = np.random.default_rng(1)
    values = draw.random((40, 100))
    folds, changes = np.arange(100) % 5, np.arange(40)
    assert not choose(values, changes, folds).wins
    values[7] = values[0] + 0.1 + draw.random(100) / 100
    values[8] = values[7]
    found = choose(values, changes, folds)
    assert found.wins
    assert found.setting == 7
    assert 0.1 < found.gain.low <= found.gain.mean <= found.gain.high < 0.12
    equal = np.zeros((3, 20))
    assert choose(equal, np.arange(3), np.arange(20) % 5).setting == 0


def test_a_gain_is_measured_on_queries_that_did_not_choose() -> None:
    values = np.zeros((11, 20))
    values[1:] = np.repeat(np.eye(10), 2, axis=1)  # each setting helps two queries of one fold
    folds = np.repeat(np.arange(10), 2)
    found = choose(values, np.ones(11, np.int64), folds)
    assert values[found.setting].mean() == 0.1
    assert found.gain.mean == 0


def test_of_settings_that_may_be_the_best_the_plainest_is_taken() -> None:
    draw = np.random.default_rng(2)
    better = draw.random(50)
    values = np.stack([better - 0.5, better - draw.normal(0, 0.1, 50) / 100, better])
    assert plainest(values, np.array([0, 1, 2])) == 1
    assert plainest(values, np.array([0, 2, 1])) == 2


@given(st.lists(st.text(max_size=3), min_size=0, max_size=60))
@settings(max_examples=60)
def test_equal_texts_share_a_fold_and_folds_are_of_one_size(texts: list[str]) -> None:
    n_distinct = len(set(texts))
    if n_distinct < 10:
        with pytest.raises(ValueError, match=f"10 different queries .* got {n_distinct}"):
            folds_of(texts)
        return
    folds = folds_of(texts)
    assert {texts[row]: fold for row, fold in enumerate(folds.tolist())} == dict(
        zip(texts, folds.tolist(), strict=True)
    )
    sizes = np.bincount([dict(zip(texts, folds, strict=True))[text] for text in set(texts)])
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 1
    assert (folds_of(texts[::-1])[::-1] == folds).all()


def test_intervals_are_those_of_student() -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    for freedom in (4, 9, 30, 299):
        assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=3e-3)
    assert interval(np.array([0.5])) == (0.5, -math.inf, math.inf)
    assert interval(np.zeros(4)) == (0, 0, 0)


def write_beir(folder: Path, data: Dataset, split: str = "dev") -> str:
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", data.corpus), ("queries", data.queries)):
        lines = [json.dumps({"_id": id, "text": text}) + "\n" for id, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    judgements = data.judgements.items()
    rows = [f"{q}\t{d}\t{grade}\n" for q, grades in judgements for d, grade in grades.items()]
    (folder / "qrels" / f"{split}.tsv").write_text("".join(rows))
    return str(folder)


def long_ones(n: int = 15) -> Dataset:
    """A collection whose answers are long, which a lower b finds first."""
    corpus, queries, judgements = {}, {}, {}
    for number in range(n):
        word = f"word{number}x"
        corpus[f"long{number}"] = f"{word} {word} " + " ".join(WORDS * 3)
        corpus[f"short{number}"] = f"{word} tea"
        queries[f"q{number}"] = word
        judgements[f"q{number}"] = {f"long{number}": 1}
    return Dataset(corpus, queries, judgements)


def tuned(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["tune", *argv, "--threads", "1", "--json"]) == 0, capsys.readouterr().err
    return dict(json.loads(capsys.readouterr().out))


def test_what_wins_is_written_and_found_by_who_refreshes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = long_ones()
    folder, index = write_beir(tmp_path / "beir", data), tmp_path / "index"
    filled(data, BM25(), reranks=False).save(index)
    reader = Search.load(index)
    argv = [str(index), "--dataset", folder]
    assert reader.search(["word3x"]).ids[0][0] == "short3"
    before = (index / "manifest.json").read_bytes()
    dry = tuned([*argv, "--dry-run"], capsys)
    assert (dry["written"], dry["keep_default"]) == (False, False)
    assert (index / "manifest.json").read_bytes() == before
    found = tuned(argv, capsys)
    assert found["written"]
    assert found["split"] == "dev"
    assert found["best"] == dry["best"] != found["default"] == {"k1": 1.5, "b": 0.75}
    assert found["gain"]["low"] > 0
    assert found["best_ndcg"] == 1 > found["default_ndcg"]
    assert reader.refresh()
    assert reader.search(["word3x"]).ids[0][0] == "long3"
    assert isinstance(reader.retriever, BM25)
    assert reader.retriever.settings()["b"] == found["best"]["b"]
    again = tuned(argv, capsys)
    assert {**again, "seconds": 0} == {**found, "seconds": 0}
    assert main(["tune", *argv, "--threads", "1"]) == 0
    assert "written into" in capsys.readouterr().out


def test_where_nothing_wins_the_index_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = judged()
    folder, index = write_beir(tmp_path / "beir", data), tmp_path / "index"
    filled(data, BM25(), reranks=True).save(index)
    before = (index / "manifest.json").read_bytes()
    found = tuned([str(index), "--dataset", folder, "--split", "dev"], capsys)
    assert found["keep_default"]
    assert not found["written"]
    assert found["n_without_relevant"] == 1
    assert set(found["default"]) == {"k1", "b", "candidates", "fuse_weight"}
    assert (index / "manifest.json").read_bytes() == before
    assert main(["tune", str(index), "--dataset", folder, "--threads", "1"]) == 0
    told = capsys.readouterr().out
    assert "keep the default: nothing is shown to be better; nothing is written" in told
    assert "1 queries have no relevant document, and are left out" in told


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "there are ['dev']"),
        (["--split", "dev"], "10 different queries with a relevant document are needed"),
    ],
)
def test_what_cannot_be_tuned_on_is_refused(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = long_ones(4)
    folder, index = write_beir(tmp_path / "beir", data), tmp_path / "index"
    filled(data, BM25(), reranks=False).save(index)
    more = more or ["--split", "test"]
    assert main(["tune", str(index), "--dataset", folder, *more]) == 1
    assert message in capsys.readouterr().err
    assert main(["tune", str(index)]) == 2
    assert "pass --dataset" in capsys.readouterr().err
