"""The model card, `README.md` beside the weights: what people read, and the Hugging Face hub."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glane.analysis.folding import fold
from glane.analysis.languages import CODES, candidates, evidence
from glane.model.checkpoint import Checkpoint, Kind
from glane_trainer.config import RUN
from glane_trainer.keep import Kept, Look
from glane_trainer.report import SETTINGS
from glane_trainer.sample import read_sample

CARD = "README.md"

NAMES: dict[Kind, str] = {"colbert": "ColBERT", "splade": "SPLADE", "sparse-embed": "SparseEmbed"}

HEADERS: dict[Kind, tuple[str, list[str]]] = {
    "colbert": ("sentence-similarity", ["ColBERT", "late-interaction"]),
    "splade": ("feature-extraction", ["splade", "sparse-encoder", "sparse"]),
    "sparse-embed": ("feature-extraction", ["sparse-embed", "sparse-encoder", "sparse"]),
}
"""What the hub calls the task of each kind, and its tags."""

REPEATED = f"; `{RUN}` repeats it: `glane train --config {RUN} --out DIR`"

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)

FOLDERS = re.compile(r"""(['"])(?:(?!\1).)*[/\\](?=(?:(?!\1)[^/\\])+\1)""")
"""What stands before a file's name in a message, and the quotation mark that opens it."""

LOOKED_AT, MOST = 100, 0.8
"""Texts whose language is looked at, and how many in one must be of one language to name it."""

NAMED = {language: code for code, language in CODES.items()}
"""The code of each language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What is told of a model and how it was made.

    Attributes:
        checkpoint: What it is.
        learned: Lines on what it learned from; of the paths in them the last names are shown.
        looks: What the held-out queries gave, in order; none where there were none.
        kept: What was kept of these; None where nothing was held out.
        remark: What a user should know of the weights.
    """

    checkpoint: Checkpoint
    learned: str
    looks: Sequence[Look]
    kept: Kept | None
    remark: str


def write_card(folder: Path, made: Made) -> None:
    """Write `README.md` into a folder that has `settings.json` and `sample.json` already."""
    record = json.loads((folder / SETTINGS).read_text("utf-8"))
    sample = read_sample(folder)
    language = None if sample is None else language_of(sample.documents)
    parts = [_header(made.checkpoint, language), _what(made.checkpoint)]
    parts += [USE[made.checkpoint.kind], _learned(made, record["settings"])]
    parts += [_measured(made), _settings(record, is_repeated=(folder / RUN).is_file())]
    (folder / CARD).write_text("\n".join(parts), encoding="utf-8", errors="replace")


def language_of(texts: Sequence[str]) -> str | None:
    """Return the code of the language that most texts are in; None where that is not plain.

    >>> language_of(["the tea is of the hills and the sea"])
    'en'
    >>> language_of(["tea 2000"]) is None
    True
    """
    looked_at = texts[:: max(1, len(texts) // LOOKED_AT)][:LOOKED_AT]
    found = Counter(filter(None, map(_likeliest, looked_at)))
    for language, n in found.most_common(1):
        if n >= MOST * len(looked_at):
            return NAMED.get(language)
    return None


def _likeliest(text: str) -> str | None:
    found = evidence(fold(text).split())
    told = {candidates(name, each)[0]: max(each.values()) for name, each in found.items()}
    return max(told, key=lambda language: told[language], default=None)


def _header(checkpoint: Checkpoint, language: str | None) -> str:
    task, tags = HEADERS[checkpoint.kind]
    lines = ["---"]
    if language is not None:
        lines.append(f"language: {json.dumps(language)}")  # `no` would be false
    lines += ["library_name: glane", f"pipeline_tag: {task}", "tags:"]
    lines += [f"- {tag}" for tag in ("glane", *tags, "information-retrieval")]
    if _is_on_hub(checkpoint.base):
        lines.append(f"base_model: {checkpoint.base}")
    return "\n".join([*lines, "---", ""])


def _is_on_hub(base: str) -> bool:
    return bool(HUB_NAME.fullmatch(base)) and not Path(base).exists()


def _what(checkpoint: Checkpoint) -> str:
    base = checkpoint.base if _is_on_hub(checkpoint.base) else Path(checkpoint.base).name
    name = NAMES[checkpoint.kind]
    width = f"vectors {checkpoint.dim} wide, " if checkpoint.dim else ""
    terms = ""
    if checkpoint.kind != "colbert":
        terms = f"{checkpoint.query_terms} terms of a query and {checkpoint.document_terms} of a "
        terms += "document at most, "
    free = " Its queries need no model: their words have learned weights."
    return (
        f"# {name} from {base}\n\n"
        f"A {name}, made of `{base}` with glane: {width}{terms}{checkpoint.query_length} tokens of "
        f"a query and {checkpoint.document_length} of a document are read."
        f"{free if checkpoint.inference_free else ''}\n"
    )


_RANKS = """## Use

```sh
pip install 'glane[export]'
glane export THIS_FOLDER model   # ONNX, for a CPU without PyTorch
glane index index --documents documents.jsonl {stages}
glane search index "a question"
```
"""

USE: dict[Kind, str] = {
    "colbert": _RANKS.format(stages="--retriever bm25 --reranker model"),
    "splade": _RANKS.format(stages="--retriever splade --model model"),
    "sparse-embed": _RANKS.format(stages="--retriever sparse-embed --model model"),
}


def _learned(made: Made, settings: Mapping[str, Any]) -> str:
    lines = ["## What it learned from\n"]
    named = FOLDERS.sub(r"\1", made.learned)
    lines += [f"* {line}" for line in named.split("\n")]
    lines.append(f"* sha256 of the examples: `{settings['data']}`")
    if settings["held_out"] is not None:
        lines.append(f"* sha256 of the held-out queries: `{settings['held_out']}`")
    return "\n".join([*lines, ""])


def _measured(made: Made) -> str:
    lines = ["## What was measured\n"]
    if made.looks:
        n = len(made.looks[0].values)
        lines.append(
            f"NDCG@10 of {n} held-out queries, over BM25's first documents and those that answer: "
            "of one training's looks at the same data, so more than a search of a whole collection "
            "gives. Measure on your own: `glane evaluate`.\n"
        )
        lines += ["| step | NDCG@10 |", "|---|---|"]
        lines += [f"| {_step(look)} | {look.mean:.4f} |" for look in made.looks]
        lines.append("\n![loss and held-out NDCG@10](training.png)")
    gain = None if made.kept is None else made.kept.against_start
    if gain is not None and gain.n > 1 and made.kept is not None:
        lines.append(
            f"\nKept: step {_step(made.kept.look)}; {gain.difference:+.4f} over the start (95 % "
            f"interval over the queries: {gain.low:+.4f} to {gain.high:+.4f})."
        )
    if made.remark:
        lines.append(f"\n**{made.remark}**")
    return "\n".join([*lines, ""])


def _step(look: Look) -> str:
    if look.step == 0:
        return "0, the start"
    mixed = f", with {look.start_share:.0%} of the start's weights" if look.start_share else ""
    return f"{look.step}{mixed}"


def _settings(record: Mapping[str, Any], *, is_repeated: bool) -> str:
    lines = ["## How it was made\n"]
    lines.append(
        f"{record['steps']} steps on {record['device']} in {record['precision']}"
        f"{REPEATED if is_repeated else ''}.\n"
    )
    flat: dict[str, Any] = {}
    for name, value in record["settings"].items():
        flat |= value if isinstance(value, dict) else {name: value}
    shown = {name: value for name, value in flat.items() if name not in ("data", "held_out")}
    return "\n".join(
        [
            *lines,
            "| setting | value |",
            "|---|---|",
            *(f"| {name} | {'by default' if v is None else v} |" for name, v in shown.items()),
            *(f"| {name} | {number} |" for name, number in record["versions"].items()),
            "",
        ]
    )
