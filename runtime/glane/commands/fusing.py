"""The arguments that say how candidates are reranked and fused, of whatever command."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from glane.commands.usage import Bounded
from glane.retrievers.fusion import (
    DEFAULT_CANDIDATES,
    DEFAULT_FUSE,
    DEFAULT_WEIGHT,
    Fuse,
    FusionSettings,
    Ranking,
)


def add_fusion_arguments(parser: argparse.ArgumentParser, otherwise: str = "") -> None:
    """Declare how candidates are reranked and fused.

    Args:
        parser: Of the command.
        otherwise: What holds where an option is not given, before the default.
    """
    group = parser.add_argument_group("ranking")
    group.add_argument(
        "--candidates",
        type=int,
        action=Bounded,
        least=1,
        metavar="N",
        help="documents that the retriever finds for the reranker; default "
        f"{otherwise}{DEFAULT_CANDIDATES}",
    )
    group.add_argument(
        "--fuse",
        choices=get_args(Fuse),
        help="how the retriever's and the reranker's rankings become one: by ranks (rrf) or by "
        "scores (relative); none leaves the reranker's alone; default "
        f"{otherwise}{DEFAULT_FUSE} where there is a reranker",
    )
    group.add_argument(
        "--fuse-weight",
        type=float,
        action=Bounded,
        least=0,
        most=1,
        metavar="X",
        help=f"the retriever's share in that, 0 to 1; default {otherwise}{DEFAULT_WEIGHT}",
    )
    group.add_argument(
        "--prune",
        type=int,
        action=Bounded,
        least=1,
        metavar="N",
        help="have the reranker look at N candidates at a time, and stop once N leave the answer "
        f"as it was; default {otherwise}all at once",
    )


def fusion_of(arguments: argparse.Namespace) -> FusionSettings:
    """Return how the arguments say that candidates are reranked and fused."""
    return FusionSettings(
        arguments.fuse, arguments.fuse_weight, arguments.candidates, arguments.prune
    )


def told_ranking(ranking: Ranking) -> dict[str, Any]:
    """Return how a search ranks, and who said it, for reports."""
    said = {name: getattr(ranking, name) for name in ranking.sources}
    return {**said, "ranking_from": dict(ranking.sources)}
