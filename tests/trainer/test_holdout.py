"""Held-out queries: apart from what is learned in any spelling, and as the model reads them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from glane.collection.spelling import choose_held_out, spelling
from glane_trainer import ColBERT, Example, TrainingData, read_data
from glane_trainer.evaluation import Evaluator
from glane_trainer.holdout import token_keys

ALIKE = [
    "What is tea?",
    "what is tea",
    "WHAT  IS\tTEA ?",
    "(what is téa)",
    "\uff57hat is tea!",  # a fullwidth w
    "what is\u200b tea...",
]
"""One query, spelled otherwise."""

UNLIKE = ["c", "c++", "c#", "what is the sea", "7", "8", "?", "!", ""]
"""Queries that are not one another."""


def words(text: str) -> list[str]:
    """Return what an uncased BERT's wordpieces are made of."""
    normal = BertNormalizer(lowercase=True).normalize_str(text)
    return [word for word, _ in BertPreTokenizer().pre_tokenize_str(normal)]


def test_spellings_of_one_query_are_one_and_other_queries_are_not() -> None:
    assert {spelling(text) for text in ALIKE} == {"whatistea"}
    assert len({spelling(text) for text in UNLIKE}) == len(UNLIKE)


characters = st.text(
    st.sampled_from("aAeE\u00e9\u0301 \t\n?.,-'()\u4e2d\u6587\u00df\u0130+#1\u200b")
)


@given(characters | st.text(), characters)
@example("\u0345", "")
def test_what_an_uncased_model_reads_alike_is_spelled_alike(text: str, other: str) -> None:
    assert spelling(" ".join(words(text))) == spelling(text)
    if words(text) == words(other):
        assert spelling(text) == spelling(other)
    assert spelling(spelling(text)) == spelling(text)


@given(
    st.lists(st.sampled_from([*ALIKE, *UNLIKE]), min_size=1, max_size=40),
    st.floats(0, 0.99),
    st.integers(0, 3),
)
def test_a_share_of_the_spellings_is_held_out(anchors: list[str], share: float, seed: int) -> None:
    chosen = choose_held_out(anchors, share, seed)
    spellings = {spelling(anchor) for anchor in anchors}
    assert chosen <= spellings
    least = 1 if share and len(spellings) > 1 else 0
    assert len(chosen) == max(least, round(share * len(spellings)))
    assert chosen == choose_held_out(anchors[::-1], share, seed)


def pairs(queries: list[str]) -> list[dict[str, object]]:
    return [
        {"anchor": query, "positive": f"document {n}", "negatives": []}
        for n, query in enumerate(queries)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_no_spelling_is_on_both_sides(triples: Callable[..., Path], seed: int) -> None:
    path = triples(*pairs([*ALIKE, "a", "b", "c", "A", "B."]))
    data = read_data(path, holdout=0.5, seed=seed)
    assert data.held_out is not None
    held_out = {spelling(text) for text in data.held_out.queries.values()}
    assert held_out.isdisjoint(spelling(example.anchor) for example in data.examples)
    assert len(data.examples) + len(data.held_out.queries) == 11


def write_beir(folder: Path, queries: dict[str, str], splits: dict[str, list[str]]) -> Path:
    """Write a collection; each judgement is `query document grade`."""
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "text": f"document {n} of tea"} for n in range(4)]
    records = [{"_id": id, "text": text} for id, text in queries.items()]
    for name, rows in (("corpus", corpus), ("queries", records)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines)
    for name, judged in splits.items():
        lines = "".join("\t".join(line.split()) + "\n" for line in judged)
        (folder / "qrels" / f"{name}.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return folder


def test_a_dev_query_in_another_spelling_is_not_learned_from(tmp_path: Path) -> None:
    queries = {"q0": "What is tea?", "q1": "the sea", "q2": "what is Tea"}
    splits = {"train": ["q0 d0 1", "q1 d1 1"], "dev": ["q2 d2 1"]}
    data = read_data(write_beir(tmp_path / "beir", queries, splits), dev_split="dev")
    assert [example.anchor for example in data.examples] == ["the sea"]
    assert data.counts.spelled_otherwise == 1


def test_judgements_of_what_a_collection_lacks_are_counted_and_passed_over(
    tmp_path: Path, bert: Path
) -> None:
    queries = {"q0": "tea", "q1": "the sea"}
    splits = {"train": ["q0 d0 1", "q0 d9 1", "q7 d1 1"], "dev": ["q1 d1 1", "q1 d8 1"]}
    data = read_data(write_beir(tmp_path / "beir", queries, splits), dev_split="dev")
    assert list(data.examples) == [Example("tea", "document 0 of tea")]
    assert (data.counts.unknown_documents, data.counts.unknown_queries) == (2, 1)
    assert data.held_out is not None
    model = ColBERT.from_base(bert)
    evaluator = Evaluator(data.held_out, 64, seed=0)
    assert 0 < np.mean(evaluator(model).values) < 1, "the answer that is not there is never found"


def test_what_the_model_reads_alike_is_not_learned_from(
    triples: Callable[..., Path], bert: Path
) -> None:
    long = "the sea the tea the sea the tea"
    queries = [f"{long} snow", f"{long} bees", "unheardof", "unknown", "birds", "tea"]
    data = read_data(triples(*pairs(queries)), holdout=0.5, seed=1)
    assert data.held_out is not None
    preparer = ColBERT.from_base(bert, query_length=8).preparer
    apart = data.apart(preparer)
    held_out = set(token_keys(list(data.held_out.queries.values()), preparer))
    kept = [example.anchor for example in apart.examples]
    assert held_out.isdisjoint(token_keys(kept, preparer))
    n_dropped = len(data.examples) - len(apart.examples)
    assert n_dropped > 0
    assert apart.counts.spelled_otherwise == n_dropped
    assert apart.apart(preparer) is apart
    assert list(replace(data, held_out=None).apart(preparer).examples) == list(data.examples)


def test_a_model_that_reads_every_query_alike_is_refused(
    triples: Callable[..., Path], bert: Path
) -> None:
    data = read_data(triples(*pairs(["one", "two", "three", "four"])), holdout=0.25)
    with pytest.raises(ValueError, match="reads every query as one that is held out"):
        data.apart(ColBERT.from_base(bert).preparer)


def test_a_negative_that_is_the_positive_is_dropped_and_counted(
    triples: Callable[..., Path],
) -> None:
    rows = [
        {"anchor": "tea", "positive": "p", "negatives": ["p", "n", " p "]},
        {"anchor": "tea", "positive": "n", "negatives": ["m"]},
        {"anchor": "sea", "positive": "p", "negatives": ["m", "p"], "teacher_scores": [3, 1, 2]},
        {"anchor": "bees", "positive": "p", "negative": "p"},
    ]
    data = read_data(triples(*rows), holdout=0)
    assert list(data.examples) == [
        Example("tea", "p", ("n",)),
        Example("tea", "n", ("m",)),
        Example("sea", "p", ("m",), (3, 1)),
        Example("bees", "p"),
    ]
    assert (data.counts.own_negatives, data.counts.known_negatives) == (4, 1)


def test_hard_negatives_of_a_collection_are_treated_alike(tmp_path: Path) -> None:
    splits = {"train": ["q0 d0 1", "q0 d1 1"]}
    folder = write_beir(tmp_path / "beir", {"q0": "tea"}, splits)
    (folder / "train_hardneg.tsv").write_text("q0\td0\td0 d1 d2\n")
    data = read_data(folder, holdout=0)
    assert data.examples[0].negatives == ("document 1 of tea", "document 2 of tea")
    assert (data.counts.own_negatives, data.counts.known_negatives) == (1, 1)


def test_fingerprints_say_what_is_learned_and_what_is_measured(data: TrainingData) -> None:
    assert data.held_out is not None
    held_out = data.held_out
    others = [
        replace(held_out, corpus={**held_out.corpus, "new": "snow"}),
        replace(held_out, queries={id: f"{text}?" for id, text in held_out.queries.items()}),
        replace(held_out, judgements={id: {"0": 2} for id in held_out.judgements}),
    ]
    versions = [data, replace(data, held_out=None), *(replace(data, held_out=h) for h in others)]
    assert len({version.held_out_fingerprint() for version in versions}) == len(versions)
    assert len({version.fingerprint() for version in versions}) == 1
    fewer = replace(data, examples=data.examples[:-1])
    assert fewer.fingerprint() != data.fingerprint()
    assert fewer.held_out_fingerprint() == data.held_out_fingerprint()
