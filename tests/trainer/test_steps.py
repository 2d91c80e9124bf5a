"""The loss and the step, by hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedModel

from glane.errors import CheckpointError
from glane_trainer import (
    DEFAULTS,
    ColBERT,
    Example,
    Settings,
    SparseEmbed,
    Splade,
    TrainingData,
    train,
    train_step,
)
from glane_trainer.columns import columns_of
from glane_trainer.devices import choose_device, choose_precision
from glane_trainer.optimization import (
    freeze,
    layer_lists,
    make_optimizer,
    optimizer_tensors,
    recompute,
    restore_optimizer,
    set_rates,
)
from glane_trainer.virtual import add_gradient, virtual_batch


@pytest.fixture
def model(bert: Path) -> ColBERT:
    return ColBERT.from_base(bert, dim=8)


def columns(examples: list[Example]) -> tuple[list[str], list[str], list[tuple[str, ...]]]:
    return (
        [example.anchor for example in examples],
        [example.positive for example in examples],
        [example.negatives for example in examples],
    )


def test_a_document_counts_once_and_known_answers_are_masked() -> None:
    known = [frozenset({"x", "z"}), frozenset[str]()]
    made = columns_of(["a", "b"], ["x", "y"], [["y", "z"], "z"], known)
    assert made.texts == ["x", "y", "z"]
    assert made.targets.tolist() == [0, 1]
    assert made.masked.tolist() == [[False, False, True], [False, False, False]]


def test_equal_queries_do_not_push_each_others_answers_away() -> None:
    made = columns_of(["a", "a"], ["x", "y"], [[], []], [])
    assert made.masked.tolist() == [[False, True], [True, False]]


def test_steps_lower_the_loss(model: ColBERT, examples: list[Example]) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.eval()  # no dropout: the loss is then a function of the weights
    losses = [train_step(model, optimizer, *columns(examples))["loss"] for _ in range(20)]
    assert losses[-1] < losses[0] / 2


def test_no_gradient_is_dead(model: ColBERT, examples: list[Example]) -> None:
    add_gradient(model, virtual_batch(model.preparer, *columns(examples)))
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("key.bias"):  # adds the same to all of a softmax: no gradient
            assert parameter.grad.abs().max() > 0, name


def test_lists_of_different_lengths_are_refused(model: ColBERT) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"as many anchors.*\(2, 1, 1\)"):
        train_step(model, optimizer, ["a", "b"], ["p"], ["n"])


def test_a_loss_that_is_not_finite_stops_before_the_weights(model: ColBERT) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert isinstance(model.projection, torch.nn.Linear)
    with torch.no_grad():
        model.projection.weight.fill_(float("nan"))
    before = model.encoder.state_dict()["embeddings.word_embeddings.weight"].clone()
    with pytest.raises(ValueError, match="the loss is nan; try a lower learning rate"):
        train_step(model, optimizer, ["tea"], ["tea grows"], [["the sea"]])
    after = model.encoder.state_dict()["embeddings.word_embeddings.weight"]
    torch.testing.assert_close(after, before, rtol=0, atol=0)


class Dtypes(TorchDispatchMode):
    """Collects the types of all tensors that are made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, torch.Tensor):
                self.seen.add(value.dtype)
        return result


def test_no_float64_is_made_in_a_step(base: Path, examples: list[Example]) -> None:
    model = ColBERT.from_base(base, dim=8)
    freeze(model.encoder, None)
    optimizer = make_optimizer(model, Settings())
    with Dtypes() as made:
        train_step(model.train(), optimizer, *columns(examples))
        model.encode_queries(["tea"])
    assert torch.float32 in made.seen
    assert torch.float64 not in made.seen


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_prefers_cuda_then_mps(cuda: bool, mps: bool, expected: str) -> None:
    assert choose_device("auto", cuda=cuda, mps=mps) == expected
    assert choose_device("cpu", cuda=cuda, mps=mps) == "cpu"


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="device 'mps' is not available here"):
        choose_device("mps", cuda=True, mps=False)


def test_precision_follows_the_device() -> None:
    assert choose_precision("auto", "cuda", bf16=True) == "bf16"
    assert choose_precision("auto", "cuda", bf16=False) == "fp16"
    assert choose_precision("auto", "cpu", bf16=False) == "fp32"
    for asked, device in (("bf16", "mps"), ("fp16", "mps"), ("fp16", "cpu")):
        with pytest.raises(ValueError, match=f"{asked!r} cannot be trained on {device}"):
            choose_precision(asked, device, bf16=False)  # type: ignore[arg-type]


def test_the_lower_half_is_frozen(base: Path) -> None:
    model = ColBERT.from_base(base, dim=8)
    frozen = freeze(model.encoder, None)
    n_frozen = 1  # of two in one kind of base, of three in the other
    assert len(frozen) == n_frozen + 1, "and the embeddings"
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert not any(".0." in name or "embeddings" in name for name in trained)
    with pytest.raises(ValueError, match="freeze_layers is 9"):
        freeze(model.encoder, 9)


def test_rates_rise_and_fall_to_nothing(model: ColBERT) -> None:
    optimizer = make_optimizer(model, Settings(learning_rate=1.0, projection_learning_rate=2.0))
    rates = [set_rates(optimizer, step, 10, 0.2) for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    rates_by_group = {group["peak"]: group["lr"] for group in optimizer.param_groups}
    assert rates_by_group == pytest.approx({1.0: 0.125, 2.0: 0.25})


def test_biases_and_norms_are_not_decayed(base: Path, bert_mlm: Path) -> None:
    settings = Settings(weight_decay=0.5)
    for model in (
        ColBERT.from_base(base, dim=8),
        Splade.from_base(bert_mlm, inference_free=True),
        SparseEmbed.from_base(bert_mlm, dim=8),
    ):
        decay = {
            name: group["weight_decay"]
            for group in make_optimizer(model, settings).param_groups
            for name in group["param_names"]
        }
        assert decay.keys() == {name for name, _ in model.named_parameters()}
        for name, parameter in model.named_parameters():
            exempt = name.endswith("bias") or "norm" in name.lower()
            assert decay[name] == (0.0 if exempt else 0.5), name
            assert exempt == (parameter.ndim < 2) or name == "query_weights"


def test_moments_are_kept_by_the_names_of_their_weights(
    model: ColBERT, examples: list[Example]
) -> None:
    optimizer = make_optimizer(model, Settings())
    train_step(model, optimizer, *columns(examples))
    tensors = optimizer_tensors(optimizer)
    for name, parameter in model.named_parameters():
        if parameter.grad is None and f"{name}.exp_avg" in tensors:
            assert tensors[f"{name}.exp_avg"].shape == parameter.shape
    again = make_optimizer(model, Settings())
    restore_optimizer(again, tensors)
    restored = optimizer_tensors(again)
    assert restored.keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(restored[name], tensor, rtol=0, atol=0)
    numbered = {"3.exp_avg": torch.zeros(2)}  # as former versions wrote them
    with pytest.raises(CheckpointError, match=r"holds '3.exp_avg', but no such parameter"):
        restore_optimizer(make_optimizer(model, Settings()), numbered)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("epochs", 0), ("start_share", 1.0), ("clip", -1)],
)
def test_settings_out_of_range_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=setting):
        Settings(**{setting: value})  # type: ignore[arg-type]


class Calls:
    """Counts how often a layer computes."""

    def __init__(self, encoder: PreTrainedModel) -> None:
        self.n = 0
        attention: Any = layer_lists(encoder)[0][-1].attention
        attention.register_forward_pre_hook(self._count)

    def _count(self, *_: object) -> None:
        self.n += 1


def test_what_is_recomputed_has_the_same_gradient(bert: Path, examples: list[Example]) -> None:
    found = []
    for again in (False, True):
        model = ColBERT.from_base(bert, dim=8).train()
        if again:
            recompute(model.encoder)
        calls = Calls(model.encoder)
        torch.manual_seed(3)
        add_gradient(model, virtual_batch(model.preparer, *columns(examples)))
        gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        found.append((gradients, calls.n))
    assert [n for _, n in found] == [2, 4], "queries and documents, each once more"
    for name, gradient in found[0][0].items():
        torch.testing.assert_close(found[1][0][name], gradient, rtol=1e-5, atol=1e-7)


def test_an_encoder_that_cannot_recompute_is_refused(bert: Path) -> None:
    encoder = ColBERT.from_base(bert, dim=8).encoder
    type(encoder).supports_gradient_checkpointing, before = False, True
    try:
        with pytest.raises(ValueError, match=r"a BertModel cannot be computed again"):
            recompute(encoder)
    finally:
        type(encoder).supports_gradient_checkpointing = before


@pytest.mark.parametrize("kind", ["colbert", "splade"])
def test_a_compiled_encoder_is_what_trains(
    kind: str, bert: Path, bert_mlm: Path, data: TrainingData, tmp_path: Path
) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def counted(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    losses = []
    for compiled in (False, True):
        model = Splade.from_base(bert_mlm) if kind == "splade" else ColBERT.from_base(bert, dim=8)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                type(model.encoder),
                "compile",
                partialmethod(torch.nn.Module.compile, backend=counted),
            )
            settings = replace(DEFAULTS[model.kind], compile=compiled, max_steps=2, save_steps=0)
            out = tmp_path / f"{kind} {compiled}"
            train(model, data, out, settings)
        assert bool(graphs) == compiled
        log = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
        losses.append([record["loss"] for record in log if "loss" in record])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    torch.compiler.reset()
