"""Words and terms as glane cut them before Analyzer's rules 2: for indexes written then."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from glane.analysis.stopwords import STOP_WORDS
from glane.analysis.words import APOSTROPHE, APOSTROPHES, POSSESSIVE, marks
from glane.model.texts import clean

ENGLISH = """
a an and are as at be but by for if in into is it no not of on or such that the their then there
these they this to was will with
"""
"""Stop words of English."""

SPACELESS = (
    "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf"
    "\u1780-\u17d3\u1000-\u103f\u1050-\u108f"
)
WORD = rf"[^\W{SPACELESS}]+(?:[{marks()}]+[^\W{SPACELESS}]*)*"
RUN = re.compile(rf"\w[\w{marks()}]*")
TOKEN = re.compile(rf"{WORD}|[{SPACELESS}]+")
ENGLISH_TOKEN = re.compile(rf"{WORD}(?:[{APOSTROPHES}]{WORD})*|[{SPACELESS}]+")
IS_SPACELESS = re.compile(f"[{SPACELESS}]")


def words(text: str, kind: str, language: str) -> list[str]:
    """Return the words or runs of characters of a text, in order."""
    if text.isascii():
        text = text.lower()
    else:
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean(text)).casefold())
    if kind != "words":
        runs = RUN.findall(text)
        return [" ".join(runs)] if kind == "char" and runs else runs
    return (ENGLISH_TOKEN if language == "english" else TOKEN).findall(text)


def plain(word: str, language: str) -> str | None:
    """Return a word without apostrophes, as it is stemmed; None for a stop word."""
    if language == "english":
        word = APOSTROPHE.sub("", POSSESSIVE.sub("", word))
    return None if word in stop_words(language) else word


@cache
def stop_words(language: str) -> frozenset[str]:
    """Return the stop words of a language as they were compared."""
    listed = ENGLISH if language == "english" else STOP_WORDS[language]
    return frozenset(unicodedata.normalize("NFKC", listed.casefold()).split())
