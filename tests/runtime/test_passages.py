"""Documents longer than a model reads: parted without a loss, scored by their best passage."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import BM25, CheckpointError, ColBERT, Search, SparseEmbed, Splade
from glane.model.passages import part
from glane.model.preparation import TextPreparer
from glane.retrievers.neural import Neural
from glane.retrievers.passage_vectors import PassageVectors
from glane.retrievers.passages import Passages, plain

FIXTURES = Path(__file__).parent.parent / "fixtures"
PREPARERS = {
    name: TextPreparer.load(FIXTURES / name) for name in ("colbert", "splade", "sparse-embed")
}
LOADED: dict[str, Callable[[], Neural[Any, Any]]] = {
    "colbert": lambda: ColBERT.load(FIXTURES / "colbert", threads=1),
    "splade": lambda: Splade.load(FIXTURES / "splade", threads=1),
    "inference-free": lambda: Splade.load(FIXTURES / "splade-inference-free", threads=1),
    "sparse-embed": lambda: SparseEmbed.load(FIXTURES / "sparse-embed", threads=1),
}
WORDS = ["tea", "leaf", "plants", "eat", "light", "river", "stone", "sea", "water", "run."]


def texts(seed: int, n: int = 25) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.choice([0, 2, 15, 40, 90]))) for _ in range(n)]


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=400), st.sampled_from(sorted(PREPARERS)))
def test_passages_hold_every_character_and_fit(text: str, name: str) -> None:
    bounds = part(PREPARERS[name], text)
    starts, stops = bounds[:, 0], bounds[:, 1]
    assert starts[0] == 0
    assert stops[-1] == len(text)
    assert (starts[1:] <= stops[:-1]).all()  # nothing lies between two of them
    assert (np.diff(starts) >= 0).all()
    assert (np.diff(stops) > 0).all()
    pieces = [text[start:stop] for start, stop in bounds.tolist()]
    if len(pieces) == 1:
        return
    assert PREPARERS[name].tokenize([text], "document").n_truncated == 1
    assert PREPARERS[name].tokenize(pieces, "document").n_truncated == 0


def test_white_space_without_end_is_parted_in_no_time() -> None:
    text = "tea " * 40 + " " * 200_000 + "x"  # a pattern that looks back would take minutes
    assert part(PREPARERS["colbert"], text)[-1, 1] == len(text)


def test_a_text_that_the_model_reads_at_once_is_one_passage() -> None:
    preparer = PREPARERS["colbert"]
    room = preparer.frames["document"].room
    for n_words in (0, 1, room - 1, room):
        text = " ".join(["e"] * n_words)
        assert part(preparer, text).tolist() == [[0, len(text)]]
    assert len(part(preparer, " ".join(["e"] * (room + 1)))) == 2


def test_passages_end_with_sentences_and_overlap_by_them() -> None:
    sentences = [f"h {'e ' * (n % 3)}s." for n in range(30)]  # a token each, and the full stop
    text = " ".join(sentences)
    bounds = part(PREPARERS["colbert"], text).tolist()
    assert len(bounds) > 5
    for _, stop in bounds[:-1]:
        assert text[:stop].rstrip().endswith(".")
    for start, _ in bounds[1:]:
        assert text[start:].startswith("h")
    assert (
        PREPARERS["colbert"].tokenize([text[a:b] for a, b in bounds], "document").n_truncated == 0
    )


def test_scripts_without_spaces_are_parted_at_their_own_full_stops() -> None:
    text = "東京都は大きい。" * 20
    bounds = part(PREPARERS["colbert"], text).tolist()
    assert len(bounds) > 3
    assert all(text[:stop].endswith("。") for _, stop in bounds)


@pytest.mark.parametrize("name", LOADED)
def test_a_document_scores_as_its_best_passage(name: str) -> None:
    stage, documents, asked = LOADED[name](), texts(1), ["tea leaf", "river light", ""]
    parted = Passages(LOADED[name]())
    assert parted.add(parted.encode_documents(documents)).tolist() == list(range(len(documents)))
    owners, pieces = [], []
    for number, text in enumerate(documents):
        for start, stop in part(stage.encoder.preparer, text).tolist():
            owners.append(number)
            pieces.append(text[start:stop])
    stage.add(stage.encode_documents(pieces))
    queries = stage.encode_queries(asked)
    every = stage.search(queries, len(pieces))
    for k in (1, 3, len(documents), 1500):
        found = parted.search(queries, k)
        for query in range(len(asked)):
            best: dict[int, float] = {}
            for passage, score in zip(*every.row(query), strict=True):
                best.setdefault(owners[passage], float(score))
            wanted = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
            ids, scores = found.row(query)
            assert list(zip(ids.tolist(), scores.tolist(), strict=True)) == wanted


@pytest.mark.parametrize("name", ["colbert", "sparse-embed"])
def test_reranking_takes_the_best_passage(name: str) -> None:
    parted, documents = Passages(LOADED[name]()), texts(2)
    parted.add(parted.encode_documents(documents))
    lexical = BM25()
    lexical.add(lexical.encode_documents(documents))
    first = lexical.search(lexical.encode_queries(["tea leaf", "nothing"]), 10)
    queries = parted.encode_queries(["tea leaf", "nothing"])
    found = parted.rerank(queries, first, 10)
    everything = parted.search(queries, len(documents))
    wanted = {int(i): float(s) for i, s in zip(*everything.row(0), strict=True)}
    ids, scores = found.row(0)
    assert sorted(ids.tolist()) == sorted(first.row(0)[0].tolist())
    assert [wanted.get(int(i), 0) for i in ids] == pytest.approx(scores.tolist(), abs=1e-6)
    assert len(found.row(1)[0]) == 0


def test_a_stage_that_does_not_rerank_says_so() -> None:
    parted = Passages(LOADED["splade"]())
    queries = parted.encode_queries(["tea"])
    with pytest.raises(TypeError, match="Splade does not rerank"):
        parted.rerank(queries, parted.search(queries, 1), 1)


@pytest.mark.parametrize("name", LOADED)
def test_any_order_of_changes_answers_as_a_fresh_index(name: str, tmp_path: Path) -> None:
    documents = [{"id": n, "text": text} for n, text in enumerate(texts(3))]
    search = Search(LOADED[name](), keep_documents=True)
    search.add(documents[:15])
    search.save(tmp_path / "index")
    search = Search.load(tmp_path / "index", threads=1)
    search.add([{"id": 3, "text": "tea " * 60}, *documents[15:]])
    search.delete([0, 7, 19])
    search.add([{**documents[5], "note": "new"}, documents[3]])
    search.compact()
    search.save(tmp_path / "index")
    changed = Search.load(tmp_path / "index", threads=1)
    fresh = Search(LOADED[name]())
    kept = [d for d in documents if d["id"] not in (0, 7, 19)]
    fresh.add(kept)
    for query in ("tea leaf", "river run. light"):
        one, other = changed.search([query], k=30), fresh.search([query], k=30)
        assert dict(zip(one.ids[0], one.scores[0], strict=True)) == pytest.approx(
            dict(zip(other.ids[0], other.scores[0], strict=True)), abs=1e-6
        )
    assert isinstance(changed.retriever, Passages)
    assert changed.retriever.n_passages() == fresh.retriever.n_passages()  # type: ignore[attr-defined]


def test_a_filter_leaves_documents_whatever_their_passages() -> None:
    search = Search(LOADED["colbert"](), fields={"odd": "int"})
    search.add([{"id": n, "text": t, "odd": n % 2} for n, t in enumerate(texts(4))])
    every = search.search(["tea leaf"], k=25)
    some = search.search(["tea leaf"], k=25, filter="odd = 1")
    assert some.ids[0] == [id for id in every.ids[0] if int(id) % 2]


def test_without_passages_a_document_is_cut() -> None:
    end = "stone " * 40 + "plants eat light"
    for passages, n_cut in ((True, 0), (False, 1)):
        search = Search(LOADED["colbert"](), passages=passages)
        search.add([{"id": "end", "text": end}])
        assert search.retriever.encoder is not None
        assert search.retriever.encoder.n_truncated["document"] == n_cut
        assert isinstance(search.retriever, Passages) == passages
        assert isinstance(plain(search.retriever), ColBERT)


def test_vectors_are_taken_apart_and_put_together() -> None:
    parted = Passages(LOADED["colbert"]())
    vectors = parted.encode_documents(texts(5, 6))
    again = PassageVectors.concatenate([vectors[:2], vectors[np.array([2])], vectors[3:]])
    for one, other in (
        (vectors.offsets, again.offsets),
        (vectors.spans, again.spans),
        (vectors.vectors.values, again.vectors.values),
    ):
        assert (one == other).all()
    assert len(parted.encode_documents([])) == 0
    with pytest.raises(ValueError, match="at least one"):
        PassageVectors.concatenate([])


def test_passages_of_other_rules_are_refused() -> None:
    record = {**Passages(LOADED["colbert"]()).record(), "passages": 2}
    with pytest.raises(CheckpointError, match="made by the rules 2, and this version knows 1"):
        Passages.from_record(record, FIXTURES / "colbert")
