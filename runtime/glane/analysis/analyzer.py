"""Text analysis for lexical search: from a text to its terms."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Literal, get_args

import snowballstemmer

from glane.analysis.english import is_of_these_rules, stem_all
from glane.analysis.folding import FOLDED_APART, fold
from glane.analysis.languages import CODES, USUAL, candidates, evidence, script, stemmed_languages
from glane.analysis.stopwords import STOP_WORDS
from glane.analysis.words import (
    APOSTROPHE,
    POSSESSIVE,
    cut,
    is_unspaced,
    ngrams,
    pairs,
    runs,
    unspaced,
)
from glane.errors import check_choice

Kind = Literal["words", "char_wb", "char", "bigrams"]

KNOWN_WORDS = 1 << 13
"""Words whose terms a thread remembers per analyzer; then it begins anew. These are nine in ten of
the words of what searches show (scifact), in a few MB of a server's thread."""

CACHED_LENGTH = 64
"""Longer runs of characters do not come twice; they are not remembered."""

STEMMED_LENGTH = 100
"""Longer runs of characters are no words of a language, and not stemmed: some stemmers' time grows
with the square of the length."""

FEW = 64
"""Fewer words of English are stemmed one by one: what stems them at once takes as long for none."""

STOPPED = "_"
"""What the term of a stop word begins with: no other term has it, as it parts words."""

IN = "\0"
"""Between a word and its language, where "auto" has found one that is not usual in its script."""

RULES = (1, 2)
"""Versions of the rules: 1 is what indexes have that were written before there was a second."""


@dataclass(frozen=True, slots=True)
class Analyzer:
    """Turns a text into terms.

    Texts are folded first (`glane.analysis.folding`): "\u2122", "TM" and "tm" are one term.

    Attributes:
        kind: "words" are runs of letters and digits, one-character words such as C or 5 included,
            and symbols, stemmed unless longer than 100 characters; scripts in which spaces do not
            part words give characters and overlapping pairs of them instead. "char" is n-grams of
            characters of the text, its runs of letters and digits joined by single spaces;
            "char_wb" the same within each run, a space on either side. Both are as in scikit-learn,
            but without punctuation: on scifact's train queries NDCG@10 of `TfIdf` with "char_wb" is
            .626 instead of .614. "bigrams" is overlapping pairs of characters of every run.
        language: Of the Snowball stemmer and the stop words; "auto" tells it of each text by its
            small words, "none" is without either. A code ("de") is its language. Only for "words".
        ngrams: Shortest and longest n-gram in characters, 1 <= low <= high. Only for "char" and
            "char_wb".
        rules: Version of the rules; older ones are for indexes that were written by them.

    A document has all its terms, and a query is looked for by those that tell: by its stop words,
    which begin with "_", only where there is nothing else.

    In English an apostrophe ends a possessive and is dropped elsewhere ("Alzheimer's" is
    "alzheimer", "don't" is "dont"); in other languages it separates words ("l'eau" is "l", "eau").
    Letters with full stops are one word ("U.S." is "us"), one alone is an initial and no term.

    >>> Analyzer().query("Do the C programmer's plants, e.g. ferns, die?")
    ['c', 'programm', 'plant', 'fern', 'die']
    >>> Analyzer()("The plants")
    ['_the', 'plant']
    >>> Analyzer(language="none")("\u6771\u4eac\u90fd is big")
    ['\u6771', '\u4eac', '\u90fd', '\u6771\u4eac', '\u4eac\u90fd', 'is', 'big']
    >>> Analyzer("char_wb", ngrams=(3, 4))("tea")
    [' te', 'tea', 'ea ', ' tea', 'tea ']
    >>> Analyzer("bigrams")("tea 5")
    ['te', 'ea', '5']
    """

    kind: Kind = "words"
    language: str = "english"
    ngrams: tuple[int, int] = (3, 5)
    rules: int = RULES[-1]

    def __post_init__(self) -> None:
        """Refuse unknown settings.

        Raises:
            ValueError: If `kind`, `language`, `ngrams` or `rules` is not one of those described.
        """
        check_choice("kind", self.kind, get_args(Kind))
        object.__setattr__(self, "language", CODES.get(self.language, self.language))
        check_choice("language", self.language, LANGUAGES)
        check_choice("rules", self.rules, RULES)
        object.__setattr__(self, "ngrams", _checked_ngrams(self.ngrams))

    def __call__(self, text: str) -> list[str]:
        """Return the terms of a document in order, each as often as it occurs."""
        return self._terms(self.words(text))

    def query(self, text: str) -> list[str]:
        """Return the terms that a query is looked for by, in order, each as often as it occurs."""
        return self.readings(text)[0]

    def readings(self, text: str) -> list[list[str]]:
        """Return the terms that a query is looked for by, in each language that it may be of.

        The likeliest is first. There is one but where "auto" finds too little to tell by.
        """
        if self.language != "auto" or self.kind != "words":
            return [self._looked_for(self.words(text))]
        found: dict[tuple[str, ...], list[str]] = {}
        for words in _told_readings(text):
            terms = self._looked_for(words)
            found.setdefault(tuple(terms), terms)
        return list(found.values())

    def words(self, text: str) -> list[str]:
        """Return the words or runs of characters that `terms` takes, in order."""
        if self.rules == 1:
            from glane.analysis import former  # late, as in `_former`: few indexes are so old

            return former.words(text, self.kind, self.language)
        if self.kind != "words":
            folded = fold(text)
            found = runs(ascii_only=folded.isascii()).findall(folded)
            return [" ".join(found)] if self.kind == "char" and found else found
        if self.language == "auto":
            folded = fold(text)
            words = _cut(folded, "english")
            return _words_in(text, folded, words, _told(evidence(words)))
        return _cut(fold(text, self.language), self.language)

    def terms(self, word: str) -> tuple[str, ...]:
        """Return a document's terms of one of `words`: none of an initial, several for n-grams."""
        if self.rules == 1:
            return self._former(word)
        if self.kind != "words":
            return (*self._plain_grams(word), *self._shorter(word))
        if is_unspaced(word):
            return _unspaced(word)
        word, tagged, language = word.partition(IN)
        return _term(word, language if tagged else self._language_of(word))

    def terms_of_each(self, words: Sequence[str]) -> list[tuple[str, ...]]:
        """Return what `terms` returns for each of some of `words`: sooner, if they are many."""
        is_english = self.kind == "words" and self.language in ("english", "auto")
        if len(words) < FEW or not is_english or self.rules == 1:
            return [self.terms(word) for word in words]
        stopped = _stop_words("english")
        plain = [word for word in words if _is_plain(word) and word not in stopped]
        stems = dict(zip(plain, _english_stems(plain), strict=True))
        return [(stems[word],) if word in stems else self.terms(word) for word in words]

    def _terms(self, words: Sequence[str]) -> list[str]:
        known = known_words(self)
        return list(chain.from_iterable([known[word] for word in words]))

    def _looked_for(self, words: Sequence[str]) -> list[str]:
        terms = self._terms(words)
        return [term for term in terms if term[0] != STOPPED] or terms

    def _former(self, word: str) -> tuple[str, ...]:
        """Return the terms of a word by the rules 1."""
        from glane.analysis import former

        if self.kind != "words":
            return self._plain_grams(word)
        if former.IS_SPACELESS.match(word):
            return pairs(word)
        plain = word if self.language == "none" else former.plain(word, self.language)
        return () if plain is None else (_stemmed(plain, self.language),)

    def _language_of(self, word: str) -> str:
        return USUAL[script(word)] if self.language == "auto" else self.language

    def _plain_grams(self, run: str) -> tuple[str, ...]:
        return pairs(run) if self.kind == "bigrams" else ngrams(f" {run} ", *self.ngrams)

    def _shorter(self, run: str) -> list[str]:
        """Return what is shorter than the n-grams of a run, and would not be found by them."""
        low = 2 if self.kind == "bigrams" else self.ngrams[0]
        shorter = [
            term for part in unspaced().findall(run) for term in _unspaced(part) if len(term) < low
        ]
        if self.kind == "char" and " " in run:
            shorter += [f" {part} " for part in run.split(" ") if len(part) + 2 < low]
        return shorter


LANGUAGES = ("auto", "none", *stemmed_languages())
"""What an analyzer's language may be."""


def _told(found: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Return the likeliest language of each script, by what `evidence` has found."""
    return {name: candidates(name, weights)[0] for name, weights in found.items()}


def _told_readings(text: str) -> list[list[str]]:
    """Return the words of a text in each language that it may be of, the likeliest first."""
    folded = fold(text)
    words = _cut(folded, "english")
    scripts = Counter(script(word) for word in words if _is_of_a_language(word))
    if not scripts:
        return [words]
    main = scripts.most_common(1)[0][0]
    found = evidence(words)
    likely = candidates(main, found.get(main, {}))
    return [
        _words_in(text, folded, words, {**_told(found), main: language})
        for language in dict.fromkeys((*likely, USUAL[main]))
    ]


def _words_in(text: str, folded: str, words: list[str], languages: Mapping[str, str]) -> list[str]:
    """Return the words of a text, with the language of those whose language is not the usual.

    Args:
        text: Any string.
        folded: What `fold` makes of it.
        words: Its words if all are of the usual languages.
        languages: The language of each script; of others it is the usual one.
    """
    unusual = {name: told for name, told in languages.items() if told != USUAL[name]}
    if not unusual:
        return words
    own = next((name for name in FOLDED_APART if name in unusual.values()), None)
    if own or "latin" in unusual:
        words = _cut(fold(text, own) if own else folded, unusual.get("latin", USUAL["latin"]))
    tags = {name: f"{IN}{told}" for name, told in unusual.items()}
    return [
        word + tags.get(script(word), "") if _is_of_a_language(word) else word for word in words
    ]


def _is_of_a_language(word: str) -> bool:
    return word[0].isalpha() and not is_unspaced(word)


def _cut(folded: str, language: str) -> list[str]:
    return cut(folded, initials=language != "none", apostrophes=language == "english")


def _unspaced(run: str) -> tuple[str, ...]:
    """Return the characters of a run, and then its overlapping pairs of them."""
    return (*run, *pairs(run)) if len(run) > 1 else (run,)


def _term(word: str, language: str) -> tuple[str, ...]:
    """Return the term of a word: none of an initial, and one of its own of a stop word."""
    if language == "none":
        return (word,)
    if "." in word:
        word = word.replace(".", "")
        if len(word) == 1:
            return ()
    if language == "english":
        word = APOSTROPHE.sub("", POSSESSIVE.sub("", word))
    if word in _stop_words(language):
        return (STOPPED + word,)
    stem = _stemmed(word, language)
    return (stem.replace("\u0131", "i") if language == "turkish" else stem,)


def _stemmed(word: str, language: str) -> str:
    as_it_is = language == "none" or len(word) > STEMMED_LENGTH or word.isdecimal()
    return word if as_it_is else _stem(language)(word)


def _is_plain(word: str) -> bool:
    """Return whether a word of English is stemmed as it stands: letters and digits of ASCII."""
    return word.isascii() and word.isalnum() and len(word) <= STEMMED_LENGTH


def _english_stems(words: list[str]) -> list[str]:
    stemmer = snowballstemmer.stemmer("english")
    if is_of_these_rules(stemmer):
        return stem_all(words, stemmer.stemWord)
    return list(stemmer.stemWords(words))


class WordCache(dict[str, tuple[str, ...]]):
    """Terms by word, made when first asked for; bounded, and for one thread alone."""

    def __init__(self, make: Callable[[str], tuple[str, ...]]) -> None:
        """Take the function that makes the terms of a word."""
        super().__init__()
        self.make = make

    def __missing__(self, word: str) -> tuple[str, ...]:
        terms = self.make(word)
        if len(word) <= CACHED_LENGTH:
            if len(self) >= KNOWN_WORDS:
                self.clear()
            self[word] = terms
        return terms


class _Local(threading.local):
    """What a thread keeps: a Snowball stemmer has state and is not for two threads at once."""

    def __init__(self) -> None:
        self.words: dict[Analyzer, WordCache] = {}
        self.stemmers: dict[str, Callable[[str], str]] = {}


_local = _Local()


@cache
def _stop_words(language: str) -> frozenset[str]:
    """Return the folded stop words of a language; many have none."""
    return frozenset(fold(STOP_WORDS.get(language, ""), language).split())


def known_words(analyzer: Analyzer) -> WordCache:
    """Return the thread's terms by word, as `Analyzer.terms` makes them."""
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


def _checked_ngrams(ngrams: tuple[int, int]) -> tuple[int, int]:
    """Return the pair as a tuple: JSON has only lists."""
    pair = tuple(ngrams)
    if len(pair) != 2 or not all(type(n) is int for n in pair) or not 1 <= pair[0] <= pair[1]:
        raise ValueError(f"ngrams must be (low, high) with 1 <= low <= high, got {ngrams!r}")
    return pair[0], pair[1]
