"""Tells the language of a text by its script, and by the small words that it is full of."""

# ruff: noqa: RUF001 (letters of other scripts that look like Latin)

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import NamedTuple

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

CODES = {
    **{"ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german"},
    **{"el": "greek", "en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian"},
    **{"eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish"},
    **{"hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian"},
    **{"it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch"},
    **{"no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian"},
    **{"ru": "russian", "sr": "serbian", "st": "sesotho", "sv": "swedish", "ta": "tamil"},
    **{"tr": "turkish", "yi": "yiddish"},
}
"""Codes in ISO 639-1 of languages that have a stemmer."""

USUAL = {
    **{"latin": "english", "cyrillic": "russian", "arabic": "arabic", "devanagari": "hindi"},
    **{"greek": "greek", "armenian": "armenian", "tamil": "tamil", "hebrew": "none"},
}
"""The language of a script, where nothing tells another."""

LOOKED_AT = 120
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


class Small(NamedTuple):
    """What a small word tells.

    Attributes:
        script: Of its first character.
        languages: That have it.
        weight: For each of them; those of a word sum to 1.
    """

    script: str
    languages: tuple[str, ...]
    weight: float


@cache
def small_words() -> dict[str, Small]:
    """Return what is told by each small word, folded; single letters tell nothing."""
    found: dict[str, set[str]] = defaultdict(set)
    for language in ranks():
        for word in fold(STOP_WORDS.get(language) or OTHER_SMALL_WORDS[language]).split():
            if len(word) > 1:
                found[word].add(language)
    return {
        word: Small(script(word), tuple(languages), 1 / len(languages))
        for word, languages in found.items()
    }


@cache
def ranks() -> dict[str, int]:
    """Return the place of each language among equals."""
    return {language: place for place, language in enumerate((*STOP_WORDS, *OTHER_SMALL_WORDS))}


@cache
def languages_of(script_name: str) -> tuple[str, ...]:
    """Return the languages of a script, the usual one first."""
    small = small_words().values()
    found = {
        language for word in small if word.script == script_name for language in word.languages
    }
    return (USUAL[script_name], *sorted(found - {USUAL[script_name]}, key=ranks().__getitem__))


def evidence(words: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return for each script what speaks for each of its languages: one for a word of its own.

    Args:
        words: Folded; of one with an apostrophe, as in "l'eau", the parts count. Those of a long
            text's beginning are looked at.
    """
    known = small_words()
    found: dict[str, dict[str, float]] = {}
    looked_at = words[:LOOKED_AT]
    parts = [part for word in looked_at if "'" in word for part in word.split("'")]
    for word in chain(looked_at, parts):
        if word in known:
            script_name, languages, weight = known[word]
            weights = found.setdefault(script_name, {})
            for language in languages:
                weights[language] = weights.get(language, 0.0) + weight
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
    ranked = sorted(weights, key=lambda language: (-weights[language], ranks()[language]))
    if not ranked or weights[ranked[0]] < TELLING:
        return list(languages_of(script_name))
    return [language for language in ranked if 2 * weights[language] > weights[ranked[0]]]
