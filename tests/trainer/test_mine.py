"""`glane mine`: which documents become negatives, with which scores, and what a kill leaves."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest

from glane import BM25, ColBERT, Hits, Search, fuse
from glane.commands.program import add_common_arguments
from glane.commands.usage import UsageError
from glane.errors import CheckpointError
from glane_trainer import read_data
from glane_trainer.mining import command, mining
from glane_trainer.mining.choosing import Choice, Scale, chosen, scaled, too_close
from glane_trainer.mining.draft import Draft

if TYPE_CHECKING:
    from transformers import BertConfig

FIXTURES = Path(__file__).parents[1] / "fixtures"

DOCUMENTS = {
    "a": "tea grows on hills",
    "b": "tea needs rain and hills",
    "c": "tea is a drink",
    "d": "Tea grows on hills.",
    "e": "rivers run to the sea",
    "f": "tea and rivers",
    "g": "",
    "h": "the sea is salt",
}
QUERIES = {"1": "where does tea grow on hills", "2": "tea rivers sea", "3": "tea drink", "4": "x"}
QRELS = [("1", "a", 1), ("2", "e", 2), ("2", "f", 1), ("3", "c", 1), ("3", "b", 0), ("4", "g", 1)]


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    return write_beir(tmp_path / "beir", DOCUMENTS, QUERIES, QRELS)


def write_beir(
    folder: Path,
    documents: dict[str, str],
    queries: dict[str, str],
    qrels: list[tuple[str, str, int]],
) -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", documents), ("queries", queries)):
        lines = [json.dumps({"_id": id, "text": text}) + "\n" for id, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    rows = "".join("{}\t{}\t{}\n".format(*row) for row in qrels)
    (folder / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    return folder


def glane_mine(*words: object) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    add_common_arguments(parser)
    result = command.run(parser.parse_args([str(word) for word in words]))
    assert command.show(result)
    return result


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_known_answers_are_no_negatives_by_id_or_by_equal_text(beir: Path, tmp_path: Path) -> None:
    result = glane_mine("--data", beir, "--out", tmp_path / "out.jsonl")
    first, *others = lines(tmp_path / "out.jsonl")
    assert first["anchor"] == QUERIES["1"]
    assert first["positive"] == DOCUMENTS["a"]
    assert DOCUMENTS["b"] in first["negatives"]
    assert not {DOCUMENTS["a"], DOCUMENTS["d"]} & {*first["negatives"]}
    of_two = [line for line in others if line["anchor"] == QUERIES["2"]]
    assert {line["positive"] for line in of_two} == {DOCUMENTS["e"], DOCUMENTS["f"]}
    assert all(not {DOCUMENTS["e"], DOCUMENTS["f"]} & {*line["negatives"]} for line in of_two)
    assert result["left_out"]["equal_texts"] == 1
    assert result["left_out"]["known"] == 4
    assert result["left_out"]["pairs_without_text"] == 1
    assert result["n_written"] == len(others) + 1 == 4


def test_teacher_scores_are_those_of_the_ranking(beir: Path, tmp_path: Path) -> None:
    glane_mine("--data", beir, "--out", tmp_path / "out.jsonl")
    bm25 = BM25()
    texts = list(DOCUMENTS.values())
    bm25.add(bm25.encode_documents(texts))
    for line in lines(tmp_path / "out.jsonl"):
        ids, scores = bm25.search(bm25.encode_queries([line["anchor"]]), len(texts)).row(0)
        expected = dict(zip([texts[id] for id in ids], scores.tolist(), strict=True))
        given = [line["positive"], *line["negatives"]]
        np.testing.assert_allclose(line["teacher_scores"], [expected[t] for t in given], rtol=1e-6)


def test_an_answer_that_is_not_found_is_scored_all_the_same(tmp_path: Path) -> None:
    documents = {"a": "granite", "b": "tea grows", "c": "tea falls", "d": "tea is tea"}
    beir = write_beir(tmp_path / "beir", documents, {"1": "tea"}, [("1", "a", 1)])
    result = glane_mine("--data", beir, "--out", tmp_path / "out.jsonl")
    (line,) = lines(tmp_path / "out.jsonl")
    assert line["teacher_scores"][0] == 0
    assert len(line["negatives"]) == 3
    assert result["answers"] == {
        "n": 1, "found": 0, "first": 0, "first_10": 0, "median_rank": None
    }  # fmt: skip


@pytest.mark.parametrize("fuse_way", ["relative", "none"])
def test_reranked_scores_are_those_of_the_stages(beir: Path, tmp_path: Path, fuse_way: str) -> None:
    model = FIXTURES / "colbert"
    options = ("--reranker", model, "--fuse", fuse_way, "--n-negatives", 50, "--threads", 1)
    glane_mine("--data", beir, "--out", tmp_path / "out.jsonl", *options)
    texts = list(DOCUMENTS.values())
    bm25, colbert = BM25(), ColBERT.load(model, threads=1)
    bm25.add(bm25.encode_documents(texts))
    colbert.add(colbert.encode_documents(texts).half())
    for line in lines(tmp_path / "out.jsonl"):
        first = bm25.search(bm25.encode_queries([line["anchor"]]), len(texts))
        second = colbert.rerank(colbert.encode_queries([line["anchor"]]), first, len(texts))
        both = fuse(first, second, len(texts)) if fuse_way == "relative" else second
        expected = {texts[id]: score for id, score in zip(*both.row(0), strict=True)}
        given = [line["positive"], *line["negatives"]]
        np.testing.assert_allclose(
            line["teacher_scores"], [expected[text] for text in given], rtol=1e-4, atol=1e-4
        )


def test_ranks_count_what_may_be_a_negative(beir: Path, tmp_path: Path) -> None:
    everything = glane_mine("--data", beir, "--out", tmp_path / "all", "--sampling", "first")
    glane_mine("--data", beir, "--out", tmp_path / "some", "--ranks", "2-2", "--sampling", "first")
    whole = {(l["anchor"], l["positive"]): l["negatives"] for l in lines(tmp_path / "all")}  # noqa: E741
    for line in lines(tmp_path / "some"):
        assert line["negatives"] == whole[line["anchor"], line["positive"]][1:2]
    assert everything["negatives"]["most"] >= 2


def test_margins_leave_out_what_is_near_the_answer() -> None:
    scores = np.array([5.0, 3.0, 1.0])
    assert too_close(scores, 4.0, Choice()).tolist() == [False] * 3
    assert too_close(scores, 4.0, Choice(margin=0.0)).tolist() == [True, False, False]
    assert too_close(scores, 4.0, Choice(margin=1.0)).tolist() == [True, False, False]
    assert too_close(scores, 4.0, Choice(relative_margin=0.5)).tolist() == [True, True, False]
    below = too_close(np.array([-3.0, -5.0]), -4.0, Choice(relative_margin=0.1))
    assert below.tolist() == [True, False]


def test_margins_are_told(beir: Path, tmp_path: Path) -> None:
    result = glane_mine("--data", beir, "--out", tmp_path / "out", "--margin", 0.5)
    assert result["left_out"]["too_close"] > 0
    for line in lines(tmp_path / "out"):
        assert max(line["teacher_scores"][1:]) <= line["teacher_scores"][0] - 0.5


def test_nothing_left_is_an_error_that_says_so(beir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no query is left with a negative.*--ranks"):
        glane_mine("--data", beir, "--out", tmp_path / "out", "--margin", 1e9)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sampling", ["first", "random", "mixed"])
def test_negatives_are_chosen_by_seed(sampling: Any) -> None:  # noqa: ANN401
    choice = Choice(n_negatives=4, sampling=sampling)
    draws = {tuple(chosen(20, choice, np.random.default_rng(seed)).tolist()) for seed in range(9)}
    assert all(len(set(draw)) == 4 and list(draw) == sorted(draw) for draw in draws)
    assert (len(draws) == 1) == (sampling == "first")
    if sampling == "mixed":
        assert all(draw[:2] == (0, 1) for draw in draws)
    for n in (0, 1, 3, 4):
        assert chosen(n, choice, np.random.default_rng(0)).tolist() == list(range(n))


def test_scores_are_scaled() -> None:
    scores = np.array([2.0, 4.0, 8.0])
    assert scaled(scores, "none").tolist() == [2.0, 4.0, 8.0]
    assert scaled(scores, "min-max").tolist() == pytest.approx([0, 1 / 3, 1])
    standard = scaled(scores, "standard")
    assert (standard.mean(), standard.std()) == pytest.approx((0, 1))
    for scale in get_args(Scale):
        assert scaled(np.zeros(0), scale).tolist() == []
    for scale in get_args(Scale)[1:]:
        assert scaled(np.array([3.0, 3.0]), scale).tolist() == [0, 0]


@pytest.mark.parametrize("n_parts", [0, 1, 2])
@pytest.mark.parametrize("torn", [False, True])
def test_a_mining_that_is_killed_goes_on_to_the_same_bytes(
    beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_parts: int, torn: bool
) -> None:
    monkeypatch.setattr(mining, "AT_ONCE", 1)
    arguments = ("--data", beir, "--n-negatives", 1, "--sampling", "random", "--seed", 7)
    whole = glane_mine(*arguments, "--out", tmp_path / "whole")
    add, done = Draft.add, list[object]()

    def kill(draft: Draft, part: object) -> None:
        if len(done) == n_parts:
            raise KeyboardInterrupt
        done.append(part)
        add(draft, part)

    with monkeypatch.context() as patch:
        patch.setattr(Draft, "add", kill)
        with pytest.raises(KeyboardInterrupt):
            glane_mine(*arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    draft = tmp_path / ".out.mining" / "done.jsonl"
    if torn:
        with draft.open("ab") as file:
            file.write(b'{"records": [{"anchor": "te')
    result = glane_mine(*arguments, "--out", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert not draft.parent.exists()
    assert result.pop("resumed") == (n_parts > 0)
    assert whole.pop("resumed") is False
    drop = ("out", "seconds")
    assert {k: v for k, v in result.items() if k not in drop} == {
        k: v for k, v in whole.items() if k not in drop
    }


def test_what_was_begun_otherwise_is_not_gone_on_with(
    beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(draft: Draft, part: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Draft, "add", kill)
        with pytest.raises(KeyboardInterrupt):
            glane_mine("--data", beir, "--out", tmp_path / "out")
    with pytest.raises(FileExistsError, match="interrupted, of other data or settings"):
        glane_mine("--data", beir, "--out", tmp_path / "out", "--seed", 1)
    glane_mine("--data", beir, "--out", tmp_path / "out", "--seed", 1, "--overwrite")
    with pytest.raises(FileExistsError, match="--overwrite"):
        glane_mine("--data", beir, "--out", tmp_path / "out")
    with pytest.raises(IsADirectoryError, match="expected a file"):
        glane_mine("--data", beir, "--out", tmp_path, "--overwrite")


def test_pairs_are_mined_among_their_own_texts_and_further_documents(tmp_path: Path) -> None:
    pairs = [
        {"query": "tea hills", "pos": ["tea grows on hills"], "neg": ["tea \ud800 sinks"]},
        {"query": "Tea hills!", "pos": ["hills have tea"]},
        {"query": "\u96ea\u306f\u3069\u3053", "pos": ["\u96ea\u306f\u51ac\u306b\u964d\u308b"]},
    ]
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    extra = tmp_path / "more.csv"
    extra.write_text("id,body\n1,tea for hills\n2,\u96ea\u306e\u5c71\n2b,tea grows on hills\n")
    options = ("--documents", extra, "--key", "id", "--on", "body")
    result = glane_mine("--data", data, "--out", tmp_path / "out", *options)
    mined = lines(tmp_path / "out")
    assert [line["anchor"] for line in mined] == [pair["query"] for pair in pairs]
    assert (
        {*mined[0]["negatives"]}
        == {*mined[1]["negatives"]}
        == {"tea for hills", "tea \ud800 sinks"}
    )
    assert mined[2]["negatives"] == ["\u96ea\u306e\u5c71"]
    assert result["n_documents"] == 6
    read = read_data(tmp_path / "out", holdout=0)
    read.check_teacher()
    assert len(read.examples) == 3


def test_an_index_gives_what_a_new_one_does(beir: Path, tmp_path: Path) -> None:
    search = Search(BM25(), key="_id", on=["text"])
    search.add([{"_id": id, "text": text} for id, text in DOCUMENTS.items()])
    search.save(tmp_path / "index")
    glane_mine("--data", beir, "--out", tmp_path / "new")
    glane_mine("--data", beir, "--out", tmp_path / "old", "--index", tmp_path / "index")
    assert (tmp_path / "old").read_bytes() == (tmp_path / "new").read_bytes()
    search.add([{"_id": "z", "text": "tea tea tea grow hills"}])
    search.delete(["h"])
    search.add([{"_id": "h", "text": DOCUMENTS["h"]}])
    search.save(tmp_path / "index")
    glane_mine("--data", beir, "--out", tmp_path / "more", "--index", tmp_path / "index")
    assert all("tea tea" not in text for l in lines(tmp_path / "more") for text in l["negatives"])  # noqa: E741
    search.delete(["b"])
    search.save(tmp_path / "index")
    with pytest.raises(ValueError, match="lacks 1 of the 8 documents, such as 'b'"):
        glane_mine("--data", beir, "--out", tmp_path / "x", "--index", tmp_path / "index")


def test_a_document_that_is_the_query_is_no_negative(tmp_path: Path) -> None:
    documents = {"q": "tea is good", "a": "tea is bad", "b": "tea is tea", "c": "coffee is good"}
    beir = write_beir(tmp_path / "beir", documents, {"q": "tea is good"}, [("q", "a", 1)])
    result = glane_mine("--data", beir, "--out", tmp_path / "out")
    (line,) = lines(tmp_path / "out")
    assert "tea is good" not in line["negatives"]
    assert result["left_out"]["queries"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ranks", "5"), "--ranks must be a first and a last"),
        (("--ranks", "0-5"), "--ranks must be a first"),
        (("--ranks", "9-5"), "--ranks must be a first"),
        (("--n-negatives", 0), "--n-negatives must be at least 1"),
        (("--margin", "nan"), "--margin must be at least 0"),
        (("--relative-margin", -1), "--relative-margin must be at least 0"),
        (("--seed", -1), "--seed must be at least 0"),
        (("--dense", "x", "--retriever", "bm25"), "pass one of"),
        (("--dense", "x", "--fuse", "rrf"), "--fuse does not go with --dense"),
        (("--documents", "x"), "goes with a file of pairs"),
        (("--anchor", "x"), "is a folder"),
        (("--reranker", FIXTURES / "colbert", "--model", "x"), "takes no --model"),
    ],
)
def test_wrong_options_are_refused(
    beir: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        glane_mine("--data", beir, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_options_of_a_folder_are_refused_for_a_file(tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text('{"query": "tea", "positive": "tea"}\n')
    for options, message in (
        (("--split", "test"), "--split is of a BEIR folder"),
        (("--index", "x"), "--index with a file of pairs needs --documents"),
        (("--on", "x"), "--key and --on"),
    ):
        with pytest.raises(UsageError, match=message):
            glane_mine("--data", data, "--out", tmp_path / "out", *options)


@pytest.fixture(scope="module")
def cross_encoder(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_json: str, bert_config: "BertConfig"
) -> Callable[[int], Path]:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    def make(n_labels: int) -> Path:
        folder = tmp_path_factory.mktemp("cross")
        torch.manual_seed(5)
        config = BertConfig(**{**bert_config.to_dict(), "num_labels": n_labels})
        BertForSequenceClassification(config).save_pretrained(folder)
        (folder / "tokenizer.json").write_text(tokenizer_json)
        return folder

    return make


def test_a_cross_encoder_scores_both_texts_together(
    beir: Path, tmp_path: Path, cross_encoder: Callable[[int], Path]
) -> None:
    import torch
    from tokenizers import Tokenizer
    from transformers import BertForSequenceClassification

    folder = cross_encoder(1)
    glane_mine("--data", beir, "--out", tmp_path / "out", "--teacher", folder, "--device", "cpu")
    model = BertForSequenceClassification.from_pretrained(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    mined = lines(tmp_path / "out")
    assert mined
    for line in mined:
        for text, score in zip(
            [line["positive"], *line["negatives"]], line["teacher_scores"], strict=True
        ):
            pair = tokenizer.encode(line["anchor"], text)
            with torch.inference_mode():
                logits = model(
                    input_ids=torch.tensor([pair.ids]),
                    token_type_ids=torch.tensor([pair.type_ids]),
                ).logits
            assert score == pytest.approx(float(logits), abs=1e-5)


def test_a_model_with_several_labels_or_no_head_is_no_cross_encoder(
    beir: Path, tmp_path: Path, cross_encoder: Callable[[int], Path], bert: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"gives 3 scores.*expected a cross-encoder with one"):
        glane_mine("--data", beir, "--out", tmp_path / "out", "--teacher", cross_encoder(3))
    headless = tmp_path / "headless"
    headless.mkdir()
    for path in bert.iterdir():
        (headless / path.name).write_bytes(path.read_bytes())
    config = json.loads((headless / "config.json").read_text())
    config |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    (headless / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="lacks weights"):
        glane_mine("--data", beir, "--out", tmp_path / "out", "--teacher", headless)


def dense_model(folder: Path, bert: Path, pooling: dict[str, Any], **top: object) -> Path:
    folder.mkdir()
    for path in bert.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    types = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{type}"}
        for n, (path, type) in enumerate(types.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(top))
    return folder


MEAN = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
CLS = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True}


@pytest.mark.parametrize("pooling", [MEAN, CLS, {"pooling_mode": "cls"}])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_a_dense_encoder_scores_by_its_own_rules(
    tmp_path: Path, bert: Path, pooling: dict[str, Any], similarity: str
) -> None:
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

    from glane_trainer.mining.dense import DenseEncoder

    prompts = {"query": "the ", "document": "tea "}
    folder = dense_model(
        tmp_path / "dense", bert, pooling, prompts=prompts, similarity_fn_name=similarity
    )
    model = BertModel.from_pretrained(folder, add_pooling_layer=False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def vector(text: str) -> Any:  # noqa: ANN401
        with torch.inference_mode():
            ids = torch.tensor([tokenizer.encode(text).ids])
            tokens = model(input_ids=ids).last_hidden_state[0]
        pooled = tokens.mean(0) if pooling is MEAN else tokens[0]
        return pooled / pooled.norm() if similarity == "cosine" else pooled

    queries, texts = ["tea", "birds sing"], [["tea grows on hills", ""], [], ["snow"]][:2]
    scores = DenseEncoder(str(folder), "cpu").score(queries, texts)
    assert [len(each) for each in scores] == [2, 0]
    for text, score in zip(texts[0], scores[0].tolist(), strict=True):
        expected = float(vector("the tea") @ vector("tea " + text))
        assert score == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_dense_encoder_finds_by_itself(beir: Path, tmp_path: Path, bert: Path) -> None:
    folder = dense_model(tmp_path / "dense", bert, MEAN)
    glane_mine("--data", beir, "--out", tmp_path / "out", "--dense", folder, "--sampling", "first")
    glane_mine("--data", beir, "--out", tmp_path / "two", "--dense", folder, "--teacher", folder,
               "--sampling", "first")  # fmt: skip
    for line, same in zip(lines(tmp_path / "out"), lines(tmp_path / "two"), strict=True):
        scores = line["teacher_scores"][1:]
        assert scores == sorted(scores, reverse=True)
        assert same["negatives"] == line["negatives"]
        assert same["teacher_scores"] == pytest.approx(line["teacher_scores"], abs=1e-5)


@pytest.mark.parametrize(
    ("pooling", "top", "message"),
    [
        ({"pooling_mode_max_tokens": True}, {}, "expected a pooling"),
        ({**MEAN, "pooling_mode_cls_token": True}, {}, "expected a pooling"),
        ({**MEAN, "include_prompt": False}, {}, "include_prompt"),
        (MEAN, {"similarity_fn_name": "euclidean"}, "similarity_fn_name"),
    ],
)
def test_a_dense_encoder_of_other_rules_is_refused(
    tmp_path: Path, bert: Path, pooling: dict[str, Any], top: dict[str, Any], message: str
) -> None:
    from glane_trainer.mining.dense import DenseEncoder

    with pytest.raises(CheckpointError, match=message):
        DenseEncoder(str(dense_model(tmp_path / "dense", bert, pooling, **top)), "cpu")


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path, beir: Path) -> None:
    from glane_trainer.mining.ground import ground_of_collection
    from glane_trainer.mining.ranking import Ranked

    class Broken:
        def rank(self, queries: Any, answers: Any, k: int) -> Ranked:  # noqa: ANN401
            ids = np.tile(np.arange(len(DOCUMENTS)), (len(queries), 1))
            scores = np.full(ids.shape, np.nan, np.float32)
            return Ranked(Hits(ids, scores), list(ids))

        def record(self) -> dict[str, object]:
            return {}

    from glane import read_beir

    miner = mining.Miner(ground_of_collection(read_beir(beir, "train")), Broken(), None, Choice())
    with pytest.raises(ValueError, match="no finite numbers"):
        list(miner.parts())
