"""The losses and regularisers by hand."""

import math

import pytest
import torch

from glane.model.checkpoint import Checkpoint
from glane_trainer import Objective, Sparsity
from glane_trainer.columns import columns_of
from glane_trainer.losses import contrastive_loss, kl_loss, margin_mse_loss, ranking_loss
from glane_trainer.sparsity import complaint, flops, l1

SCORES = torch.tensor([[3.0, 1.0, 2.0], [1.0, 0.0, 9.0]])
TEACHER = torch.tensor([[5.0, 4.0, 1.0], [2.0, 1.0, 9.0]])
PRESENT = torch.tensor([[True, True, True], [True, True, False]])


def test_the_contrastive_loss_of_two_queries() -> None:
    scores = torch.tensor([[2.0, 1.0], [0.0, 4.0]])
    nothing = torch.zeros(2, 2, dtype=torch.bool)
    loss = contrastive_loss(scores, torch.tensor([0, 1]), nothing, temperature=2.0)
    first = -math.log(math.e / (math.e + math.exp(0.5)))
    second = -math.log(math.exp(2) / (math.exp(2) + 1))
    assert loss.item() == pytest.approx((first + second) / 2)


def test_a_masked_document_is_no_negative() -> None:
    scores = torch.tensor([[2.0, 9.0], [0.0, 4.0]], requires_grad=True)
    masked = torch.tensor([[False, True], [False, False]])
    loss = contrastive_loss(scores, torch.tensor([0, 1]), masked, temperature=1.0)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-4)) / 2, rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert scores.grad[0].tolist() == [0, 0]


def test_margins_are_compared_with_the_teachers() -> None:
    # margins of the model 2, 1 and 1, of the teacher 1, 4 and 1
    loss = margin_mse_loss(SCORES, TEACHER, PRESENT)
    assert loss.item() == pytest.approx(((2 - 1) ** 2 + (1 - 4) ** 2 + 0) / 3)


def test_choices_are_compared_with_the_teachers() -> None:
    def softmax(*scores: float) -> list[float]:
        total = sum(math.exp(score) for score in scores)
        return [math.exp(score) / total for score in scores]

    expected = 0.0
    for teacher, model in (((5, 4, 1), (3, 1, 2)), ((2, 1), (1, 0))):
        pairs = zip(softmax(*teacher), softmax(*model), strict=True)
        expected += sum(p * math.log(p / q) for p, q in pairs) / 2
    assert kl_loss(SCORES, TEACHER, PRESENT).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [kl_loss, margin_mse_loss])
def test_a_negative_that_is_not_there_has_no_gradient(loss) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    scores = SCORES.clone().requires_grad_()
    loss(scores, TEACHER, PRESENT).backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert scores.grad[1, 2] == 0
    assert scores.grad[0].abs().min() > 0


def test_a_query_without_negatives_has_no_margin() -> None:
    loss = margin_mse_loss(SCORES[:, :1], TEACHER[:, :1], PRESENT[:, :1])
    assert loss.item() == 0


def test_the_objective_takes_each_querys_own_documents() -> None:
    columns = columns_of(["a", "b"], ["x", "y"], [["y", "z"], "x"], [])
    assert columns.own.tolist() == [[0, 1, 2], [1, 0, -1]]
    scores = torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, 9.0]])
    teacher = [[10.0, 8.0, 2.0], [4.0, 2.0]]
    objective = Objective(loss="kl", temperature=1.0, teacher_temperature=2.0)
    expected = kl_loss(SCORES, TEACHER, PRESENT).item()
    assert ranking_loss(scores, columns, teacher, objective).item() == pytest.approx(expected)
    mixed = Objective(loss="kl", temperature=1.0, teacher_temperature=2.0, contrastive_weight=0.5)
    added = contrastive_loss(scores, columns.targets, columns.masked, 1.0).item()
    both = ranking_loss(scores, columns, teacher, mixed)
    assert both.item() == pytest.approx(expected + 0.5 * added)


@pytest.mark.parametrize("teacher", [(), [[1.0, 2.0], [1.0, 2.0]]])
def test_a_teacher_must_score_every_document(teacher: list[list[float]]) -> None:
    columns = columns_of(["a", "b"], ["x", "y"], [["y", "z"], "x"], [])
    with pytest.raises(ValueError, match="'kl' needs `teacher_scores` of each"):
        ranking_loss(torch.zeros(2, 3), columns, teacher, Objective(loss="kl"))


def test_flops_and_l1_of_mean_weights() -> None:
    mean = torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]]).mean(0)
    assert flops(mean).item() == 2**2 + 1**2
    assert l1(mean).item() == 3


def test_regularisers_rise_as_a_square() -> None:
    full = Sparsity(query_weight=4.0, document_weight=2.0, rise=0.4)
    weights = [full.risen(step, 10) for step in (0, 1, 3, 9)]
    assert [w.query_weight for w in weights] == pytest.approx([0.25, 1.0, 4.0, 4.0])
    assert [w.document_weight for w in weights] == pytest.approx([0.125, 0.5, 2.0, 2.0])
    assert Sparsity(query_weight=4.0, rise=0).risen(0, 10).query_weight == 4.0


def test_too_many_or_no_active_terms_are_told() -> None:
    checkpoint = Checkpoint(kind="splade", dim=0, query_terms=8, document_terms=16)
    told = [
        complaint({"query_terms": query, "document_terms": document}, checkpoint, 64)
        for query, document in ((5.0, 60.0), (5.0, 0.0), (5.0, 40.0), (60.0, 40.0))
    ]
    assert told[0].startswith("nearly all terms are active (document_terms)")
    assert told[1].startswith("no term is active (document_terms 0)")
    assert told[2] == ""
    assert told[3].startswith("nearly all terms are active (query_terms)")


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (Objective, "temperature", 0),
        (Objective, "teacher_temperature", -1),
        (Objective, "contrastive_weight", -1),
        (Sparsity, "query_weight", -1),
        (Sparsity, "document_weight", float("nan")),
        (Sparsity, "rise", 2),
    ],
)
def test_settings_out_of_range_are_refused(
    settings: type[Objective] | type[Sparsity], name: str, value: float
) -> None:
    with pytest.raises(ValueError, match=name):
        settings(**{name: value})  # type: ignore[arg-type]
