"""The stems of many English words at once, against Snowball's of each."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import snowballstemmer
from hypothesis import example, given
from hypothesis import strategies as st
from snowballstemmer.english_stemmer import EnglishStemmer

from glane.analysis import Analyzer
from glane.analysis import analyzer as analysis
from glane.analysis.english import (
    EED_KEPT,
    EXCEPTIONS,
    ING_KEPT,
    REGION_PREFIXES,
    STEP_2,
    STEP_3,
    STEP_4,
    is_of_these_rules,
    stem_all,
)
from glane.analysis.samples import SAMPLE_WORDS
from glane.analysis.stopwords import STOP_WORDS

ENDINGS = ("", "s", "'s", "es", "ies", "ed", "eed", "edly", "eedly", "ing", "ingly", "y", "ly", "e")
ROOTS = (
    *("past", "hop", "hopp", "sky", "ad", "eb", "all", "luxuriat", "tr", "y", "by", "ty", "yy"),
    *("succ", "proc", "exc", "subproc", "even", "un'even", "'out", "dow", "box", "pay", "owe"),
)
PIECES = (*ENDINGS, *ROOTS, *STEP_2, *STEP_3, *STEP_4, *REGION_PREFIXES, *EED_KEPT, *ING_KEPT)
WORDS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
    st.text("aeiouybdlnrstgixwYz'c", max_size=12),
    st.text("ye's\u00e9\u0131Y?\0 -5\U0001d54f\ud83d", max_size=6),
    st.text(max_size=5),
)


@pytest.fixture(scope="module", autouse=True)
def _these_rules() -> None:
    if not is_of_these_rules(EnglishStemmer()):
        pytest.skip("the rules of the snowballstemmer that is installed are others")


def check(words: list[str]) -> None:
    stem = EnglishStemmer().stemWord
    stems = stem_all(words, stem)
    assert len(stems) == len(words)
    pairs = zip(words, stems, strict=True)
    wrong = [(word, stem(word), ours) for word, ours in pairs if ours != stem(word)]
    assert wrong == []


@given(st.lists(WORDS, max_size=20))
@example([])
@example([""])
@example(["running", "", "running", "'", "''", "'''", "''s'"])
@example(["it\0sky", "sky", "sky\0", "'sky", "skies'", "x" * 1000 + "ational"])
def test_stems_are_those_of_snowball(words: list[str]) -> None:
    check(words)


def test_a_word_has_its_stem_among_any_others() -> None:
    """Worked by hand after the description."""
    stems = {
        **{"generously": "generous", "relational": "relat", "conditional": "condit"},
        **{"hopping": "hop", "hoping": "hope", "hoped": "hope", "luxuriated": "luxuri"},
        **{"adding": "add", "ebbed": "ebb", "cries": "cri", "ties": "tie", "gas": "gas"},
        **{"gaps": "gap", "dying": "die", "evening": "evening", "succeeded": "succeed"},
        **{"say": "say", "sayings": "say", "cry": "cri", "by": "by", "yellowy": "yellowi"},
    }
    assert dict(zip(stems, stem_all([*stems], pytest.fail), strict=True)) == stems


def test_every_ending_behind_every_beginning() -> None:
    pairs = product(("", *PIECES), repeat=2)
    check(["".join(pair) + ending for pair in pairs for ending in ("", "s", "ed", "ing")])


@pytest.mark.parametrize(("letters", "longest"), [("ays'", 6), ("edbi", 6), ("lnoitg", 5)])
def test_every_word_of_few_letters(letters: str, longest: int) -> None:
    lengths = range(longest + 1)
    check(["".join(word) for length in lengths for word in product(letters, repeat=length)])


def test_exceptions_have_rules_only_as_a_whole() -> None:
    around = ("{}", "'{}", "{}s", "un{}", "{}'s", "y{}", "{}\0")
    check([form.format(word) for word in EXCEPTIONS for form in around])


def test_only_snowballs_python_of_these_rules_is_stood_in_for() -> None:
    class Later(EnglishStemmer):  # type: ignore[misc]
        """Generated from english.sbl by Snowball 3.2.0 - https://snowballstem.org/"""

    class Untold(EnglishStemmer):  # type: ignore[misc]
        pass

    assert not is_of_these_rules(Later())
    assert not is_of_these_rules(Untold())  # as where Python leaves docstrings out
    assert not is_of_these_rules(snowballstemmer.stemmer("german"))


@pytest.mark.parametrize(
    "analyzer",
    [
        *(Analyzer(), Analyzer(rules=1), Analyzer("char_wb"), Analyzer("bigrams")),
        *(Analyzer(language=language) for language in ("auto", "none", "german")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("installed", ["python", "other"])
def test_many_words_have_the_terms_of_each(
    analyzer: Analyzer, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed == "python":
        monkeypatch.setattr(analysis, "_local", analysis._Local())
        made = {"english": EnglishStemmer}
        real = snowballstemmer.stemmer
        stemmer = lambda language: made.get(language, lambda: real(language))()  # noqa: E731
        monkeypatch.setattr(snowballstemmer, "stemmer", stemmer)
    text = f"{SAMPLE_WORDS['english']} {STOP_WORDS['english']} e.g. U.S. x. Alzheimer's don't C 5 "
    text += f"+ 2024 {'x' * 100} {'running' * 15} \u6771\u4eac \u00fcbers laufen der die das {text}"
    words = analyzer.words(text)
    assert len(words) > 4 * analysis.FEW or analyzer.kind != "words"
    for some in (words, words[:: len(words) // 3 + 1], words[: analysis.FEW], words[:0]):
        assert analyzer.terms_of_each(some) == [analyzer.terms(word) for word in some]


def _texts(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                yield from (value for value in record.values() if isinstance(value, str))


@pytest.mark.data
def test_the_words_of_real_collections(data_folder: Path) -> None:
    analyzer = Analyzer()
    words = dict.fromkeys(word for text in _texts(data_folder) for word in analyzer.words(text))
    assert len(words) > 10_000
    check([word for word in words if len(word) <= analysis.STEMMED_LENGTH])
