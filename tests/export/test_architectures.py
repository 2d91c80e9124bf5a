"""Every family of encoders through the whole chain: base, training, checkpoint, export, search."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tests.export.families import FAMILIES, N_VOCABULARY, REFUSED, Precision, write_family
from transformers import AutoTokenizer

from glane.errors import CheckpointError, ParityError
from glane.retrievers.neural import Neural
from glane.retrievers.registry import NEURAL
from glane_export import ExportSettings, export_model
from glane_export.quantize import quantize
from glane_export.texts import ORDINARY
from glane_trainer import (
    ColBERT,
    Settings,
    SparseEmbed,
    Splade,
    TrainingData,
    load_model,
    read_data,
    train,
)
from glane_trainer.model import Model
from glane_trainer.quiet import Quiet
from glane_trainer.weights import position_limit

TEXTS = ["how do plants eat light", "", "?!", "Ünïcode Straße 検索", "UPPER Case 123", ORDINARY[-1]]
LENGTHS: dict[str, Any] = {"query_length": 12, "document_length": 24}
TERMS: dict[str, Any] = {"query_terms": N_VOCABULARY, "document_terms": N_VOCABULARY}
"""All: of a random model nearly every term is active, with nearly equal weights, and a smaller
number would be a choice among equals (`docs/architectures.md` has figures)."""

SETTINGS = Settings(max_steps=1, batch_size=4, save_steps=0)
FEW = list(ORDINARY[:20])

HEADS = ("bert", "modernbert", "albert", "rembert", "deberta-v3-own-head", "eurobert", "t5")
"""One family of each kind of decoder: SparseEmbed is exported with these."""


LIKE_OTHERS = ("bert-pad-4", "ernie", "camembert", "t5-encoder", "mt5", "llama", "mistral")
"""Their last layers, or those of another family here, are the same code: terms come once."""


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(family: str, tmp_path: Path) -> Path:
    """A folder as transformers saves it."""
    with Quiet():
        write_family(FAMILIES[family], tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    """Four examples."""
    rows = [f"{ORDINARY[i]}\t{ORDINARY[i + 4]}\t{ORDINARY[i + 8]}" for i in range(4)]
    (tmp_path / "data.tsv").write_text("\n".join(["anchor\tpositive\tnegative", *rows]))
    return read_data(tmp_path / "data.tsv", holdout=0)


def walk(
    model: Model[Any], data: TrainingData, folder: Path, precision: Precision
) -> Neural[Any, Any]:
    """Train a step, save, load, export, and return what the runtime loads."""
    train(model, data, folder / "checkpoint", SETTINGS)
    loaded = load_model(folder / "checkpoint")
    for key, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], tensor, rtol=0, atol=0)
    settings = ExportSettings(texts=FEW, quantize=precision, threads=1)
    export_model(folder / "checkpoint", folder / "model", settings)
    return NEURAL[model.kind].load(folder / "model", threads=1)


def search(retriever: Neural[Any, Any], checkpoint: Path) -> None:
    """Search for texts with what was exported: the first hit is torch's, or as good."""
    texts = list(ORDINARY[:12])
    retriever.add(retriever.encode_documents(texts))
    hits = retriever.search(retriever.encode_queries(texts), k=3)
    model = load_model(checkpoint)
    scores = model.score(model.encode_queries(texts), model.encode_documents(texts))
    found = np.take_along_axis(scores, hits.ids[:, :1], 1)[:, 0]
    assert (found >= 0.97 * scores.max(1)).all()


def test_token_vectors_of_every_family(
    family: str, base: Path, data: TrainingData, tmp_path: Path
) -> None:
    kind = FAMILIES[family]
    plain = ColBERT.from_base(base, **LENGTHS)
    rows = [row.tolist() for row in plain.preparer.tokenize(TEXTS, "document").rows]
    with Quiet():
        tokenizer = AutoTokenizer.from_pretrained(base)
        reference = getattr(transformers, kind.reader).from_pretrained(base).eval()
    assert rows == tokenizer(TEXTS, truncation=True, max_length=24)["input_ids"]
    vectors = plain.encode_documents(TEXTS)
    for number, row in enumerate(rows):
        if not row:
            continue
        with torch.no_grad():
            hidden = reference(
                input_ids=torch.tensor([row]), attention_mask=torch.ones(1, len(row)).long()
            ).last_hidden_state[0]
        expected = torch.nn.functional.normalize(hidden, dim=-1).numpy()
        np.testing.assert_allclose(vectors[number : number + 1].values, expected, atol=5e-6)
    model = ColBERT.from_base(base, dim=16, **LENGTHS)
    search(walk(model, data, tmp_path, kind.precision), tmp_path / "checkpoint")
    if kind.precision == "none":
        with pytest.raises(ParityError, match="share of products in int8"):
            export_model(tmp_path / "checkpoint", tmp_path / "int8", ExportSettings(texts=FEW))


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - set(LIKE_OTHERS)), indirect=True)
def test_terms_of_every_family(family: str, base: Path, data: TrainingData, tmp_path: Path) -> None:
    kind = FAMILIES[family]
    model = Splade.from_base(base, **LENGTHS, **TERMS)
    if model.head is not None:
        with Quiet():
            reference = transformers.AutoModelForMaskedLM.from_pretrained(base).eval()
        rows = model.preparer.tokenize(TEXTS, "document").rows
        weights = model.encode_documents(TEXTS)
        for number, row in enumerate(rows):
            ids = torch.from_numpy(row)[None].long()
            with torch.no_grad():
                logits = reference(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
            expected = torch.log1p(torch.relu(logits.amax(0))).numpy()
            found, text = np.zeros_like(expected), weights[number : number + 1]
            found[text.indices] = text.values
            atol = 1e-6 * max(5.0, float(logits.abs().max()))  # float32's error grows with them
            np.testing.assert_allclose(found, expected, atol=atol)
    search(walk(model, data, tmp_path, kind.precision), tmp_path / "checkpoint")


@pytest.mark.parametrize("family", HEADS, indirect=True)
def test_embedded_terms_of_every_kind_of_head(
    family: str, base: Path, data: TrainingData, tmp_path: Path
) -> None:
    model = SparseEmbed.from_base(base, dim=8, query_terms=16, document_terms=32, **LENGTHS)
    search(walk(model, data, tmp_path, "none"), tmp_path / "checkpoint")
    share = quantize(tmp_path / "model" / "model.onnx", tmp_path / "int8.onnx")
    assert share.n_int8 == share.n_products > 0  # int8's bounds: `TERMS`


def test_the_limit_of_positions_is_real(family: str, base: Path) -> None:
    limit = position_limit(ColBERT.from_base(base, **LENGTHS).encoder)
    if limit is None:
        assert family in ("t5", "t5-encoder", "mt5")
        return
    text = [" ".join(ORDINARY)]
    model = ColBERT.from_base(base, query_length=12, document_length=limit)
    assert len(model.encode_documents(text).values) == limit
    with pytest.raises(CheckpointError, match=f"the encoder reads {limit} tokens"):
        ColBERT.from_base(base, query_length=12, document_length=limit + 1)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kind", [ColBERT, Splade])
def test_what_cannot_be_served_is_refused_before_anything_is_trained(
    name: str, kind: type[ColBERT | Splade], tmp_path: Path
) -> None:
    family, words = REFUSED[name]
    with Quiet():
        write_family(family, tmp_path / "base")
    with pytest.raises(CheckpointError, match=words) as caught:
        kind.from_base(tmp_path / "base", **LENGTHS)
    assert "\n" not in str(caught.value)
