"""LoRA: narrow factors beside an encoder's matrices, against what they are defined to give."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from glane.commands.main import main
from glane_trainer import (
    ColBERT,
    Settings,
    SparseEmbed,
    Splade,
    TrainingData,
    adapters,
    load_model,
    run,
    train,
)
from glane_trainer.model import Model
from glane_trainer.optimization import weights
from glane_trainer.state import model_folder
from glane_trainer.virtual import learn

if find_spec("peft") is None:
    if os.environ.get("GLANE_REQUIRE_TORCH") == "1":
        raise ModuleNotFoundError("GLANE_REQUIRE_TORCH is set, but peft is not installed")
    pytest.skip("the extra `lora` is not installed", allow_module_level=True)

SETTINGS = Settings(
    epochs=2, batch_size=4, learning_rate=2e-2, freeze_layers=0, lora=2, save_steps=3
)

NEW: dict[str, Callable[[Path], Model[Any]]] = {
    "colbert": lambda bert: ColBERT.from_base(bert, dim=8),
    "splade": lambda bert: Splade.from_base(bert, document_terms=16),
    "sparse-embed": lambda bert: SparseEmbed.from_base(bert, dim=8, document_terms=16),
}


def adapted(bert: Path, rank: int) -> ColBERT:
    """Return a model with factors that are no longer 0."""
    model = ColBERT.from_base(bert, dim=8)
    torch.manual_seed(0)
    adapters.adapt(model, rank)
    with torch.no_grad():
        for factor in adapters.factors(model.encoder).values():
            factor.normal_(std=0.3)
    return model


def trained_last(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of the last step of a run."""
    last = folder / "last"
    return weights(load_model(last if last.is_dir() else folder))


def train_until(step: int, *arguments: Any) -> None:  # noqa: ANN401
    """Train, and break off within a step."""
    numbers = count(1)

    def broken(*given: Any) -> dict[str, float]:  # noqa: ANN401
        if next(numbers) == step:
            raise KeyboardInterrupt
        return learn(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "learn", broken)
        with pytest.raises(KeyboardInterrupt, match="goes on from the last checkpoint"):
            train(*arguments)


def assert_alike(folder: Path, other: Path) -> None:
    for name in ("model.safetensors", "evaluations.jsonl"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


def test_factors_add_their_product_to_each_matrix(bert: Path) -> None:
    plain, model = ColBERT.from_base(bert, dim=8), adapted(bert, rank=3)
    factors = adapters.factors(model.encoder)
    before, after = weights(plain), weights(model)
    assert list(after) == list(before), "an adapted model has the names of a plain one"
    linear = [name for name, part in plain.encoder.named_modules() if isinstance(part, nn.Linear)]
    assert len(factors) == 2 * len(linear) > 0
    for name in before:
        module = name.removeprefix("encoder.").removesuffix(".weight")
        expected = before[name]
        if module in linear:
            down = factors[f"{module}.lora_A.default.weight"]
            up = factors[f"{module}.lora_B.default.weight"]
            assert down.shape[0] == up.shape[1] == 3
            expected = expected + 2 * up.detach() @ down.detach()
        torch.testing.assert_close(after[name], expected)


def test_what_is_merged_gives_the_same(bert: Path, tmp_path: Path) -> None:
    model = adapted(bert, rank=2).eval()
    texts = ["plants eat light", "iron rusts", ""]
    before = model.encode_documents(texts).values
    model.save(tmp_path / "adapted")
    adapters.merge(model.encoder)
    assert not adapters.factors(model.encoder)
    torch.testing.assert_close(model.encode_documents(texts).values, before, rtol=1e-5, atol=1e-5)
    loaded = load_model(tmp_path / "adapted")
    for name, tensor in weights(model).items():
        torch.testing.assert_close(weights(loaded)[name], tensor)


def test_a_plain_encoder_is_left_alone_by_a_merge(bert: Path) -> None:
    model = ColBERT.from_base(bert, dim=8)
    before = weights(model)
    adapters.merge(model.encoder)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(model).items())


@pytest.mark.parametrize("kind", NEW)
def test_only_the_factors_of_an_encoder_are_trained(
    kind: str, bert: Path, data: TrainingData, tmp_path: Path
) -> None:
    model = NEW[kind](bert)
    before = weights(model)
    train(model, data, tmp_path / "out", replace(SETTINGS, start_share=0.0))
    after = trained_last(tmp_path / "out")
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    inside = {name for name in before if name.startswith("encoder.")}
    for name in before:
        is_matrix = name in inside and before[name].ndim == 2 and "embeddings" not in name
        assert (name in changed) == (is_matrix or name.startswith("projection.")), name
        if name in changed & inside:
            assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-4) <= 2
    assert not adapters.factors(model.encoder), "what is given back is a plain model"
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_resumed_run_gives_the_bits_of_one_that_was_not_interrupted(
    bert: Path, data: TrainingData, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(NEW["colbert"](bert), data, whole, SETTINGS)
    train_until(5, NEW["colbert"](bert), data, cut, SETTINGS)
    train(load_model(model_folder(cut)), data, cut, SETTINGS, mode="resume")
    assert_alike(cut, whole)


def test_a_run_that_began_before_there_were_factors_goes_on(
    bert: Path, data: TrainingData, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    settings = replace(SETTINGS, lora=None)
    train(NEW["colbert"](bert), data, whole, settings)
    train_until(3, NEW["colbert"](bert), data, cut, replace(settings, save_steps=1))
    folder = model_folder(cut).parent
    assert not (folder / "factors.safetensors").exists()
    progress = json.loads((folder / "progress.json").read_text())
    del progress["identity"]["lora"]
    (folder / "progress.json").write_text(json.dumps(progress))
    train(load_model(folder / "model"), data, cut, settings, mode="resume")
    assert_alike(cut, whole)


def test_frozen_layers_get_no_trained_factors(
    bert: Path, data: TrainingData, tmp_path: Path
) -> None:
    model = NEW["colbert"](bert)
    before = weights(model)
    train(model, data, tmp_path / "out", replace(SETTINGS, freeze_layers=1, start_share=0.0))
    after = trained_last(tmp_path / "out")
    for name in before:
        if name.startswith("encoder.encoder.layer.0."):
            assert torch.equal(before[name], after[name]), name
    assert any(not torch.equal(before[n], after[n]) for n in before if ".layer.1." in n)


def test_an_encoder_without_linear_layers_is_refused(bert: Path) -> None:
    model = ColBERT.from_base(bert, dim=8)
    for name, module in list(model.encoder.named_modules()):
        if isinstance(module, nn.Linear):
            model.encoder.set_submodule(name, nn.Identity())
    with pytest.raises(ValueError, match=r"^lora is 4, but a BertModel has no linear layers"):
        adapters.adapt(model, 4)


def test_a_rank_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="lora must be at least 1, got 0"):
        Settings(lora=0)


def test_without_peft_nothing_is_begun(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(adapters, "find_spec", lambda _: None)
    words = ["train", "colbert", "--base", str(bert), "--data", str(tmp_path / "none")]
    assert main([*words, "--lora", "4", "--out", str(tmp_path / "out")]) == 1
    assert "pip install 'glane[lora]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
