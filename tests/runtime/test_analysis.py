import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane.analysis.analyzer import CACHED_WORDS, Analyzer, WordCache, normalise
from glane.analysis.stopwords import STOP_WORDS

KINDS = ["words", "char_wb", "char", "bigrams"]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The plants ARE growing", ["plant", "grow"]),
        ("C and R 4.2", ["c", "r", "4", "2"]),
        ("Alzheimer's disease, the dogs' food", ["alzheim", "diseas", "dog", "food"]),
        ("don't dont don\u2019t O'Brien", ["dont", "dont", "dont", "obrien"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),
        ("\uff34\uff25\uff21 \ufb01sh", ["tea", "fish"]),
        ("\u6771\u4eac\u90fd\u3078", ["\u6771\u4eac", "\u4eac\u90fd", "\u90fd\u3078"]),
        ("\u8336", ["\u8336"]),
        ("\u8336 tea\u8336", ["\u8336", "tea", "\u8336"]),
        ("\u0e0a\u0e32\u0e19\u0e21 5", ["\u0e0a\u0e32", "\u0e32\u0e19", "\u0e19\u0e21", "5"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("a\x00b \U0001f600 \ud83d !", ["b"]),
        ("", []),
        ("the", []),
    ],
)
def test_words_of_english(text: str, terms: list[str]) -> None:
    assert Analyzer()(text) == terms


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
    found = Analyzer(language=language)(text)
    assert [term[: len(wanted)] for term, wanted in zip(found, terms, strict=True)] == terms


@pytest.mark.parametrize("language", STOP_WORDS)
def test_every_language_drops_its_stop_words_and_stems_the_rest(language: str) -> None:
    analyzer = Analyzer(language=language)
    assert analyzer(STOP_WORDS[language]) == []
    assert len(analyzer("Photosynthese 2024")) == 2


def test_english_stop_words_are_the_classic_33() -> None:
    assert len(STOP_WORDS["english"].split()) == 33


def test_grams_of_characters() -> None:
    assert Analyzer("char_wb", ngrams=(2, 4))("a, be") == [
        *(" a", "a ", " a "),
        *(" b", "be", "e ", " be", "be ", " be "),
    ]
    assert Analyzer("char", ngrams=(4, 4))("a, be!") == [" a b", "a be", " be "]
    assert Analyzer("char", ngrams=(4, 5))("a") == [" a "]
    assert Analyzer("bigrams")("tea, 5") == ["te", "ea", "5"]


@given(st.text(), st.sampled_from(KINDS), st.sampled_from(["english", "none", "french"]))
def test_any_text_gives_terms_that_are_normalised(text: str, kind: str, language: str) -> None:
    analyzer = Analyzer(kind, language)  # type: ignore[arg-type]
    terms = analyzer(text)
    assert all(terms)
    assert terms == analyzer(normalise(text))
    assert terms == [term for word in analyzer.words(text) for term in analyzer.terms(word)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "word"}, "kind must be one of .*'words'.*got 'word'"),
        ({"language": "klingon"}, "language must be one of .*'english'.*got 'klingon'"),
        ({"ngrams": (0, 3)}, "ngrams must be"),
        ({"ngrams": (4, 3)}, "ngrams must be"),
        ({"ngrams": (3,)}, "ngrams must be"),
        ({"ngrams": (3, 5.0)}, "ngrams must be"),
    ],
)
def test_unknown_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Analyzer(**settings)  # type: ignore[arg-type]


def test_settings_from_json_are_equal() -> None:
    made = Analyzer(ngrams=[3, 5])  # type: ignore[arg-type]
    assert made == Analyzer()
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
    for number in range(CACHED_WORDS + 1):
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
