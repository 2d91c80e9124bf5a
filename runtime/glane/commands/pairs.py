"""The options that name the fields of pairs and triples, shared by `split` and `train`."""

from __future__ import annotations

import argparse
from typing import Any

from glane.collection.pairs import NAMES, Fields

TEXTS = {
    "anchor": "the question",
    "positive": "a text that answers it, or a list of them",
    "negatives": "a text that does not answer it, or a list of them; may be missing",
}


def add_pair_arguments(group: Any) -> None:  # noqa: ANN401 (argparse names no type)
    """Declare the names of fields."""
    for role, text in TEXTS.items():
        group.add_argument(
            f"--{role}",
            metavar="FIELD",
            help=f"field of the file that holds {text}; a.b is field b inside of a; default "
            f"whichever is there of {', '.join(NAMES[role])}",
        )


def pair_fields(arguments: argparse.Namespace) -> Fields:
    """Return the fields that are named."""
    return Fields(arguments.anchor, arguments.positive, arguments.negatives)
