"""Whole runs: what is measured, kept, saved and continued."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tests.docs.pages import outputs, read

from glane import BM25, Hits, fuse
from glane.collection.dataset import Dataset
from glane.commands.main import main
from glane.errors import CheckpointError
from glane.model.checkpoint import CHECKPOINT_FILES, fingerprint
from glane_trainer import (
    DEFAULTS,
    ColBERT,
    Objective,
    Settings,
    SparseEmbed,
    Sparsity,
    Splade,
    TrainingData,
    load_model,
    read_data,
    run,
    train,
)
from glane_trainer.command import show
from glane_trainer.evaluation import Evaluator, Measured, ndcg
from glane_trainer.keep import Look
from glane_trainer.many import Examples
from glane_trainer.model import Model
from glane_trainer.report import Result, picture
from glane_trainer.settings import DIMS, Device, Loss, Precision, Regulariser
from glane_trainer.state import FOLDER, Record, model_folder
from glane_trainer.virtual import VirtualBatch, learn

SETTINGS = Settings(
    epochs=2, batch_size=4, learning_rate=2e-3, projection_learning_rate=5e-3, save_steps=0
)


@pytest.fixture
def new_model(bert: Path) -> Callable[[], ColBERT]:
    return lambda: ColBERT.from_base(bert, dim=8)


@pytest.fixture
def model(new_model: Callable[[], ColBERT]) -> ColBERT:
    return new_model()


@pytest.fixture(params=["colbert", "splade", "inference-free", "sparse-embed"])
def new_of_any_kind(request: pytest.FixtureRequest, bert: Path) -> Callable[[], Model[Any]]:
    """Return a new model, of each kind in turn."""
    make: dict[str, Callable[[], Model[Any]]] = {
        "colbert": lambda: ColBERT.from_base(bert, dim=8),
        "splade": lambda: Splade.from_base(bert, document_terms=16),
        "inference-free": lambda: Splade.from_base(bert, inference_free=True),
        "sparse-embed": lambda: SparseEmbed.from_base(bert, dim=8, document_terms=16),
    }
    return make[request.param]


def log_of(folder: Path, name: str) -> dict[int, float]:
    """Return one quantity of a run's log by step."""
    records = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    return {record["step"]: record[name] for record in records if name in record}


def perfected(data: TrainingData) -> TrainingData:
    """Return the data with every document an answer to what is held out."""
    assert data.held_out is not None
    grades = {query: dict.fromkeys(data.held_out.corpus, 1) for query in data.held_out.judgements}
    return replace(data, held_out=replace(data.held_out, judgements=grades))


@pytest.fixture
def measured_as(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what makes the held-out queries, four of them, have one value after the other."""

    def patch(*means: float) -> None:
        values = iter(means)
        monkeypatch.setattr(
            Evaluator, "__call__", lambda *_: Measured([next(values)] * 4, [], None, None)
        )

    return patch


def interrupted_at(step: int) -> Callable[..., dict[str, float]]:
    """Return a step function during whose n-th call Ctrl-C is pressed."""
    calls = 0

    def interrupted(*arguments: Any) -> dict[str, float]:  # noqa: ANN401
        nonlocal calls
        calls += 1
        if calls == step:
            signal.raise_signal(signal.SIGINT)
        return learn(*arguments)

    return interrupted


def train_with(step: Callable[..., dict[str, float]], *arguments: Any) -> Result:  # noqa: ANN401
    """Train, with another function for the step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "learn", step)
        return train(*arguments)


def test_a_run_writes_a_checkpoint_its_log_and_a_picture(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    result = train(model, data, tmp_path / "out", SETTINGS)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    is_last = (result["kept_step"], result["start_share"]) == (result["steps"], 0)
    assert ("last" in names) == (not is_last)
    assert names - {"last"} == {
        *("glane.json", "tokenizer.json", "config.json", "model.safetensors", "modules.json"),
        *("training.jsonl", "training.png", "settings.json", "sample.json", "evaluations.jsonl"),
        "README.md",
    }
    assert (tmp_path / "out" / "training.png").read_bytes().startswith(b"\x89PNG")
    assert result["steps"] == 8
    assert list(log_of(tmp_path / "out", "loss")) == list(range(1, 9))
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_the_first_evaluation_comes_before_the_first_step(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    assert data.held_out is not None
    evaluator = Evaluator(data.held_out, 64, seed=0)
    expected = evaluator(model).values
    result = train(model, data, tmp_path / "out", SETTINGS)
    quality = log_of(tmp_path / "out", "ndcg@10")
    assert list(quality) == [0, 4, 8], "and then at each epoch's end"
    assert quality[0] == pytest.approx(np.mean(expected), abs=1e-5)
    lines = (tmp_path / "out" / "evaluations.jsonl").read_text().splitlines()
    looks = [json.loads(line) for line in lines]
    told = [(look["step"], look["start_share"]) for look in looks]
    best = max(looks[1:3], key=lambda look: (look["ndcg@10"], look["step"]))["step"]
    assert told == [(0, 1), (4, 0), (8, 0), (best, 0.25), (best, 0.5), (best, 0.75)]
    assert looks[0]["queries"] == pytest.approx(dict(zip(evaluator.ids, expected, strict=True)))
    assert result["start_score"] == pytest.approx(np.mean(expected))


def test_evaluation_at_intervals_includes_the_end(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    train(model, data, tmp_path / "out", replace(SETTINGS, eval_steps=3))
    assert list(log_of(tmp_path / "out", "ndcg@10")) == [0, 3, 6, 8]


def test_what_is_written_scores_what_was_reported(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    result = train(model, data, tmp_path / "out", SETTINGS)
    assert data.held_out is not None
    values = Evaluator(data.held_out, 64, seed=0)(ColBERT.load(tmp_path / "out")).values
    assert np.mean(values) == result["best_score"]


def test_a_worse_training_keeps_the_start_and_says_so(
    model: ColBERT, data: TrainingData, tmp_path: Path, measured_as: Callable[..., None]
) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    measured_as(0.9, 0.1, 0.2, 0.3, 0.4, 0.5)
    result = train(model, data, tmp_path / "out", SETTINGS)
    assert (result["kept_step"], result["start_share"]) == (0, 1)
    assert (result["gain"], result["gain_interval"]) == (None, None)
    said = "The start was kept: on the held-out queries it is better by 0.4"
    assert result["remark"].startswith(said)
    loaded = ColBERT.load(tmp_path / "out").state_dict()
    for name, tensor in before.items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=0)


def test_a_training_that_is_no_worse_is_kept(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    result = train(model, perfected(data), tmp_path / "out", SETTINGS)
    assert (result["kept_step"], result["start_share"], result["gain"]) == (8, 0.25, 0)
    assert "do not show that it is better than its start" in result["remark"]


def test_the_share_of_the_start_is_what_the_held_out_queries_choose(
    new_model: Callable[[], ColBERT],
    data: TrainingData,
    tmp_path: Path,
    measured_as: Callable[..., None],
) -> None:
    model = new_model()
    measured_as(0.4, 0.5, 0.6, 0.7, 0.9, 0.8)
    result = train(model, data, tmp_path / "out", SETTINGS)
    assert (result["kept_step"], result["start_share"]) == (8, 0.5)
    assert (result["start_score"], result["best_score"]) == (0.4, 0.9)
    assert result["gain"] == pytest.approx(0.5)
    assert result["gain_interval"] == pytest.approx([0.5, 0.5])
    last = ColBERT.load(tmp_path / "out" / "last").state_dict()
    for name, start in new_model().state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], (start + last[name]) / 2)


@pytest.mark.parametrize(("sign", "weight"), [(-1, 1.0), (1, None)])
def test_a_share_of_bm25_that_is_shown_to_be_better_is_stored_with_the_model(
    model: ColBERT,
    data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sign: int,
    weight: float | None,
) -> None:
    words = [f"{a}{b}" for a in "abcdef" for b in "abcd"]
    corpus = {word: f"{word} {word} the sea" for word in words}
    corpus |= {f"no {word}": f"{word} tea grows on the sea and the hills" for word in words}
    queries = {word: word for word in words}
    held_out = Dataset(corpus, queries, {word: {word: 1} for word in words})

    def like_bm25(self: Evaluator, _: object) -> Measured:
        """Rank as BM25, or the other way round."""
        bm25 = BM25()
        bm25.add(bm25.encode_documents(self.documents))
        scores = []
        for query in self.queries:
            hits = bm25.search(bm25.encode_queries([query]), len(self.documents))
            ids, values = hits.row(0)
            scores.append(sign * values[np.argsort(ids)])
        return Measured(self.values(scores, 0.25), scores, None, None)

    monkeypatch.setattr(Evaluator, "__call__", like_bm25)
    train(model, replace(data, held_out=held_out), tmp_path / "out", SETTINGS)
    stored = tmp_path / "out" / "fusion.json"
    if weight is None:
        assert not stored.exists(), "no other share is better"
    else:
        said = json.loads(stored.read_text())
        assert said["fuse"] == "relative"
        assert 0.5 <= said["fuse_weight"] <= weight


def test_an_interrupt_while_the_end_is_measured_loses_nothing(
    new_model: Callable[[], ColBERT], data: TrainingData, tmp_path: Path
) -> None:
    looks = 0
    measure = Evaluator.__call__

    def interrupted(self: Evaluator, model: Any) -> Measured:  # noqa: ANN401
        nonlocal looks
        looks += 1
        if looks == 5:  # of a mixture: after the start and two epochs
            signal.raise_signal(signal.SIGINT)
        return measure(self, model)

    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluator, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"^stopped at step 8 of 8; the same command"):
            train(new_model(), data, out, SETTINGS)
    train(load_model(model_folder(out)), data, out, SETTINGS, mode="resume")
    train(new_model(), data, tmp_path / "whole", SETTINGS)
    first, second = (folder / "model.safetensors" for folder in (out, tmp_path / "whole"))
    assert first.read_bytes() == second.read_bytes()
    looks_of = [(f / "evaluations.jsonl").read_text() for f in (out, tmp_path / "whole")]
    assert looks_of[0] == looks_of[1]


def test_one_held_out_query_says_nothing(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    assert data.held_out is not None
    (query, grades), *_ = data.held_out.judgements.items()
    one = Dataset(data.held_out.corpus, {query: data.held_out.queries[query]}, {query: grades})
    result = train(model, replace(data, held_out=one), tmp_path / "out", SETTINGS)
    assert result["gain_interval"] is None
    assert result["remark"].startswith("One held-out query says nothing")
    told = show({"kind": "colbert", "dim": 8, **result})
    assert f" kept, of step {result['kept_step']}" in told
    assert "with 95 %" not in told
    json.loads((tmp_path / "out" / "settings.json").read_text(), parse_constant=pytest.fail)


def test_the_report_is_what_the_page_shows() -> None:
    told = show(
        {
            **{"out": "checkpoint", "kind": "colbert", "dim": 8, "steps": 157, "remark": None},
            **{"start_score": 0.612, "best_score": 0.6804, "kept_step": 157, "start_share": 0.25},
            **{"gain": 0.0684, "gain_interval": (0.0331, 0.1045)},
        }
    )
    (shown,) = outputs(read("docs/training.md"))
    assert shown in told


def test_the_share_of_the_start_is_recorded_where_nothing_is_held_out(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, start_share=0.5)
    result = train(model, replace(data, held_out=None), tmp_path / "out", settings)
    assert result["start_share"] == 0.5
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["start_share"] == 0.5


def test_a_training_with_terms_does_not_end_before_its_regularisers_have_risen(
    bert: Path, data: TrainingData, tmp_path: Path, measured_as: Callable[..., None]
) -> None:
    measured_as(0.5, 0.4, 0.3, 0.2, 0.6, 0.5, 0.1, 0.1, 0.1)
    settings = replace(
        SETTINGS, eval_steps=1, patience=1, sparsity=Sparsity(document_weight=0.1, rise=0.5)
    )
    result = train(Splade.from_base(bert, document_terms=16), data, tmp_path / "out", settings)
    assert (result["steps"], result["kept_step"]) == (5, 4)


def test_a_training_that_gains_no_more_ends(
    model: ColBERT, data: TrainingData, tmp_path: Path, measured_as: Callable[..., None]
) -> None:
    measured_as(0.1, 0.3, 0.5, 0.4, 0.5, 0.2, 0.2, 0.2)
    settings = replace(SETTINGS, eval_steps=1, patience=2)
    result = train(model, data, tmp_path / "out", settings)
    assert (result["steps"], result["kept_step"]) == (4, 4)
    assert list(log_of(tmp_path / "out", "ndcg@10")) == [0, 1, 2, 3, 4]


def test_what_was_trained_last_lies_beside_a_start_that_is_kept(
    new_of_any_kind: Callable[[], Model[Any]],
    data: TrainingData,
    tmp_path: Path,
    measured_as: Callable[..., None],
) -> None:
    measured_as(0.9, 0.1, 0.1, 0.1, 0.1)
    out, model = tmp_path / "out", new_of_any_kind()
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = replace(SETTINGS, eval_steps=100, objective=Objective(temperature=1.0))
    result = train(model, data, out, settings)
    assert result["kept_step"] == 0
    assert result["last"] == str(out / "last")
    trained = new_of_any_kind()
    train(trained, replace(data, held_out=None), tmp_path / "whole", settings)
    kept, last = load_model(out).state_dict(), load_model(out / "last").state_dict()
    for name, tensor in trained.state_dict().items():
        torch.testing.assert_close(kept[name], start[name], rtol=0, atol=0)
        torch.testing.assert_close(last[name], tensor, rtol=0, atol=0)
    assert not all(torch.equal(last[name], start[name]) for name in start)


def test_an_earlier_step_that_is_kept_does_not_lose_the_last(
    model: ColBERT, data: TrainingData, tmp_path: Path, measured_as: Callable[..., None]
) -> None:
    measured_as(0.1, 0.9, 0.5, 0.1, 0.1, 0.1)
    out = tmp_path / "out"
    result = train(model, data, out, SETTINGS)
    assert (result["kept_step"], result["steps"]) == (4, 8)
    assert result["last"] == str(out / "last")
    assert fingerprint(out, CHECKPOINT_FILES) != fingerprint(out / "last", CHECKPOINT_FILES)
    steps = [json.loads((f / "settings.json").read_text())["step"] for f in (out, out / "last")]
    assert steps == [4, 8]
    assert not (out / "last" / "last").exists()


def test_the_last_beside_the_kept_confuses_nobody(
    bert: Path,
    data: TrainingData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, model = tmp_path / "out", ColBERT.from_base(bert, dim=8)
    model.save(tmp_path / "start")
    with pytest.MonkeyPatch.context() as patch:
        values = iter([0.9, 0.1, 0.1, 0.1, 0.1, 0.1])
        looked = lambda *_: Measured([next(values)] * 4, [], None, None)  # noqa: E731
        patch.setattr(Evaluator, "__call__", looked)
        train(model, data, out, SETTINGS)
    assert fingerprint(out, CHECKPOINT_FILES) == fingerprint(tmp_path / "start", CHECKPOINT_FILES)
    capsys.readouterr()
    assert main(["info", str(out), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["fingerprint"] == fingerprint(out, CHECKPOINT_FILES)
    assert (about["type"], about["checkpoint"]["dim"]) == ("checkpoint", 8)
    assert about["bytes"] == sum(path.stat().st_size for path in out.glob("*") if path.is_file())
    assert main(["info", str(out / "last"), "--json"]) == 0
    assert main(["train", "colbert", "--resume", "--out", str(out), "--data", "x"]) == 1
    again = train(ColBERT.from_base(bert, dim=8), data, out, SETTINGS, mode="overwrite")
    assert (again["last"] is None) == (not (out / "last").exists())


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (Look(step=8, start_share=0.5, values=[0.9]), "kept 0.900 with 50% of the start's weights"),
        (Look(step=4, start_share=0.0, values=[0.7]), "kept 0.700"),
        (Look(step=0, start_share=1.0, values=[0.6]), "kept 0.600"),
        (None, None),
    ],
)
def test_the_picture_marks_what_was_kept(kept: Look | None, told: str | None) -> None:
    log: list[Record] = [{"step": step, "ndcg@10": 0.6 + step / 40} for step in (0, 4, 8)]
    log += [{"step": step, "loss": step % 3, "lr": 0.1} for step in range(1, 9)]
    losses, quality = picture(log, kept).axes
    assert [text.get_text() for text in losses.texts] == ["mean of 2 steps"]
    assert [text.get_text() for text in quality.texts] == [
        *([] if told is None else [told]),
        "start 0.600",
    ]
    if kept is not None:
        assert np.asarray(quality.lines[-1].get_xydata()).tolist() == [[kept.step, kept.mean]]


def test_how_a_checkpoint_was_made_lies_beside_it(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, seed=7)
    train(model, data, tmp_path / "out", settings)
    record = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert record["settings"]["batch_size"] == 4
    assert record["settings"]["seed"] == 7
    assert record["settings"]["objective"]["temperature"] == 0.02
    assert record["settings"]["data"] == data.fingerprint()
    assert record["settings"]["held_out"] == data.held_out_fingerprint()
    assert record["versions"]["torch"] == torch.__version__
    assert record["kind"] == "colbert"


def test_a_wrong_choice_is_refused_at_once(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"mode must be one of \['new', .*\], got 'again'"):
        train(model, data, tmp_path / "out", SETTINGS, mode="again")  # type: ignore[arg-type]
    wrong: Any = "klx"
    for settings, name, choices in (
        (Objective, "loss", Loss),
        (Sparsity, "query_regulariser", Regulariser),
        (Settings, "device", Device),
        (Settings, "precision", Precision),
    ):
        with pytest.raises(ValueError, match=f"{name} must be one of .*, got 'klx'") as refused:
            settings(**{name: wrong})
        assert str(list(get_args(choices))) in str(refused.value)


def test_what_is_there_is_replaced_by_the_mode_that_is_told(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(FileExistsError, match=r'pass --overwrite \(`mode="overwrite"`\)'):
        train(model, data, tmp_path, SETTINGS)


def test_a_checkpoint_without_a_folder_is_told(tmp_path: Path) -> None:
    for load in (load_model, ColBERT.load):
        with pytest.raises(CheckpointError, match=r"there is no folder .*nope'; `glane train`"):
            load(tmp_path / "nope")


def test_nothing_held_out_keeps_the_end_and_says_so(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    result = train(model, replace(data, held_out=None), tmp_path / "out", SETTINGS)
    assert (result["kept_step"], result["start_score"]) == (8, None)
    assert "unknown" in result["remark"]


def test_the_kept_weights_lie_between_start_and_end(
    new_model: Callable[[], ColBERT], data: TrainingData, tmp_path: Path
) -> None:
    kept = {}
    for share in (0.0, 0.5):
        settings = replace(SETTINGS, start_share=share)
        model = new_model()
        train(model, replace(data, held_out=None), tmp_path / str(share), settings)
        kept[share] = model.state_dict()
    for name, start in new_model().state_dict().items():
        torch.testing.assert_close(kept[0.5][name], (start + kept[0.0][name]) / 2)


def test_frozen_weights_stay(model: ColBERT, data: TrainingData, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model, replace(data, held_out=None), tmp_path / "out", SETTINGS)
    changed = {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}
    assert "projection.weight" in changed
    assert "encoder.encoder.layer.1.output.dense.weight" in changed
    assert not any("embeddings" in name or "layer.0" in name for name in changed)


def test_the_same_seed_gives_the_same_bits(
    new_model: Callable[[], ColBERT], data: TrainingData, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        train(new_model(), data, tmp_path / name, SETTINGS)
    first, second = (tmp_path / n / "model.safetensors" for n in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("stop", [1, 4, 8])
def test_a_resumed_run_gives_the_bits_of_an_uninterrupted_one(
    new_of_any_kind: Callable[[], Model[Any]], data: TrainingData, tmp_path: Path, stop: int
) -> None:
    sparsity = Sparsity(query_weight=0.1, document_weight=0.1)
    settings = replace(SETTINGS, batch_size=2, accumulation=2, eval_steps=3, sparsity=sparsity)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(new_of_any_kind(), data, whole, settings)
    with pytest.raises(KeyboardInterrupt, match=r'--resume \(`mode="resume"`\) goes on from there'):
        train_with(interrupted_at(stop), new_of_any_kind(), data, parts, settings)
    assert [path.name for path in parts.iterdir()] == [FOLDER]
    torch.manual_seed(99)  # what another session may have done to the generator
    train(load_model(model_folder(parts)), data, parts, settings, mode="resume")
    for name in ("model.safetensors", "glane.json", "config.json", "tokenizer.json"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    for quantity in ("loss", "lr", "ndcg@10"):
        assert log_of(parts, quantity) == log_of(whole, quantity)


def test_checkpoints_are_written_every_n_steps_and_hold_no_pickle(
    new_model: Callable[[], ColBERT], data: TrainingData, tmp_path: Path
) -> None:
    steps: list[object] = []

    def fail(*arguments: object) -> dict[str, float]:
        if len(steps) == 5:
            raise RuntimeError("the machine went down")
        steps.append(arguments)
        return learn(*arguments)  # type: ignore[arg-type]

    with pytest.raises(RuntimeError, match="went down"):
        train_with(fail, new_model(), data, tmp_path / "out", replace(SETTINGS, save_steps=2))
    saved = tmp_path / "out" / FOLDER
    assert json.loads((saved / "progress.json").read_text())["step"] == 4
    suffixes = {path.suffix for path in saved.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".jsonl", ".safetensors"}
    train(new_model(), data, tmp_path / "whole", SETTINGS)
    resumed = ColBERT.load(model_folder(tmp_path / "out"))
    train(resumed, data, tmp_path / "out", SETTINGS, mode="resume")
    first, second = (tmp_path / n / "model.safetensors" for n in ("whole", "out"))
    assert first.read_bytes() == second.read_bytes()


def test_a_second_ctrl_c_leaves_what_was_saved_before(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    def twice(*arguments: object) -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return {}

    with pytest.raises(KeyboardInterrupt, match="nothing was saved"):
        train_with(twice, model, data, tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()


def test_resuming_with_other_settings_or_data_is_refused(
    new_model: Callable[[], ColBERT], data: TrainingData, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        train_with(interrupted_at(2), new_model(), data, out, SETTINGS)
    model = ColBERT.load(model_folder(out))
    with pytest.raises(ValueError, match="`batch_size` was 4 and is now 5"):
        train(model, data, out, replace(SETTINGS, batch_size=5), mode="resume")
    fewer = replace(data, examples=data.examples[:-1])
    with pytest.raises(ValueError, match="cannot resume: `data` was"):
        train(model, fewer, out, SETTINGS, mode="resume")
    with pytest.raises(CheckpointError, match="no interrupted training"):
        train(model, data, tmp_path / "other", SETTINGS, mode="resume")
    for held_out in (None, perfected(data).held_out):
        with pytest.raises(ValueError, match="cannot resume: `held_out` was"):
            train(model, replace(data, held_out=held_out), out, SETTINGS, mode="resume")
    train(model, data, out, SETTINGS, mode="resume")


@pytest.mark.parametrize("save_steps", [0, 2])
@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_step_that_is_not_finite_is_named_and_saves_nothing_broken(
    model: ColBERT, data: TrainingData, tmp_path: Path, save_steps: int, broken: str
) -> None:
    calls = 0

    def broken_at_four(*arguments: Any) -> dict[str, float]:  # noqa: ANN401
        nonlocal calls
        calls += 1
        if calls != 4:
            return learn(*arguments)
        if broken == "loss":
            options = replace(arguments[-1], objective=Objective(temperature=1e-60))
            return learn(*arguments[:-1], options)  # type: ignore[call-arg]
        assert model.projection is not None
        weight: Any = model.projection.weight
        hook = weight.register_hook(lambda gradient: gradient * float("inf"))
        try:
            return learn(*arguments)
        finally:
            hook.remove()

    out = tmp_path / "out"
    said = "out' has what was good until then$"
    with pytest.raises(ValueError, match=rf"^step 4: the {broken}.* is (nan|inf).*{said}"):
        train_with(broken_at_four, model, data, out, replace(SETTINGS, save_steps=save_steps))
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert list(log_of(out, "loss")) == [1, 2, 3]
    assert list(log_of(out, "ndcg@10")) == [0, 3]
    kept = ColBERT.load(out)
    assert all(tensor.isfinite().all() for tensor in kept.state_dict().values())
    assert not (out / FOLDER).exists()


def test_a_first_step_that_is_not_finite_leaves_nothing(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, objective=Objective(temperature=1e-60))
    with pytest.raises(ValueError, match=r"^step 1: the loss is .*; nothing was saved$"):
        train(model, data, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("part", "value"), [("embeddings", float("nan")), ("output", 3e38)])
def test_weights_that_are_or_score_no_numbers_leave_the_best_before_them(
    model: ColBERT, data: TrainingData, tmp_path: Path, part: str, value: float
) -> None:
    encoder: Any = model.encoder
    weight = {
        "embeddings": next(encoder.parameters()),
        "output": encoder.encoder.layer[-1].output.dense.weight,  # finite, and overflows
    }[part]
    calls = 0

    def spoil(*arguments: Any) -> dict[str, float]:  # noqa: ANN401
        nonlocal calls
        calls += 1
        told = learn(*arguments)
        if calls == 6:
            with torch.no_grad():
                weight.fill_(value)
        return told

    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"^step [67]: .*nan.*has what was good until then"):
        train_with(spoil, model, data, out, replace(SETTINGS, eval_steps=2))
    assert json.loads((out / "settings.json").read_text())["step"] in (2, 4)
    assert not (out / "last").exists()
    kept = ColBERT.load(out)
    assert all(tensor.isfinite().all() for tensor in kept.state_dict().values())


def test_a_model_that_scores_no_numbers_is_not_kept(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    def spoil(*arguments: object) -> dict[str, float]:
        result = learn(*arguments)  # type: ignore[arg-type]
        with torch.no_grad():
            next(model.encoder.parameters()).fill_(float("nan"))
        return result

    with pytest.raises(ValueError, match=r"^step 1: the model's scores are nan"):
        train_with(spoil, model, data, tmp_path / "out", replace(SETTINGS, eval_steps=1))
    assert not (tmp_path / "out").exists()


def test_what_is_cut_is_counted(bert: Path, triples: Callable[..., Path], tmp_path: Path) -> None:
    long = " ".join(["tea"] * 40)
    rows = [
        {"anchor": f"tea {long}", "positive": long, "negatives": ["tea", f"sea {long}"]},
        {"anchor": "sea", "positive": f"sea {long}", "negative": " ".join(["tea"] * 12)},
    ]
    data = read_data(triples(*rows), holdout=0)
    model = ColBERT.from_base(bert, dim=8, query_length=8, document_length=16)
    result = train(model, data, tmp_path / "out", replace(SETTINGS, document_length=10, epochs=1))
    assert result["cut"] == {
        **{"queries": 1, "of_queries": 2},
        **{"documents": 2, "documents_in_training": 3, "of_documents": 4},
    }


def test_seven_batches_accumulated_by_four_are_two_steps(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, epochs=1, batch_size=2, accumulation=4)
    seven = replace(data, examples=data.examples[:14], held_out=None)
    sizes = []

    def watch(model: Any, optimizer: Any, batch: VirtualBatch, options: Any) -> dict[str, float]:  # noqa: ANN401
        sizes.append([len(piece.positions) for piece in batch.pieces if piece.role == "query"])
        return learn(model, optimizer, batch, options)

    assert train_with(watch, model, seven, tmp_path / "out", settings)["steps"] == 2
    assert sizes == [[2, 2, 2, 2], [2, 2, 2]]


def test_every_kind_trains_and_logs_its_terms(
    new_of_any_kind: Callable[[], Model[Any]], data: TrainingData, tmp_path: Path
) -> None:
    model = new_of_any_kind()
    settings = replace(DEFAULTS[model.checkpoint.kind], epochs=3, batch_size=4, save_steps=0)
    result = train(model, data, tmp_path / "out", settings)
    assert data.held_out is not None
    measured = Evaluator(data.held_out, 64, seed=0)(load_model(tmp_path / "out"))
    assert np.mean(measured.values) == result["best_score"]
    for name in ("query_terms", "document_terms", "document_flops"):
        n_logged = 0 if model.checkpoint.kind == "colbert" else 12
        assert len(log_of(tmp_path / "out", name)) == n_logged


def test_terms_that_are_all_active_are_told_of_once(
    bert: Path, data: TrainingData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Splade.from_base(bert, document_terms=16)
    with torch.no_grad():
        model.decoder.bias.fill_(40.0)
    settings = replace(SETTINGS, objective=Objective(temperature=10.0), max_steps=4)
    train(model, replace(data, held_out=None), tmp_path / "out", settings)
    told = [line for line in capsys.readouterr().err.splitlines() if "terms are active" in line]
    assert len(told) == 1
    assert told[0].startswith("step 1: nearly all terms are active (")


def test_a_loss_with_a_teacher_needs_one_before_the_first_step(
    model: ColBERT, data: TrainingData, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, objective=Objective(loss="kl"))
    with pytest.raises(ValueError, match=r"jsonl', line \d+: .* needs `teacher_scores`"):
        train(model, data, tmp_path / "out", settings)
    taught = [replace(example, teacher_scores=(2.0, 1.0)) for example in data.examples]
    alone = [replace(taught[0], negatives=(), teacher_scores=(2.0,)), *taught[1:]]
    with pytest.raises(ValueError, match=r"a loss with a teacher needs `negatives`"):
        train(model, replace(data, examples=Examples.of(alone)), tmp_path / "out", settings)
    train(model, replace(data, examples=Examples.of(taught)), tmp_path / "out", settings)


def test_max_steps_ends_the_run(model: ColBERT, data: TrainingData, tmp_path: Path) -> None:
    settings = replace(SETTINGS, max_steps=3)
    assert train(model, data, tmp_path / "out", settings)["steps"] == 3
    assert list(log_of(tmp_path / "out", "ndcg@10")) == [0, 3]


def test_evaluation_ranks_the_answer_among_the_candidates_of_bm25(model: ColBERT) -> None:
    corpus = {"a": "tea grows", "b": "the sea", "c": "tea", "d": "iron rusts"}
    dataset = Dataset(corpus, {"q": "tea", "x": "bread"}, {"q": {"a": 1, "c": 0}, "x": {"b": 0}})
    evaluator = Evaluator(dataset, 64, seed=0)
    assert evaluator.queries == ["tea"], "x has no answer"
    assert evaluator.documents == ["tea grows", "tea"]
    (value,) = evaluator(model).values
    assert value == pytest.approx(0.6309, abs=1e-4), "the text of the query comes first"


def test_evaluation_fuses_a_colbert_with_bm25_as_a_search_does(model: ColBERT) -> None:
    texts = ["tea tea", "tea grows on the sea", "the sea", "iron", "tea and the sea rusts"]
    corpus = {f"d{n}": text for n, text in enumerate(texts)}
    queries = {"q": "tea sea", "r": "the tea grows"}
    dataset = Dataset(corpus, queries, {"q": {"d1": 2, "d4": 1}, "r": {"d4": 1, "d0": 1}})
    bm25 = BM25()
    bm25.add(bm25.encode_documents(texts))
    first = bm25.search(bm25.encode_queries(list(queries.values())), k=20)
    asked = model.encode_queries(list(queries.values()))
    scores = model.score(asked, model.encode_documents(texts))
    rows = [(np.sort(first.row(n)[0]), scores[n][np.sort(first.row(n)[0])]) for n in range(2)]
    fused = fuse(first, Hits.from_rows(rows, 20), 10)
    grades = [{1: 2, 4: 1}, {4: 1, 0: 1}]
    wanted = [ndcg(fused.row(n)[0].tolist(), grades[n]) for n in range(2)]
    measured = Evaluator(dataset, 64, seed=0)(model)
    assert measured.values == pytest.approx(wanted)
    assert (measured.query_terms, measured.document_terms) == (None, None)


def test_ndcg_by_hand() -> None:
    grades = {1: 2, 2: 1, 3: 0, 4: -1}
    assert ndcg([1, 2], grades) == 1
    assert ndcg([3, 2, 1], grades) == pytest.approx((1 / 1.58496 + 2 / 2) / (2 + 1 / 1.58496))
    assert ndcg([4, 3], grades) == 0


def command(bert: Path, data: Path, out: Path, *more: str) -> list[str]:
    arguments = ["train", "colbert", "--base", str(bert), "--data", str(data), "--out", str(out)]
    return [
        *arguments,
        "--dim",
        "8",
        "--batch-size",
        "4",
        "--device",
        "cpu",
        "--threads",
        "1",
        *more,
    ]


def test_the_command_reports(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main(command(bert, triples(), out, "--epochs", "1", "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["kind"], result["dim"], result["steps"]) == ("colbert", 8, 5)
    assert main(command(bert, triples(), out)) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(command(bert, triples(), out, "--epochs", "1", "--overwrite")) == 0
    assert "held-out NDCG@10" in capsys.readouterr().out


def test_no_steps_write_the_untrained_model(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["train", "colbert", "--base", str(bert), "--out", str(out), "--max-steps", "0"]
    assert main(arguments) == 0
    assert ColBERT.load(out).checkpoint.dim == 16
    assert "Untrained" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["splade", "sparse-embed"])
def test_the_command_trains_models_with_terms(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    out = tmp_path / "out"
    arguments = ["train", kind, "--base", str(bert), "--data", str(triples()), "--out", str(out)]
    arguments += ["--query-terms", "5", "--document-terms", "9", "--query-flops", "0.5"]
    arguments += ["--flops-rise", "0", "--max-steps", "3", "--batch-size", "4", "--threads", "1"]
    arguments += ["--query-regulariser", "l1", "--json"]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["kind"], result["steps"]) == (kind, 3)
    checkpoint = load_model(out).checkpoint
    assert (checkpoint.query_terms, checkpoint.document_terms) == (5, 9)
    assert checkpoint.dim == DIMS[checkpoint.kind]
    assert len(log_of(out, "query_l1")) == 3


def test_no_steps_write_untrained_models_with_terms(
    bert_mlm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--base", str(bert_mlm), "--max-steps", "0", "--query-terms", "5"]
    for kind, more in (("splade", ["--inference-free"]), ("sparse-embed", ["--dim", "8"])):
        out = tmp_path / kind
        assert main(["train", kind, *common, *more, "--out", str(out)]) == 0
        checkpoint = load_model(out).checkpoint
        assert (checkpoint.kind, checkpoint.query_terms) == (kind, 5)
        assert (checkpoint.dim, checkpoint.inference_free) == ((0, True), (8, False))[
            "--dim" in more
        ]
    assert "splade, 0 steps" in capsys.readouterr().out


def test_a_table_is_begun_with_the_documents_that_are_learned_from(
    bert_mlm: Path, triples: Callable[..., Path], tmp_path: Path
) -> None:
    arguments = ["train", "splade", "--base", str(bert_mlm), "--data", str(triples())]
    arguments += ["--max-steps", "0", "--inference-free", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    table = Splade.load(tmp_path / "out").query_table()
    assert len(set(table.tolist())) == 3, "0 for markers, less for what two documents have"


@pytest.mark.parametrize(
    ("kind", "more", "complaint"),
    [
        ("colbert", ["--query-terms", "5"], "--query-terms of a colbert must be 0, got 5"),
        ("colbert", ["--inference-free"], "--inference-free is for splade alone, not colbert"),
        ("splade", ["--dim", "8"], "--dim 8 was given"),
        ("splade", ["--query-terms", "0"], "--query-terms of a splade must be at least 1, got 0"),
        ("splade", ["--query-expansion"], "--query-expansion is for colbert alone, not splade"),
        ("splade", ["--query-flops", "-1"], "--query-flops must be at least 0"),
        ("splade", ["--loss", "kl"], "needs `teacher_scores`"),
        ("sparse-embed", ["--dim", "0"], "--dim of a sparse-embed must be at least 1, got 0"),
    ],
)
def test_what_does_not_fit_the_kind_is_refused(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    more: list[str],
    complaint: str,
) -> None:
    out = tmp_path / "out"
    arguments = ["train", kind, "--base", str(bert), "--data", str(triples()), "--out", str(out)]
    code = 2 if complaint.startswith("--") and "was given" not in complaint else 1
    assert main([*arguments, "--projection", "random", *more]) == code
    printed = capsys.readouterr()
    *before, refusal = printed.err.splitlines()
    assert complaint in refusal
    assert all(line.startswith(f"{bert}: BertModel") for line in before)
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--lr", "0"], "--lr must be above 0"),
        (["--data", "nowhere.jsonl"], "'nowhere.jsonl'"),
        (["--resume"], "no interrupted training"),
        (
            ["--base", "nowhere/at/all"],
            "'nowhere/at/all' could not be had from the hub (Repo id",
        ),
        (["--document-length", "400"], "--document-length is 400"),
        (["--precision", "fp16"], "--precision 'fp16' cannot be trained on cpu"),
    ],
)
def test_bad_usage_is_one_line_and_leaves_nothing(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    complaint: str,
) -> None:
    path = triples()
    code = 2 if complaint.startswith("--") else 1
    assert main(command(bert, path, tmp_path / "out", *more)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    *before, refusal = printed.err.splitlines()
    assert complaint in refusal
    assert all(line.startswith(f"{bert}: BertModel") for line in before)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_leave_a_training_that_resumes(
    bert: Path, triples: Callable[..., Path], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "out"
    arguments = command(bert, triples(), out, "--epochs", "500", "--save-steps", "1")
    arguments += ["--eval-steps", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "glane", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    deadline = time.monotonic() + 120
    while not (out / FOLDER / "progress.json").is_file() and time.monotonic() < deadline:
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert '--resume (`mode="resume"`) goes on from there' in errors
    assert errors.count("Traceback") == 0
    step = json.loads((out / FOLDER / "progress.json").read_text())["step"]
    assert 0 < step < 2500
    assert main([*arguments, "--dim", "9", "--resume"]) == 2
    assert main(arguments) == 1, "neither --resume nor --overwrite"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU is seen")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_training_runs_on_cuda(
    model: ColBERT, data: TrainingData, tmp_path: Path, precision: str
) -> None:
    settings = replace(SETTINGS, device="cuda", precision=precision)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        train_with(interrupted_at(3), model, data, tmp_path / "out", settings)
    resumed = ColBERT.load(model_folder(tmp_path / "out"))
    result = train(resumed, data, tmp_path / "out", settings, mode="resume")
    assert (result["steps"], result["device"], result["precision"]) == (8, "cuda", precision)
    assert all(loss < 20 for loss in log_of(tmp_path / "out", "loss").values())
