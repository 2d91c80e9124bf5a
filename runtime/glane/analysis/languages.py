"""Tells the language of a text by its script, and by the small words that it is full of."""

# ruff: noqa: RUF001 (letters of other scripts that look like Latin)

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

import snowballstemmer

from glane.analysis.folding import fold
from glane.analysis.stopwords import STOP_WORDS

SCRIPTS: dict[str, tuple[tuple[int, int], ...]] = {
    "greek": ((0x370, 0x400), (0x1F00, 0x2000)),
    "cyrillic": ((0x400, 0x530), (0x1C80, 0x1C90), (0x2DE0, 0x2E00), (0xA640, 0xA6A0)),
    "armenian": ((0x530, 0x590),),
    "hebrew": ((0x590, 0x600),),
    "arabic": ((0x600, 0x700), (0x750, 0x780), (0x8A0, 0x900)),
    "devanagari": ((0x900, 0x980),),
    "tamil": ((0xB80, 0xC00),),
}
"""Scripts by their code points, from the first to before the last; all others are taken for Latin,
which a word of digits is, too."""

USUAL = {
    **{"latin": "english", "cyrillic": "russian", "arabic": "arabic", "devanagari": "hindi"},
    **{"greek": "greek", "armenian": "armenian", "tamil": "tamil", "hebrew": "none"},
}
"""The language of a script, where nothing tells another."""

LOOKED_AT = 400
"""Words of a text that are looked at, at most."""

TELLING = 0.5
"""Less evidence than a word that two languages share tells nothing; and so much speaks for a
script's usual language, where anything does."""

OTHER_SMALL_WORDS = {
    "basque": "eta da bat zen ez izan dira du ere zuen baina hau dute edo den batean bere",
    "esperanto": "la kaj estas de al en ne por kun estis oni sed kiu ke kiel ankaŭ pli",
    "estonian": "ja on ei see et oli kui ka mis ning aga tema selle ta oma või seda nad",
    "irish": "agus an na ar is a i bhí sé tá ag le sin chun nó níl gur féin",
    "lithuanian": "ir yra buvo kad su iš į tai kaip bet arba jis jo apie dėl buvusi kuris",
    "serbian": (
        "je su i da se na od za koji koja koje nije bio bila kao ili iz što "
        "је су и да се на од за који која које није био била као или из што"
    ),
    "sesotho": "ke ho le ea ba sa ka hore oa la tse tsa",
    "nepali": "र को छ मा हो यो पनि गर्न भएको थियो गरेको तथा छन् ले लाई हुन्छ उनले",
    "persian": "و در به از که این است را با برای آن یک خود تا بود شد کرد هم می شود چه های",
    "none": (
        "và của là các được trong có cho những với một này người đã không từ để khi đến ở "
        "і в та що з до не як є це для від або який також його її був була "
        "и на се да е от за като са по това не той тя които който "
        "اور کے کی کا میں ہے سے کو پر ہیں نے یہ تھا جو کہ"
    ),
}
"""Small words of languages that have a stemmer and no stop list; "none" are those that have no
stemmer: Vietnamese, Ukrainian, Bulgarian and Urdu."""


@cache
def stemmed_languages() -> tuple[str, ...]:
    """Return the languages that Snowball stems, in order of the alphabet."""
    return tuple(sorted(snowballstemmer.algorithms()))


def script(word: str) -> str:
    """Return the script of a word's first character."""
    code = ord(word[0])
    if code >= 0x370:
        for name, blocks in SCRIPTS.items():
            if any(first <= code < end for first, end in blocks):
                return name
    return "latin"


@cache
def small_words() -> dict[str, tuple[str, ...]]:
    """Return of each small word, folded, the languages that have it."""
    found: dict[str, set[str]] = defaultdict(set)
    for lists in (STOP_WORDS, OTHER_SMALL_WORDS):
        for language, words in lists.items():
            for word in fold(words).split():
                found[word].add(language)
    return {word: tuple(sorted(languages)) for word, languages in found.items()}


@cache
def languages_of(script_name: str) -> tuple[str, ...]:
    """Return the languages of a script, the usual one first."""
    usual = USUAL[script_name]
    found = {
        language
        for word, languages in small_words().items()
        if script(word) == script_name
        for language in languages
    }
    return (usual, *sorted(found - {usual}))


def evidence(words: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return for each script what speaks for each of its languages: one for a word of its own.

    Args:
        words: Folded; of one with an apostrophe, as in "l'eau", the parts count. Those of a long
            text's beginning are looked at, and single letters tell nothing.
    """
    known = small_words()
    found: dict[str, dict[str, float]] = {}
    for word, count in Counter(words[:LOOKED_AT]).items():
        parts = (word,) if word in known or "'" not in word else word.split("'")
        for part in parts:
            languages = known.get(part, ()) if len(part) > 1 else ()
            for language in languages:
                weights = found.setdefault(script(part), {})
                weights[language] = weights.get(language, 0.0) + count / len(languages)
    for name, weights in found.items():
        if USUAL[name] in weights:
            weights[USUAL[name]] += TELLING
    return found


def candidates(script_name: str, weights: Mapping[str, float]) -> list[str]:
    """Return the languages that a text may be of, the likeliest first.

    Args:
        script_name: The text's script.
        weights: From `evidence`, of this script.
    """
    usual = USUAL[script_name]
    ranked = sorted(weights, key=lambda language: (-weights[language], language != usual, language))
    if not ranked or weights[ranked[0]] < TELLING:
        return list(languages_of(script_name))
    return [language for language in ranked if 2 * weights[language] > weights[ranked[0]]]
