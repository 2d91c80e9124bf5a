r"""One spelling of characters that readers take for the same, before words are cut.

Beyond NFKC and case folding: what Unicode calls ignorable goes (soft hyphens, joiners, byte order
marks, variation selectors), but U+200B separates, as it does between words of Khmer and Thai; so do
signs that readers leave out when they type (vowel marks and tatweel of Arabic, points of Hebrew,
stress marks of Cyrillic, accents of Greek, which its capitals lack); digits of all scripts become
0 to 9; letters that look the same and have two codes become one.
"""

from __future__ import annotations

import re
import unicodedata

from glane.model.texts import clean

IGNORABLE = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
    *((0x180B, 0x180F), (0x200C, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164)),
    *((0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8)),
    *((0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
"""First and last of the ranges that Unicode's property Default_Ignorable_Code_Point has."""

OPTIONAL = (
    *((0x591, 0x5BD), (0x5BF, 0x5BF), (0x5C1, 0x5C2), (0x5C4, 0x5C5), (0x5C7, 0x5C7)),  # Hebrew
    *((0x610, 0x61A), (0x640, 0x640), (0x64B, 0x652), (0x656, 0x65F), (0x670, 0x670)),  # Arabic
    *((0x6D6, 0x6DC), (0x6DF, 0x6E8), (0x6EA, 0x6ED), (0x8CA, 0x8FF)),
    *((0x711, 0x711), (0x730, 0x74A)),  # Syriac
    (0x20D0, 0x20F0),  # around symbols, as around the digit of a keycap
    (0x1F3FB, 0x1F3FF),  # tones of skin
)
"""Signs that one may write or leave out: they go."""

LETTERS = {
    **{"\u200b": " ", "\u0131": "i", "\u0451": "\u0435"},
    **dict.fromkeys("\u0649\u06cc\u06d2", "\u064a"),
    **dict.fromkeys("\u06a9\u06aa", "\u0643"),
    **dict.fromkeys("\u2018\u2019\u02bb\u02bc", "'"),
}
"""Characters written in two ways: dotless i, Cyrillic io, yeh and kaf of Arabic, for which the
keyboards of Persian and Urdu have codes of their own, and apostrophes."""

FOLDED_APART = ("turkish", "persian")
"""Languages with a folding of their own; all others are folded alike."""

TURKISH = str.maketrans({"I": "\u0131", "\u0130": "i"})
TO_PERSIAN = str.maketrans({"\u064a": "\u06cc", "\u0643": "\u06a9"})


def _class(ranges: tuple[tuple[int, int], ...]) -> str:
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in ranges)


DROPPED = re.compile(f"[{_class(IGNORABLE + OPTIONAL)}]+")
LETTER = re.compile(f"[{''.join(LETTERS)}]")
DIGIT = re.compile(r"[^\D0-9]")
DOT = re.compile("(?<=i)\u0307+")
STRESS = re.compile("(?<=[\u0430-\u045f])[\u0300\u0301]+")
GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff][\u0300-\u036f\u0370-\u03ff\u1f00-\u1fff]*")
ABBREVIATION = re.compile("(?<=[\u05d0-\u05ea])[\"'\u05f3\u05f4\u2019\u201d](?=[\u05d0-\u05ea])")
"""What a Hebrew abbreviation has before its last letter."""

SIGNS = (
    *((DOT, re.compile("\u0307")), (STRESS, re.compile("[\u0300\u0301]"))),
    *((ABBREVIATION, re.compile("[\u05d0-\u05ea]")),),
)
"""What is dropped for what stands beside it, and what a text has that has any."""

SPECIAL = re.compile(
    f"[{_class(IGNORABLE + OPTIONAL)}{''.join(LETTERS)}"
    "\u0300\u0301\u0307\u0370-\u03ff\u1f00-\u1fff\u05d0-\u05ea]|[^\\D0-9]"
)
"""Any character that is treated here; most texts have none, and it is beyond ASCII."""

ASCII = bytes(range(128))


def fold(text: str, language: str = "none") -> str:
    r"""Return the text in the spelling in which words are compared.

    Args:
        text: Any string; lone surrogates are replaced.
        language: In Turkish I is the capital of the dotless i, and Persian has its own yeh and
            kaf; all others are folded alike.

    >>> fold("\uff23af\u0065\u0301 Stra\u00dfe")
    'café strasse'
    >>> fold("Gesamt\u00adkonzept \u0130stanbul \u0663")
    'gesamtkonzept istanbul 3'
    """
    if language == "turkish":
        text = text.translate(TURKISH)
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean(text)).casefold())
    if SPECIAL.search(_beyond_ascii(text)):
        text = unicodedata.normalize("NFKC", _spelled(text, language))
    return text.translate(TO_PERSIAN) if language == "persian" else text


def _spelled(text: str, language: str) -> str:
    """Return the text with one spelling of what `SPECIAL` finds.

    What a rule looks for is looked for in the few characters beyond ASCII, before it goes through
    the text.
    """
    if DROPPED.search(_beyond_ascii(text)):
        text = unicodedata.normalize("NFKC", DROPPED.sub("", text))
    rare = _beyond_ascii(text)
    if LETTER.search(rare):
        letters = LETTERS if language != "turkish" else {**LETTERS, "\u0131": "\u0131"}
        text = LETTER.sub(lambda found: letters[found[0]], text)
    if DIGIT.search(rare):
        text = DIGIT.sub(lambda found: str(unicodedata.decimal(found[0])), text)
    for sign, needed in SIGNS:
        if needed.search(rare):
            text = sign.sub("", text)
    return GREEK.sub(_without_accents, text) if GREEK.search(rare) else text


def _beyond_ascii(text: str) -> str:
    """Return the characters of a text that are not of ASCII, in order."""
    return text.encode().translate(None, ASCII).decode()


def _without_accents(found: re.Match[str]) -> str:
    plain = unicodedata.normalize("NFD", found[0])
    return "".join(letter for letter in plain if not unicodedata.combining(letter))
