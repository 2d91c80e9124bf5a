"""`glane average`: one checkpoint of the weights of several, which began alike."""

from __future__ import annotations

import argparse
from typing import Any

from glane_trainer.interrupt import stopped_by_sigterm
from glane_trainer.openmp import wait_asleep
from glane_trainer.telling import stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "checkpoints",
        metavar="CHECKPOINT",
        nargs="+",
        help="folders written by `glane train`, two at least, all from one start: trained with the "
        "same options and other seeds, or on other data",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the mean")
    parser.add_argument("--overwrite", action="store_true", help="replace a folder that is there")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Load torch, and write the mean."""
    wait_asleep()
    with stopped_by_sigterm():
        with stage("loading PyTorch"):
            from glane_trainer.averaging import average
        apart = average(arguments.checkpoints, arguments.out, overwrite=arguments.overwrite)
    return {"out": arguments.out, "checkpoints": arguments.checkpoints, "apart": apart}


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    told = ", ".join(f"{distance:.3f}" for distance in result["apart"])
    return (
        f"{result['out']}: the mean of {len(result['checkpoints'])} checkpoints, which lie {told} "
        "from it, in lengths of its weights; measure it (`glane evaluate`) before you rely on it"
    )
