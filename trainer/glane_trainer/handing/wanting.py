"""What a format makes of a model: what it lacks for it, and the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from glane_trainer.model import Model


class Handed(NamedTuple):
    """A model in the hands of a format.

    Attributes:
        lacking: What the format cannot hold of it, a sentence each; none where it holds all.
        remarks: Of which texts the library makes other tokens than glane, a sentence each.
        write: Writes the files into a folder that is there; not to be called if any is lacking.
        opened_by: The class of the format's library that opens the folder.
    """

    lacking: list[str]
    remarks: list[str]
    write: Callable[[Path], None]
    opened_by: str


class Texts(NamedTuple):
    """How sentence-transformers is to make tokens of texts.

    Attributes:
        tokenizer_json: The content of `tokenizer.json`.
        query_prompt: What it puts before a query; None where nothing does.
        document_prompt: What it puts before a document, likewise.
    """

    tokenizer_json: str
    query_prompt: str | None
    document_prompt: str | None

    def prompts(self) -> dict[str, object]:
        """Return the keys of `config_sentence_transformers.json`."""
        prompts = {"query": self.query_prompt or "", "document": self.document_prompt or ""}
        return {"prompts": prompts, "default_prompt_name": None}


def refused(lacking: str) -> Handed:
    """Return a model of a kind that the format does not have."""
    return Handed([lacking], [], lambda _: None, "")


def about_blanks(owner: str, *, strips: bool) -> str:
    """Return what is to be said of a library that makes other tokens of blanks around a text."""
    there, here = ("drops", "keeps") if strips else ("keeps", "drops")
    return (
        f"{owner} {there} the white space around a text, which this checkpoint {here}: texts that "
        "begin or end with any score otherwise there"
    )


def about_case(model: Model[Any], owner: str) -> list[str]:
    """Return what is to be said of a tokenizer that puts texts into lower case, if it does."""
    if not model.checkpoint.lower:
        return []
    return [
        f"{owner} puts texts into lower case but for the names of special tokens, glane those "
        "too: texts that hold them score otherwise there"
    ]


def lacking_of(model: Model[Any], owner: str) -> list[str]:
    """Return what no format holds of a model, a sentence each.

    Args:
        model: To be handed over.
        owner: Name of the library.
    """
    suffix = model.checkpoint.suffix
    return [f"{owner} has no `suffix`, here it is {suffix!r}"] if suffix else []
