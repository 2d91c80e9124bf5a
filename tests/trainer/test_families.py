"""Families of encoders: what is saved can be loaded, and what is frozen is all that lies below."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers import AutoModel, AutoModelForMaskedLM, PretrainedConfig, PreTrainedModel

from glane.errors import CheckpointError
from glane_trainer import (
    Settings,
    SparseEmbed,
    Splade,
    TrainingData,
    load_model,
    run,
    train,
)
from glane_trainer.optimization import freeze
from glane_trainer.probing import check_encoder
from glane_trainer.state import model_folder
from glane_trainer.virtual import learn
from glane_trainer.weights import position_limit

SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
MARKERS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
XLM: dict[str, Any] = {
    "vocab_size": 64,
    "emb_dim": 16,
    "n_layers": 4,
    "n_heads": 2,
    "max_position_embeddings": 64,
    "pad_index": 0,
}
MODERN = {**SMALL, **MARKERS, "cls_token_id": 2, "sep_token_id": 3}
RELATIVE = {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", SMALL),
    "bert-untied": ("Bert", {**SMALL, "tie_word_embeddings": False}),
    "roberta": ("Roberta", {**SMALL, **MARKERS}),
    "distilbert": (
        "DistilBert",
        {"vocab_size": 64, "dim": 16, "n_layers": 4, "n_heads": 2, "hidden_dim": 32},
    ),
    "electra-narrow": ("Electra", {**SMALL, "embedding_size": 8}),
    "deberta-v2": ("DebertaV2", {**SMALL, **RELATIVE}),
    "deberta": ("Deberta", {**SMALL, "relative_attention": True, "pos_att_type": ["p2c"]}),
    "deberta-own-head": ("Deberta", {**SMALL, "legacy": False}),
    "deberta-v2-own-head": ("DebertaV2", {**SMALL, **RELATIVE, "legacy": False}),
    "mpnet": ("MPNet", SMALL),
    "albert": ("Albert", {**SMALL, "embedding_size": 8}),
    "albert-two-groups": ("Albert", {**SMALL, "embedding_size": 8, "num_hidden_groups": 2}),
    "modernbert": ("ModernBert", MODERN),
    "modernbert-no-bias": ("ModernBert", {**MODERN, "decoder_bias": False}),
    "nomic-bert": ("NomicBert", SMALL),
    "eurobert": ("EuroBert", {**SMALL, **MARKERS}),
    "eurobert-tied": ("EuroBert", {**SMALL, **MARKERS, "tie_word_embeddings": True}),
    "xlm": ("XLM", XLM),
    "flaubert": ("Flaubert", XLM),
}


def config_of(name: str) -> PretrainedConfig:
    family, options = FAMILIES[name]
    config: PretrainedConfig = getattr(transformers, f"{family}Config")(**options)
    return config


def random_model(config: PretrainedConfig, auto: Any = AutoModel) -> PreTrainedModel:  # noqa: ANN401
    model: PreTrainedModel = auto.from_config(config)
    return model


@pytest.fixture
def masked_base(tmp_path: Path, tokenizer_json: str) -> Callable[[PretrainedConfig], Path]:
    """Write a random masked language model."""

    def write(config: PretrainedConfig) -> Path:
        torch.manual_seed(5)
        folder = tmp_path / "base"
        random_model(config, AutoModelForMaskedLM).save_pretrained(folder)
        (folder / "tokenizer.json").write_text(tokenizer_json)
        return folder

    return write


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_saved_of_a_masked_model_can_be_loaded(
    masked_base: Callable[[PretrainedConfig], Path], tmp_path: Path, name: str
) -> None:
    base = masked_base(config_of(name))
    lengths: dict[str, Any] = {"query_length": 8, "document_length": 16}
    for kind in (Splade, SparseEmbed):
        model = kind.from_base(base, query_terms=4, document_terms=8, **lengths)
        assert model.head is not None
        with torch.no_grad():  # a bias that was added begins at 0: a lost one would not be seen
            model.decoder.bias.add_(torch.rand_like(model.decoder.bias))
        batch = model.preparer.encode(["tea grows on hills", ""], "document")
        for number in range(2):
            model.save(tmp_path / f"{kind.kind}-{number}")
            loaded = load_model(tmp_path / f"{kind.kind}-{number}")
            assert isinstance(loaded, kind)
            assert loaded.state_dict().keys() == model.state_dict().keys()
            for key, tensor in model.state_dict().items():
                torch.testing.assert_close(loaded.state_dict()[key], tensor, rtol=0, atol=0)
            torch.testing.assert_close(
                loaded.weights(batch, "document"), model.weights(batch, "document")
            )
            model = loaded


@pytest.mark.parametrize(
    ("family", "more"),
    [("MobileBert", {"embedding_size": 8}), ("Esm", {"pad_token_id": 0, "mask_token_id": 4})],
)
def test_a_head_that_is_not_three_pieces_is_refused(
    masked_base: Callable[[PretrainedConfig], Path], family: str, more: dict[str, Any]
) -> None:
    config = getattr(transformers, f"{family}Config")(**SMALL, **more)
    with pytest.raises(CheckpointError, match=f"head of a {family}ForMaskedLM does not end with"):
        Splade.from_base(masked_base(config), query_length=8, document_length=16)


def owners(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules that have weights of their own."""
    return (inner for inner in module.modules() if any(True for _ in inner.parameters(False)))


def called(encoder: PreTrainedModel) -> dict[nn.Module, list[int]]:
    """Return at which places of a forward pass each module with weights is called.

    Left out is MPNet's table of relative positions: it is called once, for all layers.
    """
    places: dict[nn.Module, list[int]] = {}
    clock = iter(range(1 << 20))

    def note(module: nn.Module, *_: object) -> None:
        places.setdefault(module, []).append(next(clock))

    of_all_layers = getattr(getattr(encoder, "encoder", None), "relative_attention_bias", None)
    watched = [module for module in owners(encoder) if module is not of_all_layers]
    hooks = [module.register_forward_pre_hook(note) for module in watched]
    ids = torch.tensor([[2, 7, 9, 3]])
    encoder.train(False)(input_ids=ids, attention_mask=torch.ones_like(ids))
    for hook in hooks:
        hook.remove()
    return places


@pytest.mark.parametrize("name", FAMILIES)
def test_all_below_the_first_trained_layer_is_frozen_and_nothing_above(name: str) -> None:
    encoder = random_model(config_of(name))
    frozen = {id(inner) for module in freeze(encoder, None) for inner in module.modules()}
    places = called(encoder)
    moved = [m for m in places if any(p.requires_grad for p in m.parameters(False))]
    first = min(place for module in moved for place in places[module])
    still = [m for m in owners(encoder) if id(m) in frozen]
    assert not encoder.get_input_embeddings().weight.requires_grad
    assert max(place for module in still for place in places.get(module, [0])) < first
    assert all(id(m) in frozen for m in places if max(places[m]) < first)
    assert all(not p.requires_grad for module in still for p in module.parameters(False))


def test_layers_that_share_their_weights_are_frozen_together() -> None:
    whole = random_model(config_of("albert"))
    assert freeze(whole, 0) == []
    assert all(p.requires_grad for p in whole.parameters())
    with pytest.raises(ValueError, match="every 4 layers of this encoder share their weights"):
        freeze(whole, 2)
    freeze(whole, 4)
    trained = {name for name, p in whole.named_parameters() if p.requires_grad}
    assert all(name.startswith("pooler") for name in trained)
    half = random_model(config_of("albert-two-groups"))
    freeze(half, None)
    groups = [half.get_submodule(f"encoder.albert_layer_groups.{number}") for number in range(2)]
    assert [any(p.requires_grad for p in group.parameters()) for group in groups] == [False, True]


def test_layers_and_embeddings_that_cannot_be_found_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = random_model(config_of("bert"))
    encoder.config.num_hidden_layers = 3
    for n_layers in (None, 1):
        with pytest.raises(ValueError, match="layers of a BertModel cannot be found"):
            freeze(encoder, n_layers)
    assert freeze(encoder, 0) == []
    encoder = random_model(config_of("bert"))
    monkeypatch.setattr(encoder, "get_input_embeddings", lambda: nn.Embedding(4, 4))
    with pytest.raises(ValueError, match="embeddings of a BertModel cannot be found"):
        freeze(encoder, None)


def test_a_bias_that_a_former_version_could_not_read_is_read(
    masked_base: Callable[[PretrainedConfig], Path], tmp_path: Path
) -> None:
    """Finished trainings of such models are on disk, with this very name."""
    from safetensors.torch import load_file

    base = masked_base(config_of("eurobert"))
    Splade.from_base(base, query_length=8, document_length=16).save(tmp_path / "out")
    assert "lm_head.bias" in load_file(tmp_path / "out" / "model.safetensors")
    shutil.rmtree(base)
    assert isinstance(load_model(tmp_path / "out"), Splade)


def interrupted(*arguments: Any) -> dict[str, float]:  # noqa: ANN401
    """Press Ctrl-C, and learn from the batch all the same."""
    signal.raise_signal(signal.SIGINT)
    return learn(*arguments)


OWN_DECODERS = ("eurobert", "eurobert-tied", "modernbert-no-bias", "deberta-v2-own-head")


@pytest.mark.parametrize("name", OWN_DECODERS)
def test_a_training_of_any_decoder_is_resumed(
    masked_base: Callable[[PretrainedConfig], Path],
    data: TrainingData,
    tmp_path: Path,
    name: str,
) -> None:
    base, settings = masked_base(config_of(name)), Settings(max_steps=2, batch_size=4, save_steps=0)
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    model = Splade.from_base(base, query_length=8, document_length=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "learn", interrupted)
        with pytest.raises(
            KeyboardInterrupt, match=r'--resume \(`mode="resume"`\) goes on from there'
        ):
            train(model, data, parts, settings)
    train(load_model(model_folder(parts)), data, parts, settings, mode="resume")
    train(Splade.from_base(base, query_length=8, document_length=16), data, whole, settings)
    first, second = (folder / "model.safetensors" for folder in (parts, whole))
    assert first.read_bytes() == second.read_bytes()


def test_positions_are_counted_from_behind_the_padding() -> None:
    for pad, limit in ((1, 62), (4, 59), (0, 63)):
        for family in ("Roberta", "RobertaPreLayerNorm", "XLMRoberta", "Camembert", "MPNet"):
            config = getattr(transformers, f"{family}Config")(**{**SMALL, "pad_token_id": pad})
            found = position_limit(random_model(config))
            assert found == (62 if family == "MPNet" else limit), (family, pad)
    assert position_limit(random_model(config_of("bert"))) == 64
    config = transformers.T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=16, num_layers=1)
    assert position_limit(transformers.T5EncoderModel(config)) is None


def test_weights_that_give_no_numbers_are_refused() -> None:
    encoder = random_model(config_of("bert"))
    with torch.no_grad():
        encoder.get_parameter("encoder.layer.0.output.dense.bias").fill_(torch.nan)
    with pytest.raises(CheckpointError, match="BertModel are not finite; are its weights damaged"):
        check_encoder(encoder)


def test_an_encoder_without_a_vector_for_each_token_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = random_model(config_of("bert"))
    encoder.config.hidden_size = 8
    with pytest.raises(CheckpointError, match=r"gives \(1, 5, 16\) numbers for 5 tokens"):
        check_encoder(encoder)
    monkeypatch.setattr(encoder, "forward", lambda **_: None)
    with pytest.raises(CheckpointError, match=r"BertModel cannot be used: .* it fails"):
        check_encoder(encoder)
