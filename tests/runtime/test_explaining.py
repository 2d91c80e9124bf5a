"""Explanations: shares that add up to the score, at the places where they stand."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane import BM25, Analyzer, ColBERT, Search, SparseEmbed, Splade, TfIdf, TokenStorage
from glane.analysis.analyzer import STOPPED
from glane.analysis.locating import locate
from glane.retrievers.explanation import Explanation, Part, Span
from glane.retrievers.passages import plain

FIXTURES = Path(__file__).parent.parent / "fixtures"
WORDS = ["tea", "leaves", "plants", "eat", "light", "stone", "the", "of", "Café", "東京都", "sea"]
RANDOM = random.Random(11)
DOCUMENTS = [
    {
        "id": number,
        "title": " ".join(RANDOM.choices(WORDS, k=RANDOM.choice([0, 1, 4]))),
        "text": "  " + " ".join(RANDOM.choices(WORDS, k=RANDOM.choice([0, 1, 6, 40, 130]))) + ". ",
    }
    for number in range(40)
]
QUERIES = [" ".join(RANDOM.choices(WORDS, k=RANDOM.choice([1, 2, 5]))) for _ in range(20)]


def exact() -> ColBERT:
    made = ColBERT.load(FIXTURES / "colbert", threads=1)
    made.store_as(TokenStorage(kind="float16"))
    return made


def pooled() -> ColBERT:
    made = ColBERT.load(FIXTURES / "colbert", threads=1)
    made.store_as(TokenStorage(kind="int4", pool=2))
    return made


def coded() -> ColBERT:
    made = ColBERT.load(FIXTURES / "colbert", threads=1)
    made.store_as(TokenStorage(kind="int8", outlines=True))
    return made


MAKERS: dict[str, Callable[[], Search]] = {
    "bm25": lambda: made(BM25()),
    "bm25-auto": lambda: made(BM25(analyzer=Analyzer(language="auto"))),
    "bm25+": lambda: made(BM25(variant="bm25+")),
    "tfidf": lambda: made(TfIdf()),
    "char_wb": lambda: made(TfIdf(analyzer=Analyzer("char_wb"))),
    "splade": lambda: made(Splade.load(FIXTURES / "splade", threads=1)),
    "inference-free": lambda: made(Splade.load(FIXTURES / "splade-inference-free", threads=1)),
    "sparse-embed": lambda: made(SparseEmbed.load(FIXTURES / "sparse-embed", threads=1)),
    "colbert": lambda: made(ColBERT.load(FIXTURES / "colbert", threads=1)),
    "colbert-float16": lambda: made(exact()),
    "colbert-outlines": lambda: made(coded()),
    "colbert-pooled": lambda: made(pooled()),
}


def made(retriever: object, **more: object) -> Search:
    search = Search(retriever, on=["title", "text"], keep_documents=True, **more)  # type: ignore[arg-type]
    search.add(DOCUMENTS)
    return search


def check_spans(part: Part, document: dict[str, Any]) -> None:
    for span in [*part.passage, *(span for share in part.shares for span in share.spans)]:
        assert document[span.field][span.start : span.stop] == span.text != ""


@pytest.mark.parametrize("name", MAKERS)
def test_shares_add_up_to_the_score(name: str) -> None:
    search = MAKERS[name]()
    chance = random.Random(3)
    for query in QUERIES:
        results = search.search([query], k=40)
        scores = dict(zip(results.ids[0], results.scores[0], strict=True))
        for number in chance.sample(range(40), 10):
            found = search.explain(query, number)
            part = found.retriever
            assert part.score == pytest.approx(scores.get(number, 0), rel=1e-5, abs=1e-5)
            if part.score > -1000:  # ColBERT's mark of a document without tokens has no shares
                total = sum(share.score for share in part.shares)
                assert total == pytest.approx(part.score, rel=1e-5, abs=1e-5)
            assert found.score == (None if number not in scores else pytest.approx(scores[number]))
            check_spans(part, DOCUMENTS[number])


def test_a_word_has_its_places_in_the_fields_as_they_were_given() -> None:
    search = made(BM25())
    document = {"id": "x", "title": "Cafés", "text": "\n The café, a CAFÉ\u2019s tea. "}
    search.add([document])
    found = search.explain("which café has tea", "x")
    places = {share.term: share.spans for share in found.retriever.shares}
    assert [(span.field, span.text) for span in places["café"]] == [
        ("title", "Cafés"),
        ("text", "café"),
        ("text", "CAFÉ\u2019s"),
    ]
    assert [(span.field, span.start) for span in places["tea"]] == [("text", 21)]
    assert {share.term: share.query for share in found.retriever.shares}["tea"] == (15, 18)
    assert found.fields == {"title": "Cafés", "text": "\n The café, a CAFÉ\u2019s tea. "}


def test_a_token_of_colbert_is_matched_with_the_nearest_one() -> None:
    search = made(exact())
    colbert = plain(search.retriever)
    assert isinstance(colbert, ColBERT)
    text = "Plants eat light."
    search.add([{"id": "leaf", "title": "", "text": text}])
    asked, stored = colbert.encode_queries(["light"]), colbert.encode_documents([text]).half()
    similar = asked.values @ np.asarray(stored.values, np.float32).T
    names = colbert.encoder.preparer.read(text, "document").counted().names
    found = search.explain("light", "leaf").retriever
    assert [share.matched for share in found.shares] == [names[n] for n in similar.argmax(axis=1)]
    assert [share.score for share in found.shares] == pytest.approx(similar.max(axis=1), abs=1e-6)
    assert {span.text for share in found.shares for span in share.spans} <= {
        text[start:stop] for start, stop in colbert.encoder.preparer.places(text, "document")
    }


def test_a_term_of_splade_names_the_token_with_its_highest_logit() -> None:
    search = made(Splade.load(FIXTURES / "splade", threads=1))
    splade = plain(search.retriever)
    assert isinstance(splade, Splade)
    document = {"id": "leaf", "title": "", "text": "Plants eat light and drink water."}
    search.add([document])
    shares = search.explain("light water", "leaf").retriever.shares
    assert shares
    assert all(share.matched for share in shares)
    alone = [splade.encode_documents([word]) for word in document["text"].split()]
    assert len(alone) == 6  # each share names one of the document's own tokens, or a marker
    tokens = splade.encoder.preparer.tokenize([document["text"]], "document").rows[0]
    names = {splade.encoder.preparer.token(int(token)) for token in tokens}
    for share in shares:
        assert share.spans or share.matched in names


def test_both_parts_of_a_fused_score_are_told() -> None:
    search = made(BM25(), reranker=ColBERT.load(FIXTURES / "colbert", threads=1))
    results = search.search(["tea light"], k=40)
    for rank, (id, score) in enumerate(zip(results.ids[0], results.scores[0], strict=True), 1):
        found = search.explain("tea light", id)
        assert (found.rank, found.fuse) == (rank, "relative")
        assert found.score == pytest.approx(score, abs=1e-6)
        assert found.reranker is not None
        assert (found.retriever.share or 0) + (found.reranker.share or 0) == pytest.approx(
            score, abs=1e-5
        )
    alone = search.explain("tea light", results.ids[0][0], fuse="none")
    assert alone.retriever.share is None
    assert alone.score == pytest.approx(alone.reranker.score if alone.reranker else None)


def test_a_document_that_is_no_hit_is_explained_too() -> None:
    search = made(BM25(), reranker=ColBERT.load(FIXTURES / "colbert", threads=1))
    search.add([{"id": "none", "title": "", "text": "zebra"}, {"id": "empty", "title": ""}])
    for id in ("none", "empty"):
        found = search.explain("tea", id)
        assert (found.rank, found.score, found.retriever.score) == (None, None, 0)
        assert found.retriever.shares == []


def test_without_the_document_there_are_shares_and_no_places() -> None:
    search = Search(BM25(), reranker=ColBERT.load(FIXTURES / "colbert", threads=1), on=["text"])
    search.add([{"id": 1, "text": "Plants eat light."}])
    found = search.explain("plants", 1)
    assert [share.term for share in found.retriever.shares] == ["plant"]
    assert found.retriever.shares[0].spans == [] == found.retriever.passage
    given = search.explain("plants", 1, document={"text": "Plants eat light."})
    assert given.retriever.shares[0].spans == [Span("text", 0, 6, "Plants")]
    assert given.reranker is not None
    with pytest.raises(ValueError, match="another text than the one that was added"):
        search.explain("plants", 1, document={"text": "Plants eat."})
    with pytest.raises(ValueError, match="unknown document 2"):
        search.explain("plants", 2)


def test_of_a_long_document_the_best_passage_is_explained() -> None:
    search = Search(ColBERT.load(FIXTURES / "colbert", threads=1), on=["text"], keep_documents=True)
    text = " ".join(["Stones lie."] * 40 + ["Plants eat light."] + ["Rivers run."] * 40)
    search.add([{"id": 1, "text": text}, {"id": 2, "text": "Plants eat light."}])
    found: Explanation = search.explain("Plants eat light.", 1)
    (passage,) = found.retriever.passage
    assert "Plants eat light." in passage.text
    for share in found.retriever.shares:
        for span in share.spans:
            assert passage.start <= span.start < span.stop <= passage.stop
    assert found.to_dict()["retriever"]["passage"][0]["text"] == passage.text


def test_the_page_on_explanations_says_what_is_so(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanations.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(block, "docs/explanations.md", "exec"), {})
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "plant (8, 14) [('text', 'Plants'), ('text', 'plant')]",
        "eat (15, 18) [('text', 'eat')]",
    ]


def test_an_excerpt_holds_what_matched_in_any_script_and_length() -> None:
    search = made(BM25())
    long = "\u8fd9\u662f\u5f88\u957f\u7684\u6587\u672c\uff0c"
    search.add(
        [
            {
                "id": "zh",
                "title": "t",
                "text": long * 90 + "\u7eff\u8336\u597d\u559d\uff0c" + long * 50,
            },
            {"id": "run", "title": "t", "text": "x" * 300 + " zebra " + "y" * 500},
            {"id": "many", "title": "t", "text": "tea leaf sea. " * 8000},
        ]
    )
    for query, id in (("\u7eff\u8336", "zh"), ("zebra", "run"), ("tea leaf", "many")):
        (shown,) = search.excerpts(query, [id])
        assert query.split()[0] in [shown.text[low:high] for low, high in shown.marks]


def test_characters_that_are_folded_together_have_one_place() -> None:
    text = "\uff83\uff9e\uff70\uff80\u338f"  # half-width kana with a mark, and a sign for kg
    places = {place.term: text[place.start : place.stop] for place in locate(Analyzer(), text)}
    assert places["kg"] == text


TEXT = st.text(st.sampled_from("tea sea\n\u00e9\u00e6\u7eff\u8336\u0e0a\u0e32.'"), max_size=40)


@given(TEXT, st.sets(st.sampled_from(["tea", "sea", "e", "\u7eff", "\u00e6"])))
def test_the_terms_asked_for_stand_where_they_do_among_all(text: str, wanted: set[str]) -> None:
    for analyzer in (Analyzer(), Analyzer(kind="char_wb", language="none")):
        places = locate(analyzer, text)
        assert locate(analyzer, text, wanted) == [p for p in places if p.term in wanted]
        assert {place.term for place in places} <= set(analyzer(text))
        assert all(0 <= place.start < place.stop <= len(text) for place in places)


@given(st.text(st.sampled_from("aybdslteing0$.'"), max_size=20))
def test_a_term_of_english_begins_as_its_word_does(text: str) -> None:
    analyzer = Analyzer()
    for word in analyzer.words(text):
        assert {term.removeprefix(STOPPED)[0] for term in analyzer.terms(word)} <= {word[0]}


@given(TEXT)
def test_what_is_shown_has_single_spaces_and_its_marks_moved(text: str) -> None:
    search = Search(BM25(analyzer=Analyzer(language="none")), on=["text"], keep_documents=True)
    search.add([{"id": 0, "text": text}])
    (shown,) = search.excerpts("tea sea", [0])
    assert shown.text.split() == text.split()
    assert "  " not in shown.text
    assert "\n" not in shown.text
    found = locate(Analyzer(language="none"), text, {"tea", "sea"})
    assert [shown.text[low:high] for low, high in shown.marks] == [p.term for p in found]


def test_several_explanations_are_those_of_each() -> None:
    search = made(BM25(), reranker=ColBERT.load(FIXTURES / "colbert", threads=1))
    ids = search.search(["tea light"], k=5).ids[0]
    assert search.explanations("tea light", ids, k=5) == [
        search.explain("tea light", id, k=5) for id in ids
    ]
