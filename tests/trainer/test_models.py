"""ColBERT from any base: what is read, what is refused, what is written."""

import json
import pickle
import shutil
import stat
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from glane.errors import CheckpointError
from glane.model.scoring import NO_TOKENS_SCORE
from glane_trainer import ColBERT, principal_projection
from glane_trainer.colbert import score_matrix
from glane_trainer.projection import Layer, principal_directions
from glane_trainer.quiet import Quiet
from glane_trainer.starts import Start, narrowed, new_model
from glane_trainer.weights import write_tensors

TEXTS = ["plants eat light", "", "rivers run to the sea " * 100, "Tea, honey."]


def test_vectors_have_length_one_and_the_asked_width(base: Path) -> None:
    vectors = ColBERT.from_base(base, dim=8).encode_documents(TEXTS)
    assert vectors.values.dtype == np.float32
    assert vectors.dim == 8
    assert np.diff(vectors.offsets).tolist() == [5, 2, 300, 6]
    np.testing.assert_allclose(np.linalg.norm(vectors.values, axis=1), 1, atol=1e-6)


def test_alone_equals_in_a_batch(base: Path) -> None:
    model = ColBERT.from_base(base, dim=8)
    together = model.encode_documents(TEXTS)
    for row, text in enumerate(TEXTS):
        alone = model.encode_documents([text])
        np.testing.assert_allclose(alone.values, together[row : row + 1].values, atol=1e-5)


def test_no_dim_keeps_the_hidden_size_without_a_projection(bert: Path) -> None:
    model = ColBERT.from_base(bert)
    assert (model.projection, model.checkpoint.dim) == (None, 16)


def test_weights_in_bf16_become_float32(modernbert: Path) -> None:
    model = ColBERT.from_base(modernbert)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_load_gives_back_what_save_wrote(base: Path, tmp_path: Path) -> None:
    model = ColBERT.from_base(base, dim=8, query_expansion=True, skip_punctuation=True)
    model.save(tmp_path / "checkpoint")
    loaded = ColBERT.load(tmp_path / "checkpoint")
    assert loaded.checkpoint == model.checkpoint
    for encode in ("encode_queries", "encode_documents"):
        before, after = getattr(model, encode)(TEXTS), getattr(loaded, encode)(TEXTS)
        np.testing.assert_array_equal(before.values, after.values)


def test_transformers_loads_the_checkpoint(base: Path, tmp_path: Path) -> None:
    model = ColBERT.from_base(base, dim=8)
    model.save(tmp_path / "checkpoint")
    with Quiet():
        encoder = AutoModel.from_pretrained(tmp_path / "checkpoint")
    theirs = encoder.state_dict()
    for name, tensor in model.encoder.state_dict().items():
        torch.testing.assert_close(theirs[name], tensor, rtol=0, atol=0)


def test_the_checkpoint_can_be_read_by_others(bert: Path, tmp_path: Path) -> None:
    ColBERT.from_base(bert).save(tmp_path / "checkpoint")
    files = {path.name: path.stat().st_mode for path in (tmp_path / "checkpoint").iterdir()}
    names = ("glane.json", "tokenizer.json", "config.json", "model.safetensors", "modules.json")
    assert set(files) == set(names)
    assert len({stat.S_IMODE(mode) for mode in files.values()}) == 1


def test_save_refuses_a_folder_that_is_there(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match=r"--overwrite \(`overwrite=True`\)"):
        ColBERT.from_base(bert).save(tmp_path)


def test_weights_that_cannot_be_written_are_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"gone/model.safetensors' cannot be written"):
        write_tensors(tmp_path / "gone" / "model.safetensors", {"weight": torch.ones(2)})


def test_sentence_transformers_folders_are_followed_to_their_encoder(
    bert: Path, tmp_path: Path
) -> None:
    shutil.copytree(bert, tmp_path / "0_Transformer")
    modules = [
        {"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    ours, theirs = ColBERT.from_base(bert), ColBERT.from_base(tmp_path)
    np.testing.assert_array_equal(
        ours.encode_queries(TEXTS).values, theirs.encode_queries(TEXTS).values
    )


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_weights_in_a_pickle_of_tensors_are_read(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "base")
    tensors = load_file(tmp_path / "base" / "model.safetensors")
    (tmp_path / "base" / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "base" / "pytorch_model.bin")
    ours, theirs = ColBERT.from_base(bert), ColBERT.from_base(tmp_path / "base")
    np.testing.assert_array_equal(
        ours.encode_queries(TEXTS).values, theirs.encode_queries(TEXTS).values
    )


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_a_pickle_of_code_is_refused_and_never_run(bert: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "base"
    shutil.copytree(bert, folder)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(CheckpointError, match=rf"{name}' is .*pickle|pickle '{name}' is none"):
        ColBERT.from_base(folder)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(bert: Path, tmp_path: Path, file: str) -> None:
    ColBERT.from_base(bert, dim=8).save(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / file).unlink()
    for read in (ColBERT.load, ColBERT.from_base):
        with pytest.raises(CheckpointError, match=file):
            read(tmp_path / "checkpoint")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_damaged_file_is_an_error_of_the_checkpoint(
    bert: Path, tmp_path: Path, file: str
) -> None:
    ColBERT.from_base(bert, dim=8).save(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / file).write_text("damaged")
    for read in (ColBERT.load, ColBERT.from_base):
        with pytest.raises(CheckpointError):
            read(tmp_path / "checkpoint")


def test_missing_weights_are_an_error(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "base")
    path = tmp_path / "base" / "model.safetensors"
    tensors = load_file(path)
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks weights"):
        ColBERT.from_base(tmp_path / "base")


def test_an_unknown_base_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        FileNotFoundError,
        match=r"^'no/such-model' could not be had from the hub \([^()]+\), and there is no folder",
    ):
        ColBERT.from_base("no/such-model")


def test_a_length_above_the_encoders_is_refused(bert: Path) -> None:
    with pytest.raises(CheckpointError, match="document_length is 321"):
        ColBERT.from_base(bert, document_length=321)


def test_a_dim_below_one_is_refused(bert: Path) -> None:
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        ColBERT.from_base(bert, dim=0)


def test_padding_never_lifts_a_score() -> None:
    query = torch.tensor([[[1.0, 0.0]]])
    document = torch.tensor([[[-1.0, 0.0], [-0.6, 0.8], [0.0, 0.0]]])  # the last is padding
    mask = torch.tensor([[True]])
    padded = score_matrix(query, mask, document, torch.tensor([[True, True, False]]))
    plain = score_matrix(query, mask, document[:, :2], torch.tensor([[True, True]]))
    assert padded.item() == plain.item() == pytest.approx(-0.6)


def test_a_document_without_tokens_scores_the_stated_constant() -> None:
    vectors = torch.tensor([[[1.0, 0.0]]])
    yes, no = torch.tensor([[True]]), torch.tensor([[False]])
    assert score_matrix(vectors, yes, vectors, no).item() == NO_TOKENS_SCORE


def test_a_masked_query_token_adds_nothing() -> None:
    query = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    yes = torch.tensor([[True, True]])
    assert score_matrix(query, torch.tensor([[True, False]]), query, yes).item() == 1
    assert score_matrix(query, yes, query, yes).item() == 2


def test_pair_scores_equal_the_matrix(bert: Path) -> None:
    model = ColBERT.from_base(bert, dim=8)
    queries, documents = ["tea", "tea", ""], ["honey", "", "the sea"]
    matrix = model.score(model.encode_queries(queries), model.encode_documents(documents))
    np.testing.assert_allclose(model.scores(queries, documents), np.diag(matrix), atol=1e-5)
    with pytest.raises(ValueError, match="2 queries for 1 documents"):
        model.scores(["tea", "sea"], ["tea"])


def test_no_text_gives_no_vectors(bert: Path) -> None:
    assert len(ColBERT.from_base(bert, dim=8).encode_documents([])) == 0


def test_principal_projection_keeps_dot_products_better_than_chance(bert: Path) -> None:
    model = ColBERT.from_base(bert, dim=8)
    whole = ColBERT.from_base(bert).encode_documents(TEXTS).values
    principal = principal_projection(model, TEXTS).weight.detach().numpy()
    assert isinstance(model.projection, torch.nn.Linear)
    chance = model.projection.weight.detach().numpy()

    def error(weight: np.ndarray) -> float:
        projected = whole @ weight.T
        return float(np.square(projected @ projected.T - whole @ whole.T).mean())

    np.testing.assert_allclose(principal @ principal.T, np.eye(8), atol=1e-5)
    assert error(principal) < error(chance) / 4


@pytest.mark.parametrize("dim", [None, 8])
def test_a_finished_model_is_narrowed_along_its_own_directions(
    bert: Path, tmp_path: Path, dim: int | None
) -> None:
    model = ColBERT.from_base(bert, dim=dim, document_length=9)
    model.save(tmp_path / "wide")
    whole = model.encode_documents(TEXTS)
    turned = narrowed(model, model.dim, TEXTS).encode_documents(TEXTS)
    products = whole.values @ whole.values.T
    np.testing.assert_allclose(turned.values @ turned.values.T, products, atol=1e-5)
    start = Start(dim=3, documents=TEXTS)
    narrow = new_model("colbert", tmp_path / "wide", start, {})
    assert (narrow.checkpoint.dim, narrow.checkpoint.document_length) == (3, 9)
    directions = principal_directions(whole.values, 3)
    expected = whole.values @ directions.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = narrow.encode_documents(TEXTS).values
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)


def test_what_cannot_be_narrowed_is_refused(bert: Path, tmp_path: Path) -> None:
    model = ColBERT.from_base(bert, dim=8)
    with pytest.raises(ValueError, match="a model of 8 dimensions cannot be made 9 wide"):
        narrowed(model, 9, TEXTS)
    model.save(tmp_path / "wide")
    start = Start(dim=4, documents=TEXTS, principal=False)
    with pytest.raises(ValueError, match="random is for a new model, and this one is finished"):
        new_model("colbert", tmp_path / "wide", start, {})
    layer = Layer.of(torch.ones(8, 16), None, "relu", residual=False, residual_weight=None)
    model.projection = torch.nn.Sequential(layer)
    with pytest.raises(ValueError, match="whose projection has layers cannot be made narrower"):
        narrowed(model, 4, TEXTS)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 3))
def test_principal_directions_keep_the_most_of_the_dot_products(
    n_vectors: int, width: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n_vectors, width)).astype(np.float32)
    kept = []
    for dim in range(1, width + 1):
        directions = principal_directions(vectors, dim)
        assert directions.shape == (dim, width)
        assert directions.dtype == np.float32
        np.testing.assert_allclose(directions @ directions.T, np.eye(dim), atol=1e-5)
        kept.append(float(np.square(vectors @ directions.T).sum()))
    assert all(more >= less - 1e-4 for less, more in pairwise(kept))
    largest = np.cumsum(np.square(np.linalg.svd(vectors, compute_uv=False)))
    np.testing.assert_allclose(kept[: len(largest)], largest, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("n_vectors", "dim"), [(0, 2), (3, 0), (3, 5)])
def test_directions_that_are_not_there_are_refused(n_vectors: int, dim: int) -> None:
    with pytest.raises(ValueError, match=f"no {dim} principal directions in 4, of {n_vectors}"):
        principal_directions(np.zeros((n_vectors, 4), np.float32), dim)
