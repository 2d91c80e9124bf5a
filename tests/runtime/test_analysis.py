import json
import pickle
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
import snowballstemmer
from hypothesis import example, given
from hypothesis import strategies as st

from glane import BM25, CheckpointError, Search, TfIdf
from glane.analysis import analyzer as analysis
from glane.analysis import fingerprint
from glane.analysis.analyzer import KNOWN_WORDS, LANGUAGES, Analyzer, Kind, WordCache
from glane.analysis.fingerprint import check_noted, noted
from glane.analysis.folding import fold
from glane.analysis.languages import CODES, stemmed_languages
from glane.analysis.samples import SAMPLE_WORDS
from glane.analysis.stopwords import STOP_WORDS
from glane.analysis.words import LONG, cut, pattern

KINDS = ["words", "char_wb", "char", "bigrams"]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The plants ARE growing", ["plant", "grow"]),
        ("C and R 4.2", ["c", "r", "4", "2"]),
        ("Alzheimer's disease, the dogs' food", ["alzheim", "diseas", "dog", "food"]),
        ("can't cant can\u2019t O'Brien", ["obrien"]),
        ("ma'am maam ma\u2019am", ["maam", "maam", "maam"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),
        ("\uff34\uff25\uff21 \ufb01sh", ["tea", "fish"]),
        ("\u6771\u4eac\u90fd", [*"\u6771\u4eac\u90fd", "\u6771\u4eac", "\u4eac\u90fd"]),
        ("\u8336", ["\u8336"]),
        ("\u8336 tea\u8336", ["\u8336", "tea", "\u8336"]),
        ("\u0e0a\u0e32 \u0e55", ["\u0e0a", "\u0e32", "\u0e0a\u0e32", "5"]),
        ("a\x00b \U0001f600 \ud83d !", ["b", "\U0001f600", "\ufffd"]),
        ("", []),
        ("the", ["_the"]),
        ("To be, or not", ["_to", "_be", "_or", "_not"]),
        ("e.g. J. R. R. Tolkien", ["tolkien"]),
        ("U.S. and U.S.A. at 5 p.m.", ["us", "usa", "5", "pm"]),
        ("type C. Vitamin C.", ["type", "vitamin", "c"]),
        ("vitamin C. It helps. J. Smith", ["vitamin", "c", "help", "smith"]),
        ("snake_case __init__", ["snake", "case", "init"]),
        ("C++ costs $5", ["c", "+", "+", "cost", "$", "5"]),
        (
            "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7",
            ["\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"],
        ),
    ],
)
def test_words_of_english(text: str, terms: list[str]) -> None:
    assert Analyzer(language="english").query(text) == terms
    assert Analyzer(language="auto").query(text) == terms


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        ("none", "The plants don't", ["the", "plants", "don", "t"]),
        ("french", "l'eau de la rivi\u00e8re", ["eau", "rivi"]),
        ("german", "da\u00df die H\u00e4user gro\u00df sind", ["haus", "gross"]),
        ("italian", "dell'arte", ["arte"]),
        ("russian", "\u0438 \u043a\u043d\u0438\u0433\u0438", ["\u043a\u043d\u0438\u0433"]),
    ],
)
def test_words_of_other_languages(language: str, text: str, terms: list[str]) -> None:
    found = Analyzer(language=language).query(text)
    assert [term[: len(wanted)] for term, wanted in zip(found, terms, strict=True)] == terms


@pytest.mark.parametrize("language", stemmed_languages())
def test_every_language_stems_and_looks_for_stop_words_where_there_is_nothing_else(
    language: str,
) -> None:
    analyzer = Analyzer(language=language)
    stopped = analyzer(STOP_WORDS.get(language, ""))
    assert all(term.startswith("_") for term in stopped)
    assert analyzer.query(STOP_WORDS.get(language, "")) == stopped
    assert len(analyzer("Photosynthese 2024")) == 2


def test_grams_of_characters() -> None:
    assert Analyzer("char_wb", ngrams=(2, 4))("a, be") == [
        *(" a", "a ", " a "),
        *(" b", "be", "e ", " be", "be ", " be "),
    ]
    assert Analyzer("char", ngrams=(4, 4))("a, be!") == [" a b", "a be", " be ", " a "]
    assert Analyzer("char", ngrams=(4, 5))("a") == [" a "]
    assert Analyzer("bigrams")("tea, 5") == ["te", "ea", "5"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "run", ["\u8336", "\u6771\u4eac", "\uc11c\uc6b8", "\U0001f355", "5", "\u0e1a\u0e49"]
)
def test_a_short_query_shares_a_term_with_a_longer_run_that_holds_it(kind: Kind, run: str) -> None:
    analyzer = Analyzer(kind)
    spaced = run == "5" or not run[0].isalpha()
    text = f"x {run} y" if spaced else f"\u524d{run}\u5f8c"
    assert set(analyzer.query(run)) & set(analyzer(text))


@pytest.mark.parametrize("ngrams", [(3, 5), (4, 5), (6, 9)])
def test_short_words_are_found_under_long_ngrams_of_a_whole_text(ngrams: tuple[int, int]) -> None:
    analyzer = Analyzer("char", ngrams=ngrams)
    for word in ("a", "go", "tea"):
        assert set(analyzer.query(word)) & set(analyzer(f"so {word} home"))


@given(
    st.text(),
    st.sampled_from(KINDS),
    st.sampled_from(["auto", "english", "none", "french", "turkish", "persian"]),
)
def test_any_text_gives_terms_that_are_normalised(text: str, kind: str, language: str) -> None:
    analyzer = Analyzer(kind, language)  # type: ignore[arg-type]
    terms = analyzer(text)
    assert all(terms)
    assert terms == analyzer(fold(text, language))
    assert terms == [term for word in analyzer.words(text) for term in analyzer.terms(word)]


@given(
    st.one_of(
        st.text("aab.'' 5+~_\n\x1c\x00A", max_size=30),
        st.text("ab.' \u00e9\u2019\u6771\u0301=", max_size=20),
    ),
    *(st.booleans(), st.booleans()),
)
@example("a. b the c. The d'e. f.", *(True, True))
@example("'tis a''b c' d'e'f '' g.'h it's", *(True, True))
@example("a=b+c~~d$5", *(False, False))
def test_a_text_is_cut_as_the_pattern_matches(text: str, initials: bool, apostrophes: bool) -> None:
    every = pattern(ascii_only=text.isascii(), initials=initials, apostrophes=apostrophes)
    for written in (text, text + " " * LONG + text):
        found = cut(written, initials=initials, apostrophes=apostrophes)
        assert found == every.findall(written)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "word"}, "kind must be one of .*'words'.*got 'word'"),
        ({"language": "klingon"}, "language must be one of .*'english'.*got 'klingon'"),
        ({"rules": 3}, "rules must be one of .1, 2., got 3"),
        ({"ngrams": (0, 3)}, "ngrams must be"),
        ({"ngrams": (4, 3)}, "ngrams must be"),
        ({"ngrams": (3,)}, "ngrams must be"),
        ({"ngrams": (3, 5.0)}, "ngrams must be"),
    ],
)
def test_unknown_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Analyzer(**settings)  # type: ignore[arg-type]


def test_a_code_is_its_language_and_the_name_is_stored() -> None:
    assert set(CODES.values()) == set(LANGUAGES) - {"auto", "none", "porter", "dutch_porter"}
    for code, language in CODES.items():
        assert Analyzer(language=code) == Analyzer(language=language)
        assert asdict(Analyzer(language=code))["language"] == language


def test_settings_from_json_are_equal() -> None:
    made = Analyzer(ngrams=[3, 5])  # type: ignore[arg-type]
    assert made == Analyzer(rules=2)
    assert pickle.loads(pickle.dumps(made)) == made


def test_threads_give_the_same_terms() -> None:
    texts = [f"Running {n} studies of plants{n}' growth" for n in range(400)]
    analyzer = Analyzer()
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(analyzer, texts)) == [analyzer(text) for text in texts]


def test_the_cache_of_words_is_bounded_and_skips_long_runs() -> None:
    cache = WordCache(lambda word: (word,))
    assert cache["x" * 100] == ("x" * 100,)
    assert len(cache) == 0
    for number in range(KNOWN_WORDS + 1):
        assert cache[str(number)] == (str(number),)
    assert len(cache) == 1


def test_the_pure_stemmer_and_the_fast_one_agree() -> None:
    fast = pytest.importorskip("Stemmer")
    pure = pytest.importorskip("snowballstemmer.english_stemmer")
    words = [
        "running",
        "ran",
        "studies",
        "university",
        "generously",
        "dies",
        "skis",
        "alzheimer",
        "tea",
        "proteins",
    ]
    assert fast.Stemmer("english").stemWords(words) == pure.EnglishStemmer().stemWords(words)


@pytest.fixture
def afresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let nothing be remembered of the analysis, before and after."""
    monkeypatch.setattr(analysis, "_local", analysis._Local())
    for name in ("_fingerprint", "_characters", "_stems_made"):
        monkeypatch.setattr(fingerprint, name, getattr(fingerprint, name).__wrapped__)
    return monkeypatch


def stem_otherwise(patch: pytest.MonkeyPatch, changed: dict[str, str]) -> None:
    """Stand in for another version of the stemmer, which stems some words otherwise."""
    real = snowballstemmer.stemmer

    class Other:
        def __init__(self, language: str) -> None:
            self.real = real(language)

        def stemWord(self, word: str) -> str:
            return changed.get(word) or str(self.real.stemWord(word))

    patch.setattr(analysis, "_local", analysis._Local())
    patch.setattr(snowballstemmer, "stemmer", Other)
    patch.setattr(fingerprint, "stemmer_module", lambda language: "snowballstemmer")


@pytest.mark.parametrize("language", STOP_WORDS)
def test_both_stemmers_of_one_snowball_have_one_fingerprint(
    language: str, afresh: pytest.MonkeyPatch
) -> None:
    fast = pytest.importorskip("Stemmer")
    pure = __import__(f"snowballstemmer.{language}_stemmer", fromlist=["x"])
    made = {
        "fast": lambda language: fast.Stemmer(language),
        "pure": lambda language: getattr(pure, f"{language.capitalize()}Stemmer")(),
    }
    found = set()
    for stemmer in made.values():
        afresh.setattr(analysis, "_local", analysis._Local())
        afresh.setattr(snowballstemmer, "stemmer", stemmer)
        found.add(noted(Analyzer(language=language))["fingerprint"])
    assert len(found) == 1


@pytest.mark.parametrize("language", SAMPLE_WORDS)
def test_a_stem_that_changes_is_noticed(language: str, afresh: pytest.MonkeyPatch) -> None:
    before, others = noted(Analyzer(language=language)), noted(Analyzer(language="none"))
    words = SAMPLE_WORDS[language].split()
    word = next(word for word in words[::-1] if Analyzer(language=language)(word)[0][0] != "_")
    stem_otherwise(afresh, {word: "other"})
    check_noted(others, Analyzer(language="none"))
    with pytest.raises(CheckpointError, match="which makes other terms of the same words"):
        check_noted(before, Analyzer(language=language))


def test_what_is_not_stemmed_does_not_depend_on_the_stemmer(afresh: pytest.MonkeyPatch) -> None:
    others = [Analyzer(language="none"), Analyzer("char"), Analyzer("char_wb"), Analyzer("bigrams")]
    before = [noted(analyzer) for analyzer in others]
    stem_otherwise(afresh, {"international": "intern"})
    assert [noted(analyzer) for analyzer in others] == before
    assert all(note["by"].startswith("Unicode ") for note in before)


@pytest.mark.parametrize("kind", ["words", "char", "char_wb", "bigrams"])
def test_characters_that_change_are_noticed(kind: str, afresh: pytest.MonkeyPatch) -> None:
    analyzer = Analyzer(kind)  # type: ignore[arg-type]
    before = {**noted(analyzer), "unicode": "of another Python"}
    afresh.setattr(
        analysis, "fold", lambda text, language="none": fold(text, language).replace("\u00df", "ss")
    )
    check_noted(before, analyzer)  # it was so before
    afresh.setattr(
        analysis, "fold", lambda text, language="none": fold(text, language).replace("\u00f8", "o")
    )
    with pytest.raises(CheckpointError, match="other terms"):
        check_noted(before, analyzer)


def test_characters_are_gone_through_only_where_unicode_is_another(
    afresh: pytest.MonkeyPatch,
) -> None:
    analyzer = Analyzer()
    here = noted(analyzer)
    afresh.setattr(fingerprint, "_characters", lambda: pytest.fail("gone through"))
    check_noted(here, analyzer)
    with pytest.raises(pytest.fail.Exception, match="gone through"):
        check_noted({**here, "unicode": "3.2.0"}, analyzer)


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="another Python's Unicode")
@pytest.mark.parametrize(
    ("kind", "fingerprint"),
    [
        ("words", "769843bc28cd03ef"),
        ("char_wb", "53c5999ddbf4efe9"),
        ("char", "d96f63fdf146064d"),
        ("bigrams", "53c5999ddbf4efe9"),
    ],
)
def test_what_glane_makes_of_characters_is_what_it_was(kind: Kind, fingerprint: str) -> None:
    """Nobody looks where Unicode is the same: a change here needs a new number of `rules`."""
    assert noted(Analyzer(kind, language="none"))["fingerprint"] == fingerprint


@pytest.mark.parametrize("kind", [BM25, TfIdf])
def test_an_index_of_another_stemmer_is_refused_in_one_line(
    kind: type[BM25] | type[TfIdf], afresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    search = Search(kind(Analyzer()) if kind is TfIdf else kind())
    search.add([{"id": 1, "text": "an international interval"}])
    search.save(tmp_path / "search")
    search.retriever.save(tmp_path / "retriever")  # type: ignore[attr-defined]
    assert Search.load(tmp_path / "search").search(["international"]).ids == [[1]]
    stem_otherwise(afresh, {"international": "intern", "interval": "interv"})
    for load in (
        lambda: Search.load(tmp_path / "search"),
        lambda: Search.edit(tmp_path / "search").__enter__(),
        lambda: kind.load(tmp_path / "retriever"),
    ):
        with pytest.raises(CheckpointError, match="the index was written with ") as error:
            load()
        told = str(error.value)
        assert "; here is snowballstemmer 3." in told
        assert told.endswith("install what wrote it, or index again")
        assert "\n" not in told


def test_an_index_that_notes_no_analysis_is_opened() -> None:
    record = json.loads(json.dumps(BM25().record()))
    assert set(record["analysis"]) == {"fingerprint", "by", "unicode", "stems"}
    assert len(BM25.from_record(record)) == 0
    for name in ("unicode", "stems"):  # as a former glane wrote it
        del record["analysis"][name]
        assert len(BM25.from_record(record)) == 0
    del record["analysis"]
    assert len(BM25.from_record(record)) == 0
    check_noted(None, Analyzer())
