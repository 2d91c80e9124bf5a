"""How hits and explanations look as text: plain where it is piped, marked on a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from glane.commands.streams import visible

INDENT = " " * 6
LINE = 92
"""Characters of a line of text, beside the indent."""

LONGEST = 24
"""Characters of a word that are shown at most before and behind what matched."""

SPANS = 8
"""Places of a share that are shown, the first ones."""

MOST = 12
"""Shares of a stage that are shown; the weaker ones are counted."""

Mark = Callable[[str], str]


class Paint(NamedTuple):
    """How parts of a text are set off.

    Attributes:
        strong: What matched, and titles.
        weak: What is beside the point.
    """

    strong: Mark
    weak: Mark


PLAIN = Paint(str, str)
COLOURS = Paint(lambda text: f"\033[1;32m{text}\033[0m", lambda text: f"\033[2m{text}\033[0m")


def hit_lines(rank: int, hit: Mapping[str, Any], paint: Paint) -> list[str]:
    """Return a hit as lines: its rank, score and id, then its title and its passage.

    Args:
        rank: From 1.
        hit: As `glane search --json` has it.
        paint: How parts are set off.
    """
    head = f"{rank:4d}  {visible(hit['id'])}  {paint.weak(format(hit['score'], '.4f'))}"
    lines = [head]
    if hit.get("title"):
        lines.append(INDENT + paint.strong(visible(hit["title"])))
    if passage := hit.get("passage"):
        lines += _marked(passage, paint)
    if explanation := hit.get("explanation"):
        lines += _explained(explanation, paint)
    return lines


def _marked(passage: Mapping[str, Any], paint: Paint) -> list[str]:
    """Return a passage in lines, the words that matched set off."""
    text = passage["text"]
    before, after = ("…" if passage["is_begun"] else ""), ("" if passage["is_ended"] else "…")
    lines, at = [], 0
    wrapped = textwrap.wrap(text, LINE, break_on_hyphens=False) or [""]
    for number, line in enumerate(wrapped):
        start = text.index(line, at)
        at = start + len(line)
        marks = [(max(low, start), min(high, at)) for low, high in passage["marks"]]
        shown, done = "", start
        for low, high in marks:
            if low < high:
                shown += visible(text[done:low]) + paint.strong(visible(text[low:high]))
                done = high
        shown += visible(text[done:at])
        last = number == len(wrapped) - 1
        lines.append(f"{INDENT}{before if not number else ''}{shown}{after if last else ''}")
    return lines if text else []


def _explained(explanation: Mapping[str, Any], paint: Paint) -> list[str]:
    """Return what each stage's score is made of, the strongest shares first."""
    lines = []
    for part in (explanation["retriever"], explanation["reranker"]):
        if part is None:
            continue
        adds = "" if part["share"] is None else f", which adds {part['share']:+.4f}"
        lines.append(f"{INDENT}{paint.strong(part['stage'])} {part['score']:.4f}{adds}")
        lines += [f"{INDENT}  {line}" for line in _shares(part["shares"], explanation, paint)]
    return lines


def label(share: Mapping[str, Any], query: str) -> str:
    """Return the word of the query that a share is of, and the term where that is another."""
    if share["query"] is None:
        return str(share["term"])
    low, high = share["query"]
    word = query[low:high]
    return word if word.lower() == share["term"] else f"{word} ({share['term']})"


def matched_words(share: Mapping[str, Any], fields: Mapping[str, str]) -> list[str]:
    """Return the words of a document that a share is of, each once, of the first places alone."""
    return list(dict.fromkeys(_whole_word(span, fields) for span in share["spans"][:SPANS]))


def _whole_word(span: Mapping[str, Any], fields: Mapping[str, str]) -> str:
    """Return the word, in lower case, that a piece of a field is a part of; of a long run less."""
    text, start, stop = fields[span["field"]], span["start"], span["stop"]
    if text[start:stop].isalnum() and text[start:stop].isascii():
        low, high = max(0, start - LONGEST), min(len(text), stop + LONGEST)
        while start > low and text[start - 1].isalnum():
            start -= 1
        while stop < high and text[stop].isalnum():
            stop += 1
    return text[start:stop].lower()


def _shares(
    shares: Sequence[Mapping[str, Any]], explanation: Mapping[str, Any], paint: Paint
) -> list[str]:
    """Return a line for each share that has a place in the query, and one for all others."""
    asked = [share for share in shares if share["query"] is not None]
    asked = sorted(asked, key=lambda share: -share["score"])
    lines = []
    for share in asked[:MOST]:
        found = matched_words(share, explanation["fields"])
        own = ", ".join(map(visible, found)) or visible(share["matched"] or "")
        word = visible(label(share, explanation["query"]))
        shown = f" {paint.weak('with')} {paint.strong(own)}" if own else ""
        lines.append(f"{share['score']:8.4f}  {word}{shown}")
    rest = [share["score"] for share in shares if share["query"] is None]
    rest += [share["score"] for share in asked[MOST:]]
    if rest:
        lines.append(f"{sum(rest):8.4f}  {paint.weak(f'{len(rest)} others')}")
    return lines
