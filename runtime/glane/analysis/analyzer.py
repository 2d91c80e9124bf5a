"""Text analysis for lexical search: from a text to its terms."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from typing import Literal, get_args

import snowballstemmer

from glane.analysis.stopwords import STOP_WORDS
from glane.model.preparation import clean

Kind = Literal["words", "char_wb", "char", "bigrams"]

CACHED_WORDS = 1 << 17
"""Words whose terms a thread remembers per analyzer; then it begins anew."""

CACHED_LENGTH = 64
"""Longer runs of characters do not come twice; they are not remembered."""

STEMMED_LENGTH = 100
"""Longer runs of characters are no words of a language, and not stemmed: some stemmers' time grows
with the square of the length."""

SPACELESS = (
    "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf"  # Thai, Lao, without their digits
    "\u1780-\u17d3\u1000-\u103f\u1050-\u108f"  # Khmer, Myanmar, likewise
)
"""Characters of the scripts that put no space between words, as part of a regular expression."""


def _marks() -> str:
    r"""Return the combining marks outside `SPACELESS`: letters of a word, though not in `\w`."""
    blocks = chain(range(0x300, 0x1E00), range(0x20D0, 0x2100), range(0xA66F, 0xAC00))
    marks = (chr(code) for code in blocks if unicodedata.category(chr(code)).startswith("M"))
    return "".join(mark for mark in marks if not re.match(f"[{SPACELESS}]", mark))


MARKS = _marks()
APOSTROPHES = "'\u2019\u02bc"
WORD = rf"[^\W{SPACELESS}]+(?:[{MARKS}]+[^\W{SPACELESS}]*)*"
RUN = re.compile(rf"\w[\w{MARKS}]*")
TOKEN = re.compile(rf"{WORD}|[{SPACELESS}]+")
ENGLISH_TOKEN = re.compile(rf"{WORD}(?:[{APOSTROPHES}]{WORD})*|[{SPACELESS}]+")
ASCII_TOKEN = re.compile(r"\w+", re.ASCII)
ASCII_ENGLISH_TOKEN = re.compile(r"\w+(?:'\w+)*", re.ASCII)
IS_SPACELESS = re.compile(f"[{SPACELESS}]")
POSSESSIVE = re.compile(rf"[{APOSTROPHES}]s$")
APOSTROPHE = re.compile(f"[{APOSTROPHES}]")


@dataclass(frozen=True, slots=True)
class Analyzer:
    """Turns a text into terms, the same way for documents and queries.

    Lone surrogates become U+FFFD, then NFKC and case folding: "™", "TM" and "tm" are one term.

    Attributes:
        kind: "words" are runs of letters and digits, one-character words such as C or 5 included,
            without stop words, stemmed unless longer than 100 characters; scripts that put no space
            between words give overlapping pairs of characters instead. "char" is n-grams of
            characters of the text, its runs of letters and digits joined by single spaces;
            "char_wb" the same within each run, a space on either side. Both are as in scikit-learn,
            but without punctuation: on scifact's train queries NDCG@10 of `TfIdf` with "char_wb" is
            .626 instead of .614. "bigrams" is overlapping pairs of characters of every run.
        language: Of the stop words and the Snowball stemmer; "none" for neither. Only for "words".
        ngrams: Shortest and longest n-gram in characters, 1 <= low <= high. Only for "char" and
            "char_wb".

    In English an apostrophe ends a possessive and is dropped elsewhere ("Alzheimer's" is
    "alzheimer", "don't" is "dont"); in other languages it separates words ("l'eau" is "l", "eau").

    >>> Analyzer()("The C programmer's plants don't die")
    ['c', 'programm', 'plant', 'dont', 'die']
    >>> Analyzer(language="none")("東京都 is big")
    ['東京', '京都', 'is', 'big']
    >>> Analyzer("char_wb", ngrams=(3, 4))("tea")
    [' te', 'tea', 'ea ', ' tea', 'tea ']
    >>> Analyzer("bigrams")("tea 5")
    ['te', 'ea', '5']
    """

    kind: Kind = "words"
    language: str = "english"
    ngrams: tuple[int, int] = (3, 5)

    def __post_init__(self) -> None:
        """Refuse unknown settings.

        Raises:
            ValueError: If `kind`, `language` or `ngrams` is not one of those described.
        """
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {list(get_args(Kind))}, got {self.kind!r}")
        languages = ["none", *STOP_WORDS]
        if self.language not in languages:
            raise ValueError(f"language must be one of {languages}, got {self.language!r}")
        object.__setattr__(self, "ngrams", _checked_ngrams(self.ngrams))

    def __call__(self, text: str) -> list[str]:
        """Return the terms of a text in order, each as often as it occurs."""
        terms = _known_words(self)
        return list(chain.from_iterable([terms[word] for word in self.words(text)]))

    def words(self, text: str) -> list[str]:
        """Return the words or runs of characters that `terms` takes, in order."""
        text = normalise(text)
        if self.kind != "words":
            runs = (ASCII_TOKEN if text.isascii() else RUN).findall(text)
            return [" ".join(runs)] if self.kind == "char" and runs else runs
        if self.language == "english":
            return (ASCII_ENGLISH_TOKEN if text.isascii() else ENGLISH_TOKEN).findall(text)
        return (ASCII_TOKEN if text.isascii() else TOKEN).findall(text)

    def terms(self, word: str) -> tuple[str, ...]:
        """Return the terms of one of `words`: none for a stop word, several for n-grams."""
        if self.kind in ("char", "char_wb"):
            return _ngrams(f" {word} ", *self.ngrams)
        if self.kind == "bigrams" or IS_SPACELESS.match(word):
            return _pairs(word)
        if self.language == "none":
            return (word,)
        if self.language == "english":
            word = APOSTROPHE.sub("", POSSESSIVE.sub("", word))
        if word in _stop_words(self.language):
            return ()
        as_it_is = len(word) > STEMMED_LENGTH or word.isdecimal()
        return (word if as_it_is else _stem(self.language)(word),)


class WordCache(dict[str, tuple[str, ...]]):
    """Terms by word, made when first asked for; bounded, and for one thread alone."""

    def __init__(self, make: Callable[[str], tuple[str, ...]]) -> None:
        """Take the function that makes the terms of a word."""
        super().__init__()
        self.make = make

    def __missing__(self, word: str) -> tuple[str, ...]:
        terms = self.make(word)
        if len(word) <= CACHED_LENGTH:
            if len(self) >= CACHED_WORDS:
                self.clear()
            self[word] = terms
        return terms


class _Local(threading.local):
    """What a thread keeps: a Snowball stemmer has state and is not for two threads at once."""

    def __init__(self) -> None:
        self.words: dict[Analyzer, WordCache] = {}
        self.stemmers: dict[str, Callable[[str], str]] = {}


_local = _Local()


def normalise(text: str) -> str:
    r"""Return the text with lone surrogates replaced, in NFKC, case folded.

    >>> normalise("\uff23af\u0065\u0301 Stra\u00dfe")
    'café strasse'
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean(text)).casefold())


@cache
def _stop_words(language: str) -> frozenset[str]:
    return frozenset(map(normalise, STOP_WORDS[language].split()))


def _known_words(analyzer: Analyzer) -> WordCache:
    if analyzer not in _local.words:
        _local.words[analyzer] = WordCache(analyzer.terms)
    return _local.words[analyzer]


def _stem(language: str) -> Callable[[str], str]:
    """Return the thread's stemmer; snowballstemmer takes PyStemmer by itself where installed."""
    if language not in _local.stemmers:
        _local.stemmers[language] = snowballstemmer.stemmer(language).stemWord
    return _local.stemmers[language]


def stemmer_module(language: str) -> str:
    """Return the name of the package that stems: `Stemmer` (PyStemmer) or `snowballstemmer`."""
    made = snowballstemmer.stemmer(language)
    return type(made).__module__.partition(".")[0]


def _pairs(run: str) -> tuple[str, ...]:
    if len(run) == 1:
        return (run,)
    return tuple(map("".join, pairwise(run)))


def _ngrams(text: str, low: int, high: int) -> tuple[str, ...]:
    """Return the n-grams of a text; one that is shorter than n comes once, whole."""
    grams = []
    for n in range(low, high + 1):
        grams += [text[start : start + n] for start in range(max(1, len(text) - n + 1))]
        if n >= len(text):
            break
    return tuple(grams)


def _checked_ngrams(ngrams: tuple[int, int]) -> tuple[int, int]:
    """Return the pair as a tuple: JSON has only lists."""
    pair = tuple(ngrams)
    if len(pair) != 2 or not all(type(n) is int for n in pair) or not 1 <= pair[0] <= pair[1]:
        raise ValueError(f"ngrams must be (low, high) with 1 <= low <= high, got {ngrams!r}")
    return pair[0], pair[1]
