"""A collection in shards answers as one index of all its documents, bit for bit."""

import copy
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glane import BM25, CheckpointError, ColBERT, LockedError, Search, SparseEmbed, Splade, TfIdf
from glane.analysis.analyzer import Analyzer
from glane.errors import StaleError
from glane.maxsim import index as maxsim
from glane.maxsim.index import TokenStorage
from glane.postings.statistics import exact_sum
from glane.retrievers.explaining import Explains
from glane_scale.sharded import (
    LocalShards,
    ShardedSearch,
    part_index,
    read_shards,
    write_shard,
    write_shards,
)

FIXTURES = Path(__file__).parents[1] / "fixtures"
WORDS = ["tea", "sea", "snow", "bees", "bread", "iron", "granite", "stars", "birds", "yeast"]
QUERIES = ["tea and bread", "stars over snow iron", "sea sea birds tea", "nowhere", ""]
QUOTED = ['"tea bread"', 'snow "iron stars"']

DRAW = random.Random(3)
DOCUMENTS: list[dict[str, Any]] = [
    {
        "id": f"d{n}",
        "title": DRAW.choice(WORDS),
        "text": " ".join(DRAW.choices(WORDS, k=DRAW.choice([0, 1, 2, 2, 5, 9, 60]))),
        "year": 2000 + n % 5,
    }
    for n in range(40)
]
"""Many are alike, so that scores are equal, and some are in several passages."""


def colbert(kind: str = "colbert") -> ColBERT:
    return ColBERT.load(FIXTURES / kind, threads=1)


def colbert_alone() -> ColBERT:
    made = colbert()
    made.store_as(TokenStorage(kind="int8", outlines=True))
    return made


def sparse_embed() -> SparseEmbed:
    made = SparseEmbed.load(FIXTURES / "sparse-embed", threads=1)
    made.index.candidates = 5
    return made


def splade(folder: str = "splade") -> Splade:
    return Splade.load(FIXTURES / folder, threads=1)


RETRIEVERS: dict[str, Callable[[], Any]] = {
    "bm25": BM25,
    "bm25-robertson": lambda: BM25("robertson"),
    "bm25-any-language": lambda: BM25(analyzer=Analyzer(language="auto")),
    "tfidf": TfIdf,
    "splade": splade,
    "splade-inference-free": lambda: splade("splade-inference-free"),
    "sparse-embed": sparse_embed,
    "colbert": colbert_alone,
}


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let outlines choose candidates among few documents."""
    monkeypatch.setattr(maxsim, "EXACT_UP_TO", 8)
    monkeypatch.setattr("glane.maxsim.outlines.FEWEST", 2)
    monkeypatch.setattr("glane.maxsim.outlines.LEAST", 2)


def make(name: str, *, reranks: bool = False, **options: Any) -> Search:  # noqa: ANN401
    reranker = colbert("colbert-int8") if reranks else None
    given: dict[str, Any] = {"on": ["title", "text"], "keep_documents": True}
    return Search(
        RETRIEVERS[name](), reranker=reranker, fields={"year": "int"}, **{**given, **options}
    )


def shared_out(index: Path, folder: Path, owners: list[int], n_shards: int) -> ShardedSearch:
    """Part an index in any way."""
    whole = Search.load(index, threads=1)
    numbers = whole.collection.stored()
    names = [f"s{own}" for own in range(n_shards)]
    folder.mkdir()
    for own, name in enumerate(names):
        mine = [number for number, owner in zip(numbers, owners, strict=True) if owner == own]
        write_shard(whole, folder / name, np.array(mine, np.int64))
    write_shards(folder, names)
    return ShardedSearch(folder)


def assert_equal(shards: Explains, single: Explains, k: int = 7) -> None:
    """Compare all that can be asked."""
    asked: list[dict[str, Any]] = [{}, {"filter": "year >= 2002"}, {"candidates": 9}]
    for options in asked:
        assert shards.search(QUERIES, k, **options) == single.search(QUERIES, k, **options)
    assert shards.search(QUOTED, k) == single.search(QUOTED, k)
    assert shards.rankings(QUERIES, k) == single.rankings(QUERIES, k)
    assert shards.select("year < 2001") == single.select("year < 2001")
    assert len(shards) == len(single)
    ids = single.search(["tea snow"], 3).ids[0]
    assert shards.excerpts("tea snow", ids) == single.excerpts("tea snow", ids)
    assert shards.explanations("tea snow", ids) == single.explanations("tea snow", ids)
    assert shards.documents(ids) == single.documents(ids)


@pytest.mark.parametrize("n_shards", [1, 2, 5, 16])
@pytest.mark.parametrize("reranks", [False, True], ids=["alone", "reranked"])
@pytest.mark.parametrize("name", list(RETRIEVERS))
def test_shards_answer_as_the_index(
    name: str, reranks: bool, n_shards: int, tmp_path: Path
) -> None:
    single = make(name, reranks=reranks)
    single.add(DOCUMENTS)
    single.save(tmp_path / "index")
    counts = part_index(tmp_path / "index", tmp_path / "shards", n_shards)
    assert sum(counts) == len(DOCUMENTS)
    assert max(counts) - min(counts) <= 1
    assert_equal(ShardedSearch(tmp_path / "shards"), single)


Changed = list[tuple[str, list[int]]]

CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "replace", "touch", "delete", "compact"]),
        st.lists(st.integers(0, 29), min_size=1, max_size=6, unique=True),
    ),
    max_size=4,
)


@pytest.mark.parametrize("name", ["bm25", "tfidf", "splade", "sparse-embed", "colbert"])
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    owners=st.lists(st.integers(0, 15), min_size=20, max_size=20),
    n_shards=st.sampled_from([1, 2, 5, 16]),
    changes=CHANGES,
)
def test_any_split_answers_as_the_index_whatever_changes(
    name: str,
    owners: list[int],
    n_shards: int,
    changes: Changed,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("split")
    single = make(name, reranks=name == "bm25", passages=name != "splade")
    single.add(DOCUMENTS[:20])
    single.save(folder / "index")
    shards = shared_out(
        folder / "index", folder / "shards", [own % n_shards for own in owners], n_shards
    )
    for what, places in changes:
        change(single, what, places)
        with shards.editing() as writer:
            change(writer, what, places)
    assert_equal(shards, single)
    assert_equal(ShardedSearch(folder / "shards"), single)


def change(search: Search | ShardedSearch, what: str, places: list[int]) -> None:
    """Change a search, of whichever kind, in one call."""
    chosen = [copy.deepcopy(DOCUMENTS[place]) for place in places]
    if what == "compact":
        search.compact()
    elif what == "delete":
        stored = [document["id"] for document in chosen if document["id"] in search]
        if stored:
            search.delete(stored)
    else:
        for document in chosen:
            document["year"] += what == "touch"
            document["text"] += " yeast" if what == "replace" else ""
        search.add(chosen)


def test_an_empty_index_grows_in_shards(tmp_path: Path) -> None:
    single = make("bm25")
    single.save(tmp_path / "index")
    assert part_index(tmp_path / "index", tmp_path / "shards", 3) == [0, 0, 0]
    shards = ShardedSearch(tmp_path / "shards")
    assert shards.search(["tea"]).ids == [[]]
    with shards.editing() as writer:
        assert writer.add(DOCUMENTS) == len(DOCUMENTS)
        assert writer.add(DOCUMENTS) == 0
    single.add(DOCUMENTS)
    assert_equal(shards, single)
    counts = [len(Search.load(folder)) for folder in read_shards(tmp_path / "shards")]
    assert sum(counts) == len(DOCUMENTS)
    assert min(counts) > 8  # by their ids


def test_boosted_lengths_add_up_whatever_the_split(tmp_path: Path) -> None:
    """Lengths that are fractions: their plain sum depends on its order."""
    single = make("bm25", on=["title^0.1", "text^0.7"])
    single.add(DOCUMENTS)
    single.save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 5)
    assert_equal(ShardedSearch(tmp_path / "shards"), single)


@given(st.lists(st.floats(-1e300, 1e300)))
def test_the_exact_sum_is_that_of_whole_numbers(values: list[float]) -> None:
    from fractions import Fraction

    assert exact_sum(np.array(values)) == sum(map(Fraction, values))


def test_a_search_goes_on_in_its_state_and_takes_the_next_one(tmp_path: Path) -> None:
    single = make("bm25")
    single.add(DOCUMENTS[:20])
    single.save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 2)
    both = LocalShards(read_shards(tmp_path / "shards"))
    reader, writer = (ShardedSearch(tmp_path / "shards", both) for _ in range(2))
    view, before = reader.view(), single.search(QUERIES)
    with writer.editing() as editor:
        editor.add(DOCUMENTS[20:])
    assert view.search(QUERIES) == before  # what it had opened is kept
    assert reader.refresh()
    assert not reader.refresh()
    single.add(DOCUMENTS[20:])
    assert reader.search(QUERIES) == single.search(QUERIES)
    assert view.search(QUERIES) == before


def test_a_state_that_is_gone_is_refused_and_a_search_begun_anew(tmp_path: Path) -> None:
    single = make("bm25")
    single.add(DOCUMENTS[:20])
    single.save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 2)
    reader = ShardedSearch(tmp_path / "shards")
    view = reader.view()
    with ShardedSearch(tmp_path / "shards").editing() as writer:
        writer.add(DOCUMENTS[20:])
    # Shards that are opened anew, as by a process that took the place of one that died, have the
    # newest state alone.
    reader.shards._shards = LocalShards(read_shards(tmp_path / "shards"))._shards  # type: ignore[attr-defined]
    with pytest.raises(StaleError, match="ask again"):
        view.search(QUERIES)
    single.add(DOCUMENTS[20:])
    assert reader.search(QUERIES) == single.search(QUERIES)


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    make("bm25").save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 2)
    first, second = ShardedSearch(tmp_path / "shards"), ShardedSearch(tmp_path / "shards")
    with first.editing(), pytest.raises(LockedError, match="written to"), second.editing():
        pass


def test_unknown_documents_are_refused(tmp_path: Path) -> None:
    single = make("bm25")
    single.add(DOCUMENTS)
    single.save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 2)
    shards = ShardedSearch(tmp_path / "shards")
    with pytest.raises(ValueError, match="unknown document 'nowhere'"):
        shards.documents(["nowhere"])
    with shards.editing() as writer:
        with pytest.raises(ValueError, match="unknown document 'nowhere'"):
            writer.delete(["d1", "nowhere"])
        with pytest.raises(ValueError, match="appears twice"):
            writer.delete(["d1", "d1"])
        with pytest.raises(TypeError, match="the id at position 0"):
            writer.delete([1.5])  # type: ignore[list-item]
    assert len(shards) == len(DOCUMENTS)


def test_what_cannot_be_stored_is_stored_in_no_shard(tmp_path: Path) -> None:
    make("bm25").save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 2)
    shards = ShardedSearch(tmp_path / "shards")
    good = [{"id": n, "text": "tea", "year": 1} for n in range(4)]
    with pytest.raises(ValueError, match="within"):
        shards.add(good)
    with shards.editing() as writer:
        for bad in ({"other": float("nan")}, {"year": "x"}, {"text": 1}):
            with pytest.raises((ValueError, TypeError)):
                writer.add([*good, {**good[0], "id": "bad", **bad}])
    assert len(ShardedSearch(tmp_path / "shards")) == 0
    with pytest.raises(ValueError, match="within"):
        shards.compact()


TWICE = '{"version": 1, "shards": ["a", "a"]}'
OUTSIDE = '{"version": 1, "shards": ["../a"]}'


@pytest.mark.parametrize(
    "said", ["", "[]", "{}", '{"version": 2, "shards": ["a"]}', "{", TWICE, OUTSIDE]
)
def test_a_folder_that_says_nothing_of_shards_is_refused(said: str, tmp_path: Path) -> None:
    (tmp_path / "shards.json").write_text(said)
    with pytest.raises(CheckpointError, match=r"shards\.json"):
        ShardedSearch(tmp_path)


def test_shards_are_not_taken_for_an_index(tmp_path: Path) -> None:
    make("bm25").save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 2)
    with pytest.raises(CheckpointError, match="serve FOLDER --ray"):
        Search.load(tmp_path / "shards")


def test_a_folder_without_shards_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="glane shard"):
        ShardedSearch(tmp_path)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    make("bm25").save(tmp_path / "index")
    with pytest.raises(FileExistsError, match="holds something"):
        part_index(tmp_path / "index", tmp_path / "index", 2)
    with pytest.raises(ValueError, match="at least 1"):
        part_index(tmp_path / "index", tmp_path / "shards", 0)


def test_one_that_is_left_behind_takes_the_newest_state(tmp_path: Path) -> None:
    """Another router changes the same shards until they have forgotten the state of this one."""
    single = make("bm25")
    single.add(DOCUMENTS[:20])
    single.save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 2)
    both = LocalShards(read_shards(tmp_path / "shards"))
    ahead, *behind = (ShardedSearch(tmp_path / "shards", both) for _ in range(4))
    view = behind[0].view()
    for document in DOCUMENTS[20:32]:
        with ahead.editing() as writer:
            writer.add([document])
    with pytest.raises(StaleError):
        view.search(QUERIES)
    behind[0].documents(["d3"])
    behind[1].excerpts("tea", ["d3"])
    assert "d3" in behind[2]
    single.add(DOCUMENTS[20:32])
    for each in behind:
        assert each.search(QUERIES) == single.search(QUERIES)


def test_a_shard_that_fails_is_mended_by_the_same_call(tmp_path: Path) -> None:
    single = make("bm25")
    single.add(DOCUMENTS[:20])
    single.save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 2)
    shards = ShardedSearch(tmp_path / "shards")
    second = read_shards(tmp_path / "shards")[1]
    with shards.editing() as writer:
        with Search.edit(second), pytest.raises(LockedError):
            writer.add(DOCUMENTS)
        assert 20 < len(writer) < len(DOCUMENTS)
        writer.refresh()  # the other writer has committed
        writer.add(DOCUMENTS)
    assert len(shards) == len(DOCUMENTS)
    ids = [document["id"] for document in DOCUMENTS]
    assert sorted(shards.search(["tea sea snow"], 40).ids[0]) == sorted(
        each for each in ids if each in shards.search(["tea sea snow"], 40).ids[0]
    )
    numbers = [
        number
        for folder in read_shards(tmp_path / "shards")
        for number in Search.load(folder).collection.stored().tolist()
    ]
    assert len(set(numbers)) == len(numbers) == len(DOCUMENTS)


def test_a_shard_that_was_written_to_by_others_is_not_written_to(tmp_path: Path) -> None:
    make("bm25").save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 2)
    shards = ShardedSearch(tmp_path / "shards")
    with shards.editing() as writer:
        for folder in read_shards(tmp_path / "shards"):
            with Search.edit(folder) as other:
                other.add([{"id": folder.name, "title": "", "text": "tea", "year": 1}])
        with pytest.raises(StaleError, match="somebody else"):
            writer.add(DOCUMENTS)
        writer.refresh()


def test_phrases_are_looked_for_in_many_documents_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = make("bm25")
    single.add([{"id": n, "title": "", "text": "iron snow", "year": 1} for n in range(300)])
    single.save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 2)
    shards = ShardedSearch(tmp_path / "shards")
    asked: list[int] = []
    ask = LocalShards.ask

    def counted(self: LocalShards, requests: Any) -> Any:  # noqa: ANN401
        asked.append(len(requests))
        return ask(self, requests)

    monkeypatch.setattr(LocalShards, "ask", counted)
    assert shards.search(['"snow iron"']).ids == [[]]
    assert len(asked) < 20


def test_the_words_of_deleted_documents_do_not_choose_the_language(tmp_path: Path) -> None:
    """Parting compacts, and a reading goes by words that some document has."""
    single = make("bm25-any-language")
    words = ["are", "la", "die", "der", "les", "the", "und", "on", "son", "men"]
    single.add(
        [{"id": n, "title": "", "text": word, "year": 1} for n, word in enumerate(words * 2)]
    )
    single.delete(list(range(0, 20, 3)))
    single.save(tmp_path / "index")
    part_index(tmp_path / "index", tmp_path / "shards", 3)
    pairs = [f"{first} {second}" for first in words for second in words]
    before = single.search(pairs)
    assert ShardedSearch(tmp_path / "shards").search(pairs) == before
    single.compact()
    assert single.search(pairs) == before


def test_another_collection_in_the_same_place_is_another_state(tmp_path: Path) -> None:
    for name, some in (("one", DOCUMENTS[:9]), ("two", DOCUMENTS[9:18])):
        single = make("bm25")
        single.add(some)
        single.save(tmp_path / name)
    part_index(tmp_path / "one", tmp_path / "shards", 2)
    shards = ShardedSearch(tmp_path / "shards")
    shutil.rmtree(tmp_path / "shards")
    part_index(tmp_path / "two", tmp_path / "shards", 2)
    assert shards.refresh()
    assert shards.search(QUERIES) == single.search(QUERIES)
