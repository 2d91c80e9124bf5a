"""Examples, their batches, and the line of a mistake."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glane_trainer.data
from glane_trainer import ColBERT, Example, holdout, read_data
from glane_trainer.batches import Order
from glane_trainer.many import Examples
from glane_trainer.settings import Settings
from glane_trainer.sources import InMemory

GOOD = {"anchor": "tea", "positive": "tea grows", "negative": "the sea"}


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "title": "", "text": f"document {n}"} for n in range(6)]
    queries = [{"_id": f"q{n}", "text": f"query {n % 4}"} for n in range(5)]  # q0 and q4 are equal
    for name, records in (("corpus", corpus), ("queries", queries)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines)
    judged = "".join(f"q{n}\td{n}\t1\n" for n in range(5)) + "q1\td5\t0\n"
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq4\td4\t1\n")
    return folder


def test_a_beir_folder_gives_its_judged_positives(beir: Path) -> None:
    data = read_data(beir, holdout=0)
    assert data.held_out is None
    assert data.examples[1] == Example("query 1", "document 1")
    assert len(data.examples) == 5
    batch = [data.examples[0], Example("query 1", "document 4", ("document 1",))]
    assert data.examples.known(batch) == [{"document 0", "document 4"}, set()]


def test_hard_negatives_are_found_beside(beir: Path) -> None:
    (beir / "train_hardneg.tsv").write_text("query-id\tpositive-id\tnegatives\nq1\td1\td2 d3\n")
    data = read_data(beir, holdout=0)
    assert data.examples[1] == Example("query 1", "document 1", ("document 2", "document 3"))
    assert data.examples[2].negatives == ()


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("q1\td1", "line 2: expected query-id"),
        ("q1\td1\td2\td3", "line 2: expected query-id"),
    ],
)
def test_a_mistake_in_the_hard_negatives_is_placed(beir: Path, row: str, complaint: str) -> None:
    (beir / "train_hardneg.tsv").write_text(f"query-id\tpositive-id\tnegative-ids\n{row}\n")
    with pytest.raises(ValueError, match=f"train_hardneg.tsv', {re.escape(complaint)}"):
        read_data(beir)


def test_what_the_collection_lacks_is_counted_and_passed_over(beir: Path) -> None:
    rows = ["q9\td1\td2", "q2\td9\td1", "q1\td1\td2 d8 d3"]
    (beir / "train_hardneg.tsv").write_text("\n".join(["query-id\tpositive-id\tids", *rows]))
    with (beir / "qrels" / "train.tsv").open("a") as file:
        file.write("q1\tgone\t1\nq7\td1\t1\n")
    data = read_data(beir, holdout=0)
    assert data.examples[1] == Example("query 1", "document 1", ("document 2", "document 3"))
    assert len(data.examples) == 5
    counts = data.counts
    assert (counts.unknown_documents, counts.unknown_queries) == (1, 1)
    assert counts.unknown_negatives == 3, "q9, d9 and d8"


def test_a_dev_split_is_measured_and_not_learned_from(beir: Path) -> None:
    data = read_data(beir, dev_split="dev")
    assert data.held_out is not None
    assert list(data.held_out.queries) == ["q4"]
    assert "query 0" not in {example.anchor for example in data.examples}, "the same text as q4"


def test_a_dev_split_of_triples_is_refused(triples: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="needs a BEIR folder"):
        read_data(triples(), dev_split="dev")


@pytest.mark.parametrize("seed", range(3))
def test_no_query_is_on_both_sides(beir: Path, seed: int) -> None:
    data = read_data(beir, holdout=0.5, seed=seed)
    assert data.held_out is not None
    held_out = set(data.held_out.queries.values())
    assert len(held_out) == 2
    assert held_out.isdisjoint(example.anchor for example in data.examples)
    again = read_data(beir, holdout=0.5, seed=seed)
    assert again.held_out is not None
    assert again.held_out.queries == data.held_out.queries


def test_triples_are_read(triples: Callable[..., Path]) -> None:
    scored = {"anchor": "a", "positive": "p", "negatives": ["n", "m"], "teacher_scores": [3, 1, 2]}
    data = read_data(triples(GOOD, scored), holdout=0)
    assert list(data.examples) == [
        Example("tea", "tea grows", ("the sea",)),
        Example("a", "p", ("n", "m"), (3, 1, 2)),
    ]


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({**GOOD, "negatives": ["n"]}, "needs one of `negative` and `negatives`"),
        ({"positive": "p", "negative": "n"}, "`anchor` is missing"),
        ({**GOOD, "positive": " "}, "`positive` is empty"),
        ({**GOOD, "negative": 3}, "`negative` must be text, got int"),
        ({"anchor": "a", "positive": "p", "negatives": "n"}, "must be a list of texts, got str"),
        ({"anchor": "a", "positive": "p", "negatives": ["n", ""]}, "`negatives` is empty"),
        ({**GOOD, "teacher_scores": [1]}, "`teacher_scores` must be 2"),
        ({**GOOD, "teacher_scores": [1, "2"]}, "`teacher_scores` must be numbers"),
        ({**GOOD, "teacher_scores": 3}, "`teacher_scores` must be a list"),
        ([1], "must be an object, got list"),
    ],
)
def test_a_mistake_in_the_triples_is_placed(
    triples: Callable[..., Path], record: object, complaint: str
) -> None:
    with pytest.raises(ValueError, match=f"triples.jsonl', line 2: .*{re.escape(complaint)}"):
        read_data(triples(GOOD, record))


def test_malformed_json_is_placed(triples: Callable[..., Path]) -> None:
    path = triples(GOOD)
    path.write_text(path.read_text() + '{"anchor": \n')
    with pytest.raises(ValueError, match=r"triples.jsonl', line 2: not JSON"):
        read_data(path)


def test_nothing_to_learn_from_is_refused(triples: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ValueError, match=r"empty.jsonl' has no training example"):
        read_data(tmp_path / "empty.jsonl")
    with pytest.raises(ValueError, match="holdout must be a share"):
        read_data(triples(), holdout=1.0)


numbers = st.integers(0, 8)


def batches_of(
    examples: Sequence[Example], batch_size: int, seed: int = 0, epochs: int = 1, kept: int = 0
) -> list[list[list[Example]]]:
    """Return the batches of each epoch."""
    chosen = Settings(batch_size=batch_size, seed=seed, epochs=epochs, n_negatives=kept)
    order = Order(Examples.of(examples), chosen)
    found = list(order.batches_from(0))
    for step in range(len(found)):
        assert next(order.batches_from(step)) == found[step]
    begins = [0, *order.epoch_ends[:-1]]
    return [found[a:b] for a, b in zip(begins, order.epoch_ends, strict=True)]


@settings(deadline=None)
@given(st.lists(numbers, max_size=40), st.integers(1, 9), st.integers(0, 3))
def test_batches_hold_every_example_once_and_no_query_twice(
    queries: list[int], batch_size: int, seed: int
) -> None:
    examples = [Example(f"q{query}", f"p{n}", ("n0", "n1")) for n, query in enumerate(queries)]
    epochs = batches_of(examples, batch_size, seed, epochs=3, kept=1)
    assert epochs == batches_of(examples, batch_size, seed, epochs=3, kept=1)
    for batches in epochs:
        assert sorted(e.positive for b in batches for e in b) == sorted(
            e.positive for e in examples
        )
        for batch in batches:
            assert 1 <= len(batch) <= batch_size
            assert len({example.anchor for example in batch}) == len(batch)
            assert all(len(example.negatives) == 1 for example in batch)


@settings(deadline=None)
@given(st.lists(numbers, max_size=40), st.integers(1, 9), st.integers(0, 3))
def test_each_example_goes_to_the_first_batch_with_room_and_without_its_query(
    queries: list[int], batch_size: int, seed: int
) -> None:
    examples = [Example(f"q{query}", f"p{n}") for n, query in enumerate(queries)]
    for epoch, batches in enumerate(batches_of(examples, batch_size, seed, epochs=2)):
        searched: list[list[Example]] = []
        order = np.random.default_rng([seed, 1, epoch]).permutation(len(examples))
        for example in (examples[position] for position in order):
            fitting = (
                batch
                for batch in searched
                if len(batch) < batch_size and example.anchor not in {e.anchor for e in batch}
            )
            batch = next(fitting, None)
            if batch is None:
                searched.append([example])
            else:
                batch.append(example)
        assert batches == searched


def test_spellings_of_one_query_are_not_in_one_batch() -> None:
    examples = [Example(anchor, anchor) for anchor in ("Tea?", "tea", "T\u00e9a", "sea")]
    assert sorted(len(batch) for batch in batches_of(examples, 4)[0]) == [1, 1, 2]
    known = Examples.of(examples).known(examples)
    assert known == [{"Tea?", "tea", "T\u00e9a"}] * 3 + [set()]


def test_one_query_with_many_positives_is_ordered_without_a_search() -> None:
    examples = Examples.of([Example("tea", f"p{n}") for n in range(50_000)])
    assert Order(examples, Settings(epochs=1)).epoch_ends == [50_000]


def test_epochs_differ_in_order_and_negatives(examples: list[Example]) -> None:
    varied = [Example(e.anchor, e.positive, ("x", "y", "z"), (9, 1, 2, 3)) for e in examples]
    (first, *_), (second, *_) = batches_of(varied, 20, epochs=2, kept=1)
    assert [e.anchor for e in first] != [e.anchor for e in second]
    assert {e.negatives for e in first} == {("x",), ("y",), ("z",)}
    pairs = {(e.negatives, e.teacher_scores) for e in first}
    assert pairs == {(("x",), (9, 1)), (("y",), (9, 2)), (("z",), (9, 3))}
    of_query = [{e.anchor: e.negatives for e in batch} for batch in (first, second)]
    assert of_query[0] != of_query[1]


def two_sources(sizes: Sequence[int], weights: Sequence[float] | None) -> Examples:
    """Return sources of several sizes, whose texts tell them apart."""
    sources = [
        InMemory(Example(f"q{n}", f"{source} {n}") for n in range(size))
        for source, size in enumerate(sizes)
    ]
    return Examples.read(sources, weights)


def test_each_batch_is_of_one_source_and_sources_come_mixed() -> None:
    order = Order(two_sources([30, 50], None), Settings(batch_size=10, epochs=2))
    batches = list(order.batches_from(0))
    sources = [{e.positive[0] for e in batch} for batch in batches]
    assert all(len(source) == 1 for source in sources)
    assert order.epoch_ends == [8, 16]
    assert sorted(e.positive for b in batches[:8] for e in b) == sorted(
        e.positive for e in two_sources([30, 50], None)
    )
    assert sources[:8] not in ([{"0"}] * 3 + [{"1"}] * 5, [{"1"}] * 5 + [{"0"}] * 3)


def test_weights_say_how_often_a_source_comes() -> None:
    examples = two_sources([10, 50], [2, 1])
    order = Order(examples, Settings(batch_size=10, epochs=3))
    batches = list(order.batches_from(0))
    again = Order(two_sources([10, 50], [2, 1]), Settings(batch_size=10, epochs=3))
    assert list(again.batches_from(0)) == batches
    begins = [0, *order.epoch_ends]
    for epoch in range(3):
        own = [e for b in batches[begins[epoch] : begins[epoch + 1]] for e in b]
        assert Counter(e.positive[0] for e in own) == {"0": 40, "1": 20}
        assert set(Counter(e.positive for e in own if e.positive[0] == "0").values()) == {4}
    seen = Counter(e.positive for b in batches for e in b if e.positive[0] == "1")
    assert len(seen) == 50, "what was left over comes first"
    assert max(seen.values()) == 2


@pytest.mark.parametrize("weights", [[1], [1, 0], [1, -1], [1, float("inf")], [1, float("nan")]])
def test_weights_that_are_none_are_refused(
    triples: Callable[..., Path], weights: list[float]
) -> None:
    with pytest.raises(ValueError, match="weights must be"):
        read_data(triples(), triples(), weights=weights)


def test_order_and_held_out_queries_do_not_follow_from_a_process(
    triples: Callable[..., Path],
) -> None:
    rows = [
        {"anchor": f"q{n % 40}", "pos": [f"p{n}"], "neg": ["x", "y", f"z{n}"]} for n in range(99)
    ]
    program = (
        "import sys\n"
        "from glane_trainer import Settings, read_data\n"
        "from glane_trainer.batches import Order\n"
        "data = read_data(sys.argv[1], holdout=0.3)\n"
        "batches = list(Order(data.examples, Settings(epochs=2)).batches_from(0))\n"
        "print(batches, list(data.held_out.queries), data.fingerprint(), data.counts)\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program, str(triples(*rows))],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_a_file_that_changes_during_a_training_is_told(triples: Callable[..., Path]) -> None:
    path = triples()
    data = read_data(path, holdout=0)
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ValueError, match=r"triples.jsonl' was changed while it was in use"):
        next(Order(data.examples, Settings()).batches_from(0))


def test_many_examples_hold_out_no_more_than_are_measured(
    triples: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdout, "MOST_QUERIES", 5)
    monkeypatch.setattr(holdout, "MOST_EXAMPLES", 10)
    monkeypatch.setattr(holdout, "MOST_DOCUMENTS", 12)
    rows = [{"anchor": f"q{n}", "positive": f"p{n}", "negative": f"n{n}"} for n in range(100)]
    data = read_data(triples(*rows), holdout=0.5)
    assert data.held_out is not None
    assert len(data.held_out.queries) == 5
    assert 12 <= len(data.held_out.corpus) <= 12 + 2 * 5
    for id, grades in data.held_out.judgements.items():
        assert [data.held_out.corpus[document] for document in grades] == [id.replace("q", "p")]
    assert len(data.examples) == 95


def test_of_many_examples_held_out_queries_that_a_model_confuses_are_not_measured(
    triples: Callable[..., Path], bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glane_trainer.data, "TOKENIZED", 3)
    queries = ["tea", "the sea", "unheardof", "birds", "snow", "iron the sea the tea the sea the"]
    rows = [{"anchor": query, "positive": "granite"} for query in queries]
    data = read_data(triples(*rows, {"anchor": "bees", "positive": "p"}), holdout=0.8)
    assert data.held_out is not None
    assert len(data.held_out.queries) > 3
    preparer = ColBERT.from_base(bert, query_length=8).preparer
    examples = data.examples.of([Example(f"q{n}", "p") for n in range(4)])
    apart = replace(data, examples=examples).apart(preparer)
    assert apart.held_out is not None
    left_out = set(data.held_out.queries) - set(apart.held_out.queries)
    assert left_out == set(data.held_out.queries) & {"unheardof", queries[-1]}
    assert len(apart.examples) == 4


def test_sources_of_several_kinds_are_measured_together(
    beir: Path, triples: Callable[..., Path]
) -> None:
    data = read_data(beir, triples(), holdout=0.5, seed=3)
    assert data.held_out is not None
    texts = set(data.held_out.queries.values())
    assert {id[0] for id in data.held_out.queries} == {"0", "1"}
    assert texts.isdisjoint(example.anchor for example in data.examples)
    for id, grades in data.held_out.judgements.items():
        assert all(document in data.held_out.corpus for document in grades), id
    assert data.summary().count("negatives of their own") == 3
    assert f"'{beir}', judgements of 'train': " in data.summary()
