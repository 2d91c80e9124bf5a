"""What a run leaves beside the weights: its result, its log, and a picture of both."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from glane_trainer.keep import Kept, Look
from glane_trainer.state import Record, write_log

SETTINGS = "settings.json"
"""How a checkpoint was made: beside its weights, and not read again."""

PACKAGES = ("glane", "numpy", "tokenizers", "torch", "transformers")

INK, LOSS, QUALITY = "#3d4451", "#9aa5b8", "#1f6f5c"


class Result(TypedDict):
    """What a run reports.

    The scores are NDCG@10 on held-out queries, None where there are none: of the start and of what
    was kept, by how much that is better, and the 95 % interval of this over the queries.
    `kept_step` is the step whose weights were written, 0 for the start's, and `start_share` the
    start's share in them; `last` is the folder of those that were trained last, None where they are
    the ones that were kept. `counts` and `cut` say what was left out of the data and what was
    longer than is read.
    """

    out: str
    steps: int
    examples: int
    start_score: float | None
    best_score: float | None
    gain: float | None
    gain_interval: list[float] | None
    start_share: float
    kept_step: int
    last: str | None
    counts: dict[str, int]
    cut: dict[str, int]
    remark: str
    device: str
    precision: str
    seconds: float


class Scores(TypedDict):
    """What of a `Result` the held-out queries say."""

    start_score: float | None
    best_score: float | None
    gain: float | None
    gain_interval: list[float] | None
    start_share: float


def scores_of(looks: Sequence[Look], kept: Kept | None, start_share: float) -> Scores:
    """Return what the held-out queries say of what was kept.

    Args:
        looks: First that of the start.
        kept: What was kept, None where nothing was held out, or it was not measured.
        start_share: The start's share in the weights.
    """
    compared = None if kept is None else kept.against_start
    is_known = compared is not None and compared.n > 1
    return {
        "start_score": looks[0].mean if looks else None,
        "best_score": None if kept is None else kept.look.mean,
        "gain": None if compared is None else compared.difference,
        "gain_interval": [compared.low, compared.high] if compared and is_known else None,
        "start_share": start_share,
    }


def remark_on(kept: Kept | None) -> str:
    """Return what a user should know of the weights that are kept."""
    if kept is None:
        return "Nothing was held out: whether this model is better than its start is unknown."
    if (lost := kept.start_wins) is not None:
        return (
            f"The start was kept: on the held-out queries it is better by {lost.difference:.4f} "
            f"({lost.low:.4f} to {lost.high:.4f}) than the best that was trained."
        )
    if (gained := kept.against_start) is None:
        return "The start was kept: the training ended before its regularisers had risen."
    if gained.n == 1:
        return "One held-out query says nothing of whether this model is better than its start."
    if gained.low > 0:
        return ""
    return (
        f"{gained.n} held-out queries do not show that it is better than its start: the "
        f"difference, {gained.difference:+.4f}, lies between {gained.low:+.4f} and "
        f"{gained.high:+.4f}."
    )


def write_settings(folder: Path, record: Mapping[str, object]) -> None:
    """Write `settings.json`: what is given, and the versions it was made with."""
    versions = {"python": platform.python_version()}
    versions |= {package: version(package) for package in PACKAGES}
    text = json.dumps(
        {**record, "versions": versions}, indent=2, ensure_ascii=False, allow_nan=False
    )
    (folder / SETTINGS).write_text(text + "\n", encoding="utf-8")


def write_looks(folder: Path, ids: Sequence[str], looks: Sequence[Look]) -> None:
    """Write `evaluations.jsonl`: for each measurement the NDCG@10 of every held-out query.

    Args:
        folder: That is there.
        ids: Of the queries.
        looks: In order.
    """
    lines = []
    for look in looks:
        record = {name: value for name, value in asdict(look).items() if value is not None}
        values = [round(value, 5) for value in record.pop("values")]
        record |= {"ndcg@10": round(look.mean, 5), "queries": dict(zip(ids, values, strict=True))}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    (folder / "evaluations.jsonl").write_text("".join(lines), encoding="utf-8")


def write_report(folder: Path, log: Sequence[Record], kept: Kept | None) -> None:
    """Write `training.jsonl` and `training.png`.

    Args:
        folder: That is there.
        log: Records with `step` and either `loss` and `lr`, or `ndcg@10`.
        kept: What was kept; None where nothing was measured.
    """
    write_log(folder, log)
    figure = picture(log, None if kept is None else kept.look)
    figure.savefig(folder / "training.png", dpi=150, facecolor="white")


def picture(log: Sequence[Record], kept: Look | None) -> Figure:
    """Return the loss above the quality; a run without evaluations has the loss alone."""
    losses = _series(log, "loss")
    quality = _series(log, "ndcg@10")
    n_panels = 2 if len(quality[0]) else 1
    figure = Figure(figsize=(7, 2.6 * n_panels + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(n_panels, 1, sharex=True))
    _draw_loss(panels[0], *losses)
    if n_panels == 2:
        _draw_quality(panels[1], *quality, kept)
    panels[-1].set_xlabel("optimizer steps", color=INK, fontsize=9)
    return figure


def _series(log: Sequence[Record], name: str) -> tuple[list[float], list[float]]:
    """Return steps and values of one quantity."""
    found = [(record["step"], record[name]) for record in log if record.get(name) is not None]
    return [float(step or 0) for step, _ in found], [float(value or 0) for _, value in found]


def _draw_loss(axes: Axes, steps: list[float], losses: list[float]) -> None:
    axes.plot(steps, losses, color=LOSS, linewidth=0.8, alpha=0.7)
    width = max(1, min(5, len(losses) // 3), len(losses) // 20)
    if width > 1:
        smooth = np.convolve(losses, np.ones(width) / width, "valid")
        axes.plot(steps[width - 1 :], smooth, color=INK, linewidth=1.8)
        axes.annotate(
            f"mean of {width} steps", (0.99, 0.93), xycoords="axes fraction", ha="right", color=INK
        )
    _style(axes, "training loss")


def _draw_quality(axes: Axes, steps: list[float], values: list[float], kept: Look | None) -> None:
    axes.axhline(values[0], color=LOSS, linewidth=1, linestyle="--")
    axes.plot(steps, values, color=QUALITY, linewidth=1.8, marker="o", markersize=5)
    if kept is not None:
        _mark_kept(axes, kept, at_end=kept.step >= steps[-1])
    axes.annotate(
        f"start {values[0]:.3f}",
        (steps[-1], values[0]),
        xytext=(0, -12),
        textcoords="offset points",
        ha="right",
        color=INK,
    )
    axes.margins(y=0.3)
    _style(axes, "held-out NDCG@10")


def _mark_kept(axes: Axes, kept: Look, *, at_end: bool) -> None:
    """Mark what was kept: one of the measured points, or a mixture with the start's weights."""
    is_mixed = 0 < kept.start_share < 1
    told = f"kept {kept.mean:.3f}"
    told += f" with {kept.start_share:.0%} of the start's weights" if is_mixed else ""
    axes.plot(kept.step, kept.mean, color=QUALITY, marker="D" if is_mixed else "o", markersize=8)
    axes.annotate(
        told,
        (kept.step, kept.mean),
        xytext=(0, -17 if kept.step == 0 else 9),
        textcoords="offset points",
        ha="right" if at_end else "left" if kept.step == 0 else "center",
        color=QUALITY,
        fontweight="bold",
    )


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LOSS)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", color="#e6e9ef", linewidth=0.8)
    axes.set_axisbelow(True)
