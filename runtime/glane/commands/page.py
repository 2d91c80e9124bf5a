"""A page of hits explained: one file of HTML, without scripts and without anything from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from glane.commands.painting import label, matched_words
from glane.commands.streams import JOINERS

STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #69727c; --line: #dfe3e7; --card: #fff;
  --paper: #f5f6f7; --hit: 255, 196, 0; --bar: #c98a00; --word: #0a7d4f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --soft: #97a0a9; --line: #343b42;
  --card: #1d2227; --paper: #14181c; --hit: 214, 150, 0; --bar: #e0a32e; --word: #55c795; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 1.5rem 0 .2rem; overflow-wrap: anywhere; }
.soft { color: var(--soft); font-size: .85rem; margin: 0; overflow-wrap: anywhere; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .9rem 1.1rem 1rem; margin: 1rem 0; }
h2 { font-size: 1.02rem; margin: .1rem 0 .35rem; overflow-wrap: anywhere; }
.text { white-space: pre-line; overflow-wrap: anywhere; margin: 0 0 .6rem; }
mark { color: inherit; background: rgba(var(--hit), var(--s)); border-radius: .2em;
  padding: .05em 0; }
.word { text-decoration: underline 2px var(--word); text-underline-offset: .18em; }
details { margin-top: .6rem; font-size: .88rem; }
summary { cursor: pointer; color: var(--soft); }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 .2rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .2rem; }
td, th { text-align: left; padding: .12rem .6rem .12rem 0; vertical-align: top;
  border-top: 1px solid var(--line); font-weight: 400; overflow-wrap: anywhere; }
td:first-child { width: 11rem; white-space: nowrap; font-variant-numeric: tabular-nums; }
.bar { display: inline-block; height: .55rem; border-radius: .2rem; background: var(--bar);
  margin-left: .5rem; min-width: 1px; }
"""

CONTEXT = 400
"""Characters that are shown before the first match of a field, and behind its last."""

MOST = 40
"""Shares of a stage that are listed; the weaker ones are added up."""

PALEST = 0.12
"""How strongly the weakest match is marked; the strongest is marked with 0.85."""

Run = tuple[int, int]


def page(index: str, answers: Sequence[Mapping[str, Any]]) -> str:
    """Return the page.

    Args:
        index: What was searched.
        answers: Queries with hits, as `glane search --json` has them, each hit explained.
    """
    title = answers[0]["query"] if len(answers) == 1 else f"{len(answers)} queries"
    body = "\n".join(part for answer in answers for part in _answer(answer))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{_safe(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'{body}\n<p class="soft">{_safe(index)}. The stronger a mark, the more its words add to '
        "the score; underlined is what the retriever matched, where a reranker scored after it."
        "</p>\n</main>\n</body>\n</html>\n"
    )


def _answer(answer: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h1 dir="auto">{_safe(answer["query"])}</h1>'
    n = len(answer["hits"])
    yield f'<p class="soft">{n} document{"" if n == 1 else "s"}</p>'
    yield from (_hit(hit) for hit in answer["hits"])


def _hit(hit: Mapping[str, Any]) -> str:
    explanation = hit["explanation"]
    first, second = explanation["retriever"], explanation["reranker"]
    rank = "" if explanation["rank"] is None else f"{explanation['rank']} · "
    parts = [part for part in (first, second) if part is not None]
    scores = ", ".join(_score(part) for part in parts)
    head = f'<p class="soft">{rank}{_safe(hit["id"])} · {hit["score"]:.4f} ({scores})</p>'
    main, words = (first, None) if second is None else (second, first)
    fields = list(explanation["fields"].items())
    texts = []
    for number, (name, text) in enumerate(fields):
        tag = 'h2 dir="auto"' if number == 0 and len(fields) > 1 else 'p class="text" dir="auto"'
        strong, under = _strengths(main, name, len(text)), _strengths(words, name, len(text))
        marked = _marked(text, strong, under)
        texts.append(f"<{tag}>{marked}</{tag.partition(' ')[0]}>")
    tables = "".join(
        _table(part, explanation["query"], explanation["fields"])
        for part in parts
        if part["shares"]
    )
    told = f"<details><summary>what the score is made of</summary>{tables}</details>"
    return f"<article>{head}{''.join(texts)}{told if tables else ''}</article>"


def _score(part: Mapping[str, Any]) -> str:
    adds = "" if part["share"] is None else f" adds {part['share']:+.4f}"
    return f"{_safe(part['stage'])} {part['score']:.4f}{adds}"


def _strengths(part: Mapping[str, Any] | None, field: str, length: int) -> list[float]:
    """Return how strongly each character of a field matched, from 0 to 1."""
    strengths = [0.0] * length
    if part is None:
        return strengths
    shares = [share for share in part["shares"] if share["query"] is not None and share["spans"]]
    most = max((share["score"] for share in shares), default=0)
    for share in shares if most > 0 else ():
        for span in share["spans"]:
            if span["field"] == field:
                for place in range(span["start"], span["stop"]):
                    strengths[place] = max(strengths[place], share["score"] / most)
    return strengths


def _marked(text: str, strong: Sequence[float], under: Sequence[float]) -> str:
    """Return a field's text with its matches marked, what lies far from all of them left out."""
    found = [n for n in range(len(text)) if strong[n] > 0 or under[n] > 0]
    first = max(0, found[0] - CONTEXT) if found else 0
    last = min(len(text), found[-1] + CONTEXT) if found else min(len(text), 2 * CONTEXT)
    shown = ["… "] if first else []
    start = first
    for place in range(first, last + 1):
        here = (strong[place], under[place] > 0) if place < last else None
        if here != (strong[start], under[start] > 0):
            shown.append(_run(text[start:place], strong[start], under[start] > 0))
            start = place
    return "".join(shown) + (" …" if last < len(text) else "")


def _run(text: str, strength: float, is_word: bool) -> str:
    safe = f'<span class="word">{_safe(text)}</span>' if is_word else _safe(text)
    if strength <= 0:
        return safe
    return f'<mark style="--s:{PALEST + (0.85 - PALEST) * strength:.2f}">{safe}</mark>'


def _table(part: Mapping[str, Any], query: str, fields: Mapping[str, str]) -> str:
    """Return a stage's shares, the strongest first."""
    shares = sorted(part["shares"], key=lambda share: -share["score"])
    most = max(share["score"] for share in shares)
    rows = []
    for share in shares[:MOST]:
        width = max(0, share["score"]) / most * 5 if most > 0 else 0
        found = ", ".join(matched_words(share, fields))
        rows.append(
            f'<tr><td>{share["score"]:.4f}<span class="bar" style="width:{width:.2f}rem"></span>'
            f"</td><td>{_safe(label(share, query))}</td>"
            f"<td>{_safe(found or share['matched'] or '')}</td></tr>"
        )
    if rest := shares[MOST:]:
        total = sum(share["score"] for share in rest)
        rows.append(f"<tr><td>{total:.4f}</td><td>{len(rest)} others</td><td></td></tr>")
    head = (
        f"<caption>{_safe(part['stage'])}</caption>"
        "<tr><th>adds</th><th>query</th><th>document</th></tr>"
    )
    return f"<table>{head}{''.join(rows)}</table>"


def _safe(text: object) -> str:
    """Return text as HTML shows it, what is not seen left out."""
    kept = "\n\t" + JOINERS
    plain = "".join(c for c in str(text) if c in kept or c.isprintable() or c.isspace())
    return escape(plain.encode("utf-8", "replace").decode())
