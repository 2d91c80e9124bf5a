"""Splade and SparseEmbed from any base: weights, terms, vectors, and what is written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM

from glane.errors import CheckpointError
from glane.model.checkpoint import Kind
from glane.model.scoring import sparse_dot, sparse_embed_score, splade_weights
from glane.vectors import SparseVectors, TermEmbeddings
from glane_trainer import SparseEmbed, Splade, idf_weights, load_model
from glane_trainer.quiet import Quiet
from glane_trainer.sparse_embed import embed_score_matrix
from glane_trainer.starts import Start, new_model
from glane_trainer.terms import TermModel, keep_top

TEXTS = ["plants eat light", "", "rivers run to the sea " * 100, "Tea, honey."]

KINDS = pytest.mark.parametrize("kind", [Splade, SparseEmbed])


def make(kind: type[TermModel[Any]], base: Path) -> TermModel[Any]:
    made = Splade if kind is Splade else SparseEmbed
    return made.from_base(base, query_terms=8, document_terms=16)


def dense(vectors: SparseVectors, n_vocabulary: int) -> np.ndarray:
    rows = np.zeros((len(vectors), n_vocabulary), np.float32)
    numbers = np.repeat(np.arange(len(vectors)), np.diff(vectors.indptr))
    rows[numbers, vectors.indices] = vectors.values
    return rows


def test_weights_are_the_definition_over_the_logits_of_transformers(bert_mlm: Path) -> None:
    model = Splade.from_base(bert_mlm)
    with Quiet():
        whole = AutoModelForMaskedLM.from_pretrained(bert_mlm).eval()
    batch = model.preparer.encode(TEXTS, "document")
    ids, attention, mask = (torch.from_numpy(array) for array in batch)
    with torch.no_grad():
        logits = whole(input_ids=ids, attention_mask=attention).logits
        expected = splade_weights(logits, mask, xp=torch)
        torch.testing.assert_close(model.weights(batch, "document"), expected)


def test_both_ways_to_find_the_active_terms_give_the_same(term_base: Path) -> None:
    model = Splade.from_base(term_base)
    width = model.decoder.in_features
    for lengths in ([3, 0, 5, 1], [0], [], [2, 2]):
        tokens = torch.randn(sum(lengths), width, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            one, other = model._active(tokens, lengths), model._active_at_once(tokens, lengths)
        for part, also in zip(one, other, strict=True):
            torch.testing.assert_close(part, also, rtol=0, atol=0)
        assert (len(one[0]) > 0) == (sum(lengths) > 0)


def test_logits_are_made_of_the_three_pieces(term_base: Path) -> None:
    model = Splade.from_base(term_base)
    batch = model.preparer.encode(TEXTS, "document")
    ids, attention, mask = model.placed(batch)
    transformed = model.transform(model.hidden(ids, attention))
    logits = transformed @ model.decoder.weight.T + model.decoder.bias
    expected = splade_weights(logits, mask, xp=torch)
    torch.testing.assert_close(model.weights(batch, "document"), expected)
    expected.square().sum().backward()
    by_definition = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model.weights(batch, "document").square().sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if name in by_definition:
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, by_definition[name], rtol=1e-3, atol=1e-4)


def test_an_encoder_alone_decodes_by_its_own_embeddings(bert: Path) -> None:
    model = Splade.from_base(bert)
    assert model.head is None
    assert model.decoder.weight is model.encoder.get_input_embeddings().weight
    assert not model.decoder.bias.any()


def new_terms(kind: Kind, base: Path, documents: list[str] | None) -> TermModel[Any]:
    model = new_model(kind, base, Start(documents=documents), {"document_terms": 16})
    assert isinstance(model, TermModel)
    return model


@pytest.mark.parametrize("kind", ["splade", "sparse-embed"])
def test_a_new_decoder_leaves_as_many_terms_as_are_kept(
    kind: Kind, bert: Path, bert_mlm: Path, tmp_path: Path
) -> None:
    texts = [*TEXTS, "plants drink", "to the sea"]
    plain = Splade.from_base(bert, document_terms=16)
    reached = []
    for text in texts:
        ids, attention, mask = plain.placed(plain.preparer.encode([text], "document"))
        with torch.no_grad():
            logits = plain.decoder(plain.hidden(ids, attention))[mask]
        reached.append(logits.amax(0).sort(descending=True).values[15].item())
    model = new_terms(kind, bert, texts)
    expected = torch.full((model.n_vocabulary,), -sorted(reached)[2])  # the lower middle of six
    torch.testing.assert_close(model.decoder.bias.detach(), expected)
    model.save(tmp_path / "checkpoint")
    again = new_terms(kind, tmp_path / "checkpoint", ["Tea"])
    torch.testing.assert_close(again.decoder.bias, model.decoder.bias, rtol=0, atol=0)
    masked = new_terms(kind, bert_mlm, texts)
    with Quiet():
        theirs = AutoModelForMaskedLM.from_pretrained(bert_mlm).get_output_embeddings().bias
    torch.testing.assert_close(masked.decoder.bias, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("documents", [None, [], ["", ""]])
def test_a_new_decoder_without_words_to_look_at(bert: Path, documents: list[str] | None) -> None:
    model = new_terms("splade", bert, documents)
    assert torch.isfinite(model.decoder.bias).all()


@KINDS
def test_load_gives_back_what_save_wrote(
    kind: type[TermModel[Any]], term_base: Path, tmp_path: Path
) -> None:
    model = make(kind, term_base)
    with torch.no_grad():
        model.decoder.bias.add_(0.1)
    model.save(tmp_path / "checkpoint")
    loaded = load_model(tmp_path / "checkpoint")
    assert type(loaded) is kind
    assert loaded.checkpoint == model.checkpoint
    theirs = loaded.state_dict()
    assert theirs.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(theirs[name], tensor, rtol=0, atol=0)


@KINDS
def test_transformers_loads_the_checkpoint(
    kind: type[TermModel[Any]], term_base: Path, tmp_path: Path
) -> None:
    model = make(kind, term_base)
    model.save(tmp_path / "checkpoint")
    auto = AutoModel if model.head is None else AutoModelForMaskedLM
    with Quiet():
        whole, info = auto.from_pretrained(tmp_path / "checkpoint", output_loading_info=True)
    assert {name for name in info["missing_keys"] if "pooler" not in name} == set()
    for name, tensor in model.encoder.state_dict().items():
        theirs = whole.base_model.state_dict()[name]
        torch.testing.assert_close(theirs, tensor, rtol=0, atol=0)


@KINDS
def test_alone_equals_in_a_batch(kind: type[TermModel[Any]], term_base: Path) -> None:
    model = make(kind, term_base)
    together = model.encode_documents(TEXTS)
    for row, text in enumerate(TEXTS):
        alone, mate = model.encode_documents([text]), together[row : row + 1]
        if isinstance(alone, TermEmbeddings):
            np.testing.assert_allclose(alone.embeddings, mate.embeddings, atol=1e-4)
            alone, mate = alone.terms, mate.terms
        np.testing.assert_array_equal(alone.indices, mate.indices)
        np.testing.assert_allclose(alone.values, mate.values, atol=1e-5)


@KINDS
def test_a_text_keeps_its_highest_terms_in_order(
    kind: type[TermModel[Any]], term_base: Path
) -> None:
    model = make(kind, term_base)
    vectors = model.encode_queries(TEXTS)
    terms = vectors.terms if isinstance(vectors, TermEmbeddings) else vectors
    with torch.no_grad():
        weights = model.weights(model.preparer.encode(TEXTS, "query"), "query").numpy()
    for row, weight in enumerate(weights):
        found = terms[row : row + 1]
        highest = np.argsort(-weight, kind="stable")[:8]
        assert found.indices.tolist() == sorted(highest[weight[highest] > 0].tolist())
        np.testing.assert_allclose(found.values, weight[found.indices], rtol=1e-5)


def test_of_equal_weights_the_lower_term_is_kept() -> None:
    weights = torch.tensor([[1.0, 2.0, 1.0, 1.0], [0.0, 0.0, 0.0, 3.0]])
    assert keep_top(weights, 3).tolist() == [[1, 2, 1, 0], [0, 0, 0, 3]]
    assert keep_top(weights, 4).tolist() == weights.tolist()


def test_splade_scores_by_dot_product(bert_mlm: Path) -> None:
    model = Splade.from_base(bert_mlm, query_terms=8, document_terms=16)
    queries, documents = model.encode_queries(TEXTS[:2]), model.encode_documents(TEXTS)
    expected = sparse_dot(dense(queries, 64), dense(documents, 64), xp=np)
    np.testing.assert_allclose(model.score(queries, documents), expected, rtol=1e-5)
    np.testing.assert_allclose(model.scores(TEXTS[:2], TEXTS[:2]), np.diag(expected), rtol=1e-5)


def test_embeddings_are_weighed_attended_means_of_hidden_vectors(bert_mlm: Path) -> None:
    model = SparseEmbed.from_base(bert_mlm, dim=5, document_terms=4)
    batch = model.preparer.encode([TEXTS[0]], "document")
    ids, attention, _ = model.placed(batch)
    with torch.no_grad():
        embedded = model.embedded(batch, "document")
        hidden = model.hidden(ids, attention)[0]  # (length, hidden_size)
        logits = model.decoder(model.transform(hidden[None]))[0]  # (length, n_vocabulary)
        for term, found in zip(embedded.terms[0], embedded.embeddings[0], strict=True):
            pooled = (logits[:, term].softmax(0)[:, None] * hidden).sum(0)
            weight = embedded.weights[0, term]
            torch.testing.assert_close(found, weight * model.projection(pooled).relu())


def test_the_matrix_of_embedded_scores_is_the_definition(term_base: Path) -> None:
    model = SparseEmbed.from_base(term_base, dim=5, query_terms=8, document_terms=16)
    with torch.no_grad():
        queries = model.embedded(model.preparer.encode(TEXTS, "query"), "query")
        documents = model.embedded(model.preparer.encode(TEXTS, "document"), "document")
    queries = queries._replace(terms=queries.terms.index_fill(1, torch.tensor([1]), -1))
    expected = sparse_embed_score(
        queries.terms[:, None],
        documents.terms[None],
        queries.embeddings[:, None],
        documents.embeddings[None],
        xp=torch,
    )
    torch.testing.assert_close(embed_score_matrix(queries, documents), expected)


def test_sparse_embed_scores_by_shared_terms(bert_mlm: Path) -> None:
    model = SparseEmbed.from_base(bert_mlm, dim=5, query_terms=8, document_terms=16)
    with torch.no_grad():
        queries = model.embedded(model.preparer.encode(TEXTS, "query"), "query")
        documents = model.embedded(model.preparer.encode(TEXTS, "document"), "document")
        expected = embed_score_matrix(queries, documents).numpy()
    found = model.score(model.encode_queries(TEXTS), model.encode_documents(TEXTS))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@KINDS
def test_no_text_gives_no_rows(kind: type[TermModel[Any]], bert: Path) -> None:
    model = make(kind, bert)
    assert len(model.encode_documents([])) == 0
    assert model.score(model.encode_queries([]), model.encode_documents([])).shape == (0, 0)


def test_an_inference_free_query_is_its_own_tokens(bert_mlm: Path, tmp_path: Path) -> None:
    model = Splade.from_base(bert_mlm, inference_free=True)
    tea, the = (model.preparer.tokenize([text], "query").rows[0][0] for text in ("tea", "the"))
    assert model.query_weights is not None
    with torch.no_grad():
        model.query_weights[tea], model.query_weights[the] = 2.5, -1.0
    queries = model.encode_queries(["the tea tea", "the", ""])
    assert queries.indptr.tolist() == [0, 1, 1, 1]
    assert (queries.indices.tolist(), queries.values.tolist()) == ([tea], [2.5])
    model.save(tmp_path / "checkpoint")
    loaded = Splade.load(tmp_path / "checkpoint")
    torch.testing.assert_close(loaded.query_table(), model.query_table())


def test_no_marker_and_no_padding_weighs_in_an_inference_free_query(bert_mlm: Path) -> None:
    model = Splade.from_base(bert_mlm, inference_free=True)
    assert model.query_table().tolist() == [1] * 64
    queries = model.encode_queries(["tea", "the sea", ""])
    assert queries.indptr.tolist() == [0, 1, 3, 3]


def test_a_table_begins_with_idf(bert_mlm: Path) -> None:
    model = Splade.from_base(bert_mlm, inference_free=True)
    weights = idf_weights(model, ["the tea", "the sea", "the iron the"])
    the, tea, snow = (
        model.preparer.tokenize([text], "query").rows[0][0] for text in ("the", "tea", "snow")
    )
    assert weights[the] == 0
    assert weights[snow] / weights[tea] == pytest.approx(np.log(4) / np.log(2), rel=1e-5)
    assert idf_weights(model, []).tolist() == [1] * 64


def test_a_table_where_none_is_due_is_refused(bert_mlm: Path, tmp_path: Path) -> None:
    Splade.from_base(bert_mlm, inference_free=True).save(tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / "glane.json"
    path.write_text(path.read_text().replace('"inference_free": true', '"inference_free": false'))
    with pytest.raises(CheckpointError, match="`inference_free` and the weights disagree"):
        Splade.load(tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match="holds a splade model, expected sparse-embed"):
        SparseEmbed.load(tmp_path / "checkpoint")
    with pytest.raises(ValueError, match="not inference-free"):
        Splade.from_base(bert_mlm).query_table()
