"""The training loop: one, for every kind of model.

It is our own, and not `transformers.Trainer`, because three things are wanted that would have to be
worked around there: a resume that gives the same bits and unpickles nothing, an evaluation before
the first step, and a kept model that is never worse than the start without saying so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from glane.errors import option
from glane.model.preparation import TextPreparer
from glane.retrievers.fusion import write_model_fusion
from glane.store.folders import new_folder
from glane_trainer import adapters, optimization, state
from glane_trainer.batches import Order
from glane_trainer.card import Made, write_card
from glane_trainer.data import TrainingData
from glane_trainer.devices import DTYPES, available_device, available_precision
from glane_trainer.evaluation import Evaluator
from glane_trainer.examples import Example
from glane_trainer.interrupt import deferred_interrupt
from glane_trainer.keep import Kept, Look
from glane_trainer.lengths import count_cut
from glane_trainer.measuring import Measurements, Settled, n_measured
from glane_trainer.model import Model
from glane_trainer.processes import launched
from glane_trainer.report import (
    Result,
    remark_on,
    scores_of,
    write_looks,
    write_report,
    write_settings,
)
from glane_trainer.settings import Settings
from glane_trainer.sparsity import complaint
from glane_trainer.telling import Steps, stage, tell
from glane_trainer.trackers import Trackers
from glane_trainer.virtual import StepOptions, VirtualBatch, learn, virtual_batch

RESUME = option("resume", 'mode="resume"')

LAST = "last"
"""Folder, inside the finished one, of the weights of the last step where others are kept."""

MAY_CHANGE = ("save_steps", "device", "report_to")
"""Settings that another session of the same run may have otherwise."""


class Diverged(ValueError):
    """A loss, a gradient or a score is no number; the weights may not be, either."""


class Run:
    """A model, its schedule, and how far it has come.

    Attributes:
        n_steps: Optimizer steps of the whole run.
        progress: Steps done, scores and log.
        beside: Texts of further files that are written into the folder, by name.
    """

    def __init__(
        self, model: Model[Any], data: TrainingData, out: Path, settings: Settings
    ) -> None:
        """Prepare everything that can fail before the first step."""
        data = data.apart(model.preparer)
        self.model, self.data, self.out, self.settings = model, data, out, settings
        self.device = torch.device(available_device(settings.device))
        self.precision = available_precision(settings.precision, self.device.type)
        self.processes = launched(self.device.type)
        self.order = Order(data.examples, settings, self.processes.number)
        self.n_steps = self.order.epoch_ends[-1]
        if settings.max_steps is not None:
            self.n_steps = min(self.n_steps, settings.max_steps)
        if settings.objective.loss != "contrastive":
            data.check_teacher()
        self.looked_at = self._looked_at()
        self.preparer = _shortened(model.preparer, settings.document_length)
        self.processes.share_weights(model.to(self.device))
        self.measurements = Measurements(
            model, self._evaluator(), self.preparer, settings, self.processes
        )
        if settings.lora is not None:
            torch.manual_seed(np.random.default_rng([settings.seed, 6]).integers(2**62))
            adapters.adapt(model, settings.lora)
        self.frozen = optimization.freeze(model.encoder, settings.freeze_layers)
        if settings.recompute:
            optimization.recompute(model.encoder)
        if settings.compile:
            model.encoder.compile(dynamic=True)
        self.optimizer = optimization.make_optimizer(model, settings)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.precision == "fp16")
        self.options = StepOptions(
            objective=settings.objective,
            at_once=settings.batch_size,
            clip=settings.clip,
            autocast=DTYPES[self.precision],
            scaler=self.scaler,
            processes=self.processes,
        )
        with stage("counting the texts that are longer than is read"):
            self.cut = count_cut(data.examples, model.preparer, settings.document_length)
        self.progress = state.Progress(identity=self._identity())
        self.within_step = self.is_written = self.is_broken = False
        self.complaint = ""
        self.trackers = Trackers((), out, {})
        self.beside: Mapping[str, str] = {}
        self.began = time.perf_counter()

    def finish_steps(self) -> None:
        """Do what is left of the run: evaluate, save and step, each where it is due.

        Raises:
            Diverged: If a step or a measurement gives no numbers; the message says which.
        """
        tell(self.data.summary())
        if self.processes.is_first:
            state.begin_log(self.out, self.progress.log)
            self.trackers = Trackers(self.settings.report_to, self.out, asdict(self.settings))
        batches = self._batches()
        done, save_steps = self.progress.step, self.settings.save_steps
        with Steps(self.n_steps, done) as steps:
            while True:
                # Several processes stop together, one as it likes.
                with self._together() as came:
                    if self._evaluation_is_due():
                        self.evaluate()
                    step = self.progress.step
                    is_done = step >= self.n_steps or self.measurements.is_stale()
                    if not is_done:
                        if save_steps and step > done and step % save_steps == 0:
                            self.save()
                        with deferred_interrupt():
                            self.within_step = True
                            record = self.take_step(*next(batches))
                            self.within_step = False
                        steps.advance(record)
                    is_stopped = self.processes.any(bool(came), self.device)
                if is_stopped:
                    raise KeyboardInterrupt
                if is_done:
                    return

    def _together(self) -> AbstractContextManager[list[int]]:
        """Return what lets no signal break into what several processes do together."""
        return nullcontext([]) if self.processes.number == 1 else deferred_interrupt()

    def take_step(self, batch: VirtualBatch, n_examples: int) -> dict[str, float]:
        """Step the optimizer once, and log it; dropout is a function of seed and step."""
        began = time.perf_counter()
        progress, settings = self.progress, self.settings
        rate = optimization.set_rates(self.optimizer, progress.step, self.n_steps, settings.warm_up)
        self.model.train()
        for module in self.frozen:
            module.eval()
        sparsity = settings.sparsity.risen(progress.step, self.n_steps)
        torch.manual_seed(np.random.default_rng([settings.seed, 5, progress.step]).integers(2**62))
        try:
            options = replace(self.options, sparsity=sparsity)
            told = learn(self.model, self.optimizer, batch, options)
        except ValueError as error:
            raise Diverged(f"step {progress.step + 1}: {error}") from None
        progress.step += 1
        self._warn(told)
        speed = n_examples / (time.perf_counter() - began)
        record = {**told, "lr": rate, "examples_per_second": round(speed, 2)}
        self._log(record)
        return record

    def evaluate(self) -> None:
        """Measure the model as it is."""
        progress, sparsity = self.progress, self.settings.sparsity
        has_terms = self.model.checkpoint.kind != "colbert"
        is_ready = not has_terms or progress.step >= sparsity.rise * self.n_steps
        try:
            look = self.measurements.look(self.model, progress.step)
        except ValueError as error:
            raise Diverged(f"step {progress.step}: {error}") from None
        with deferred_interrupt():
            self.measurements.remember(replace(look, is_ready=is_ready), self.model)
            self._log({"ndcg@10": round(look.mean, 5)})

    def save(self) -> None:
        """Write what a resume needs."""
        if not self.processes.is_first:
            return
        now = time.perf_counter()
        self.progress.seconds += now - self.began
        self.began = now
        self.progress.scaler = self.scaler.state_dict()  # empty where it is not enabled
        tensors = optimization.optimizer_tensors(self.optimizer)
        measurements = self.measurements
        self.progress.looks = [asdict(look) for look in measurements.looks]
        self.progress.best_step = measurements.best_step
        saved = state.State(
            self.progress,
            optimizer=tensors,
            start=measurements.start,
            best=measurements.best,
            factors=adapters.factors(self.model.encoder),
        )
        with deferred_interrupt():
            state.save_state(self.out, self.model, saved)

    def restore(self) -> None:
        """Continue where `save` was called.

        Raises:
            CheckpointError: If there is no checkpoint, or a file is missing or damaged.
            ValueError: If settings or data are others.
        """
        saved = state.load_state(self.out)
        state.check_identity(saved.progress.identity, self._identity())
        self.progress, measurements = saved.progress, self.measurements
        measurements.looks = [Look(**look) for look in saved.progress.looks]
        measurements.start, measurements.best = saved.start, saved.best
        measurements.best_step = saved.progress.best_step
        optimization.restore_optimizer(self.optimizer, saved.optimizer)
        if saved.factors:
            adapters.restore(self.model.encoder, saved.start, saved.factors)
        if saved.progress.scaler:
            self.scaler.load_state_dict(saved.progress.scaler)

    def stop(self) -> str:
        """Write what a resume needs, after Ctrl-C, and return what to tell the user."""
        if self.is_written:
            return f"stopped when {str(self.out)!r} was written"
        where = f"stopped at step {self.progress.step} of {self.n_steps}"
        if self.within_step:
            # Weights and moments may be of different steps: what was saved before is whole.
            self._drop_log()
            return f"{where}; {self._on_disk()}"
        self.save()
        return f"{where}; the same command with {RESUME} goes on from there"

    def salvage(self) -> str:
        """Write the best there was before a step that failed, and return what to tell the user."""
        progress, measurements = self.progress, self.measurements
        parts = self.model.state_dict().values()
        self.is_broken = not all(part.isfinite().all() for part in parts)
        is_looked_at = not measurements.looks or measurements.looks[-1].step == progress.step
        if not (self.is_broken or is_looked_at):
            try:
                self.evaluate()
            except Diverged:
                self.is_broken = True
        adapters.merge(self.model.encoder)
        if self.is_broken:
            self.model.load_state_dict(measurements.best)
        if not (measurements.best_step if self.is_broken else progress.step):
            self._drop_log()
            return self._on_disk()
        return f"{self.write()['out']!r} has what was good until then"

    def write(self) -> Result:
        """Write the weights to keep, with log and picture, in the place of the run's checkpoint.

        Where these are not the ones of the last step, those lie beside, in the folder `last`,
        unless they are no numbers.
        """
        adapters.merge(self.model.encoder)
        progress, last = self.progress, optimization.weights(self.model)
        settled = self.measurements.settle(self.model, last, progress.step)
        told = remark_on(settled.kept)
        is_last = self.is_broken or all(
            torch.equal(settled.weights[name], tensor) for name, tensor in last.items()
        )
        if self.processes.is_first:
            with deferred_interrupt(), new_folder(self.out, overwrite=True) as folder:
                if not is_last:
                    (folder / LAST).mkdir()
                    self._write_weights(folder / LAST, Settled(None, last, progress.step, 0.0))
                self._write_weights(folder, settled)
                write_model_fusion(self.measurements.fusion(self.model, settled.kept), folder)
                write_report(folder, progress.log, settled.kept)
                self._write_looks(folder)
                self._write_record(folder, settled.kept, told)
                self.is_written = True
        self._take(settled.weights)
        return {
            "out": str(self.out),
            "steps": progress.step,
            "examples": len(self.data.examples),
            **scores_of(self.measurements.looks, settled.kept, settled.start_share),
            "kept_step": settled.step,
            "last": None if is_last else str(self.out / LAST),
            "counts": asdict(self.data.counts),
            "cut": self.cut,
            "remark": told,
            "device": self.device.type,
            "precision": self.precision,
            "seconds": round(progress.seconds + time.perf_counter() - self.began, 1),
        }

    def _take(self, weights: optimization.Weights) -> None:
        """Let the model have weights as a finished one has them."""
        self.model.load_state_dict(weights)
        self.model.requires_grad_(True).eval()

    def _write_weights(self, folder: Path, settled: Settled) -> None:
        """Write a complete checkpoint, with how it was made, into a folder that is there."""
        self._take(settled.weights)
        self.model.write(folder)
        checkpoint, progress = self.model.checkpoint, self.progress
        record = {
            "kind": checkpoint.kind,
            "base": checkpoint.base,
            "step": settled.step,
            "steps": progress.step,
            "examples": len(self.data.examples),
            **scores_of(self.measurements.looks, settled.kept, settled.start_share),
            "device": self.device.type,
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "settings": progress.identity,
        }
        write_settings(folder, record)
        self.data.write_sample(folder)

    def _write_looks(self, folder: Path) -> None:
        """Write what the held-out queries gave, each time that they were measured."""
        if (evaluator := self.measurements.evaluator) is not None:
            write_looks(folder, evaluator.ids, self.measurements.looks)

    def _write_record(self, folder: Path, kept: Kept | None, remark: str) -> None:
        """Write the model card, and what else was given to lie beside the weights."""
        looks = self.measurements.looks
        made = Made(
            checkpoint=self.model.checkpoint,
            learned=self.data.summary(),
            looks=looks,
            kept=kept,
            remark=remark,
        )
        for name, text in self.beside.items():
            (folder / name).write_text(text, encoding="utf-8")
        write_card(folder, made)

    def _log(self, record: dict[str, float]) -> None:
        self.progress.log.append({"step": self.progress.step, **record})
        if self.processes.is_first:
            state.append_log(self.out, self.progress.log[-1])
            self.trackers.tell(self.progress.log[-1])

    def _drop_log(self) -> None:
        """Remove the folder where it has nothing but the log."""
        if self.processes.is_first:
            state.drop_log(self.out)

    def _on_disk(self) -> str:
        """Return what a run that ends here leaves."""
        saved = (self.out / state.FOLDER / "model").is_dir()
        return f"{RESUME} goes on from the last checkpoint" if saved else "nothing was saved"

    def _warn(self, record: dict[str, float]) -> None:
        """Tell of too many or no active terms, once for each change."""
        found = complaint(record, self.model.checkpoint, self.model.encoder.config.vocab_size)
        if found and found != self.complaint:
            tell(f"step {self.progress.step}: {found}")
        self.complaint = found

    def _evaluator(self) -> Evaluator | None:
        """Return what measures the held-out queries, or None where there are none."""
        if self.data.held_out is None:
            return None
        settings, n_held_out = self.settings, len(self.data.held_out.queries)
        n_examples = self.n_steps * self.order.size // self.processes.number
        n_learned = n_examples * (2 + settings.n_negatives)
        n_queries = n_measured(n_held_out, n_learned, len(self.looked_at), settings)
        if n_queries < n_held_out:
            tell(f"measuring on {n_queries} of {n_held_out} held-out queries")
        with stage("finding BM25's candidates of the held-out queries"):
            return Evaluator(self.data.held_out, n_queries, settings.seed)

    def _evaluation_is_due(self) -> bool:
        step, looks = self.progress.step, self.measurements.looks
        if self.measurements.evaluator is None or (looks and looks[-1].step == step):
            return False
        return step in self.looked_at

    def _looked_at(self) -> set[int]:
        """Return the steps after which the held-out queries are measured."""
        every, n_steps = self.settings.eval_steps, self.n_steps
        between = range(every, n_steps, every) if every else self.order.epoch_ends
        return {0, *(step for step in between if step < n_steps), n_steps}

    def _batches(self) -> Iterator[tuple[VirtualBatch, int]]:
        """Yield what each step that is left learns from; the next is tokenized meanwhile."""
        batches = self.order.batches_from(self.progress.step)
        with ThreadPoolExecutor(1, "tokenizing") as thread:
            coming = thread.submit(self._next, batches)
            while (found := coming.result()) is not None:
                coming = thread.submit(self._next, batches)
                yield found

    def _next(self, batches: Iterator[list[Example]]) -> tuple[VirtualBatch, int] | None:
        if (batch := next(batches, None)) is None:
            return None
        options = replace(
            self.options,
            known=self.data.examples.known(batch),
            teacher_scores=[example.teacher_scores for example in batch],
        )
        anchor = [example.anchor for example in batch]
        positive = [example.positive for example in batch]
        negatives = [example.negatives for example in batch]
        return virtual_batch(self.preparer, anchor, positive, negatives, options), len(batch)

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same in every session of a run."""
        fixed = {k: v for k, v in asdict(self.settings).items() if k not in MAY_CHANGE}
        return {
            **fixed,
            "processes": self.processes.number,
            "data": self.data.fingerprint(),
            "held_out": self.data.held_out_fingerprint(),
        }


def _shortened(preparer: TextPreparer, document_length: int) -> TextPreparer:
    """Return a text preparation with documents cut shorter, if they are longer."""
    checkpoint = preparer.checkpoint
    if document_length >= checkpoint.document_length:
        return preparer
    shorter = replace(checkpoint, document_length=document_length)
    return TextPreparer(shorter, preparer.tokenizer_json)
