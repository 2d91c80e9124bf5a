"""Words of every language: one spelling, the language of a text, and indexes of former rules."""

import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane import BM25, Analyzer, CheckpointError, Search, TfIdf
from glane.analysis import folding
from glane.analysis.folding import LETTERS, fold
from glane.analysis.languages import OTHER_SMALL_WORDS, candidates, evidence, stemmed_languages
from glane.analysis.stopwords import STOP_WORDS
from glane.model.texts import clean
from glane.store.manifest import read_manifest

AUTO = Analyzer(language="auto")
FIXTURES = Path(__file__).parents[1] / "fixtures"

SAME = [
    ("photo\u00adsyn\u00adthesis", "photosynthesis"),
    ("\ufeffTea", "tea"),
    ("re\u2060port\u200d", "report"),
    ("heart \u2764\ufe0f", "heart \u2764"),
    ("\u0130STANBUL", "istanbul"),
    ("D\u0130YARBAKIR", "diyarbak\u0131r"),
    ("\u0643\u0650\u062a\u064e\u0627\u0628\u064b\u0627", "\u0643\u062a\u0627\u0628\u0627"),
    ("\u0643\u062a\u0640\u0640\u0627\u0628", "\u0643\u062a\u0627\u0628"),
    ("\u06cc\u06a9", "\u064a\u0643"),
    ("\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
    ("\u05e6\u05d4\u05f4\u05dc", '\u05e6\u05d4"\u05dc'),
    ("\u0420\u043e\u0441\u0441\u0438\u0301\u044f", "\u0440\u043e\u0441\u0441\u0438\u044f"),
    ("\u0401\u043b\u043a\u0430", "\u0435\u043b\u043a\u0430"),
    ("\u0391\u0398\u0397\u039d\u0391", "\u0391\u03b8\u03ae\u03bd\u03b1"),
    ("\u0661\u0662\u0663 \u06f4 \u096b \u0e56 \uff17", "123 4 5 6 7"),
    ("\U0001f44d\U0001f3fd", "\U0001f44d"),
    ("5\ufe0f\u20e3", "5"),
    ("d\u2019accord d\u2018accord", "d'accord d'accord"),
    ("Stra\u00dfe \uff23af\u0065\u0301", "strasse caf\u00e9"),
]
APART = [
    ("\u0939\u093f\u0902\u0926\u0940", "\u0939\u0926"),  # vowels of Hindi are letters
    ("b\u00e1n", "b\u00e0n"),  # tones of Vietnamese, too
    ("\u0438", "\u0439"),
    ("\u0457", "\u0456"),
    ("caf\u00e9", "cafe"),
]


@pytest.mark.parametrize(("written", "also"), SAME)
def test_what_readers_take_for_the_same_is_the_same(written: str, also: str) -> None:
    assert fold(written) == fold(also)
    if any(character.isalnum() for character in also):
        for retriever in (BM25(), TfIdf()):
            search = Search(retriever, key="id", on="text")
            search.add([{"id": "d", "text": f"a {written} b"}, {"id": "x", "text": "granite rock"}])
            assert "d" in search.search([also]).ids[0]


@pytest.mark.parametrize(("one", "other"), APART)
def test_signs_that_are_letters_stay(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_a_zero_width_space_parts_words() -> None:
    assert fold("green\u200btea") == "green tea"


SPELLED = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("iI\u0130\u0131\u0307\u0301\u00ad\u200d\u03b1\u03ac\u1fa7\u0345\u0451"),
        st.sampled_from('\u0439\u064b\u0640\u05d0"\u05f4\u0663\u034f\u06cc\u064a\u200b\u2019'),
        st.sampled_from("\u0435\u0308"),
    )
)


@given(SPELLED, st.sampled_from(["none", "turkish", "persian"]))
def test_folding_twice_is_folding_once(text: str, language: str) -> None:
    assert fold(fold(text, language), language) == fold(text, language)


def spelled(text: str, language: str) -> str:
    """Apply all rules of spelling, one after another, whatever the text has."""
    letters = LETTERS if language != "turkish" else {**LETTERS, "\u0131": "\u0131"}
    text = unicodedata.normalize("NFKC", folding.DROPPED.sub("", text))
    text = folding.LETTER.sub(lambda found: letters[found[0]], text)
    text = folding.DIGIT.sub(lambda found: str(unicodedata.decimal(found[0])), text)
    for sign in (folding.DOT, folding.STRESS, folding.ABBREVIATION):
        text = sign.sub("", text)
    return folding.GREEK.sub(folding._without_accents, text)


@given(SPELLED.map(clean), st.sampled_from(["none", "turkish"]))
def test_a_spelling_rule_is_left_out_only_where_it_does_nothing(text: str, language: str) -> None:
    text = unicodedata.normalize("NFKC", text)
    assert folding._spelled(text, language) == spelled(text, language)
    if not folding.SPECIAL.search(text):
        assert spelled(text, language) == text


SENTENCES = {
    "english": "What was the name of the ship that sank?",
    "german": "Wie hie\u00df das Schiff, das gesunken ist?",
    "french": "Comment s'appelait le navire qui a coul\u00e9 avec les autres ?",
    "spanish": "\u00bfC\u00f3mo se llamaba el barco que se hundi\u00f3?",
    "italian": "Come si chiamava la nave che \u00e8 affondata?",
    "portuguese": "Como se chamava o navio que afundou e n\u00e3o foi encontrado?",
    "dutch": "Hoe heette het schip dat is gezonken?",
    "swedish": "Vad hette fartyget som sj\u00f6nk och inte hittades?",
    "turkish": "Batan geminin ad\u0131 ne idi ve bu nas\u0131l oldu?",
    "polish": "Jak nazywa\u0142 si\u0119 statek, kt\u00f3ry zaton\u0105\u0142?",
    "romanian": "Cum se numea nava care s-a scufundat \u0219i nu a fost g\u0103sit\u0103?",
    "hungarian": "Mi volt a haj\u00f3 neve, amely els\u00fcllyedt, \u00e9s hol van most?",
}


@pytest.mark.parametrize(("language", "text"), SENTENCES.items())
def test_auto_takes_a_text_as_its_own_language_does(language: str, text: str) -> None:
    told = Analyzer(language=language)
    assert AUTO(text) == told(text)
    assert AUTO.query(text) == told.query(text)


def test_scripts_tell_a_language_without_a_small_word() -> None:
    texts = {
        "russian": "\u043a\u043d\u0438\u0433\u0438",
        "greek": "\u03b2\u03b9\u03b2\u03bb\u03af\u03b1",
        "arabic": "\u0627\u0644\u0643\u062a\u0627\u0628",
        "hindi": "\u0915\u093f\u0924\u093e\u092c\u0947\u0902",
    }
    for language, text in texts.items():
        assert AUTO(text) == Analyzer(language=language)(text)
    assert AUTO("\u6771\u4eac tea") == Analyzer(language="none")("\u6771\u4eac tea")


def test_one_index_holds_several_languages() -> None:
    documents = {
        "en": "The houses of the city were built by the river",
        "de": "Die H\u00e4user der Stadt wurden am Flu\u00df gebaut und sind alt",
        "fr": "Les maisons de la ville ont \u00e9t\u00e9 construites pr\u00e8s de l'eau",
        "ru": "\u0438 \u043a\u043d\u0438\u0433\u0438 \u0433\u043e\u0440\u043e\u0434\u0430",
        "ja": "\u6771\u4eac\u90fd\u306e\u5bb6",
    }
    search = Search(BM25(analyzer=AUTO), key="id", on="text")
    search.add([{"id": id, "text": text} for id, text in documents.items()])
    queries = {
        "house": "en",
        "Haus": "de",
        "maison": "fr",
        "eau": "fr",
        "\u043a\u043d\u0438\u0433\u0430": "ru",
        "\u5bb6": "ja",
    }
    for query, id in queries.items():
        assert search.search([query], k=1).ids == [[id]], query


def test_a_query_without_a_small_word_is_read_as_the_index_knows_it() -> None:
    german = BM25(analyzer=AUTO)
    german.add(german.encode_documents(["die Ergebnisse der Wahlen und das Wetter"]))
    hits = german.search(german.encode_queries(["Ergebnisse Wahl"]), k=1)
    assert hits.ids.tolist() == [[0]]
    assert german.encode_queries(["Ergebnisse Wahl"]).indptr.tolist() == [0, 2]


def test_a_foreign_small_word_does_not_hide_what_the_usual_language_finds() -> None:
    bm25 = BM25(analyzer=AUTO)
    bm25.add(bm25.encode_documents(["The best hotels in Las Vegas are on the Strip."]))
    assert bm25.search(bm25.encode_queries(["Las Vegas hotels"]), k=1).ids.tolist() == [[0]]


def test_equal_evidence_goes_to_the_language_that_is_named_first() -> None:
    weights = evidence(["die", "der"])["latin"]
    assert candidates("latin", weights)[0] == "german"
    assert candidates("latin", {})[0] == "english"


def test_small_words_are_of_languages_that_are_stemmed() -> None:
    assert set(STOP_WORDS) <= set(stemmed_languages())
    assert set(OTHER_SMALL_WORDS) - {"none"} <= set(stemmed_languages())
    assert not set(STOP_WORDS) & set(OTHER_SMALL_WORDS)


def test_an_index_of_former_rules_answers_as_it_did(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    shutil.copytree(FIXTURES / "bm25-rules-1", folder)
    with Search.edit(folder) as search:
        answers = {
            query: search.search([query]).ids[0]
            for query in (
                "plant",
                "the",
                "\u7dd1\u8336",
                "\u7dd1",
                "snake_case",
                "snake",
                "e",
                "dont",
            )
        }
        assert list(answers.values()) == [[1], [], [2], [], [2], [], [1], [2]]
        search.add([{"id": 4, "text": "The snake_case plants of \u7dd1"}])
    again = Search.load(folder)
    assert again.search(["the plants"]).ids == [[4, 1]]
    assert again.search(["\u7dd1"]).ids == [[4]]
    assert again.retriever.analyzer.rules == 1  # type: ignore[attr-defined]


def test_an_index_notes_its_rules_and_language(tmp_path: Path) -> None:
    search = Search(BM25(analyzer=AUTO), key="id", on="text")
    search.add([{"id": 1, "text": "tea"}])
    search.save(tmp_path / "index")
    stored = read_manifest(tmp_path / "index").settings["stages"]["retriever"]["analyzer"]
    assert stored == {"kind": "words", "language": "auto", "ngrams": [3, 5], "rules": 2}


def test_rules_that_are_to_come_are_refused() -> None:
    record = BM25().record()
    record["analyzer"]["rules"] = 3
    with pytest.raises((ValueError, CheckpointError), match="rules must be one of"):
        BM25.from_record(record)
