"""Reading of one state through several calls, and changing an index from a search of it."""

from pathlib import Path

import pytest

from glane import BM25, ColBERT, LockedError, Search

MODEL = Path(__file__).parents[1] / "fixtures" / "colbert"
DOCUMENTS = [{"id": f"d{n}", "text": f"tea number {n}"} for n in range(6)]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    search = Search(BM25(), reranker=ColBERT.load(MODEL, threads=1), keep_documents=True)
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    return tmp_path / "index"


def test_a_view_stays_what_it_was(index: Path) -> None:
    search = Search.load(index, threads=1)
    view = search.view()
    found = view.search(["tea"])
    search.delete(["d0"])
    search.add([{"id": "d1", "text": "snow"}])
    assert view.search(["tea"]) == found
    assert len(view) == 6
    assert view.documents(["d0", "d1"]) == DOCUMENTS[:2]
    assert view.explain("tea", "d0").score is not None
    assert "d0" not in search


def test_an_index_is_edited_from_a_search_which_takes_the_new_state(index: Path) -> None:
    search = Search.load(index, threads=1)
    before = search.search(["tea"])
    other = Search.load(index, threads=1)
    with search.editing() as writer:
        assert writer.reranker is not None
        assert search.reranker is not None
        assert writer.reranker.encoder is search.reranker.encoder
        writer.add([{"id": "new", "text": "tea"}])
        writer.delete(["d0"])
        assert search.search(["tea"]) == before
        with pytest.raises(LockedError), other.editing():
            pass
    assert "new" in search
    assert "d0" not in search
    assert other.refresh()
    assert other.search(["tea"]) == search.search(["tea"])


def test_it_begins_from_the_newest_state(index: Path) -> None:
    search, other = Search.load(index, threads=1), Search.load(index, threads=1)
    with other.editing() as writer:
        writer.add([{"id": "first", "text": "tea"}])
    with search.editing() as writer:
        writer.add([{"id": "second", "text": "tea"}])
    assert {"first", "second"} <= set(search.search(["tea"], k=20).ids[0])


def test_after_an_error_all_is_as_it_was(index: Path) -> None:
    search = Search.load(index, threads=1)
    before = search.search(["tea"])

    def fail() -> None:
        with search.editing() as writer:
            writer.add([{"id": "new", "text": "tea"}])
            writer.delete(["nobody"])

    with pytest.raises(ValueError, match="unknown"):
        fail()
    assert search.search(["tea"]) == before
    assert "new" not in Search.load(index, threads=1)
    with search.editing() as writer:
        writer.delete(["d0"])
    assert len(search) == 5


def test_only_a_saved_search_edits_its_index(index: Path) -> None:
    with pytest.raises(ValueError, match="can edit it; save it"), Search(BM25()).editing():
        pass
    search = Search.load(index, threads=1)
    search.delete(["d0"])
    with pytest.raises(ValueError, match="can edit it; save it"), search.editing():
        pass
