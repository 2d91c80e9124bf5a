"""Sparse models from a checkpoint to what the user gets, and the memory that takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from transformers import BertConfig, BertForMaskedLM, BertModel

from glane import Splade as RuntimeSplade
from glane.model.checkpoint import QUERY_WEIGHTS, Checkpoint, ModelInfo
from glane.model.preparation import TextPreparer
from glane.retrievers.registry import NEURAL
from glane.vectors import SparseVectors, TermEmbeddings, TokenVectors
from glane_export import ExportSettings, ParityError, export_model, exporting
from glane_export.graph import write_graph
from glane_export.judged import judged_loss, read_judged
from glane_export.quantize import quantize
from glane_trainer import Splade, load_model
from glane_trainer.mlm import take_apart
from glane_trainer.model import Model

FIXTURES = Path(__file__).parents[1] / "fixtures"

FP32 = ExportSettings(quantize="none")

TEXTS = ["", "?!", "the river runs to the sea", "日本語", "snow on the mountain " * 20, "🎉"]


def terms_of(vectors: TokenVectors | SparseVectors | TermEmbeddings) -> SparseVectors:
    terms = vectors.terms if isinstance(vectors, TermEmbeddings) else vectors
    assert isinstance(terms, SparseVectors)
    return terms


def test_the_user_gets_what_torch_gives(sparse_checkpoint: Path, tmp_path: Path) -> None:
    report = export_model(sparse_checkpoint, tmp_path / "model", FP32)
    assert json.loads((tmp_path / "model" / "parity.json").read_text()) == report
    theirs = load_model(sparse_checkpoint)
    ours = NEURAL[theirs.kind].load(tmp_path / "model")
    for given, expected in (
        (ours.encode_queries(TEXTS), theirs.encode_queries(TEXTS)),
        (ours.encode_documents(TEXTS), theirs.encode_documents(TEXTS)),
    ):
        left, right = terms_of(given), terms_of(expected)
        np.testing.assert_array_equal(left.indptr, right.indptr)
        np.testing.assert_array_equal(left.indices, right.indices)
        np.testing.assert_allclose(left.values, right.values, atol=1e-5)
        if isinstance(given, TermEmbeddings):
            np.testing.assert_allclose(given.embeddings, expected.embeddings, atol=1e-5)


def test_int8_keeps_every_bound(sparse_checkpoint: Path, tmp_path: Path) -> None:
    report = export_model(sparse_checkpoint, tmp_path / "model")
    assert all(bound["kept"] for bound in report["bounds"])
    measures = [bound["measure"] for bound in report["bounds"]]
    assert "mean overlap of terms" in measures
    checkpoint = Checkpoint.read(sparse_checkpoint)
    embeds = checkpoint.kind == "sparse-embed"
    assert measures.count("largest difference of a weight") == 2
    assert measures.count("largest difference of an embedding") == (2 if embeds else 0)
    assert not ModelInfo.read(tmp_path / "model").batch_dependent
    assert (tmp_path / "model" / QUERY_WEIGHTS).exists() == checkpoint.inference_free


def test_a_table_of_query_weights_travels_with_the_model() -> None:
    table = np.load(FIXTURES / "splade-inference-free" / QUERY_WEIGHTS)
    preparer = TextPreparer.load(FIXTURES / "splade-inference-free")
    assert table.dtype == np.float32
    assert len(table) == preparer.vocabulary_size
    assert table.min() == 0
    markers = preparer.tokenize([""], "query").rows[0]
    assert (table[markers] == 0).all()
    assert not (FIXTURES / "splade" / QUERY_WEIGHTS).exists()


def with_noise(model: Model[Any], path: Path, given: None) -> None:
    """Write a graph with noise in its decoder."""
    write_graph(model, path, given=given)
    graph = onnx.load(str(path))
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.name == "decoder")
    weight = numpy_helper.to_array(tensor)
    noise = np.random.default_rng(0).normal(0, 0.3 * weight.std(), weight.shape)
    tensor.CopyFrom(numpy_helper.from_array((weight + noise).astype(np.float32), tensor.name))
    onnx.save(graph, str(path))


def test_noise_in_the_decoder_fails_and_leaves_nothing(
    sparse_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "write_graph", with_noise)
    with pytest.raises(ParityError, match=r"of a weight is \S+ must be .*, worst for \w+ '"):
        export_model(sparse_checkpoint, tmp_path / "out" / "model")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_encoder_without_a_head_is_its_own_decoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=320, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=48, initializer_range=0.3,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "base")
    tokenizer_json = (FIXTURES / "splade" / "tokenizer.json").read_text()
    (tmp_path / "base" / "tokenizer.json").write_text(tokenizer_json)
    model = Splade.from_base(
        tmp_path / "base", query_terms=8, document_terms=16, query_length=12, document_length=24
    )
    model.save(tmp_path / "checkpoint")
    export_model(tmp_path / "checkpoint", tmp_path / "model", FP32)
    given = RuntimeSplade.load(tmp_path / "model").encode_documents(TEXTS)
    np.testing.assert_array_equal(given.indices, model.encode_documents(TEXTS).indices)


def test_what_int8_costs_is_measured_by_retrieval(tmp_path: Path) -> None:
    (tmp_path / "beir" / "qrels").mkdir(parents=True)
    words = ["river", "stone", "snow", "wolf", "bread", "oil", "moon", "tree"]
    corpus = [json.dumps({"_id": word, "text": f"the {word} by the sea"}) for word in words]
    queries = [json.dumps({"_id": word, "text": f"{word} at the sea"}) for word in words]
    judgements = ["query-id\tcorpus-id\tscore", *(f"{word}\t{word}\t1" for word in words)]
    (tmp_path / "beir" / "corpus.jsonl").write_text("\n".join(corpus))
    (tmp_path / "beir" / "queries.jsonl").write_text("\n".join(queries))
    (tmp_path / "beir" / "qrels" / "dev.tsv").write_text("\n".join(judgements))
    judged = read_judged(tmp_path / "beir", "dev")
    for name in ("splade", "splade-inference-free", "sparse-embed"):
        least, most = judged_loss("a to a", judged, FIXTURES / name, FIXTURES / name, None)
        assert least.figure == -most.figure, "a mean loss of 0"
        assert most.n == len(words)


ENCODE = """
import resource, sys
from glane import Splade
splade = Splade.load(sys.argv[1], threads=1)
vectors = splade.encode_documents(["the river runs to the sea " * 99] * 200)
assert len(vectors) == 200 and splade.encoder.n_truncated["document"] == 200
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_call_on_long_documents_stays_below_a_gigabyte_and_a_half(tmp_path: Path) -> None:
    """200 documents of 512 tokens, 30,522 terms, the shape of BERT-tiny; the logits of one batch
    of all would be 12.5 GB, those of one document 62 MB."""
    config = BertConfig(
        vocab_size=30_522, hidden_size=128, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=512,
    )  # fmt: skip
    checkpoint = Checkpoint(
        kind="splade", dim=0, query_terms=64, document_terms=256, document_length=512
    )
    tokenizer_json = (FIXTURES / "splade" / "tokenizer.json").read_text()
    preparer = TextPreparer(checkpoint, tokenizer_json)
    model = Splade(take_apart(BertForMaskedLM(config)), preparer)
    folder = tmp_path / "model"
    folder.mkdir()
    write_graph(model, tmp_path / "fp32.onnx")
    quantize(tmp_path / "fp32.onnx", folder / "model.onnx")
    checkpoint.write(folder)
    (folder / "tokenizer.json").write_text(tokenizer_json)
    ModelInfo(
        precision="int8", quantization="", batch_dependent=False, batch_effect=0.0, opset=17,
        checkpoint="",
    ).write(folder)  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", ENCODE, str(folder)], capture_output=True, text=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(run.stdout) * unit < 1.5e9
