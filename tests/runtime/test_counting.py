"""Counts of terms against one dictionary a document, in order of first appearance."""

import pickle
from collections import Counter
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import BM25, Analyzer
from glane.analysis import analyzer as analysis
from glane.analysis import counting
from glane.analysis.counting import TermCounter
from glane.analysis.stopwords import STOP_WORDS
from glane.analysis.vocabulary import Vocabulary
from glane.vectors import SparseVectors

ANALYZERS = [
    Analyzer(),
    Analyzer(language="german"),
    Analyzer("char"),
    Analyzer("char", ngrams=(1, 2)),
    Analyzer("char", ngrams=(4, 7)),
    Analyzer("char", ngrams=(2, 40)),
    Analyzer("char_wb", ngrams=(2, 4)),
    Analyzer("bigrams"),
]
LETTERS = "aby \u00fc\u0301,'\u65e5\u672c\u8336\U0001d54f\ud83d5"
TEXTS = st.lists(st.text(LETTERS, max_size=14), max_size=8)


def defined(
    texts: list[str], analyzer: Analyzer, vocabulary: list[str]
) -> list[list[tuple[int, float]]]:
    """Count the terms of each text; new ones enter the vocabulary as they appear."""
    rows = []
    for text in texts:
        terms = list(chain.from_iterable(map(analyzer.terms, analyzer.words(text))))
        for term in terms:
            if term not in vocabulary:
                vocabulary.append(term)
        rows.append([(vocabulary.index(term), float(n)) for term, n in Counter(terms).items()])
    return rows


def rows_of(vectors: SparseVectors) -> list[list[tuple[int, float]]]:
    cuts = zip(vectors.indptr[:-1], vectors.indptr[1:], strict=True)
    pairs = list(zip(vectors.indices.tolist(), vectors.values.tolist(), strict=True))
    return [pairs[low:high] for low, high in cuts]


@settings(deadline=None, max_examples=200)
@given(st.lists(TEXTS, max_size=4), st.sampled_from(ANALYZERS), st.sampled_from([1, 9, 1 << 19]))
def test_counts_and_new_terms_are_those_of_one_text_after_another(
    batches: list[list[str]], analyzer: Analyzer, block: int
) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(counting, "BLOCK_TERMS", block)
    patch.setattr(counting, "BLOCK_CHARACTERS", block)
    patch.setattr(counting, "CACHED_WORDS", 1 + block // 2)
    vocabulary, known = Vocabulary(), list[str]()
    counter = TermCounter(analyzer, vocabulary)
    try:
        for number, texts in enumerate(batches):
            assert rows_of(counter.count(texts)) == defined(texts, analyzer, known)
            assert vocabulary.terms(list(range(len(vocabulary)))) == known
            if number % 2:
                vocabulary.flush()
    finally:
        patch.undo()


def test_many_characters_need_more_than_64_bits_and_are_counted_all_the_same() -> None:
    texts = ["".join(map(chr, range(0x4E00 + start, 0x4E00 + start + 900))) for start in (0, 450)]
    analyzer, known = Analyzer("char", ngrams=(3, 7)), list[str]()
    assert rows_of(TermCounter(analyzer, Vocabulary()).count(texts)) == defined(
        texts, analyzer, known
    )


def analysed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that every word is written to which is analysed from now on."""
    words: list[str] = []
    terms = Analyzer.terms

    def noted(self: Analyzer, word: str) -> tuple[str, ...]:
        words.append(word)
        return terms(self, word)

    monkeypatch.setattr(Analyzer, "terms", noted)
    return words


def test_a_word_is_analysed_once_for_a_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    words, bm25 = analysed(monkeypatch), BM25()
    for text in ("green tea", "tea the tea", "black tea"):
        bm25.add(bm25.encode_documents([text]))
        bm25.tables()
    assert words == ["green", "tea", "the", "black"]
    bm25.delete([0])  # type: ignore[arg-type]
    bm25.compact()  # the terms have other numbers now
    bm25.add(bm25.encode_documents(["green tea"]))
    assert bm25.search(bm25.encode_queries(["green"]), 3).row(0)[0].tolist() == [3]
    assert sorted(bm25.search(bm25.encode_queries(["tea"]), 3).row(0)[0].tolist()) == [1, 2, 3]


def test_words_are_forgotten_when_they_are_many_and_long_ones_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting, "CACHED_WORDS", 2)
    words, bm25 = analysed(monkeypatch), BM25()
    long = "x" * 65
    for text in ("tea", f"{long} {long}", long, "leaf", "tea"):
        bm25.encode_documents([text])
    assert words == ["tea", long, long, "leaf", "tea"]


@pytest.mark.parametrize("where", ["terms", "words"])
def test_an_error_on_the_way_leaves_no_wrong_number(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bm25, real = BM25(), getattr(Analyzer, where)
    bm25.encode_documents(["green"])

    def failing(self: Analyzer, text: str) -> Any:  # noqa: ANN401
        if "coffee" in text:
            raise KeyboardInterrupt
        return real(self, text)

    monkeypatch.setattr(Analyzer, where, failing)
    with pytest.raises(KeyboardInterrupt):
        bm25.encode_documents(["tea leaf", "coffee"])
    monkeypatch.undo()
    vectors = bm25.encode_documents(["coffee leaf tea green"])
    assert bm25.decode(vectors) == [{"coffe": 1.0, "leaf": 1.0, "tea": 1.0, "green": 1.0}]


def test_a_counter_is_pickled_without_what_it_remembers() -> None:
    counter = TermCounter(Analyzer(language="none"), Vocabulary())
    counter.count(["green tea"])
    again = pickle.loads(pickle.dumps(counter))
    assert rows_of(again.count(["tea milk"])) == [[(1, 1.0), (2, 1.0)]]


@pytest.mark.parametrize("language", STOP_WORDS)
def test_a_run_of_letters_that_is_no_word_is_not_stemmed(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stemmed: list[str] = []
    stem = analysis._stem(language)

    def noted(word: str) -> str:
        stemmed.append(word)
        return str(stem(word))

    monkeypatch.setitem(analysis._local.stemmers, language, noted)
    analyzer = Analyzer(language=language)
    for unit in ("y", "x\u00fc", "ing", "\u0441\u044f"):
        word = unit * 50_000
        assert analyzer(word) == [word]
        assert analyzer.terms(word[:101]) == (word[:101],)
        analyzer.terms(word[:100])
    assert [len(word) for word in stemmed] == [100] * 4


@pytest.mark.parametrize("language", STOP_WORDS)
def test_a_number_is_its_own_stem(language: str) -> None:
    stem = analysis._stem(language)
    for number in ("0", "7", "2024", "1000000"):
        assert stem(number) == number
        assert Analyzer(language=language).terms(number) == (number,)
    assert Analyzer(language=language)("\u0665\u0660") == ["50"]
