"""Cuts a folded text into words, runs of characters and symbols."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import chain, pairwise

UNSPACED = (
    "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7a3\ud7b0-\ud7ff"  # Hangul: its particles join words
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf"  # Thai, Lao, without their digits
    "\u1780-\u17d3\u1000-\u103f\u1050-\u108f"  # Khmer, Myanmar, likewise
)
"""Characters of the scripts in which spaces do not part words, as part of a regular expression."""

SYMBOL_BLOCKS = ((0xA0, 0x3400), (0xFF00, 0x10000), (0x1D000, 0x1F000))
"""Where symbols lie, beside those of ASCII and the pictures from U+1F000 on."""


@cache
def marks() -> str:
    r"""Return the combining marks outside `UNSPACED`: letters of a word, though not in `\w`."""
    blocks = chain(range(0x300, 0x1E00), range(0x20D0, 0x2100), range(0xA66F, 0xAC00))
    found = (code for code in blocks if unicodedata.category(chr(code)).startswith("M"))
    return _in_class(code for code in found if not is_unspaced(chr(code)))


@cache
def unspaced() -> re.Pattern[str]:
    """Return what matches each run of characters of `UNSPACED`."""
    return re.compile(f"[{UNSPACED}]+")


def is_unspaced(word: str) -> bool:
    """Return whether a word begins with a character of `UNSPACED`."""
    return not word.isascii() and unspaced().match(word) is not None


def _in_class(codes: Iterable[int]) -> str:
    """Return rising characters as a class of a regular expression has them: by first and last."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in runs)


APOSTROPHES = "'\u2019\u02bc"
LETTER = rf"[^\W_{UNSPACED}]"
APOSTROPHE = re.compile(f"[{APOSTROPHES}]")
POSSESSIVE = re.compile(rf"[{APOSTROPHES}]s$")
ASCII_SYMBOL = "[$+<=>^`|~]"

INITIAL = re.compile(r"\.(?<=(?<![a-z0-9])[a-z]\.)")
"""The full stop behind a letter of ASCII that stands alone. It comes first in the pattern: where
full stops stand is soon found."""

LONG = 150
"""Characters of a text that is sooner parted at spaces."""

NOT_INSIDE = re.compile("'(?:(?<![a-z0-9]')|(?![a-z0-9]))")
"""An apostrophe that does not stand between letters."""

OPENERS = (
    "a|an|and|are|as|at|but|by|each|for|from|he|here|how|however|if|in|is|it|its|most|no|of|on|or|"
    "other|our|she|so|some|that|the|their|then|there|these|they|this|those|to|we|what|when|where|"
    "which|while|with|you|your"
)
"""Words of English that begin a sentence: the letter before them has ended one, as in "vitamin C.
It helps", and is no initial."""


def cut(folded: str, *, initials: bool, apostrophes: bool) -> list[str]:
    """Return the words, runs of unspaced characters, and symbols of a folded text, in order.

    They are what `pattern` matches, whose arguments these are. A long text of ASCII without
    initials is parted at spaces, in half the time.
    """
    if not folded.isascii():
        return _mixed(initials=initials, apostrophes=apostrophes).findall(folded)
    if len(folded) < LONG or (initials and INITIAL.search(folded)):
        every = pattern(ascii_only=True, initials=initials, apostrophes=apostrophes)
        return every.findall(folded)
    if apostrophes and "'" in folded:
        folded = NOT_INSIDE.sub(" ", folded)
    letters = folded.encode("ascii").translate(_spaced(apostrophes=apostrophes))
    for symbol in ASCII_SYMBOL[1:-1].encode("ascii"):
        letters = letters.replace(b"%c" % symbol, b" %c " % symbol)
    return letters.decode("ascii").split()


@cache
def _mixed(*, initials: bool, apostrophes: bool) -> re.Pattern[str]:
    """Return what matches as `pattern` does, and words of ASCII sooner: `LETTER` has many parts."""
    alone = r"[a-z0-9]{2,}+(?![A-Z'\x80-\U0010ffff])"
    every = pattern(ascii_only=False, initials=initials, apostrophes=apostrophes)
    return re.compile(f"{alone}|{every.pattern}")


@cache
def _spaced(*, apostrophes: bool) -> bytes:
    """Return a table of bytes: itself of what is matched in ASCII, and a space of all others."""
    matched = f"abcdefghijklmnopqrstuvwxyz0123456789{ASCII_SYMBOL[1:-1]}"
    kept = f"{matched}'" if apostrophes else matched
    return bytes(code if chr(code) in kept else ord(" ") for code in range(256))


@cache
def pattern(*, ascii_only: bool, initials: bool, apostrophes: bool) -> re.Pattern[str]:
    """Return what matches each word, run of unspaced characters, and symbol of a folded text.

    Args:
        ascii_only: For texts of ASCII alone, with the same matches and faster.
        initials: Whether letters that each end with a full stop, as in e.g. or J. R. R., are
            matched with it: several are one word, and one before anything else is an initial.
        apostrophes: Whether a word may have them inside.
    """
    letter = "[a-z0-9]" if ascii_only else LETTER
    marked = "" if ascii_only else f"(?:[{marks()}]+{LETTER}*)*"
    inside = f"(?:[{APOSTROPHES}]{letter}+{marked})*" if apostrophes else ""
    single = [f"{letter}{marked}{inside}"]
    if initials:
        one = "[a-z]" if ascii_only else r"[^\W\d_]"
        single = [
            rf"(?:{one}\.)+{one}\.?(?!{letter})",
            rf"{one}\.(?=\s*\S)(?!\s+(?:{OPENERS})\b)",
            *single,
        ]
    # what is frequent comes first, and what stands between words fails soon
    found = [f"{letter}{{2,}}{marked}{inside}", f"(?={letter})(?:{'|'.join(single)})"]
    found += [ASCII_SYMBOL] if ascii_only else [f"[{UNSPACED}]+", _symbols()]
    return re.compile("|".join(found), re.ASCII if ascii_only else re.NOFLAG)


@cache
def runs(*, ascii_only: bool) -> re.Pattern[str]:
    """Return what matches each run of letters and digits of any script, and each symbol."""
    if ascii_only:
        return re.compile(f"[a-z0-9]+|{ASCII_SYMBOL}")
    return re.compile(rf"[^\W_][^\W_{marks()}]*(?:[{marks()}]+[^\W_]*)*|{_symbols()}")


def _symbols() -> str:
    """Return what matches a symbol: a flag is two letters of its own, all others are one."""
    codes = chain.from_iterable(range(*block) for block in SYMBOL_BLOCKS)
    found = _in_class(code for code in codes if unicodedata.category(chr(code))[0] == "S")
    pictures = "\U0001f000-\U0001faff"  # those that later versions of Unicode have included
    flag = "[\U0001f1e6-\U0001f1ff]{2}"
    frequent = r"(?![\s!-#%-*,-/:;?@\[\]\\_{}\u2010-\u2026])"  # and none: it is found out quickly
    return f"{frequent}(?:{flag}|[{ASCII_SYMBOL[1:-1]}{found}{pictures}])"


def pairs(run: str) -> tuple[str, ...]:
    """Return the overlapping pairs of characters of a run, or the run if it is one character.

    >>> pairs("東京都")
    ('東京', '京都')
    """
    return tuple(map("".join, pairwise(run))) if len(run) > 1 else (run,)


def ngrams(text: str, low: int, high: int) -> tuple[str, ...]:
    """Return the n-grams of a text; one that is shorter than n comes once, whole.

    >>> ngrams("tea", 2, 4)
    ('te', 'ea', 'tea')
    """
    grams: list[str] = []
    for n in range(low, high + 1):
        grams += [text[start : start + n] for start in range(max(1, len(text) - n + 1))]
        if n >= len(text):
            break
    return tuple(grams)
