"""`glane export`: from a checkpoint to a model folder."""

from __future__ import annotations

import argparse
from typing import Any

from glane.collection.rows import Rows
from glane.commands.fusing import add_fusion_arguments, fusion_of
from glane.commands.usage import UsageError
from glane_export.texts import MIN_TEXTS
from glane_trainer.interrupt import stopped_by_sigterm
from glane_trainer.openmp import wait_asleep
from glane_trainer.telling import stage

UNKNOWN = {
    "n_unknown_queries": "queries are judged and left out",
    "n_unknown_documents": "documents are judged and never found",
}
"""What is said of judgements, where there are any such."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="folder written by `glane train`, or a finished model of PyLate, "
        "sentence-transformers, Stanford's ColBERT or neural-cherche: a folder, or a name on the "
        "Hugging Face hub; with --web an index",
    )
    parser.add_argument("model", metavar="MODEL", help="folder to write")
    parser.add_argument(
        "--web",
        action="store_true",
        help="write static files that search an index in a browser, without a server; of the "
        "options below --runtime and --overwrite are for it",
    )
    parser.add_argument(
        "--runtime",
        metavar="FOLDER",
        help="with --web: a copy of the npm package onnxruntime-web; default fetched by npm, where "
        "the index has a reranker",
    )
    parser.add_argument(
        "--quantize",
        choices=("int8", "fp16", "none"),
        default="int8",
        help="precision: int8 is smaller and faster on CPUs, fp16 is for GPUs, none keeps fp32",
    )
    parser.add_argument(
        "--range",
        choices=("8bit", "7bit"),
        default="8bit",
        help="of int8's activations: 7bit is coarser, and as fast and exact on CPUs without VNNI",
    )
    parser.add_argument(
        "--graph",
        metavar="FILE",
        help="an ONNX graph of the encoder, made by optimum or by anyone, in the place of the one "
        "that is traced; default none",
    )
    parser.add_argument(
        "--texts",
        metavar="FILE",
        help="texts of your own, one a line, to prove on that the model ranks the same; default "
        "texts of its training data, else of the dataset, else built-in ones",
    )
    parser.add_argument(
        "--dataset",
        metavar="BEIR_DIR",
        help="collection whose judgements measure what int8 or fp16 costs; default none: not "
        "measured",
    )
    parser.add_argument("--split", default="dev", help="judgements of the dataset: qrels/SPLIT.tsv")
    parser.add_argument("--overwrite", action="store_true", help="replace a folder that is there")
    add_fusion_arguments(parser, "left to the index, or ")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Load torch, export and return the report; or write files for a browser, without torch."""
    if arguments.web:
        return _run_web(arguments)
    if arguments.runtime is not None:
        raise UsageError("--runtime is what runs a model in a browser; it goes with --web")
    if arguments.dataset is not None and arguments.quantize == "none":
        raise UsageError("--dataset measures what int8 costs; --quantize none has no use for it")
    if arguments.range == "7bit" and arguments.quantize != "int8":
        raise UsageError(f"--range 7bit is of int8, not for --quantize {arguments.quantize}")
    texts = _read_texts(arguments.texts)
    wait_asleep()
    with stopped_by_sigterm():
        with stage("loading PyTorch"):
            from glane_export import ExportSettings, export_model
        settings = ExportSettings(
            quantize=arguments.quantize,
            range=arguments.range,
            texts=texts,
            dataset=arguments.dataset,
            split=arguments.split,
            overwrite=arguments.overwrite,
            threads=arguments.threads,
            graph=arguments.graph,
            fusion=fusion_of(arguments),
        )
        report = export_model(arguments.checkpoint, arguments.model, settings)
    return {"model": arguments.model, **report}


def _run_web(arguments: argparse.Namespace) -> dict[str, Any]:
    from glane_export.web import WebSettings, export_web

    settings = WebSettings(arguments.runtime, arguments.overwrite, arguments.threads)
    return export_web(arguments.checkpoint, arguments.model, settings)


def _show_web(result: dict[str, Any]) -> str:
    sizes = result["files"].values()
    stages = " + ".join(filter(None, (result["retriever"], result["reranker"])))
    return (
        f"Made {result['folder']}: {result['documents']:,} documents by {stages}, {len(sizes)} "
        f"files, {sum(sizes) / 1e6:.1f} MB. Serve it by any web server, as by `python -m "
        f"http.server -d {result['folder']}`."
    )


def show(result: dict[str, Any]) -> str:
    """Return the report as text for a person."""
    if "files" in result:
        return _show_web(result)
    rows = [f"{'compared':32s}{'measure':34s}{'figure':>10s}  bound"]
    rows += [
        f"{bound['compared']:32s}{bound['measure']:34s}{bound['figure']:10.3g}  "
        f"{bound['sense']} {bound['limit']:g}"
        for bound in result["bounds"]
    ]
    if result["batch_dependent"]:
        effect = result["batch_effect"]
        batch = f"depends on its batch (1 - cosine up to {effect:.3f}): texts are encoded alone"
    else:
        batch = "does not depend on its batch"
    size = result["bytes"] / 1e6
    made = f"{result['model']}: {result['precision']}, {size:.1f} MB, opset {result['opset']}"
    rows += [
        f"{result['judged'][name]} {told}, which the collection lacks"
        for name, told in UNKNOWN.items()
        if result.get("judged", {}).get(name)
    ]
    texts, cpu = result["texts"], result["machine"]["cpu"]
    proved = f"Proved on {texts['n']} texts ({texts['source']}), on this CPU: {cpu}."
    return "\n".join([*rows, "", f"A vector {batch}.", f"Parity is kept. {proved}", f"Made {made}"])


def _read_texts(path: str | None) -> list[str] | None:
    if path is None:
        return None
    texts = [line for _, line in Rows(path).lines()]
    if len(texts) < MIN_TEXTS:
        raise UsageError(f"--texts must hold at least {MIN_TEXTS} lines of text, got {len(texts)}")
    return texts
