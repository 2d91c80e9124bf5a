"""Each representation is computed once: what is stored already is not encoded again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, ColBERT, Search, SparseEmbed, Splade
from glane.model import encoder
from glane.model.preparation import Batch
from glane.retrievers.passages import Passages

FIXTURES = Path(__file__).parents[1] / "fixtures"

DOCUMENTS: list[dict[str, Any]] = [
    {"id": "leaf", "title": "Leaves", "text": "Plants eat light."},
    {"id": "sea", "title": "Rivers", "text": "They run to the sea."},
    {"id": "empty", "title": "", "text": None},
]


def colbert() -> Search:
    return Search(BM25(), reranker=ColBERT.load(FIXTURES / "colbert"), on=["title", "text"])


def splade() -> Search:
    return Search(Splade.load(FIXTURES / "splade"), on=["title", "text"])


def inference_free_then_sparse_embed() -> Search:
    retriever = Splade.load(FIXTURES / "splade-inference-free")
    reranker = SparseEmbed.load(FIXTURES / "sparse-embed")
    return Search(retriever, reranker=reranker, on=["title", "text"])


def sparse_embed_then_colbert() -> Search:
    retriever = SparseEmbed.load(FIXTURES / "sparse-embed")
    return Search(retriever, reranker=ColBERT.load(FIXTURES / "colbert-int8"), on=["title", "text"])


NEURAL = [colbert, splade, inference_free_then_sparse_embed, sparse_embed_then_colbert]


@pytest.mark.parametrize("make", NEURAL, ids=lambda f: f.__name__)
def test_no_representation_is_computed_twice(
    make: Callable[[], Search], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, encoded = encoder.run, []

    def counting(session: Any, batch: Batch, *more: Any) -> list[Any]:  # noqa: ANN401
        encoded.append(len(batch.input_ids))
        return real(session, batch, *more)

    monkeypatch.setattr(encoder, "run", counting)
    search = make()
    n_models = sum(stage.encoder is not None for stage in search.stages().values())
    search.add(DOCUMENTS)
    assert sum(encoded) == n_models * len(DOCUMENTS)
    wanted = search.search(["plants eat light"])
    encoded.clear()
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    loaded = Search.load(tmp_path / "index")
    loaded.add([{"title": "Leaves", "text": "Plants eat light.", "id": "leaf"}])
    assert encoded == []
    assert loaded.search(["plants eat light"]).ids == wanted.ids
    table = [stage for stage in (search.retriever, search.reranker) if is_table(stage)]
    assert sum(encoded) == n_models - len(table)  # the query, once a model
    encoded.clear()
    loaded.add([DOCUMENTS[0], {"id": "sea", "text": "They run."}, {"id": "new", "text": "tea"}])
    assert sum(encoded) == 2 * n_models
    loaded.delete(["leaf"])
    encoded.clear()
    loaded.add(DOCUMENTS[:1])
    assert sum(encoded) == n_models


def is_table(stage: object) -> bool:
    return isinstance(stage, Passages) and stage.encoder.checkpoint.inference_free


def test_the_same_text_again_keeps_its_place() -> None:
    search = Search(BM25())
    assert search.add([{"id": number, "text": "tea"} for number in range(3)]) == 3
    assert search.add([{"id": 0, "text": "tea"}, {"id": 1, "text": "green tea"}]) == 1
    assert search.search(["tea"]).ids == [[0, 2, 1]]
    assert search.add([{"id": 0, "text": "\ud800"}, {"id": 1, "text": "green tea"}]) == 1
    assert search.add([{"id": 0, "text": "\ufffd"}]) == 0  # encoded as the very same
    assert search.keys.rows.next_id == 5


def test_a_kept_document_is_replaced_where_another_field_changed() -> None:
    search = Search(BM25(), keep_documents=True)
    search.add([{"id": 0, "text": "tea", "year": 1}, {"id": 1, "text": "tea", "year": 1}])
    search.add([{"id": 0, "text": "tea", "year": 2}, {"id": 1, "text": "tea", "year": 1}])
    assert search.search(["tea"]).ids == [[1, 0]]
    assert [document["year"] for document in search.documents([0, 1])] == [2, 1]
