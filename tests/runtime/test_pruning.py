"""Early exit of a reranker: which candidates it looks at, and what a search gives then."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane import BM25, ColBERT, FusionSettings, Search
from glane.commands.main import main
from glane.hits import Hits
from glane.retrievers.fusion import Fuse, Ranking
from glane.retrievers.pruning import rerank_pruned

MODEL = str(Path(__file__).parents[1] / "fixtures" / "colbert")
WORDS = ["tea", "sea", "snow", "bees", "bread", "iron", "granite", "stars"]
DOCUMENTS = [
    {"id": n, "text": " ".join(WORDS[(n * step) % len(WORDS)] for step in range(1, 7))}
    for n in range(40)
]
QUERIES = ["tea and bread", "stars over snow", "nothing that is there", ""]


class Scored(BM25):
    """Reranks by a table of scores, and tells what it was asked for."""

    def __init__(self, scores: list[list[float]]) -> None:
        super().__init__()
        self.scores = scores
        self.asked: list[tuple[int, list[int]]] = []

    def rerank(self, queries: list[int], hits: Hits, k: int) -> Hits:
        (query,) = queries
        ids, _ = hits.row(0)
        self.asked.append((query, ids.tolist()))
        own = np.array([self.scores[query][number] for number in ids], np.float32)
        return Hits.from_rows([(ids, own)], k)


def candidates(rows: list[list[int]]) -> Hits:
    width = max(map(len, rows))
    falling = [np.arange(len(row), 0, -1).astype(np.float32) for row in rows]
    pairs = [(np.array(row, np.int64), own) for row, own in zip(rows, falling, strict=True)]
    return Hits.of_ordered(pairs, width)


def looked_at(order: list[int], scores: list[float], k: int, turn: int) -> list[int]:
    """The definition, for a reranker alone: turns until two in a row have the same k best."""
    before: list[int] | None = None
    for end in range(turn, len(order) + turn, turn):
        seen = order[:end]
        best = sorted(seen, key=lambda number: (-scores[number], number))[:k]
        if best == before:
            return seen
        before = best
    return order


@given(st.data())
def test_it_stops_after_a_turn_that_leaves_the_best_as_they_were(data: st.DataObject) -> None:
    n_documents = data.draw(st.integers(1, 12))
    numbers = st.permutations(range(n_documents))
    rows = [data.draw(numbers)[: data.draw(st.integers(1, n_documents))] for _ in range(2)]
    score = st.sampled_from([-1.0, 0.0, 0.5, 2.0])
    scores = [data.draw(st.lists(score, min_size=12, max_size=12)) for _ in rows]
    k, turn = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    reranker = Scored(scores)
    found = rerank_pruned(
        reranker, range(2), candidates(rows), k, Ranking("none", 0.25, 100, {}, turn)
    )
    for query, row in enumerate(rows):
        seen = looked_at(row, scores[query], k, turn)
        asked = [number for own, turned in reranker.asked if own == query for number in turned]
        assert asked == seen
        expected = sorted(seen, key=lambda number: (-scores[query][number], number))
        assert found.row(query)[0].tolist() == expected


@pytest.mark.parametrize(
    ("fuse_by", "turns"), [("none", [[0], [1], [2]]), ("relative", [[0], [1]])]
)
def test_the_answer_that_is_watched_is_the_fused_one(fuse_by: Fuse, turns: list[list[int]]) -> None:
    # Of two, the retriever's first has 0.75 - 0.25, the other as much less: it stays the best.
    reranker = Scored([[1.0, 2.0, 9.0]])
    ranking = Ranking(fuse_by, 0.75, 100, {}, 1)
    rerank_pruned(reranker, range(1), candidates([[0, 1, 2]]), 1, ranking)
    assert [asked for _, asked in reranker.asked] == turns


@pytest.fixture(scope="module")
def search() -> Search:
    made = Search(BM25(), reranker=ColBERT.load(MODEL, threads=1), keep_documents=True)
    made.add(DOCUMENTS)
    return made


@pytest.mark.parametrize("fuse_by", ["none", "relative", "rrf"])
def test_a_turn_of_all_candidates_changes_nothing(search: Search, fuse_by: Fuse) -> None:
    whole = search.search(QUERIES, 5, candidates=20, fuse=fuse_by)
    assert search.search(QUERIES, 5, candidates=20, fuse=fuse_by, prune=20) == whole


def test_what_is_explained_is_the_score_of_the_pruned_search(search: Search) -> None:
    found = search.search(QUERIES[:1], 3, prune=4)
    for id, score in zip(found.ids[0], found.scores[0], strict=True):
        explanation = search.explain(QUERIES[0], id, k=3, prune=4)
        assert explanation.score == pytest.approx(score, abs=1e-6)


def test_a_first_stage_alone_is_not_pruned() -> None:
    alone = Search(BM25())
    alone.add(DOCUMENTS)
    assert alone.search(QUERIES, 5, prune=1) == alone.search(QUERIES, 5)


@pytest.mark.parametrize("prune", [0, -1])
def test_fewer_than_one_at_a_time_are_refused(search: Search, prune: int) -> None:
    with pytest.raises(ValueError, match="prune must be at least 1"):
        search.search(QUERIES, prune=prune)


def test_an_index_may_say_it_and_the_command_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = tmp_path / "d.jsonl"
    documents.write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    index = str(tmp_path / "index")
    argv = ["index", index, "--documents", str(documents), "--retriever", "bm25"]
    assert main([*argv, "--key", "id", "--reranker", MODEL, "--prune", "6", "--threads", "1"]) == 0
    loaded = Search.load(index, threads=1)
    assert loaded.fusion == FusionSettings(prune=6)
    assert loaded.ranking().prune == 6
    assert loaded.search(QUERIES, 3) == loaded.search(QUERIES, 3, prune=6)
    capsys.readouterr()
    argv = ["search", index, "tea and bread", "--prune", "2", "-k", "3", "--threads", "1", "--json"]
    assert main(argv) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert [hit["id"] for hit in hits] == loaded.search(QUERIES[:1], 3, prune=2).ids[0]
