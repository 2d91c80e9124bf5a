"""An index in Qdrant: the same answers as its own, whatever happened on the way."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models
from tests.docs.pages import like, outputs, read
from tests.engines.conftest import LONG, QUERIES, SHORT, Place

from glane import Search
from glane.commands.main import main
from glane.hits import Results
from glane.integrations.pushed import Pushed
from glane.integrations.qdrant import QdrantSearch, connect, point_id
from glane_engines.qdrant import push, vectors_of


def pushed_to(qdrant: Place, index: Path | Search) -> dict[str, int]:
    client, name = qdrant
    pushed = Pushed(index, threads=1)
    return push(client, name, pushed, vectors_of(pushed, "float32"))


def assert_same(found: Results, expected: Results) -> None:
    """Compare answers of documents that score differently, but for rounding."""
    assert found.ids == expected.ids
    for own, theirs in zip(found.scores, expected.scores, strict=True):
        assert own == pytest.approx(theirs, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("documents", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("retriever", ["bm25", "tfidf", "splade"])
def test_answers_are_those_of_the_index(
    qdrant: Place, make_index: Callable[..., Path], retriever: str, documents: list[dict[str, Any]]
) -> None:
    search = Search.load(make_index(documents, retriever), threads=1)
    done = pushed_to(qdrant, search)
    assert done["documents"] == done["written"] == len(documents)
    engine = QdrantSearch(*qdrant, search)
    assert engine.in_one == (documents is SHORT)
    for fuse in ("none", "relative", "rrf"):
        for candidates in (5, 100):
            asked: Any = {"fuse": fuse, "candidates": candidates}
            expected = search.search(QUERIES, 3, phrases=False, **asked)
            found = engine.search(QUERIES, 3, **asked)
            if engine.in_one and fuse == "relative":
                assert found.ids == expected.ids  # the scores have another scale
            else:
                assert_same(found, expected)


@pytest.mark.parametrize("retriever", ["bm25", "splade"])
def test_an_index_without_a_reranker(
    qdrant: Place, make_index: Callable[..., Path], retriever: str
) -> None:
    search = Search.load(make_index(LONG, retriever, reranks=False), threads=1)
    pushed_to(qdrant, search)
    engine = QdrantSearch(*qdrant, search)
    for k in (1, 4, 50):
        assert_same(engine.search(QUERIES, k), search.search(QUERIES, k, phrases=False))
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        engine.search(QUERIES, 0)
    with pytest.raises(ValueError, match="needs a reranker"):
        engine.search(["tea"], fuse="rrf")


def test_fused_in_one_request_scores_are_standardised_over_one_less(
    qdrant: Place, make_index: Callable[..., Path]
) -> None:
    search = Search.load(make_index(SHORT), threads=1)
    pushed_to(qdrant, search)
    found = QdrantSearch(*qdrant, search).search(["tea leaf"], 5)
    expected = search.search(["tea leaf"], 5)
    n_found = len(search.search(["tea leaf"], 100).ids[0])
    share = ((n_found - 1) / n_found) ** 0.5
    assert found.ids == expected.ids
    assert found.scores[0] == pytest.approx([s * share for s in expected.scores[0]], abs=1e-4)


@pytest.mark.parametrize("documents", [SHORT, LONG], ids=["short", "long"])
def test_documents_of_one_score_come_in_order_of_their_numbers(
    qdrant: Place, make_index: Callable[..., Path], documents: list[dict[str, Any]]
) -> None:
    twins = [{**documents[4], "id": f"twin-{n}"} for n in (2, 1, 3)]
    search = Search.load(make_index([*documents, *twins]), threads=1)
    pushed_to(qdrant, search)
    found = QdrantSearch(*qdrant, search).search([documents[4]["text"]], 50, fuse="none")
    first = found.ids[0].index("d4")
    assert found.ids[0][first : first + 4] == ["d4", "twin-2", "twin-1", "twin-3"]


def test_documents_come_as_they_were_kept(qdrant: Place, make_index: Callable[..., Path]) -> None:
    index = make_index()
    pushed_to(qdrant, index)
    engine = QdrantSearch(*qdrant, index, threads=1)
    keys = [document["id"] for document in LONG]
    assert engine.documents(keys) == LONG
    assert engine.documents([]) == []
    with pytest.raises(ValueError, match="unknown document 'gone'"):
        engine.documents(["d1", "gone"])


def test_documents_that_are_not_kept_have_their_key(
    qdrant: Place, make_index: Callable[..., Path]
) -> None:
    index = make_index(SHORT, keep_documents=False)
    pushed_to(qdrant, index)
    engine = QdrantSearch(*qdrant, index, threads=1)
    assert engine.documents(["d3"]) == [{"id": "d3"}]


@pytest.mark.parametrize("documents", [SHORT, LONG], ids=["short", "long"])
def test_a_filter_holds_for_every_stage(
    qdrant: Place, make_index: Callable[..., Path], documents: list[dict[str, Any]]
) -> None:
    index = make_index(documents, fields={"year": "int"})
    search = Search.load(index, threads=1)
    pushed_to(qdrant, search)
    wanted = models.FieldCondition(key="year", match=models.MatchValue(value=2002))
    found = QdrantSearch(*qdrant, search).search(
        QUERIES, filter=models.Filter(must=[wanted]), fuse="none"
    )
    expected = search.search(QUERIES, filter="year = 2002", fuse="none", phrases=False)
    assert_same(found, expected)
    assert {key for ids in found.ids for key in ids} == {"d2"}


def test_a_second_push_writes_nothing_and_a_new_state_takes_the_place_of_the_old(
    qdrant: Place, make_index: Callable[..., Path]
) -> None:
    index = make_index()
    first = pushed_to(qdrant, index)
    assert pushed_to(qdrant, index) == {**first, "written": 0, "deleted": 0}
    old = Search.load(index, threads=1)
    with Search.edit(index, threads=1) as search:
        search.delete(["long"])
        search.add([{"id": "new", "text": "tea iron"}, {"id": "d1", "title": "", "text": "snow"}])
    with pytest.raises(ValueError, match="another state of this one; push the index again"):
        QdrantSearch(*qdrant, index, threads=1)
    again = pushed_to(qdrant, index)
    assert again["written"] == again["documents"] == len(LONG)
    assert again["deleted"] > 1  # the passages of what is gone
    new = Search.load(index, threads=1)
    found = QdrantSearch(*qdrant, new).search(QUERIES)
    assert_same(found, new.search(QUERIES, phrases=False))
    with pytest.raises(ValueError, match="another state of this one"):
        QdrantSearch(*qdrant, old)


def test_how_it_is_fused_is_no_part_of_the_state(
    qdrant: Place, make_index: Callable[..., Path]
) -> None:
    from glane.retrievers.fusion import FusionSettings

    index = make_index()
    pushed_to(qdrant, index)
    with Search.edit(index, threads=1) as search:
        search.rank_by(FusionSettings(fuse="rrf", fuse_weight=0.7))
    search = Search.load(index, threads=1)
    found = QdrantSearch(*qdrant, search).search(QUERIES)
    assert_same(found, search.search(QUERIES, phrases=False))


def test_points_of_others_in_the_collection_stay(
    qdrant: Place, make_index: Callable[..., Path]
) -> None:
    client, name = qdrant
    index = make_index(SHORT)
    pushed_to(qdrant, index)
    own = "00000000-0000-0000-0000-000000000001"
    tokens: Any = {"colbert": [[9.0] * 8]}
    client.upsert(name, [models.PointStruct(id=own, vector=tokens, payload={"a": 1})], wait=True)
    with Search.edit(index, threads=1) as search:
        search.delete(["d1"])
    assert pushed_to(qdrant, index)["deleted"] == 1
    assert len(client.retrieve(name, [own], with_payload=True)) == 1
    search = Search.load(index, threads=1)
    found = QdrantSearch(*qdrant, search).search(QUERIES, fuse="none")
    assert_same(found, search.search(QUERIES, fuse="none", phrases=False))


def test_a_collection_that_is_not_the_index_is_refused(
    qdrant: Place, make_index: Callable[..., Path]
) -> None:
    client, name = qdrant
    index = make_index(SHORT)
    with pytest.raises(ValueError, match="holds no documents of glane push"):
        QdrantSearch(*qdrant, index, threads=1)
    pushed = Pushed(index, threads=1)
    vectors = vectors_of(pushed, "float32")
    client.create_collection(name, **{**vectors, "sparse_vectors_config": {}})
    with pytest.raises(ValueError, match="push into another, or delete it"):
        push(client, name, pushed, vectors)


def test_a_collection_that_stores_vectors_otherwise_is_refused(
    qdrant: Place, make_index: Callable[..., Path]
) -> None:
    index = make_index(SHORT)
    pushed_to(qdrant, index)
    pushed = Pushed(index, threads=1)
    for options, told in ({"quantized": False}, "float16"), ({"quantized": True}, "quantized"):
        with pytest.raises(ValueError, match=f"8 of float32, Dot.* needs .*{told}"):
            push(*qdrant, pushed, vectors_of(pushed, "float16", **options))


def test_a_stage_that_no_engine_can_hold_is_refused(make_index: Callable[..., Path]) -> None:
    from glane import ColBERT, SparseEmbed

    fixtures = Path(__file__).parents[1] / "fixtures"
    search = Search(ColBERT.load(fixtures / "colbert", threads=1))
    with pytest.raises(ValueError, match="ColBERT has no sparse vectors for an engine"):
        Pushed(search)
    from glane import BM25

    reranker = SparseEmbed.load(fixtures / "sparse-embed", threads=1)
    with pytest.raises(ValueError, match="SparseEmbed has no token vectors for an engine"):
        Pushed(Search(BM25(), reranker=reranker))
    with pytest.raises(ValueError, match="lies in no folder as it is"):
        Pushed(Search(BM25()))
    with pytest.raises(ValueError, match="the index has no reranker"):
        Pushed(make_index(SHORT, reranks=False), threads=1).tokens(["tea"])


def test_an_empty_index(qdrant: Place, make_index: Callable[..., Path]) -> None:
    index = make_index([])
    assert pushed_to(qdrant, index) == {"documents": 0, "points": 0, "written": 0, "deleted": 0}
    assert QdrantSearch(*qdrant, index, threads=1).search(["tea", ""]).ids == [[], []]


def test_ids_of_points_depend_on_the_document_alone() -> None:
    assert point_id("d1") == "8cd5c34c-b06a-3580-b546-cc091cd695ad"
    ids = [point_id(key, place) for key in ("1", 1, "11", 11, "1:1") for place in (0, 1, 11)]
    assert len(set(ids)) == len(ids)
    assert point_id("\ud800") != point_id("\udc00")


KILLED = """
import os, signal, sys
from qdrant_client import QdrantClient
left = [int(sys.argv.pop(1))]
whole = QdrantClient.upsert
def upsert(self, *words, **named):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return whole(self, *words, **named)
QdrantClient.upsert = upsert
import glane_engines.qdrant
glane_engines.qdrant.SENT_NUMBERS = 500
from glane.commands.main import main
sys.exit(main())
"""


def test_a_push_that_was_killed_goes_on(make_index: Callable[..., Path], tmp_path: Path) -> None:
    index, folder = make_index(), tmp_path / "qdrant"
    words = ["push", "qdrant", str(folder), "c", str(index), "--threads", "1", "--json"]
    written = []
    for n_requests in (0, 1, 2):
        command = [sys.executable, "-W", "ignore", "-c", KILLED, str(n_requests), *words]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        client = QdrantClient(path=str(folder))
        with pytest.raises(ValueError, match="the same glane push goes on"):
            QdrantSearch(client, "c", index, threads=1)
        written.append(client.count("c").count)
        client.close()
    assert 0 == written[0] < written[1] < written[2]
    command = [sys.executable, "-c", KILLED, "1000", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    assert 0 < result["written"] < result["documents"] == len(LONG)
    search = Search.load(index, threads=1)
    engine = QdrantSearch(str(folder), "c", search)
    assert engine.client.count("c").count == result["points"]
    assert_same(engine.search(QUERIES), search.search(QUERIES, phrases=False))
    engine.client.close()


def test_the_command_tells_what_it_did(
    make_index: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index, folder = make_index(SHORT), str(tmp_path / "qdrant")
    assert main(["push", "qdrant", folder, "c", str(index), "--quantized"]) == 0
    told = capsys.readouterr().out
    assert told == (
        f"c at {folder} holds 8 documents in 8 points; 8 documents were written now, 0 "
        "points of another state deleted\n"
    )
    told = told.replace(f"c at {folder}", "documents at qdrant")
    for shown in outputs(read("docs/engines.md"))[:2]:
        assert like(shown).fullmatch(told.strip()), "the page shows another line"


def test_a_server_that_is_not_there_is_told_in_one_line(
    make_index: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    url = "http://127.0.0.1:1"
    assert main(["push", "qdrant", url, "c", str(make_index(SHORT))]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"glane: Qdrant at {url}: ")
    assert len(told.splitlines()) == 1


def test_addresses() -> None:
    client = connect(":memory:")
    assert client.get_collections().collections == []
    client.close()
    assert os.environ.get("QDRANT_API_KEY") is None
