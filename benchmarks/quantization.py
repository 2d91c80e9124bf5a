"""Compares kinds of quantization on one checkpoint: cosine per token to fp32, speed, size.

    python benchmarks/quantization.py CHECKPOINT scifact/corpus.jsonl [--also NAME=FILE ...]

`--also` measures a graph made elsewhere, by optimum's presets for instance, from the fp32 graph
that `--keep DIR` writes. Speed is per core: one thread, processor time, the best of three rounds.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx

from glane.collection.dataset import read_jsonl
from glane.collection.fields import join_fields
from glane.model.preparation import TextPreparer
from glane.model.session import load_session, onnxruntime, run
from glane_export import parity
from glane_export.graph import write_graph
from glane_export.quantize import quantize
from glane_export.roads import Probe, by_session
from glane_export.rows import Row
from glane_trainer import ColBERT

onnxruntime()  # ahead of its own parts, so that it is loaded without telemetry
from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: E402
from onnxruntime.transformers import optimizer  # noqa: E402

DOCUMENTS_TIMED = 24


def dynamic(
    source: Path,
    target: Path,
    weights: QuantType = QuantType.QInt8,
    *,
    per_channel: bool = True,
    reduce_range: bool = False,
    embeddings: bool = False,
) -> None:
    """Quantize by onnxruntime's dynamic quantization: one scale a tensor of activations."""
    quantize_dynamic(
        str(source),
        str(target),
        op_types_to_quantize=["MatMul", "Attention", *(["Gather"] if embeddings else [])],
        per_channel=per_channel,
        reduce_range=reduce_range,
        weight_type=weights,
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    )


def copy(source: Path, target: Path) -> None:
    """Leave the graph as it is."""
    shutil.copyfile(source, target)


def given(file: Path, _: Path, target: Path) -> None:
    """Take a graph made elsewhere."""
    copy(file, target)


def fused(source: Path, target: Path, then: Callable[[Path, Path], None] = copy) -> None:
    """Fuse attention, layer norm and GELU of a BERT before all else."""
    model = optimizer.optimize_model(str(source), "bert", opt_level=0)  # finds the sizes itself
    path = target.with_suffix(".fused")
    model.save_model_to_file(str(path))
    then(path, target)


def weights_only(source: Path, target: Path, accuracy_level: int) -> None:
    """Quantize weights in blocks of 32; level 4 computes in int8, level 0 in fp32."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        onnx.load(str(source)), bits=8, block_size=32, accuracy_level=accuracy_level
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(target))


KINDS: dict[str, Callable[[Path, Path], None]] = {
    "fp32": copy,
    "fp32, fused": fused,
    "dynamic, signed, per channel": dynamic,
    "dynamic, signed, per channel, reduced": lambda s, t: dynamic(s, t, reduce_range=True),
    "dynamic, unsigned, per channel": lambda s, t: dynamic(s, t, QuantType.QUInt8),
    "dynamic, unsigned": lambda s, t: dynamic(s, t, QuantType.QUInt8, per_channel=False),
    "dynamic, signed, per channel, Gather": lambda s, t: dynamic(s, t, embeddings=True),
    "dynamic, signed, per channel, fused": lambda s, t: fused(s, t, dynamic),
    "MatMulNBits, level 0": lambda s, t: weights_only(s, t, 0),
    "MatMulNBits, level 4": lambda s, t: weights_only(s, t, 4),
    "per token (glane)": quantize,
}


def measure(folder: Path, probes: list[Probe], exact: list[Row]) -> str:
    """Return a row of the table for the graph in a folder."""
    alone, mixed = by_session(folder, probes, 1), by_session(folder, probes, 8)
    mean, lowest = parity.cosines("", probes, list(zip(exact, alone, strict=True)))
    rates = [speed(folder, probes[:DOCUMENTS_TIMED], n) for n in (1, 8)]
    size = (folder / "model.onnx").stat().st_size / 1e6
    return (
        f"{size:.1f} | {mean.figure:.4f} | {lowest.figure:.4f} | {rates[0]:.1f} | {rates[1]:.1f} | "
        f"{parity.batch_effect(list(zip(alone, mixed, strict=True))):.3f}"
    )


def speed(folder: Path, probes: list[Probe], n_texts: int) -> float:
    """Return documents a second and core, in batches of similar lengths."""
    preparer = TextPreparer.load(folder)
    rows = sorted(preparer.tokenize([probe.text for probe in probes], "document").rows, key=len)
    session = load_session(folder / "model.onnx", 1)
    batches = [
        preparer.batch(rows[start : start + n_texts], "document")
        for start in range(0, len(rows), n_texts)
    ]
    run(session, batches[0])
    seconds = []
    for _ in range(3):
        start = time.process_time()
        for batch in batches:
            run(session, batch)
        seconds.append(time.process_time() - start)
    return len(rows) / min(seconds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("corpus", type=Path, help="corpus.jsonl of a BEIR collection")
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--keep", type=Path, help="folder to write the graphs into")
    parser.add_argument("--only", default="", help="kinds whose name contains this, and fp32")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    kinds = dict(KINDS)
    for name, _, file in (word.partition("=") for word in arguments.also):
        kinds[name] = partial(given, Path(file))
    records = itertools.islice(read_jsonl(arguments.corpus), arguments.documents)
    texts = [join_fields(record, ("title", "text")) for _, record in records]
    probes = [Probe("document", text) for text in texts]
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.keep or Path(scratch)
        root.mkdir(parents=True, exist_ok=True)
        source = root / "source.onnx"
        write_graph(ColBERT.load(arguments.checkpoint), source)
        exact: list[Row] = []
        print("kind | MB | mean cosine | lowest | docs/s at 1 | at 8 | batch effect")
        print("---|---|---|---|---|---|---")
        for name, make in kinds.items():
            if name != "fp32" and arguments.only not in name:
                continue
            folder = root / "".join(c if c.isalnum() else "-" for c in name)
            folder.mkdir(exist_ok=True)
            for file in ("glane.json", "tokenizer.json"):
                shutil.copyfile(arguments.checkpoint / file, folder / file)
            try:
                make(source, folder / "model.onnx")
            except ModuleNotFoundError as error:  # MatMulNBits needs onnx_ir, which we do not bring
                print(f"{name} | not measured: {error}")
                continue
            exact = exact or by_session(folder, probes, 1)
            print(f"{name} | {measure(folder, probes, exact)}", flush=True)


if __name__ == "__main__":
    main()
