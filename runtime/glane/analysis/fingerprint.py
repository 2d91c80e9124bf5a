"""What the analysis of texts does here, as an index notes it: stemmers and Unicode change."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from hashlib import blake2b

from glane.analysis.analyzer import Analyzer, stemmer_module
from glane.analysis.languages import OTHER_SMALL_WORDS, stemmed_languages
from glane.analysis.samples import SAMPLE_WORDS
from glane.analysis.stopwords import STOP_WORDS
from glane.errors import CheckpointError

SAMPLE_BLOCKS = ((0x20, 0x3400), (0xA000, 0xA4D0), (0xF900, 0x10000))
"""Where the sample's characters lie, from the first to before the last: all but those of Han and
Hangul, which are too many and all alike."""

DISTRIBUTIONS = {"Stemmer": "PyStemmer"}
"""What a module is installed as, where its name is another."""


def noted(analyzer: Analyzer) -> dict[str, str]:
    """Return what an index notes of an analysis, as JSON.

    `fingerprint` is equal where the analysis does the same, so far as a sample tells: of each
    character that Unicode has had since 3.2 how it is normalised and whether it belongs to a word,
    and of words of the language their stems. `by` says for people what did it. `unicode`, the
    version, and `stems`, of the words alone, tell in a tenth of the time that nothing has changed.
    """
    return {"fingerprint": _fingerprint(analyzer), "by": _tools(analyzer), **_soon_told(analyzer)}


def check_noted(record: Mapping[str, str] | None, analyzer: Analyzer) -> None:
    """Refuse an index whose terms were made by an analysis that does not do what it does here.

    Args:
        record: What `noted` returned where the index was written; None where an older glane did.
        analyzer: The index's own.

    Raises:
        CheckpointError: The message says what wrote the index and what is here.
    """
    if record is None or _soon_told(analyzer).items() <= record.items():
        return
    if record["fingerprint"] != _fingerprint(analyzer):
        raise CheckpointError(
            f"the index was written with {record['by']}; here is {_tools(analyzer)}, which makes "
            "other terms of the same words; install what wrote it, or index again"
        )


def _tools(analyzer: Analyzer) -> str:
    unicode = f"Unicode {unicodedata.unidata_version}"
    if not _stems(analyzer):
        return unicode
    module = stemmer_module("english" if analyzer.language == "auto" else analyzer.language)
    name = DISTRIBUTIONS.get(module, module)
    return f"{name} {_version(name)} and {unicode}"


@cache
def _version(name: str) -> str:
    from importlib.metadata import version  # late: it takes longer than all of `check_noted`

    return version(name)


def _stems(analyzer: Analyzer) -> bool:
    return analyzer.kind == "words" and analyzer.language != "none"


def _soon_told(analyzer: Analyzer) -> dict[str, str]:
    """Return what an analysis depends on besides glane: where it is equal, so are the terms."""
    return {"unicode": unicodedata.unidata_version, "stems": _hash(_stems_made(analyzer))}


@cache
def _fingerprint(analyzer: Analyzer) -> str:
    """Return a hash of what is made of the sample."""
    return _hash([analyzer.words(_characters()), *_stems_made(analyzer)])


@cache
def _stems_made(analyzer: Analyzer) -> list[tuple[str, ...]]:
    """Return the terms of the sample's words; noted anew at each commit, they are made once."""
    made: list[tuple[str, ...]] = []
    for language in _sampled(analyzer):
        told = replace(analyzer, language=language)
        made += [told.terms(word) for word in told.words(_sample(language, told.rules))]
    return made


def _hash(made: Sequence[object]) -> str:
    return blake2b(repr(made).encode(), digest_size=8).hexdigest()


def _sampled(analyzer: Analyzer) -> tuple[str, ...]:
    """Return the languages whose words are stemmed to see what the stemmers do."""
    if not _stems(analyzer):
        return ()
    return stemmed_languages() if analyzer.language == "auto" else (analyzer.language,)


def _sample(language: str, rules: int) -> str:
    small = STOP_WORDS.get(language) or OTHER_SMALL_WORDS.get(language, "")
    if rules == 1 and language == "english":
        from glane.analysis.former import ENGLISH  # late: few indexes are so old

        small = ENGLISH
    return small + SAMPLE_WORDS.get(language, "")


@cache
def _characters() -> str:
    """Return the characters of `SAMPLE_BLOCKS` that Unicode 3.2 had, each between two letters."""
    had = unicodedata.ucd_3_2_0.category
    blocks = (map(chr, range(*block)) for block in SAMPLE_BLOCKS)
    return " ".join(f"a{one}a" for block in blocks for one in block if had(one)[0] != "C")
