"""Fields that count more than others: a definition by hand, a brute force, and the same on disk."""

from __future__ import annotations

import json
import math
import pickle
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import BM25, Analyzer, ColBERT, Search, Splade, TfIdf
from glane.collection.boosts import read_boosts
from glane.commands.main import main
from glane.errors import IndexDamaged
from glane.retrievers.lexical import Lexical
from glane.store.manifest import MANIFEST

FIXTURES = Path(__file__).parent.parent / "fixtures"
WORDS = st.lists(st.sampled_from(["tea", "leaf", "sea", "the", "Café", "東京都"]), max_size=5)
DOCUMENTS = st.lists(
    st.fixed_dictionaries({"text": WORDS}, optional={"title": WORDS, "notes": WORDS}).map(
        lambda record: {name: " ".join(words) for name, words in record.items()}
    ),
    min_size=1,
    max_size=8,
)
BOOSTS = st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.0, 7.3])
Records = Sequence[Mapping[str, Any]]


def made(retriever: Lexical, documents: Records, on: Sequence[str]) -> Search:
    search = Search(retriever, on=on)
    # the first names every field, and is deleted again
    search.add([{"id": -1, "title": "", "text": "", "notes": ""}])
    search.add([{"id": number, **document} for number, document in enumerate(documents)])
    search.delete([-1])
    return search


def scores(search: Search, query: str) -> dict[object, float]:
    found = search.search([query], k=100)
    return dict(zip(found.ids[0], found.scores[0], strict=True))


def test_a_case_worked_by_hand() -> None:
    search = Search(BM25(k1=1.5, b=0.75), on=["title^2", "text^0.5"])
    search.add(
        [
            {"id": "a", "title": "tea", "text": "green tea leaf sea"},
            {"id": "b", "title": "sea", "text": "tea"},
            {"id": "c", "title": "", "text": "stone stone"},
        ]
    )
    # counts of tea: a 2 + 0.5, b 0.5; lengths: a 2 + 4 / 2 = 4, b 2.5, c 1; mean 2.5
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    a = idf * 2.5 / (2.5 + 1.5 * (0.25 + 0.75 * 4 / 2.5))
    b = idf * 0.5 / (0.5 + 1.5)
    assert scores(search, "tea") == {"a": pytest.approx(a), "b": pytest.approx(b)}


def weighed_bm25(
    documents: Records, on: Mapping[str, float], query: str, analyzer: Analyzer
) -> dict[int, float]:
    """The definition, over plain dictionaries."""
    counts: list[dict[str, float]] = []
    for document in documents:
        own: dict[str, float] = {}
        for field, boost in on.items():
            for term in analyzer(document.get(field, "")):
                own[term] = own.get(term, 0) + boost
        counts.append(own)
    lengths = [sum(own.values()) for own in counts]
    mean = sum(lengths) / len(lengths) or 1
    found: dict[int, float] = {}
    for term, asked in Counter(analyzer.query(query)).items():
        df = sum(term in own for own in counts)
        idf = math.log(1 + (len(counts) - df + 0.5) / (df + 0.5))
        for number, own in enumerate(counts):
            if term in own:
                norm = 1.5 * (0.25 + 0.75 * lengths[number] / mean)
                found[number] = found.get(number, 0) + asked * idf * own[term] / (own[term] + norm)
    return found


@settings(deadline=None, max_examples=40)
@given(DOCUMENTS, BOOSTS, BOOSTS, WORDS)
def test_scores_are_those_of_a_brute_force(
    documents: Records, title: float, notes: float, words: list[str]
) -> None:
    query, on = " ".join(words), {"title": title, "text": 1.0, "notes": notes}
    search = made(BM25(), documents, [f"{name}^{boost}" for name, boost in on.items()])
    wanted = weighed_bm25(documents, on, query, Analyzer())
    assert scores(search, query) == pytest.approx(wanted, rel=1e-5)


@settings(deadline=None, max_examples=40)
@given(DOCUMENTS, st.integers(1, 4), st.integers(1, 4), WORDS)
@pytest.mark.parametrize(
    "make",
    [BM25, lambda: BM25("bm25+"), lambda: TfIdf(analyzer=Analyzer("char_wb"))],
    ids=["bm25", "bm25+", "char_wb"],
)
def test_whole_boosts_are_as_texts_that_are_repeated(
    make: Callable[[], Lexical], documents: Records, title: int, text: int, words: list[str]
) -> None:
    times = {"title": title, "text": text, "notes": 1}
    repeated = [
        {name: " ; ".join([document.get(name, "")] * n) for name, n in times.items()}
        for document in documents
    ]
    boosted = made(make(), documents, [f"title^{title}", f"text^{text}", "notes"])
    plain = made(make(), repeated, ["title", "text", "notes"])
    query = " ".join(words)
    assert scores(boosted, query) == pytest.approx(scores(plain, query), rel=1e-5)


@settings(deadline=None, max_examples=40)
@given(DOCUMENTS)
def test_boosts_of_one_store_the_very_same_arrays(documents: Records) -> None:
    one = made(BM25(), documents, ["title^1", "text^1.0", "notes"])
    plain = made(BM25(), documents, ["title", "text", "notes"])
    assert one.boosts == {}
    assert one.on == plain.on
    ours, theirs = ([part.arrays for part in s.retriever.tables()[""].parts] for s in (one, plain))
    assert len(ours) == len(theirs)
    for own, other in zip(ours, theirs, strict=True):
        assert own.keys() == other.keys()
        assert all(np.array_equal(own[name], other[name]) for name in own)


@settings(deadline=None, max_examples=30)
@given(DOCUMENTS, DOCUMENTS, st.data())
@pytest.mark.parametrize("make", [BM25, TfIdf])
def test_changes_score_as_a_fresh_index(
    make: Callable[[], Lexical], first: Records, second: Records, data: st.DataObject
) -> None:
    on = ["title^0.1", "text^7.3", "notes"]
    search = made(make(), first, on)
    search.add([{"id": number, **document} for number, document in enumerate(second)])
    left = {**dict(enumerate(first)), **dict(enumerate(second))}
    for gone in data.draw(st.sets(st.sampled_from(sorted(left)), max_size=len(left) - 1)):
        search.delete([gone])
        del left[gone]
    fresh = Search(make(), on=on)
    fresh.add([{"id": -1, "title": "", "text": "", "notes": ""}])
    fresh.add([{"id": number, **document} for number, document in left.items()])
    fresh.delete([-1])
    for compacted in (False, True):
        if compacted:
            search.compact()
        for query in ("tea", "leaf sea Café", "the 東京"):
            assert scores(search, query) == pytest.approx(scores(fresh, query), rel=1e-6)
            if make is BM25:
                assert scores(search, query) == scores(fresh, query)


def test_a_document_whose_fields_share_the_text_otherwise_is_stored_anew() -> None:
    search = Search(BM25(), on=["title^3", "text"], keep_documents=False)
    search.add([{"id": 1, "title": "tea", "text": "leaf"}, {"id": 2, "title": "sea", "text": "a"}])
    before = scores(search, "leaf")
    assert search.add([{"id": 1, "title": "tea", "text": "leaf"}]) == 0
    assert search.add([{"id": 1, "title": "tea leaf", "text": ""}]) == 1
    assert scores(search, "leaf")[1] > before[1]
    assert search.add([{"id": 1, "title": "", "text": "tea leaf"}]) == 1
    plain = Search(BM25(), on=["title", "text"])
    plain.add([{"id": 1, "title": "tea", "text": "leaf"}])
    assert plain.add([{"id": 1, "title": "tea leaf", "text": ""}]) == 0


def test_explanations_add_up_and_check_the_fields() -> None:
    search = Search(BM25(), on=["title^2.5", "text"])
    own = {"id": 1, "title": "green tea", "text": "a leaf of tea"}
    search.add([own, {"id": 2, "title": "sea", "text": "green"}])
    found = search.explain("green tea leaf", 1, document=own)
    total = sum(share.score for share in found.retriever.shares)
    assert total == pytest.approx(scores(search, "green tea leaf")[1], rel=1e-5)
    assert {span.field for share in found.retriever.shares for span in share.spans} == {
        "title",
        "text",
    }
    moved = {"id": 1, "title": "green tea a", "text": "leaf of tea"}
    with pytest.raises(ValueError, match="another text"):
        search.explain("tea", 1, document=moved)


def test_a_model_reads_the_joined_text_whatever_the_boosts() -> None:
    documents = [
        {"id": number, "title": title, "text": "plants eat light"}
        for number, title in enumerate(["tea", "", "stone sea"])
    ]
    for load in (Splade.load, ColBERT.load):
        name = "splade" if load == Splade.load else "colbert"
        found = []
        for on in (["title", "text"], ["title^9", "text^0.2"]):
            search = Search(load(FIXTURES / name, threads=1), on=on)
            search.add(documents)
            found.append(search.search(["light tea"], k=3))
        assert found[0] == found[1]


def test_it_is_the_same_pickled_saved_and_loaded(tmp_path: Path) -> None:
    search = Search(BM25(), on=["title^2.5", "text"], key="id")
    search.add([{"id": 1, "title": "tea", "text": "sea"}, {"id": 2, "title": "sea", "text": "tea"}])
    expected = scores(search, "tea")
    copied = pickle.loads(pickle.dumps(search))
    assert (copied.on, copied.boosts) == (["title", "text"], {"title": 2.5})
    assert scores(copied, "tea") == expected
    search.save(tmp_path / "index")
    assert scores(Search.load(tmp_path / "index"), "tea") == expected
    with Search.edit(tmp_path / "index") as edited:
        assert edited.boosts == {"title": 2.5}
        assert edited.add([{"id": 2, "title": "sea", "text": "tea"}]) == 0
        edited.add([{"id": 3, "title": "tea", "text": ""}])
    fresh = Search(BM25(), on=["title^2.5", "text"])
    fresh.add(
        [
            {"id": 1, "title": "tea", "text": "sea"},
            {"id": 2, "title": "sea", "text": "tea"},
            {"id": 3, "title": "tea", "text": ""},
        ]
    )
    assert scores(Search.load(tmp_path / "index"), "tea") == scores(fresh, "tea")


@pytest.mark.parametrize("broken", [{"title": 0}, {"other": 2}, {"title": "2"}, [2], {"title": []}])
def test_broken_boosts_of_an_index_are_told(tmp_path: Path, broken: object) -> None:
    search = Search(BM25(), on=["title^2", "text"])
    search.save(tmp_path / "index")
    manifest = tmp_path / "index" / MANIFEST
    record = json.loads(manifest.read_text())
    assert record["settings"]["search"]["boosts"] == {"title": 2.0}
    record["settings"]["search"]["boosts"] = broken
    manifest.write_text(json.dumps(record))
    with pytest.raises(IndexDamaged):
        Search.load(tmp_path / "index")


def test_names_of_fields_and_their_boosts() -> None:
    assert read_boosts(["a^2", "b", "c^.5", "d^1"]) == (["a", "b", "c", "d"], {"a": 2.0, "c": 0.5})
    assert read_boosts(["a^2^1", "^2", "x^", "x^y"]) == (["a^2", "^2", "x^", "x^y"], {})
    assert read_boosts(["meta.title^1e2"]) == (["meta.title"], {"meta.title": 100.0})
    assert read_boosts(["a", "a"]) == (["a", "a"], {})
    for wrong in ("a^0", "a^-1", "a^inf", "a^nan", "a^1e7", "a^1e-7"):
        with pytest.raises(ValueError, match=r"boost of field 'a' must be from 1e-06 to 1e\+06"):
            Search(BM25(), on=[wrong])
    with pytest.raises(ValueError, match="boosted by 2 and by 1; name it once"):
        Search(BM25(), on=["a^2", "a"])


def test_a_field_may_be_called_as_if_it_had_a_boost() -> None:
    search = Search(BM25(), on="a^2^1")
    search.add([{"id": 1, "a^2": "tea"}])
    assert search.search(["tea"]).ids == [[1]]
    with pytest.raises(ValueError, match="no document has the field 'a'"):
        Search(BM25(), on="a^2").add([{"id": 1, "a^2": "tea"}])


def test_no_documents_and_no_words_are_no_counts() -> None:
    search = Search(BM25(), on=["title^2", "text"])
    assert search.add([]) == 0
    assert search.add([{"id": 1, "title": "", "text": ""}, {"id": 2, "title": "tea"}]) == 2
    counts = search.retriever
    assert isinstance(counts, BM25)
    assert len(counts) == 2
    assert scores(search, "tea").keys() == {2}
    (part,) = counts.tables()[""].parts
    assert part.arrays["values"].tolist() == [2.0]


def test_the_command_line_takes_boosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "documents.jsonl"
    rows = [
        {"_id": "a", "title": "tea", "text": "sea"},
        {"_id": "b", "title": "sea", "text": "tea"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    index = str(tmp_path / "index")
    made = ["index", index, "--documents", str(file), "--retriever", "bm25"]
    assert main([*made, "--on", "title^3,text"]) == 0
    capsys.readouterr()
    assert main(["info", index, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["on"], told["boosts"]) == (["title", "text"], {"title": 3.0})
    assert main(["search", index, "tea", "--json"]) == 0
    assert Search.load(index).search(["tea"]).ids == [["a", "b"]]
    capsys.readouterr()
    assert main([*made, "--overwrite", "--on", "title^0"]) == 2
    assert "--on: the boost of field 'title' must be" in capsys.readouterr().err


def test_an_index_with_boosts_is_migrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = [{"id": n, "title": "tea" * (n % 2), "text": "plants eat light"} for n in range(5)]
    colbert, other = FIXTURES / "colbert", FIXTURES / "colbert-int8"
    for name, model in (("index", colbert), ("wanted", other)):
        search = Search(
            BM25(),
            reranker=ColBERT.load(model, threads=1),
            on=["title^2", "text"],
            keep_documents=True,
        )
        search.add(documents)
        search.save(tmp_path / name)
    index, migrate = tmp_path / "index", ["migrate", str(tmp_path / "index"), "--threads", "1"]
    file = tmp_path / "documents.jsonl"
    moved = [*documents[:4], {"id": 4, "title": "plants", "text": "eat light"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in moved))
    assert main([*migrate, "--reranker", str(other), "--documents", str(file)]) == 1
    assert "id 4: its text differs" in capsys.readouterr().err
    assert main([*migrate, "--reranker", str(other)]) == 0
    migrated, wanted = (Search.load(path, threads=1) for path in (index, tmp_path / "wanted"))
    assert migrated.boosts == {"title": 2.0}
    assert migrated.search(["tea light"], fuse="rrf") == wanted.search(["tea light"], fuse="rrf")
    file.write_text("".join(json.dumps(row) + "\n" for row in documents))
    argv = [*migrate, "--reranker", str(colbert), "--documents", str(file)]
    assert main(argv) == 0
    assert Search.load(index, threads=1).add(documents) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "--retriever", "bm25", "--dataset", "nowhere"],
        ["split", "nowhere.csv", "--documents", "nowhere.jsonl", "--out", "out"],
    ],
)
def test_commands_that_make_one_text_refuse_boosts(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--on", "title^2,text"]) == 2
    assert "--on: fields are boosted by `glane index` alone" in capsys.readouterr().err
