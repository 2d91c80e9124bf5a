"""Exact phrases in quotes: where they are in a query, and whether a text holds them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import chain

from glane.analysis.analyzer import Analyzer
from glane.analysis.folding import ABBREVIATION
from glane.analysis.words import UNSPACED, is_unspaced

QUOTES = ('"\uff02', "\u201c\u201d\u201e\u201f", "\u00ab\u00bb")
"""Double quotes, by kind: straight ones, curly ones, and those of French."""

QUOTED = re.compile("|".join(f"[{own}]([^{own}]*)[{own}]" for own in QUOTES))


def quoted(query: str) -> list[str]:
    """Return what stands in double quotes of one kind; one that nothing closes is no quote.

    >>> quoted('the "green tea" of \u201cOld Kyoto\u201d, 5" wide')
    ['green tea', 'Old Kyoto']
    """
    plain = ABBREVIATION.sub("", query)
    return [next(filter(None, found.groups()), "") for found in QUOTED.finditer(plain)]


def phrases(analyzer: Analyzer, query: str) -> list[str]:
    """Return the exact phrases of a query, spelled as `spelled` does; those without words left out.

    >>> phrases(Analyzer(), 'is "Green  TEA!" good, or "..."?')
    [' green tea ']
    """
    return [phrase for text in quoted(query) if (phrase := spelled(analyzer, text))]


def spelled(analyzer: Analyzer, text: str) -> str:
    """Return a text so that it holds a phrase where it has the phrase's own spelling in it.

    That is its words, folded and not stemmed, one after another; those of scripts without spaces
    character by character. Full stops in words go: which letters are initials, the words around
    tell. With "auto", words are cut as without a language, which a few words do not tell. Of an
    analyzer of n-grams it is the runs of characters, and a phrase may begin and end inside one.

    Args:
        analyzer: How texts become terms.
        text: Any string; of a document it is one field.
    """
    if analyzer.kind != "words":
        return " ".join(analyzer.words(text))
    words = (word.replace(".", "") for word in _by_words(analyzer).words(text))
    units = list(chain.from_iterable(map(_units().findall, words)))
    return f" {' '.join(units)} " if units else ""


def needed(analyzer: Analyzer, phrase: str) -> list[str]:
    """Return terms that every document has which holds a phrase; not all that it has.

    Args:
        analyzer: How texts become terms.
        phrase: From `phrases`.

    >>> needed(Analyzer(), " the green tea ")
    ['_the', 'green', 'tea']
    >>> needed(Analyzer("char"), "tea x")
    ['tea', 'ea ', 'a x']
    """
    if analyzer.kind == "words":
        if analyzer.language == "auto" or analyzer.rules == 1:
            return []
        # a single character may be in one word with the initials before it, as in "A.\u6771\u4eac"
        alone = analyzer.language == "none"
        units = (u for u in phrase.split() if len(u) > 1 or (alone and is_unspaced(u)))
        return list(chain.from_iterable(map(analyzer.terms, units)))
    low = 2 if analyzer.kind == "bigrams" else analyzer.ngrams[0]
    runs = [phrase] if analyzer.kind == "char" else phrase.split(" ")
    return [run[at : at + low] for run in runs for at in range(len(run) - low + 1)]


@cache
def _units() -> re.Pattern[str]:
    """Return what parts a word into characters of `UNSPACED` and what stands between them."""
    return re.compile(f"[{UNSPACED}]|[^{UNSPACED}]+")


def _by_words(analyzer: Analyzer) -> Analyzer:
    return replace(analyzer, language="none") if analyzer.language == "auto" else analyzer
