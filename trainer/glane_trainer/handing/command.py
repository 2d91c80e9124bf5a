"""`glane save-as`: from a checkpoint to the folder of another library."""

from __future__ import annotations

import argparse
from typing import Any

from glane_trainer.interrupt import stopped_by_sigterm
from glane_trainer.openmp import wait_asleep
from glane_trainer.telling import stage

OWNERS = {
    "pylate": "PyLate",
    "sentence-transformers": "sentence-transformers 6",
    "stanford": "colbert-ai, Stanford's ColBERT",
}
"""Formats, and the libraries that read them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    told = "; ".join(f"{name} is read by {library}" for name, library in OWNERS.items())
    parser.add_argument("format", metavar="FORMAT", choices=tuple(OWNERS), help=told)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by `glane train`")
    parser.add_argument("folder", metavar="FOLDER", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a folder that is there")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Load torch, and write the folder."""
    wait_asleep()
    with stopped_by_sigterm():
        with stage("loading PyTorch"):
            from glane_trainer.handing.saving import save_as
        made, remarks = save_as(
            arguments.format,
            arguments.checkpoint,
            arguments.folder,
            overwrite=arguments.overwrite,
        )
    return {
        "folder": arguments.folder,
        "format": arguments.format,
        "class": made,
        "remarks": remarks,
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    library = OWNERS[result["format"]]
    made = f"Made {result['folder']}: open it with {library}, as {result['class']}"
    return "\n".join([*(f"{remark[0].upper()}{remark[1:]}." for remark in result["remarks"]), made])
