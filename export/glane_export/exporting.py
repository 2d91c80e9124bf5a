"""The way from a checkpoint to a model folder, which is there whole and proved, or not at all."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from glane.errors import CheckpointError
from glane.model.checkpoint import (
    CHECKPOINT_FILES,
    Checkpoint,
    ModelInfo,
    fingerprint,
)
from glane.model.model_files import FUSION
from glane.retrievers.canary import encoded, write_canaries
from glane.retrievers.fusion import FusionSettings, read_model_fusion, write_model_fusion
from glane.store.folders import check_new, new_folder
from glane_export import parity, roads
from glane_export.fusing import fuse
from glane_export.given import Given, look_at
from glane_export.graph import opset, write_graph
from glane_export.judged import judged_loss
from glane_export.machine import machine
from glane_export.measured import Measured, odd, read_measured
from glane_export.quantize import description, quantize
from glane_export.roads import Probe
from glane_export.rows import Row
from glane_export.settings import ExportSettings
from glane_export.small_files import write_small_files
from glane_export.texts import CANARIES
from glane_trainer.model import Model
from glane_trainer.models import open_model
from glane_trainer.sample import Sample, read_sample
from glane_trainer.telling import ending, stage

FP32 = "onnx fp32 to torch"
ALONE = "onnx fp32 in a batch to alone"
LIMITS = {"int8": parity.INT8, "fp16": parity.FP16}

GRAPH = "model.onnx"
HALF = "weights and activations fp16, by onnxruntime's converter; a sparse model's head fp32"


def export_model(
    checkpoint_folder: str | Path,
    model_folder: str | Path,
    settings: ExportSettings | None = None,
) -> dict[str, Any]:
    """Write a model folder that the runtime loads, after proving that it ranks the same.

    Args:
        checkpoint_folder: Written by the trainer; or a finished model of another library, a
            folder or a name on the Hugging Face hub, see `open_model`.
        model_folder: Where `model.onnx`, `glane.json`, `tokenizer.json`, `model.json`,
            `parity.json` and, of an inference-free model, `query_weights.npy` are to be.
        settings: By default int8, over the texts that come with glane.

    Returns:
        The report, as it stands in `parity.json`.

    Raises:
        ParityError: If a bound is missed; nothing is written then.
        CheckpointError: If the checkpoint is missing or damaged.
        FileExistsError: If the folder exists and may not be replaced.
        ValueError: If there are too few texts.
    """
    settings = settings or ExportSettings()
    _check_new(model_folder, settings)
    sample = read_sample(checkpoint_folder)
    measured = _measured(settings, sample)
    with stage(f"loading {checkpoint_folder}"):
        model = open_model(checkpoint_folder)
        own = (Path(checkpoint_folder) / Checkpoint.file_name).is_file()
        checkpoint = fingerprint(checkpoint_folder, CHECKPOINT_FILES) if own else ""
        settings = replace(settings, fusion=settings.fusion.over(_stored_fusion(checkpoint_folder)))
    return _export(model, Path(model_folder), settings, measured, checkpoint)


def _check_new(model_folder: str | Path, settings: ExportSettings) -> None:
    argument = "ExportSettings(overwrite=True)"
    check_new(model_folder, overwrite=settings.overwrite, argument=argument)


def export_loaded(
    model: Model[Any],
    model_folder: str | Path,
    settings: ExportSettings | None = None,
    checkpoint: str | None = None,
) -> dict[str, Any]:
    """Write a model folder as `export_model` does, of a model in memory.

    Args:
        model: Any model of the trainer; it may never have been a checkpoint.
        model_folder: As there.
        settings: As there.
        checkpoint: Fingerprint of the checkpoint it came from, where there is one.

    Returns:
        The report.

    Raises:
        ParityError: If a bound is missed; nothing is written then.
        FileExistsError: If the folder exists and may not be replaced.
        ValueError: If there are too few texts.
    """
    settings = settings or ExportSettings()
    _check_new(model_folder, settings)
    return _export(model, Path(model_folder), settings, _measured(settings, None), checkpoint or "")


def _measured(settings: ExportSettings, sample: Sample | None) -> Measured:
    with stage("reading the texts to prove it on"):
        return read_measured(settings, sample)


def _stored_fusion(checkpoint: str | Path) -> FusionSettings:
    """Return what a checkpoint says of fusion: its training found it on held-out queries."""
    path = Path(checkpoint) / FUSION
    content = path.read_bytes() if path.is_file() else None
    return read_model_fusion(content, path.parent)


class _Job(NamedTuple):
    """What is exported, and how.

    Attributes:
        model: The model.
        checkpoint: Fingerprint of where it is from, or nothing.
        settings: How.
        probes: The texts that parity is measured on.
        given: A graph in the place of its encoder, if any.
    """

    model: Model[Any]
    checkpoint: str
    settings: ExportSettings
    probes: list[Probe]
    given: Given | None


def _export(
    model: Model[Any],
    model_folder: Path,
    settings: ExportSettings,
    measured: Measured,
    checkpoint: str,
) -> dict[str, Any]:
    job = _Job(
        model, checkpoint, settings, [*measured.probes, *odd(model)], _given(model, settings)
    )
    with (
        ending(f"{model_folder} is written: it ranks as what it was made of"),
        new_folder(model_folder, overwrite=settings.overwrite) as folder,
        tempfile.TemporaryDirectory() as scratch,
    ):
        fp32 = folder if settings.quantize == "none" else Path(scratch)
        bounds, exact = _export_fp32(job, fp32)
        parity.check(bounds)
        if settings.quantize != "none":
            bounds += _export_smaller(job, fp32, folder, exact)
            bounds += _judged_loss(measured, fp32, folder, settings)
            parity.check(bounds)
        _write_canaries(folder, settings.threads)
        write_model_fusion(settings.fusion, folder)
        report = _report(folder, bounds) | measured.record() | _graph_record(job.given)
        text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        (folder / "parity.json").write_text(text, encoding="utf-8")
    return report


def _given(model: Model[Any], settings: ExportSettings) -> Given | None:
    """Return the graph that takes the place of the encoder.

    Raises:
        CheckpointError: If it cannot, or is in fp16 where that is not asked for.
    """
    if settings.graph is None:
        return None
    with stage(f"trying {settings.graph}"):
        given = look_at(Path(settings.graph), model)
    if given.half and settings.quantize != "fp16":
        raise CheckpointError(
            f"the graph {str(given.path)!r} is in fp16; pass --quantize fp16, or one in fp32"
        )
    return given


def _export_fp32(job: _Job, folder: Path) -> tuple[list[parity.Bound], list[Row]]:
    """Write the fp32 model; return its bounds and the rows that the runtime gives.

    A given graph in fp16 takes the place of the smaller version alone.
    """
    given = None if job.given is None or job.given.half else job.given
    with stage("tracing the graph"):
        write_graph(job.model, folder / GRAPH, given=given)
    write_small_files(job.model, folder)
    moved, effect, alone = _alone_and_mixed(job, folder, given)
    ModelInfo(
        precision="fp32",
        quantization="none",
        batch_dependent=alone,
        batch_effect=effect,
        opset=opset(folder / GRAPH),
        checkpoint=job.checkpoint,
    ).write(folder)
    with stage(f"comparing {len(job.probes)} texts with torch, in fp32"):
        rows = roads.by_runtime(folder, job.probes, job.settings.threads)
        pairs = list(zip(rows, roads.by_torch(job.model, job.probes), strict=True))
    return [*parity.differences(FP32, parity.DIFFERENCE, job.probes, pairs), *moved], rows


def _export_smaller(job: _Job, fp32: Path, folder: Path, exact: list[Row]) -> list[parity.Bound]:
    """Write the version of fewer bits; return its bounds, by the rows that the runtime gives."""
    settings, probes = job.settings, job.probes
    precision: Literal["int8", "fp16"] = "int8" if settings.quantize == "int8" else "fp16"
    limits, compared, bounds = LIMITS[precision], f"{precision} to fp32", []
    with stage(f"making the graph in {precision}"):
        if precision == "int8":
            share = quantize(fp32 / GRAPH, folder / GRAPH, bits=settings.bits)
            bounds.append(parity.share(compared, *share))
            fuse(folder / GRAPH)
        else:
            write_graph(job.model, folder / GRAPH, half=True, given=job.given)
    parity.check(bounds)
    write_small_files(job.model, folder)
    moved, effect, alone = _alone_and_mixed(job, folder, job.given)
    ModelInfo(
        precision=precision,
        quantization=description(settings.bits) if precision == "int8" else HALF,
        batch_dependent=alone or not all(bound.kept for bound in moved),
        batch_effect=effect,
        opset=opset(folder / GRAPH),
        checkpoint=job.checkpoint,
    ).write(folder)
    with stage(f"comparing {len(probes)} texts with fp32, in {precision}"):
        rows = roads.by_runtime(folder, probes, settings.threads)
    pairs = list(zip(exact, rows, strict=True))
    return [
        *bounds,
        *parity.cosines(compared, probes, pairs, limits),
        *parity.shared_terms(compared, probes, pairs, limits),
        parity.overlap(compared, probes, exact, rows, limits),
    ]


def _judged_loss(
    measured: Measured, fp32: Path, folder: Path, settings: ExportSettings
) -> list[parity.Bound]:
    if measured.judged is None:
        return []
    compared = f"{settings.quantize} to fp32"
    with stage(f"measuring what {settings.quantize} costs the judged queries"):
        return judged_loss(compared, measured.judged, fp32, folder, settings.threads)


def _write_canaries(folder: Path, threads: int | None) -> None:
    """Write what the model gives for some texts, for those who have it elsewhere."""
    model = roads.load_runtime(folder, threads)
    write_canaries([row for role in roads.ROLES for row in encoded(model, role, CANARIES)], folder)


def _alone_and_mixed(
    job: _Job, folder: Path, given: Given | None
) -> tuple[list[parity.Bound], float, bool]:
    """Compare texts in a batch of mixed lengths with the same alone.

    Returns:
        Bounds, `batch_effect`, and whether the graph takes one text at a time: then there is no
        batch to compare.
    """
    if given is not None and given.one_at_a_time:
        return [], 0.0, True
    probes, threads = job.probes, job.settings.threads
    if job.model.checkpoint.inference_free:
        probes = [probe for probe in probes if probe.role == "document"]
    with stage(f"comparing {len(probes)} texts alone with the same in batches"):
        alone = roads.by_session(folder, probes, 1, threads)
        mixed = roads.by_session(folder, probes, roads.MIXED, threads)
    pairs = list(zip(alone, mixed, strict=True))
    bounds = parity.differences(ALONE, parity.BATCH_DIFFERENCE, probes, pairs)
    return bounds, parity.batch_effect(pairs), False


def _graph_record(given: Given | None) -> dict[str, Any]:
    """Return what `parity.json` says of the graph that was given."""
    if given is None:
        return {}
    digest = hashlib.sha256(given.path.read_bytes()).hexdigest()
    named = {"file": given.path.name, "sha256": digest, "output": given.output}
    return {"graph": {**named, "taken_apart": list(given.changes)}}


def _report(folder: Path, bounds: list[parity.Bound]) -> dict[str, Any]:
    info = ModelInfo.read(folder)
    return {
        "precision": info.precision,
        "quantization": info.quantization,
        "opset": info.opset,
        "bytes": (folder / GRAPH).stat().st_size,
        "fingerprint": fingerprint(folder),
        "batch_dependent": info.batch_dependent,
        "batch_effect": info.batch_effect,
        "machine": machine(),
        "bounds": [bound.record() for bound in bounds],
    }
