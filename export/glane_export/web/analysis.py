"""What the analysis of texts goes by, for `static/folding.js`, `analyzer.js` and `languages.js`."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np

from glane.analysis import folding, languages, words
from glane.analysis.analyzer import IN, RULES, STEMMED_LENGTH, STOPPED, Analyzer
from glane.analysis.stopwords import STOP_WORDS
from glane.types import Mask
from glane_export.web.patterns import Patterns, where
from glane_export.web.refusing import NotForBrowsers

FOLDING = ("DROPPED", "LETTER", "DIGIT", "DOT", "STRESS", "GREEK", "ABBREVIATION", "SPECIAL")
"""Patterns of `glane.analysis.folding`."""

WORDS = ("APOSTROPHE", "POSSESSIVE")
"""Patterns of `glane.analysis.words`."""


def stemmed(analyzer: Analyzer) -> tuple[str, ...]:
    """Return the languages whose stemmers a query may need."""
    if analyzer.kind != "words" or analyzer.language == "none":
        return ()
    return languages.stemmed_languages() if analyzer.language == "auto" else (analyzer.language,)


def analysis_rules(analyzer: Analyzer) -> dict[str, Any]:
    """Return an analysis as JSON: patterns, tables of characters, and words of languages.

    Args:
        analyzer: Of the index.

    Raises:
        NotForBrowsers: If it goes by older rules, which are not carried.
    """
    if analyzer.rules != RULES[-1]:
        raise NotForBrowsers(
            f"the index was analysed by the rules {analyzer.rules}, and the rules {RULES[-1]} are "
            "what is carried to a browser; index again"
        )
    patterns = Patterns()
    return {
        "analyzer": asdict(analyzer),
        "unicode": unicodedata.unidata_version,
        "stopped": STOPPED,
        "in": IN,
        "stemmed_length": STEMMED_LENGTH,
        "characters": _characters(patterns),
        "patterns": _patterns(patterns),
        "words": {
            _way(initials, apostrophes): patterns.pattern(
                words.pattern(ascii_only=False, initials=initials, apostrophes=apostrophes)
            )
            for initials, apostrophes in ((True, True), (True, False), (False, False))
        },
        "stop_words": _stop_words(stemmed(analyzer)),
        "languages": _languages() if analyzer.language == "auto" else None,
        "classes": patterns.classes,
    }


def _way(initials: bool, apostrophes: bool) -> str:
    """Return the name of one of the ways to cut words."""
    return f"{'initials' if initials else 'plain'}{'-apostrophes' if apostrophes else ''}"


def _patterns(patterns: Patterns) -> dict[str, str]:
    own = {name: getattr(folding, name) for name in FOLDING}
    own |= {name: getattr(words, name) for name in WORDS}
    own |= {"RUNS": words.runs(ascii_only=False), "UNSPACED": words.unspaced()}
    return {name: patterns.pattern(pattern) for name, pattern in own.items()}


def _characters(patterns: Patterns) -> dict[str, Any]:
    """Return what Python's Unicode says of characters, as far as folding asks."""
    found = _properties()
    changed = map(chr, np.flatnonzero(found["changed"]).tolist())
    digits = map(chr, np.flatnonzero(found["digits"]).tolist())
    return {
        **{name: patterns.of(found[name]) for name in ("assigned", "combining", "alphabetic")},
        "casefold": {one: one.casefold() for one in changed},
        "digits": {one: unicodedata.decimal(one) for one in digits},
        "letters": folding.LETTERS,
        "turkish": _translation(folding.TURKISH),
        "persian": _translation(folding.TO_PERSIAN),
    }


@cache
def _properties() -> dict[str, Mask]:
    """Return by code point which characters have a property."""
    return {
        "assigned": where(lambda one: unicodedata.category(one) != "Cn"),
        "combining": where(unicodedata.combining),
        "alphabetic": where(str.isalpha),
        "changed": where(lambda one: one != one.casefold()),
        "digits": where(str.isdecimal),
    }


def _translation(table: dict[int, Any]) -> dict[str, str]:
    return {
        chr(code): other if isinstance(other, str) else chr(other) for code, other in table.items()
    }


def _stop_words(carried: tuple[str, ...]) -> dict[str, list[str]]:
    return {
        language: folding.fold(STOP_WORDS.get(language, ""), language).split()
        for language in carried
    }


def _languages() -> dict[str, Any]:
    """Return what tells the language of a text, as `glane.analysis.languages` has it."""
    scripts = ("latin", *languages.SCRIPTS)
    return {
        "scripts": languages.SCRIPTS,
        "usual": languages.USUAL,
        "looked_at": languages.LOOKED_AT,
        "telling": languages.TELLING,
        "small_words": {word: list(told) for word, told in languages.small_words().items()},
        "ranks": languages.ranks(),
        "of_script": {name: languages.languages_of(name) for name in scripts},
        "folded_apart": folding.FOLDED_APART,
    }
