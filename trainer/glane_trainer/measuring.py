"""What the held-out queries say while a model is trained, and the weights that speak for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from glane.evaluation.choosing import N_FOLDS, folds_of
from glane.evaluation.choosing import choose as choose_setting
from glane.model.preparation import TextPreparer
from glane.retrievers.fusion import DEFAULT_FUSE, DEFAULT_WEIGHT, UNSAID, FusionSettings
from glane.retrievers.tuning import WEIGHTS
from glane.types import Scores
from glane_trainer import optimization
from glane_trainer.evaluation import CANDIDATES, Evaluator, Measured
from glane_trainer.interrupt import deferred_interrupt
from glane_trainer.keep import SHARES, Kept, Look, best_trained, choose
from glane_trainer.model import Model
from glane_trainer.optimization import Weights
from glane_trainer.processes import Processes
from glane_trainer.settings import Settings
from glane_trainer.telling import stage, tell

FEWEST = 64
"""Held-out queries that are measured in any case, where there are so many."""

READING = 2
"""How many texts are read in the time in which one is learned from, about."""


class Settled(NamedTuple):
    """What is kept of a training.

    Attributes:
        kept: What it gave; None where nothing is held out.
        weights: Its weights.
        step: Optimizer steps after which the trained ones of them were so; 0 for the start.
        start_share: Share of the start's weights in them.
    """

    kept: Kept | None
    weights: Weights
    step: int
    start_share: float


class Measurements:
    """The looks at a model on its way, its start, and the best weights so far.

    Attributes:
        looks: First that of the start.
        start: Weights before the first step.
        best: Weights of the best look at trained ones, see `best_trained`; else the start's.
        best_step: Where that was; 0 where there is none.
    """

    def __init__(
        self,
        model: Model[Any],
        evaluator: Evaluator | None,
        preparer: TextPreparer,
        settings: Settings,
        processes: Processes,
    ) -> None:
        """Begin, with the weights that the model has.

        Args:
            model: Untrained.
            evaluator: Of the held-out queries, or None.
            preparer: How texts are read, cut as in training.
            settings: Of the training.
            processes: That train.
        """
        self.looks: list[Look] = []
        self.start = self.best = optimization.weights(model)
        self.best_step = 0
        self.evaluator = evaluator
        self._scores: dict[tuple[int, float], list[Scores]] = {}
        self._preparer, self._settings, self._processes = preparer, settings, processes

    def look(self, model: Model[Any], step: int) -> Look:
        """Return what the weights give that a model has.

        Raises:
            ValueError: If a score is not a number: such a model ranks by chance.
        """
        return self._measured(model, step, 0.0 if step else 1.0)

    def remember(self, look: Look, model: Model[Any]) -> None:
        """Remember a look, and the model's weights where it is the best of those that are ready."""
        ready = [each for each in (*self.looks, look) if each.is_ready and each.step]
        if best_trained(ready, self._settings.max_terms) is look:
            self.best, self.best_step = optimization.weights(model), look.step
        self.looks.append(look)

    def is_stale(self) -> bool:
        """Return whether the last looks, as many as is waited for, were no better than before."""
        patience = self._settings.patience
        means = [look.mean for look in self.looks[1:] if look.is_ready]
        if patience is None or len(means) <= patience:
            return False
        return max(means[-patience:]) <= max(means[:-patience])

    def settle(self, model: Model[Any], last: Weights, step: int) -> Settled:
        """Decide what is kept: the best weights, mixed with the start's or not, or the start.

        Args:
            model: As trained to the end; its weights are as they were afterwards.
            last: Those weights.
            step: Optimizer steps done.
        """
        share = self._settings.start_share
        if self.evaluator is None or not self.looks:
            share = share or 0.0
            return Settled(None, optimization.mixed(self.start, last, share), step, share)
        start = self.looks[0]
        found = next((look for look in self.looks[1:] if look.step == self.best_step), None)
        if found is None:
            return Settled(Kept(start), self.start, 0, 1.0)
        shares = SHARES if share is None else (share,) if share else ()
        between = self._mixtures(model, last, shares)
        if share and between:
            kept = choose(start, between[0], [], self._settings.max_terms)
        else:
            kept = choose(start, found, between, self._settings.max_terms)
        self.looks += between
        if kept.look is start:
            return Settled(kept, self.start, 0, 1.0)
        share = kept.look.start_share
        return Settled(kept, optimization.mixed(self.start, self.best, share), found.step, share)

    def _mixtures(self, model: Model[Any], last: Weights, shares: Sequence[float]) -> list[Look]:
        """Return what the best weights give with some shares of the start's, where they score."""
        found = []
        try:
            for share in shares:
                model.load_state_dict(optimization.mixed(self.start, self.best, share))
                try:
                    found.append(self._measured(model, self.best_step, share))
                except ValueError as error:
                    tell(f"with {share:.0%} of the start: {error}; left out")
        finally:
            with deferred_interrupt():
                model.load_state_dict(last)
        return found

    def fusion(self, model: Model[Any], kept: Kept | None) -> FusionSettings:
        """Return BM25's share in a fused ranking, where the held-out queries show a better one.

        Chosen as `glane tune` chooses: the default stays unless another is shown to be better by
        queries that had no part in the choice.

        Args:
            model: What is kept; it is measured where it was not in this session.
            kept: What it gave, or None where nothing is held out.
        """
        if kept is None or self.evaluator is None or model.checkpoint.kind != "colbert":
            return UNSAID
        texts = self.evaluator.queries
        if len(set(texts)) < 2 * N_FOLDS:
            return UNSAID
        place = kept.look.step, kept.look.start_share
        scores = self._scores[place] if place in self._scores else self._read_by(model).scores
        weights = [DEFAULT_WEIGHT, *(weight for weight in WEIGHTS if weight != DEFAULT_WEIGHT)]
        values = np.array([self.evaluator.values(scores, weight) for weight in weights])
        changes = np.minimum(np.arange(len(weights)), 1)
        choice = choose_setting(values, changes, folds_of(texts))
        if not choice.wins:
            return UNSAID
        weight = weights[choice.setting]
        gain = choice.gain
        tell(
            f"BM25's share in a fused ranking: {weight} instead of {DEFAULT_WEIGHT}, by held-out "
            f"NDCG@10 {gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
        )
        return FusionSettings(DEFAULT_FUSE, weight)

    def _read_by(self, model: Model[Any]) -> Measured:
        """Return what a model gives that reads texts as in training."""
        assert self.evaluator is not None, "asked only where something is held out"
        own = model.preparer
        try:
            model.preparer = self._preparer
            return self.evaluator(model)
        finally:
            model.preparer = own

    def _measured(self, model: Model[Any], step: int, start_share: float) -> Look:
        """Measure in the first process, and tell the others."""
        assert self.evaluator is not None, "asked only where something is held out"
        n_texts = len(self.evaluator.queries) + len(self.evaluator.documents)
        made = None
        mixed = f", {start_share:.0%} of the start" if 0 < start_share < 1 else ""
        if self._processes.is_first:
            with stage(f"measuring at step {step}{mixed}: {n_texts} texts"):
                measured = self._read_by(model)
            self._scores[step, start_share] = measured.scores
            made = _packed(measured)
        (packed,) = self._processes.share(None if made is None else (made,), 0, model.device)
        look = _unpacked(packed, step, start_share)
        if math.isnan(look.mean):
            raise ValueError("the model's scores are nan; try a lower learning rate")
        tell(f"step {step}{mixed}: held-out NDCG@10 {look.mean:.4f}")
        return look


def n_measured(n_held_out: int, n_learned: int, n_looks: int, settings: Settings) -> int:
    """Return how many held-out queries are measured each time.

    All of them, if the measurements together take no longer than the training itself, about.

    Args:
        n_held_out: Queries that there are.
        n_learned: Texts that the training learns from, each as often as it comes.
        n_looks: Measurements on the way.
        settings: May say another number.
    """
    if settings.eval_queries is not None:
        return settings.eval_queries
    n_looks += len(SHARES) if settings.start_share is None else 1
    affordable = READING * n_learned // (n_looks * (1 + CANDIDATES))
    return min(n_held_out, max(FEWEST, affordable))


def _packed(measured: Measured) -> torch.Tensor:
    both = (measured.query_terms, measured.document_terms)
    terms = [math.nan if terms is None else terms for terms in both]
    return torch.tensor([*terms, *measured.values], dtype=torch.float64)


def _unpacked(packed: torch.Tensor, step: int, start_share: float) -> Look:
    query, document, *values = packed.tolist()
    terms = [None if math.isnan(number) else number for number in (query, document)]
    return Look(
        step=step,
        start_share=start_share,
        values=values,
        query_terms=terms[0],
        document_terms=terms[1],
    )
