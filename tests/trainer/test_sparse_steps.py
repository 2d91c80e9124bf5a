"""The steps of the models that have terms: ranking, sparsity, accumulation."""

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
    train_step,
)
from glane_trainer.losses import Loss
from glane_trainer.terms import TermModel
from glane_trainer.virtual import add_gradient, virtual_batch

RANKING = Objective(temperature=1.0)
PLAIN = StepOptions(objective=RANKING)


@pytest.fixture(params=["splade", "inference-free", "sparse-embed"])
def learner(request: pytest.FixtureRequest, bert_mlm: Path) -> TermModel[Any]:
    """Each kind of model with terms."""
    if request.param == "sparse-embed":
        return SparseEmbed.from_base(bert_mlm, dim=8)
    return Splade.from_base(bert_mlm, inference_free=request.param != "splade")


def columns(examples: list[Example]) -> tuple[list[str], list[str], list[tuple[str, ...]]]:
    return (
        [example.anchor for example in examples],
        [example.positive for example in examples],
        [example.negatives for example in examples],
    )


def test_twenty_steps_lower_the_loss(learner: TermModel[Any], examples: list[Example]) -> None:
    model = learner
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = [train_step(model, optimizer, *columns(examples), PLAIN)["loss"] for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]


def test_no_gradient_is_dead(learner: TermModel[Any], examples: list[Example]) -> None:
    model = learner
    add_gradient(model, virtual_batch(model.preparer, *columns(examples)), PLAIN)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("key.bias"):  # adds the same to all of a softmax: no gradient
            assert parameter.grad.abs().max() > 0, name


def test_a_step_tells_of_its_terms(learner: TermModel[Any], examples: list[Example]) -> None:
    model = learner
    model.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    told = train_step(model, optimizer, *columns(examples[:2]), PLAIN)
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
    batch = virtual_batch(model.preparer, *columns(examples))
    found = []
    for sparsity in (Sparsity(), Sparsity(query_weight=1.0, document_weight=1.0).risen(0, 10)):
        add_gradient(model, batch, replace(PLAIN, sparsity=sparsity))
        assert model.decoder.bias.grad is not None
        found.append(model.decoder.bias.grad.clone())
        model.zero_grad()
    assert (found[1] - found[0]).sum() > 0, "all weights are pushed down"


def test_flops_thin_the_terms_out(learner: TermModel[Any], examples: list[Example]) -> None:
    model = learner
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    options = replace(PLAIN, sparsity=Sparsity(query_weight=1.0, document_weight=1.0))
    told = [train_step(model, optimizer, *columns(examples), options) for _ in range(20)]
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
    plain = train_step(model, optimizer, *columns(examples), PLAIN)
    told = train_step(model, optimizer, *columns(examples), replace(PLAIN, sparsity=sparsity))
    assert told["loss"] == pytest.approx(plain["loss"] + 0.25 * told[pressed], rel=1e-5)
    assert told[free] == plain[free]


def test_a_table_is_not_pushed_down(bert_mlm: Path, examples: list[Example]) -> None:
    model = Splade.from_base(bert_mlm, inference_free=True).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    plain = train_step(model, optimizer, *columns(examples), PLAIN)
    pressed = replace(PLAIN, sparsity=Sparsity(query_weight=1.0))
    assert train_step(model, optimizer, *columns(examples), pressed)["loss"] == plain["loss"]


def test_l1_is_another_pressure_on_queries(bert_mlm: Path, examples: list[Example]) -> None:
    model = Splade.from_base(bert_mlm).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    sparsity = Sparsity(query_weight=0.5, query_regulariser="l1")
    told = train_step(model, optimizer, *columns(examples), replace(PLAIN, sparsity=sparsity))
    anchors = [example.anchor for example in examples]
    with torch.no_grad():
        weights = model.weights(model.preparer.encode(anchors, "query"), "query")
    assert told["query_l1"] == pytest.approx(weights.sum(-1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("loss", ["kl", "margin-mse"])
def test_a_teacher_is_followed(
    learner: TermModel[Any], examples: list[Example], loss: Loss
) -> None:
    model = learner
    model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    options = StepOptions(
        objective=Objective(loss=loss, temperature=1.0),
        teacher_scores=[(4.0, 1.0)] * len(examples),
    )
    losses = [train_step(model, optimizer, *columns(examples), options)["loss"] for _ in range(20)]
    assert losses[-1] < losses[0] / 2
