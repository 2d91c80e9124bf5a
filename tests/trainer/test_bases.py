"""What a base is found to be, what is taken over, and what is refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from glane.commands.main import main
from glane.errors import CheckpointError
from glane.model.checkpoint import Checkpoint
from glane_trainer import ColBERT, SparseEmbed, Splade
from glane_trainer.bases.finding import find_base
from glane_trainer.bases.pickles import read_pickle
from glane_trainer.models import open_model
from glane_trainer.projection import ACTIVATIONS, Layer, linear, restored, spelled

TEXTS = ["tea grows on hills", "", "birds sing, bees make honey."]

Change = Callable[[dict[str, Any]], None]


def write_json(path: Path, record: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")


def edit_json(path: Path, **changes: object) -> None:
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | changes)


@pytest.fixture
def pylate(bert: Path, tmp_path: Path) -> Path:
    """A folder as PyLate writes it, with two dense layers."""
    folder = tmp_path / "pylate"
    shutil.copytree(bert, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["[Q] ", "[D] "])
    tokenizer.save(str(folder / "tokenizer.json"))
    grow(folder, tokenizer.get_vocab_size())
    names = ("sentence_transformers.models.Transformer", *["pylate.models.Dense.Dense"] * 2)
    paths = ("", "1_Dense", "2_Dense")
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": name}
        for i, (path, name) in enumerate(zip(paths, names, strict=True))
    ]
    write_json(folder / "modules.json", modules)
    settings = {"query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 9}
    write_json(folder / "config_sentence_transformers.json", settings | {"prompts": {}})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 99})
    torch.manual_seed(1)
    layer(folder / "1_Dense", 16, 12, bias=True, activation="torch.nn.modules.activation.GELU")
    layer(folder / "2_Dense", 12, 8, bias=False, activation="torch.nn.modules.linear.Identity")
    return folder


def grow(folder: Path, n_entries: int) -> None:
    """Give an encoder rows for further entries of its tokenizer."""
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("word_embeddings.weight"))
    n_rows, width = tensors[name].shape
    if n_entries > n_rows:
        tensors[name] = torch.cat([tensors[name], torch.randn(n_entries - n_rows, width)])
        edit_json(folder / "config.json", vocab_size=n_entries)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def layer(folder: Path, n_in: int, n_out: int, *, bias: bool, activation: str) -> None:
    record = {"in_features": n_in, "out_features": n_out, "bias": bias, "use_residual": False}
    write_json(folder / "config.json", record | {"activation_function": activation})
    tensors = {"linear.weight": torch.randn(n_out, n_in)}
    if bias:
        tensors["linear.bias"] = torch.randn(n_out)
    save_file(tensors, folder / "model.safetensors")


def test_a_finished_model_is_taken_with_all_that_is_its_own(
    pylate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ColBERT.from_base(pylate)
    told = capsys.readouterr().err
    assert told.startswith(f"{pylate}: a ColBERT of PyLate; query_length 9, document_length 180")
    assert told.count("\n") == 1
    checkpoint = model.checkpoint
    assert (checkpoint.dim, checkpoint.query_prefix, checkpoint.query_length) == (8, "[Q] ", 9)
    assert (checkpoint.query_expansion, checkpoint.skip_punctuation) == (True, True)
    assert checkpoint.projection_layers == ["gelu", "identity"]
    first, second = (load_file(pylate / f"{n}_Dense" / "model.safetensors") for n in (1, 2))
    batch = model.preparer.encode(TEXTS, "document")
    ids, attention, _ = model.placed(batch)
    with torch.inference_mode():
        hidden = model.hidden(ids, attention)
        inner = torch.nn.functional.gelu(hidden @ first["linear.weight"].T + first["linear.bias"])
        expected = torch.nn.functional.normalize(inner @ second["linear.weight"].T, dim=-1)
        torch.testing.assert_close(model(ids, attention), expected)
    model.save(tmp_path / "checkpoint")
    loaded = ColBERT.load(tmp_path / "checkpoint")
    values = model.encode_queries(TEXTS).values
    np.testing.assert_array_equal(loaded.encode_queries(TEXTS).values, values)
    staged = ColBERT.from_base(tmp_path / "checkpoint")
    np.testing.assert_array_equal(staged.encode_queries(TEXTS).values, values)
    np.testing.assert_array_equal(open_model(pylate).encode_queries(TEXTS).values, values)


def test_rules_that_contradict_the_base_are_told_and_win(
    pylate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ColBERT.from_base(pylate, query_length=12, skip_punctuation=True)
    assert model.checkpoint.query_length == 12
    *_, told = capsys.readouterr().err.splitlines()
    assert told == f"--query-length 12 was asked for, and {pylate} has 9"
    with pytest.raises(ValueError, match="is 8, got 4; leave it out"):
        ColBERT.from_base(pylate, dim=4)


def test_another_kind_takes_the_encoder_alone_and_says_so(
    pylate: Path, bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Splade.from_base(pylate)
    assert "a ColBERT of PyLate; of it a splade takes the encoder alone" in capsys.readouterr().err
    plain = Splade.from_base(bert)
    assert model.checkpoint.query_prefix == plain.checkpoint.query_prefix == ""
    assert model.checkpoint.query_length == plain.checkpoint.query_length


def drop(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def edit(name: str, **changes: object) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / name, **changes)


def add_tensor(name: str, tensor: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / name)
        save_file(tensors | {tensor: torch.ones(2)}, folder / name, metadata={"format": "pt"})

    return change


TOP = "config_sentence_transformers.json"
REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (edit(TOP, querry_length=3), r"does not pass over: \['querry_length'\]"),
    (edit(TOP, query_length="9"), "query_length must be a number from 1, got '9'"),
    (edit(TOP, skiplist_words="the"), "skiplist_words must be a list of strings"),
    (edit(TOP, query_prefix="[M] "), r"has no token '\[M\] ', its query_prefix"),
    (edit("1_Dense/config.json", dropout=0.1), r"does not pass over: \['dropout'\]"),
    (edit("1_Dense/config.json", activation_function="torch.nn.Softmax"), "'softmax' is not known"),
    (edit("1_Dense/config.json", activation_function="mine.Act"), "'mine.Act' is not known"),
    (edit("1_Dense/config.json", module_input_name="sentence_embedding"), "can only do 'token_em"),
    (edit("1_Dense/config.json", bias=False), "does not fit the weights beside it"),
    (edit("2_Dense/config.json", use_residual=True), "the weights of the residual do not fit"),
    (edit("sentence_bert_config.json", tokenizer_name_or_path="x"), "tokenizer_name_or_path"),
    (edit("sentence_bert_config.json", processing_kwargs={"text": {}}), "processing_kwargs"),
    (add_tensor("model.safetensors", "adapter.weight"), r"not understood.*\['adapter.weight'\]"),
    (add_tensor("1_Dense/model.safetensors", "scale"), r"unknown weights: \['scale'\]"),
    (drop("2_Dense/model.safetensors"), "neither model.safetensors nor pytorch_model.bin"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_is_not_understood_is_refused(
    pylate: Path, change: Callable[[Path], None], message: str
) -> None:
    change(pylate)
    with pytest.raises(CheckpointError, match=message):
        ColBERT.from_base(pylate)


@pytest.mark.parametrize(
    ("type", "message"),
    [
        ("mine.Head", "code that comes with the model"),
        ("sentence_transformers.models.LSTM", "LSTM"),
        ("", "without a type"),
    ],
)
def test_a_module_without_a_counterpart_is_refused(
    bert: Path, tmp_path: Path, type: str, message: str
) -> None:
    shutil.copytree(bert, tmp_path / "base")
    first = {"path": "", "type": "sentence_transformers.models.Transformer"}
    write_json(tmp_path / "base" / "modules.json", [first, {"path": "1_Own", "type": type}])
    with pytest.raises(CheckpointError, match=message):
        find_base(tmp_path / "base")


def test_the_tensors_of_a_known_head_are_passed_over(bert_mlm: Path, tmp_path: Path) -> None:
    shutil.copytree(bert_mlm, tmp_path / "base")
    path = tmp_path / "base" / "model.safetensors"
    tensors = load_file(path)
    tensors["cls.seq_relationship.weight"] = torch.ones(2, 16)
    tensors["bert.embeddings.position_ids"] = torch.arange(5)
    save_file(tensors, path, metadata={"format": "pt"})
    model, plain = ColBERT.from_base(tmp_path / "base"), ColBERT.from_base(bert_mlm)
    np.testing.assert_array_equal(
        model.encode_queries(TEXTS).values, plain.encode_queries(TEXTS).values
    )


@pytest.mark.parametrize("free", [False, True])
def test_splade_is_trained_in_stages(free: bool, bert_mlm: Path, tmp_path: Path) -> None:
    model = Splade.from_base(bert_mlm, inference_free=free, query_terms=7)
    with torch.no_grad():
        model.decoder.bias.add_(0.5)
        if model.query_weights is not None:
            model.query_weights.mul_(3)
    model.save(tmp_path / "first")
    again = Splade.from_base(tmp_path / "first")
    assert again.checkpoint.query_terms == 7
    for encode in ("encode_queries", "encode_documents"):
        ours, theirs = getattr(model, encode)(TEXTS), getattr(again, encode)(TEXTS)
        np.testing.assert_array_equal(ours.values, theirs.values)


def test_sparse_embed_is_trained_in_stages(bert_mlm: Path, tmp_path: Path) -> None:
    model = SparseEmbed.from_base(bert_mlm, dim=4, seed=3, document_length=9)
    model.save(tmp_path / "first")
    again = SparseEmbed.from_base(tmp_path / "first")
    assert (again.checkpoint.dim, again.checkpoint.document_length) == (4, 9)
    ours, theirs = model.encode_documents(TEXTS), again.encode_documents(TEXTS)
    np.testing.assert_array_equal(ours.embeddings, theirs.embeddings)
    with pytest.raises(ValueError, match="is 4, got 8; leave it out"):
        SparseEmbed.from_base(tmp_path / "first", dim=8)


def test_a_dense_models_prompts_are_taken(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "base")
    prompts = {"query": "query: ", "passage": "passage: "}
    write_json(tmp_path / "base" / TOP, {"prompts": prompts, "default_prompt_name": None})
    types = ["Transformer", "Pooling", "Dense"]
    modules = [
        {"path": "" if n == 0 else f"{n}_{type}", "type": f"sentence_transformers.models.{type}"}
        for n, type in enumerate(types)
    ]
    write_json(tmp_path / "base" / "modules.json", modules)
    found = find_base(tmp_path / "base")
    assert found.kind is None
    assert "its Dense behind the pooling is not for tokens, and not taken" in found.told("colbert")
    checkpoint = ColBERT.from_base(found).checkpoint
    assert (checkpoint.query_prompt, checkpoint.document_prompt) == ("query: ", "passage: ")
    assert ColBERT.from_base(found, query_prompt="").checkpoint.query_prompt == ""
    with pytest.raises(CheckpointError, match="an encoder, and no finished model; make one of it"):
        open_model(tmp_path / "base")


def test_a_folder_of_others_is_told_what_to_do(
    pylate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    advice = f"make a model of it with `glane export {pylate} MODEL`"
    with pytest.raises(CheckpointError, match="looks like a model of sentence-transformers"):
        ColBERT.load(pylate)
    assert main(["info", str(pylate)]) == 1
    assert advice in capsys.readouterr().err
    ColBERT.from_base(pylate).save(tmp_path / "checkpoint")
    documents = tmp_path / "documents.jsonl"
    documents.write_text('{"_id": "a", "text": "tea"}\n', encoding="utf-8")
    index = ["index", str(tmp_path / "index"), "--documents", str(documents), "--retriever", "bm25"]
    assert main([*index, "--reranker", str(tmp_path / "checkpoint")]) == 1
    assert "it is a checkpoint: make a model of it with `glane export" in capsys.readouterr().err


def test_a_pickle_of_other_things_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2), "step": 3}, tmp_path / "linear.pt")
    with pytest.raises(CheckpointError, match=r"more than tensors: \['step'\]"):
        read_pickle(tmp_path / "linear.pt")
    (tmp_path / "linear.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is damaged"):
        read_pickle(tmp_path / "linear.pt")


def test_layers_worked_by_hand() -> None:
    x = torch.tensor([[1.0, -2.0]])
    weight, bias = torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.tensor([0.5, 0.0])
    plain = Layer.of(weight, bias, "relu", residual=False, residual_weight=None)
    assert plain(x).tolist() == [[0.0, 0.0]]
    added = Layer.of(weight, bias, "identity", residual=True, residual_weight=None)
    assert added(x).tolist() == [[0.5, -4.0]]
    narrow = Layer.of(
        weight[:1], None, "identity", residual=True, residual_weight=torch.tensor([[0.0, 3.0]])
    )
    assert narrow(x).tolist() == [[-7.0]]
    assert spelled([plain, added]) == ["relu", "identity residual"]
    assert spelled([Layer(linear(weight), "identity", adds_input=False, residual=None)]) == []


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_every_activation_comes_back(name: str) -> None:
    torch.manual_seed(0)
    made = Layer.of(
        torch.randn(3, 4), torch.randn(3), name, residual=True, residual_weight=torch.randn(3, 4)
    )
    whole = torch.nn.Sequential(made)
    tensors = {f"projection.{key}": value for key, value in whole.state_dict().items()}
    again = restored(spelled([made]), tensors)
    x = torch.randn(5, 4)
    assert again is not None
    assert not tensors
    torch.testing.assert_close(again(x), whole(x))
    own = getattr(torch.nn, ACTIVATIONS[name].__name__)()
    torch.testing.assert_close(made(x), own(made.linear(x)) + made.residual(x))  # type: ignore[misc]


def test_a_projection_that_lacks_a_layer_is_refused(pylate: Path, tmp_path: Path) -> None:
    ColBERT.from_base(pylate).save(tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / "model.safetensors"
    tensors = load_file(path)
    del tensors["projection.1.linear.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="layer 1 of its projection are missing"):
        ColBERT.load(tmp_path / "checkpoint")


def test_lengths_of_the_base_are_not_more_than_its_encoder_reads(pylate: Path) -> None:
    edit_json(pylate / TOP, document_length=4096)
    model = ColBERT.from_base(pylate)
    assert model.checkpoint.document_length == 320
    with pytest.raises(CheckpointError, match="document_length is 321"):
        ColBERT.from_base(pylate, document_length=321)


def test_the_checkpoint_records_its_base(pylate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["train", "colbert", "--base", str(pylate), "--max-steps", "0"]
    assert main([*arguments, "--out", str(out), "--no-query-expansion"]) == 0
    checkpoint = Checkpoint.read(out)
    assert (checkpoint.base, checkpoint.query_expansion) == (str(pylate), False)
