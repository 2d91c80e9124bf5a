"""A step's gradient is that of all its examples at once, however and wherever it is computed."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from glane_trainer import (
    ColBERT,
    Example,
    Objective,
    SparseEmbed,
    Sparsity,
    Splade,
    StepOptions,
    train_step,
)
from glane_trainer.columns import columns_of
from glane_trainer.losses import Loss, ranking_loss
from glane_trainer.model import Model
from glane_trainer.virtual import add_gradient, virtual_batch

Gradients = dict[str, torch.Tensor]

KINDS = ["colbert", "splade", "inference-free", "sparse-embed"]
LOSSES: list[Loss] = ["contrastive", "kl", "margin-mse"]


def new_model(kind: str, bert: Path, bert_mlm: Path) -> Model[Any]:
    if kind == "colbert":
        return ColBERT.from_base(bert, dim=8)
    if kind == "sparse-embed":
        return SparseEmbed.from_base(bert_mlm, dim=8)
    return Splade.from_base(bert_mlm, inference_free=kind != "splade")


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, bert: Path, bert_mlm: Path) -> Model[Any]:
    return new_model(request.param, bert, bert_mlm)


def uneven(examples: Sequence[Example]) -> tuple[list[str], list[str], list[list[str]]]:
    """Return queries with no, one, two or three negatives, some of them another's answer."""
    texts = [example.positive for example in examples]
    negatives = [
        [texts[(row + 1 + step) % len(texts)] for step in range(row % 4)]
        for row in range(len(examples))
    ]
    return [example.anchor for example in examples], texts, negatives


def options_for(loss: Loss, negatives: Sequence[Sequence[str]]) -> StepOptions:
    scores = [[3.0, *(float(n % 3) for n in range(len(row)))] for row in negatives]
    return StepOptions(
        objective=Objective(loss=loss, temperature=0.5, contrastive_weight=0.3),
        sparsity=Sparsity(query_weight=0.1, document_weight=0.2),
        teacher_scores=scores,
    )


def gradient(
    model: Model[Any], columns: tuple[Any, Any, Any], options: StepOptions
) -> tuple[Gradients, dict[str, float]]:
    model.zero_grad()
    told = add_gradient(model, virtual_batch(model.preparer, *columns, options), options)
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}, told


def assert_alike(found: Gradients, expected: Gradients) -> None:
    """Fail where a gradient differs by more than 1e-5 of the largest."""
    assert found.keys() == expected.keys()
    largest = max(float(tensor.abs().max()) for tensor in expected.values())
    for name, tensor in expected.items():
        assert float((found[name] - tensor).abs().max()) <= 1e-5 * largest, name


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("at_once", [1, 3, 4, 100])
def test_pieces_give_the_gradient_of_the_whole(
    model: Model[Any], examples: list[Example], loss: Loss, at_once: int
) -> None:
    columns = uneven(examples)
    options = options_for(loss, columns[2])
    expected, told = gradient(model.eval(), columns, options)
    found, also_told = gradient(model, columns, replace(options, at_once=at_once))
    assert_alike(found, expected)
    assert also_told == pytest.approx(told, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_with_dropout_two_passes_are_autograd_over_the_same_pieces(
    model: Model[Any], examples: list[Example], loss: Loss
) -> None:
    columns = uneven(examples)
    options = replace(options_for(loss, columns[2]), at_once=4)
    model.train()
    torch.manual_seed(7)
    found, _ = gradient(model, columns, options)
    torch.manual_seed(7)
    expected = plainly(model, columns, options)
    assert_alike(found, expected)
    other, _ = gradient(model, columns, options)
    assert any((other[name] - found[name]).abs().max() > 0 for name in found), "dropout is drawn"


def plainly(model: Model[Any], columns: tuple[Any, Any, Any], options: StepOptions) -> Gradients:
    """Return the gradient by one graph over all pieces, each with the dropout that it has."""
    model.zero_grad()
    batch = virtual_batch(model.preparer, *columns, options)
    seed = int(torch.randint(2**62, ()).item())
    rows: dict[str, dict[int, list[torch.Tensor]]] = {"query": {}, "document": {}}
    for number, piece in enumerate(batch.pieces):
        torch.manual_seed(seed + number)
        parts = model.represent(piece.batch, piece.role)
        for row, position in enumerate(piece.positions):
            rows[piece.role][position] = [part[row] for part in parts]
    queries, documents = (stacked(of_role) for of_role in rows.values())
    loss, _ = model.pressures(queries, documents, options.sparsity)
    made = columns_of(*columns, [])
    for scores in model.rankings(queries, documents).values():
        loss = loss + ranking_loss(scores, made, options.teacher_scores, options.objective)
    loss.backward()  # type: ignore[no-untyped-call]
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def stacked(rows: dict[int, list[torch.Tensor]]) -> tuple[torch.Tensor, ...]:
    """Return parts of single texts as one tensor each, short ones filled up with 0 or -1."""
    parts = []
    for of_part in zip(*(rows[position] for position in sorted(rows)), strict=True):
        width = max(part.shape[0] for part in of_part)
        filler = -1 if of_part[0].dtype == torch.int64 else 0
        parts.append(
            torch.stack(
                [
                    torch.cat([part, part.new_full((width - len(part), *part.shape[1:]), filler)])
                    for part in of_part
                ]
            )
        )
    return tuple(parts)


def test_a_step_is_a_function_of_the_generators_state(
    model: Model[Any], examples: list[Example]
) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    losses = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        told = [
            train_step(model.train(), optimizer, *uneven(examples), StepOptions(at_once=3))["loss"]
            for _ in range(2)
        ]
        assert told[0] != told[1]
        losses.append(told)
    assert losses[0] == losses[2] != losses[1]


def test_one_example_without_a_negative_is_a_batch(model: Model[Any]) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    told = train_step(model, optimizer, ["tea"], ["tea grows"], [[]], StepOptions(at_once=8))
    assert told["loss"] == pytest.approx(0, abs=1e-6)
    assert all(parameter.grad is None for parameter in model.parameters())


PROGRAM = """
import json, sys
import torch
from safetensors.torch import save_file
from glane_trainer import Objective, Sparsity, StepOptions, load_model
from glane_trainer.processes import launched
from glane_trainer.virtual import add_gradient, virtual_batch

folder, mode, loss, columns, scores, at_once = json.loads(sys.argv[1])
torch.set_num_threads(1)
processes = launched("cpu")
model = load_model(folder).train(mode == "train")
with torch.no_grad():
    for parameter in model.parameters():
        parameter.add_(float(processes.rank))  # told the first one's weights
processes.share_weights(model)
options = StepOptions(
    objective=Objective(loss=loss, temperature=0.5, contrastive_weight=0.3),
    sparsity=Sparsity(query_weight=0.1, document_weight=0.2),
    teacher_scores=scores, at_once=at_once, processes=processes,
)
torch.manual_seed(7)
add_gradient(model, virtual_batch(model.preparer, *columns, options), options)
gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
save_file(gradients, f"{folder}/of-{processes.rank}.safetensors")
"""


@pytest.mark.parametrize(("mode", "loss"), [("eval", "kl"), ("train", "contrastive")])
def test_two_processes_give_the_gradient_of_one(
    model: Model[Any], mode: str, loss: Loss, examples: list[Example], tmp_path: Path
) -> None:
    model.save(tmp_path / "model")
    columns = uneven(examples)
    at_once = -(-len(examples) // 2)
    options = replace(options_for(loss, columns[2]), at_once=at_once)
    torch.manual_seed(7)
    expected, _ = gradient(model.train(mode == "train"), columns, options)
    folder = str(tmp_path / "model")
    asked = [folder, mode, loss, columns, options.teacher_scores, at_once]
    run_together(2, ["-c", PROGRAM, json.dumps(asked)])
    for rank in range(2):
        assert_alike(load_file(tmp_path / "model" / f"of-{rank}.safetensors"), expected)


def run_together(n_processes: int, arguments: list[str]) -> list[str]:
    """Run a program in several processes that know of each other, and return what they print."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}

    def one(rank: int) -> str:
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(n_processes)}
        ran = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, **address, **place},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    with ThreadPoolExecutor(n_processes) as threads:
        return list(threads.map(one, range(n_processes)))


def test_two_processes_train_as_one_does_and_one_tells(
    bert: Path, triples: Callable[..., Path], examples: list[Example], tmp_path: Path
) -> None:
    rows = [
        {"anchor": e.anchor, "positive": e.positive, "negatives": list(e.negatives)}
        for e in examples
    ]
    shared = ["--base", str(bert), "--data", str(triples(*rows)), "--dim", "8", "--epochs", "2"]
    shared += ["--holdout", "0.2", "--device", "cpu", "--freeze-layers", "0"]
    told = {}
    for n_processes, accumulation in ((1, 2), (2, 1)):
        out = tmp_path / str(n_processes)
        asked = [*shared, "--batch-size", "2", "--accumulation", str(accumulation)]
        asked += ["--out", str(out)]
        told[n_processes] = run_together(n_processes, ["-m", "glane_trainer", "colbert", *asked])
    assert told[2][0]
    assert not told[2][1]
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "training.jsonl").read_text().splitlines()]
        for name in ("1", "2")
    )
    assert [record.get("ndcg@10") for record in one] == [record.get("ndcg@10") for record in two]
    losses = [[record.get("loss", 0) for record in log] for log in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
