"""The steps of the models that have terms: ranking, sparsity, accumulation."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from glane_trainer import (
    Example,
    Objective,
    SparseEmbed,
    Sparsity,
    Splade,
    StepOptions,
    train_sparse_embed,
    train_splade,
)
from glane_trainer.losses import Loss
from glane_trainer.terms import TermModel
from glane_trainer.windows import window_options

RANKING = Objective(temperature=1.0)
PLAIN = StepOptions(objective=RANKING)

Learn = Callable[..., dict[str, float]]


@pytest.fixture(params=["splade", "inference-free", "sparse-embed"])
def learner(request: pytest.FixtureRequest, bert_mlm: Path) -> tuple[TermModel[Any], Learn]:
    """Each kind of model with terms, and how it learns."""
    if request.param == "sparse-embed":
        return SparseEmbed.from_base(bert_mlm, dim=8), train_sparse_embed
    return Splade.from_base(bert_mlm, inference_free=request.param != "splade"), train_splade


def columns(examples: list[Example]) -> tuple[list[str], list[str], list[tuple[str, ...]]]:
    return (
        [example.anchor for example in examples],
        [example.positive for example in examples],
        [example.negatives for example in examples],
    )


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_twenty_steps_lower_the_loss(
    learner: tuple[TermModel[Any], Learn], examples: list[Example]
) -> None:
    model, learn = learner
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = [learn(model, optimizer, *columns(examples), PLAIN)["loss"] for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]


def test_no_gradient_is_dead(
    learner: tuple[TermModel[Any], Learn], examples: list[Example]
) -> None:
    model, learn = learner
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    learn(model, optimizer, *columns(examples), replace(PLAIN, update=False))
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("key.bias"):  # adds the same to all of a softmax: no gradient
            assert parameter.grad.abs().max() > 0, name


def test_a_step_tells_of_its_terms(
    learner: tuple[TermModel[Any], Learn], examples: list[Example]
) -> None:
    model, learn = learner
    model.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    told = learn(model, optimizer, *columns(examples[:2]), PLAIN)
    names = ["query_flops", "document_flops", "query_terms", "document_terms"]
    assert set(told) - {"sparse_loss"} == {"loss", *names}
    texts = [examples[0].positive, *examples[0].negatives]
    with torch.no_grad():
        weights = model.weights(model.preparer.encode(texts, "document"), "document")
    assert told["document_terms"] == pytest.approx((weights > 0).sum(-1).float().mean().item())
    assert told["document_flops"] == pytest.approx(weights.mean(0).square().sum().item(), rel=1e-4)


def test_the_gradient_of_flops_is_alive_at_the_start(
    bert_mlm: Path, examples: list[Example]
) -> None:
    model = Splade.from_base(bert_mlm).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    found = []
    for sparsity in (Sparsity(), Sparsity(query_weight=1.0, document_weight=1.0).risen(0, 10)):
        options = replace(PLAIN, sparsity=sparsity, update=False)
        train_splade(model, optimizer, *columns(examples), options)
        assert model.decoder.bias.grad is not None
        found.append(model.decoder.bias.grad.clone())
        optimizer.zero_grad()
    assert (found[1] - found[0]).sum() > 0, "all weights are pushed down"


def test_flops_thin_the_terms_out(
    learner: tuple[TermModel[Any], Learn], examples: list[Example]
) -> None:
    model, learn = learner
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    options = replace(PLAIN, sparsity=Sparsity(query_weight=1.0, document_weight=1.0))
    told = [learn(model, optimizer, *columns(examples), options) for _ in range(20)]
    assert told[-1]["document_flops"] < told[0]["document_flops"] / 2
    assert told[-1]["document_terms"] < told[0]["document_terms"]


@pytest.mark.parametrize(
    ("sparsity", "pressed", "free"),
    [
        (Sparsity(query_weight=0.25), "query_flops", "document_flops"),
        (Sparsity(document_weight=0.25), "document_flops", "query_flops"),
    ],
    ids=["query", "document"],
)
def test_queries_and_documents_are_weighed_apart(
    bert_mlm: Path, examples: list[Example], sparsity: Sparsity, pressed: str, free: str
) -> None:
    model = Splade.from_base(bert_mlm).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    plain = train_splade(model, optimizer, *columns(examples), PLAIN)
    told = train_splade(model, optimizer, *columns(examples), replace(PLAIN, sparsity=sparsity))
    assert told["loss"] == pytest.approx(plain["loss"] + 0.25 * told[pressed], rel=1e-5)
    assert told[free] == plain[free]


def test_a_table_is_not_pushed_down(bert_mlm: Path, examples: list[Example]) -> None:
    model = Splade.from_base(bert_mlm, inference_free=True).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    plain = train_splade(model, optimizer, *columns(examples), PLAIN)
    pressed = replace(PLAIN, sparsity=Sparsity(query_weight=1.0))
    assert train_splade(model, optimizer, *columns(examples), pressed)["loss"] == plain["loss"]


def test_l1_is_another_pressure_on_queries(bert_mlm: Path, examples: list[Example]) -> None:
    model = Splade.from_base(bert_mlm).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    sparsity = Sparsity(query_weight=0.5, query_regulariser="l1")
    told = train_splade(model, optimizer, *columns(examples), replace(PLAIN, sparsity=sparsity))
    anchors = [example.anchor for example in examples]
    with torch.no_grad():
        weights = model.weights(model.preparer.encode(anchors, "query"), "query")
    assert told["query_l1"] == pytest.approx(weights.sum(-1).mean().item(), rel=1e-5)


def test_flops_of_four_batches_are_those_of_one(
    learner: tuple[TermModel[Any], Learn], examples: list[Example]
) -> None:
    model, learn = learner
    model.eval()  # no dropout: other batches draw other numbers
    apart = [replace(example, negatives=()) for example in examples[::2][:8]]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    known = {example.anchor: frozenset({example.positive}) for example in apart}
    pressure = Sparsity(query_weight=1.0, document_weight=1.0)
    found = []
    for size in (8, 2):
        window = [apart[i : i + size] for i in range(0, 8, size)]
        sums: list[dict[str, torch.Tensor]] = []
        for sparsity in (pressure, Sparsity()):
            options = replace(PLAIN, sparsity=sparsity)
            told = [
                learn(model, optimizer, *columns(batch), replace(part, update=False))
                for batch, part in window_options(model, window, known, options)
            ]
            assert len({round(t["document_flops"], 3) for t in told}) == 1
            sums.append(gradients(model))
            optimizer.zero_grad()
        found.append({name: sums[0][name] - sums[1][name] for name in sums[0]})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-3, atol=1e-4)


def test_the_means_of_a_window_are_of_the_weights_that_learn(
    bert_mlm: Path, examples: list[Example]
) -> None:
    model = Splade.from_base(bert_mlm).train()  # with dropout
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    known = {example.anchor: frozenset({example.positive}) for example in examples}
    window = [examples[:4], examples[4:10]]
    parts = window_options(model, window, known, PLAIN)
    told = [train_splade(model, optimizer, *columns(batch), part) for batch, part in parts]
    state = torch.get_rng_state()
    torch.manual_seed(0)
    one = window_options(model, [examples[:4]], known, PLAIN)
    assert one[0][1].means is None, "a batch alone is its own mean"
    torch.set_rng_state(state)
    means = parts[0][1].means
    assert means is not None
    assert told[0]["document_flops"] == pytest.approx(means.documents.square().sum().item())


@pytest.mark.parametrize("loss", ["kl", "margin-mse"])
def test_a_teacher_is_followed(
    learner: tuple[TermModel[Any], Learn], examples: list[Example], loss: Loss
) -> None:
    model, learn = learner
    model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    options = StepOptions(
        objective=Objective(loss=loss, temperature=1.0),
        teacher_scores=[(4.0, 1.0)] * len(examples),
    )
    losses = [learn(model, optimizer, *columns(examples), options)["loss"] for _ in range(20)]
    assert losses[-1] < losses[0] / 2
