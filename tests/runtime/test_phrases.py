"""Exact phrases in quotes: every hit holds them, and no hit that does is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import BM25, Analyzer, ColBERT, Search, Splade, TfIdf
from glane.analysis.phrases import phrases, quoted, spelled
from glane.retrievers.answers import Now, widths
from glane.retrievers.fusion import FusionSettings
from glane.retrievers.lexical import Lexical

FIXTURES = Path(__file__).parent.parent / "fixtures"
VOCABULARY = ["tea", "Tea!", "teas", "the", "of", "café", "Cafe\u0301", "東京都", "京", "-", "x"]
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=6).map(" ".join)
DOCUMENTS = st.lists(
    st.fixed_dictionaries({"title": WORDS, "text": WORDS}), min_size=1, max_size=25
)
PARTS = st.tuples(WORDS, st.sampled_from(['"{}"', "“{}”", "„{}“", "«{}»", "{}", '{}"', '"']))
QUERIES = st.lists(PARTS, min_size=1, max_size=4).map(
    lambda parts: " ".join(shape.format(words) for words, shape in parts)
)

MAKERS: dict[str, Callable[[], Lexical]] = {
    "bm25": BM25,
    "auto": lambda: BM25(analyzer=Analyzer(language="auto")),
    "none": lambda: BM25(analyzer=Analyzer(language="none")),
    "rules-1": lambda: BM25(analyzer=Analyzer(rules=1)),
    "char": TfIdf,
    "char_wb": lambda: TfIdf(analyzer=Analyzer("char_wb")),
    "bigrams": lambda: TfIdf(analyzer=Analyzer("bigrams")),
}


def plain(text: str) -> list[str]:
    """The words of the vocabulary as the tests tell them apart, without a stem or a language."""
    text = text.replace("Cafe\u0301", "café").lower()
    return re.findall(r"[a-zé]+|[東京都]", text)


def asked(query: str) -> list[str]:
    """The quoted parts of a query, read character by character."""
    found, begin = [], 0
    while begin < len(query):
        own = next((kind for kind in ('"', "“”„", "«»") if query[begin] in kind), None)
        end = next((n for n in range(begin + 1, len(query)) if query[n] in (own or "")), None)
        if end is not None:
            found.append(query[begin + 1 : end])
        begin = begin + 1 if end is None else end + 1
    return found


def holds(kind: str, text: str, phrase: str) -> bool:
    if kind == "words":
        words, wanted = plain(text), plain(phrase)
        return any(words[n:][: len(wanted)] == wanted for n in range(len(words) + 1))
    runs, own = (" ".join(re.findall(r"[a-zé東京都]+", t)) for t in map(lowered, (text, phrase)))
    return own in runs


def lowered(text: str) -> str:
    return text.replace("Cafe\u0301", "café").lower()


def made(retriever: Lexical, documents: Sequence[Mapping[str, Any]], **more: Any) -> Search:  # noqa: ANN401
    search = Search(
        retriever,
        on=["title", "text"],
        keep_documents=True,
        fields={"odd": "int"},
        **more,
    )
    search.add([{"id": n, "odd": n % 2, **document} for n, document in enumerate(documents)])
    return search


def expected(
    search: Search,
    query: str,
    documents: Mapping[int, Mapping[str, Any]],
    k: int,
    option: FusionSettings,
) -> tuple[list[object], list[float]]:
    """What a search gives that looks at the documents alone which hold each phrase."""
    now: Now = search._now
    assert isinstance(now.collection.retriever, Lexical)
    kind = now.collection.retriever.analyzer.kind
    within = np.zeros(now.collection.keys.rows.next_id, np.bool_)
    for id, document in documents.items():
        within[search.numbers([id])] = all(
            any(holds(kind, document[field], phrase) for field in ("title", "text"))
            for phrase in asked(query)
        )
    ranking = search.ranking(option)
    k, width = widths(now, k, ranking)
    hits = now.collection.ranked([query], k, width, ranking, within).best(k, ranking)
    found = now.collection.named(hits)
    return list(found.ids[0]), found.scores[0]


@settings(deadline=None, max_examples=60)
@given(DOCUMENTS, QUERIES, st.integers(1, 5), st.data())
@pytest.mark.parametrize("name", MAKERS)
def test_hits_are_those_of_a_brute_force(
    name: str, documents: list[dict[str, str]], query: str, k: int, data: st.DataObject
) -> None:
    search = made(MAKERS[name](), documents)
    left = dict(enumerate(documents))
    for gone in data.draw(st.sets(st.sampled_from(sorted(left)), max_size=len(left) // 2)):
        search.delete([gone])
        del left[gone]
    found = search.search([query, "tea", query], k=k)
    wanted = expected(search, query, left, k, FusionSettings())
    assert (found.ids[0], found.scores[0]) == wanted
    assert found.ids[2] == found.ids[0]
    assert found.ids[1] == search.search(["tea"], k=k).ids[0]
    odd = {id: document for id, document in left.items() if id % 2}
    filtered = search.search([query], k=k, filter="odd = 1")
    assert (filtered.ids[0], filtered.scores[0]) == expected(
        search, query, odd, k, FusionSettings()
    )


RERANKED = [
    {"title": title, "text": f"{text} of light plants {'tea ' * (number % 3)}"}
    for number, (title, text) in enumerate(
        (title, text)
        for title in ("tea", "of tea", "", "teas x", "café")
        for text in ("tea of", "x tea", "", "東京都 tea of the tea")
    )
]


@pytest.mark.parametrize("fuse", ["none", "relative", "rrf"])
@pytest.mark.parametrize("query", ['"tea of"', '"of tea" x', '"tea" "of the"', 'plants "x tea" "'])
def test_reranked_and_fused_hits_hold_the_phrases(query: str, fuse: Any) -> None:  # noqa: ANN401
    search = made(BM25(), RERANKED, reranker=ColBERT.load(FIXTURES / "colbert", threads=1))
    for k, candidates in ((3, 4), (20, 20), (2, 1)):
        option = FusionSettings(fuse, None, candidates)
        found = search.search([query], k=k, candidates=candidates, fuse=fuse)
        wanted = expected(search, query, dict(enumerate(RERANKED)), k, option)
        assert (found.ids[0], found.scores[0]) == wanted
        assert found.ids[0]
        for id in found.ids[0]:
            told = search.explain(query, id, k=k, candidates=candidates, fuse=fuse)
            assert told.rank == 1 + found.ids[0].index(id)


def test_a_phrase_is_found_however_many_better_hits_do_not_hold_it() -> None:
    documents = [{"title": "", "text": "green tea " * 9} for _ in range(3000)]
    documents.insert(1500, {"title": "", "text": "a long text where tea green is but once"})
    search = made(
        BM25(), [{**d, "text": d["text"].replace("tea green", "tea, Green")} for d in documents]
    )
    assert search.search(['"tea green is"'], k=2).ids == [[1500]]
    many = made(
        BM25(analyzer=Analyzer(language="auto")),
        [{"title": "", "text": "green leaf tea stone " * 9} for _ in range(3000)]
        + [{"title": "", "text": "a very long text of many words where the tea green is but once"}],
    )
    assert many.search(['"tea green"'], k=1).ids == [[3000]]


@pytest.mark.parametrize("language", ["turkish", "auto"])
def test_turkish_and_accents(language: str) -> None:
    texts = [
        "IĞDIR'da bir çay, İSTANBUL'da bir kahve",
        "\u0131\u011fd\u0131r çay",
        "I\u011fd\u0131r istanbul",
        "istanbul da",
    ]
    search = made(
        BM25(analyzer=Analyzer(language=language)), [{"title": "", "text": text} for text in texts]
    )
    assert set(search.search(['"I\u011fd\u0131r da"']).ids[0]) <= {0}
    assert search.search(['"IĞDIR çay"'], k=9).ids == [[1]]
    assert sorted(search.search(['"istanbul da"'], k=9).ids[0]) == [0, 3]
    other = made(
        BM25(), [{"title": "", "text": "Le CAFÉ noir"}, {"title": "", "text": "cafe noir"}]
    )
    assert other.search(['"cafe\u0301 Noir"']).ids == [[0]]


def test_scripts_without_spaces_match_by_their_characters() -> None:
    texts = ["東京都に行く", "京都に行く", "東京、都", "한국 사람", "한국사람이", "ภาษาไทย"]
    search = made(BM25(), [{"title": "", "text": text} for text in texts])
    assert sorted(search.search(['"京都"'], k=9).ids[0]) == [0, 1, 2]
    assert sorted(search.search(["「x」 “京都に”"], k=9).ids[0]) == [0, 1]
    assert sorted(search.search(['"한국 사람"'], k=9).ids[0]) == [3, 4]
    assert search.search(['"ษาไท"'], k=9).ids == [[5]]


def test_words_match_whole_and_unstemmed_and_within_one_field() -> None:
    search = made(
        BM25(),
        [
            {"title": "green", "text": "tea"},
            {"title": "greens tea", "text": "green teas"},
            {"title": "", "text": "GREEN -- (tea)"},
            {"title": "vitamin C. Rich food", "text": "by J. R. Smith, U.S. Army"},
        ],
    )
    assert search.search(['"green tea"']).ids == [[2]]
    for phrase in ("vitamin c", "C rich", "j r smith", "US army", "u.s. army"):
        assert search.search([f'"{phrase}"']).ids == [[3]]
    assert search.search(['"smith us rich"']).ids == [[]]


def test_stop_words_alone_and_nothing_and_what_nothing_closes() -> None:
    search = made(
        BM25(),
        [{"title": "", "text": "To be, or not to be"}, {"title": "", "text": "not or be to tea"}],
    )
    assert search.search(['"to be or not"']).ids == [[0]]
    assert search.search(['tea "not or"']).ids == [[1]]
    for query in ('tea ""', 'tea "..."', 'tea "', '"tea', "tea “", "tea ” «"):
        assert search.search([query]) == search.search(["tea"])
    assert search.search(['"" ""']).ids == [[]]
    assert search.search(['"nowhere to be seen"']).ids == [[]]
    assert made(BM25(), []).search(['"tea"']).ids == [[]]


def test_phrases_are_looked_for_where_documents_are_kept() -> None:
    search = Search(BM25(), keep_documents=False)
    search.add([{"id": 1, "text": "green tea"}])
    assert search.search(['green "'], k=1).ids == [[1]]
    told = r"the query '\"green tea\"' has a phrase in quotes, .* not kept; leave the quotes out"
    for queries in (['"green tea"'], ["tea", '"green tea"', '"never seen"']):
        with pytest.raises(ValueError, match=told):
            search.search(queries, phrases=True)
    with pytest.raises(ValueError, match=told):
        search.explain('"green tea"', 1, phrases=True)
    assert search.search(['"tea green"']) == search.search(["tea green"])
    kept = made(BM25(), [{"title": "", "text": "green tea"}])
    assert kept.search(['"tea green"'], phrases=False) == kept.search(["tea green"])
    assert kept.search(['"tea green"']).ids == [[]]
    assert search.rankings(['"tea green"'])["retriever"].ids == [[1]]


def test_a_model_reads_quotes_as_text() -> None:
    search = Search(Splade.load(FIXTURES / "splade", threads=1))
    search.add([{"id": n, "text": text} for n, text in enumerate(["light plants", "plants eat"])])
    assert len(search.search(['"no such phrase plants"']).ids[0]) == 2


def test_a_document_without_the_phrase_is_explained_without_a_place() -> None:
    search = made(BM25(), [{"title": "", "text": "green tea"}, {"title": "", "text": "tea green"}])
    assert search.explain('"green tea"', 0).rank == 1
    other = search.explain('"green tea"', 1)
    assert (other.rank, other.score) == (None, None)
    assert other.retriever.score > 0


def test_quotes_of_a_query() -> None:
    assert quoted('a "b c" „d“ ”e” «f» »g« \uff02h" i" j') == ["b c", "d", "e", "f", "g", "h"]
    assert quoted('"a “b” c"') == ["a “b” c"]
    assert quoted('5" tv “a "b” c') == [" tv “a "]
    assert quoted('צה"ל "צה״ל" רמטכ"ל') == ["צהל"]
    assert phrases(Analyzer(), '"" "!" "A b"') == [" a b "]
    assert spelled(Analyzer("char"), "A-b,\nC") == "a b c"


def test_the_examples_of_the_page_run() -> None:
    page = Path(__file__).parents[2] / "docs" / "fields-and-phrases.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, page.name, "exec"), names)
    assert len(blocks) == 2


def test_initials_before_a_script_without_spaces_are_no_hindrance() -> None:
    search = made(
        BM25(),
        [
            {
                "title": "",
                "text": "Q.\u6771\u4eac\u3068\u306f\u3002 A.\u6771\u4eac\u3067\u3059\u3002",
            }
        ],
    )
    for query in (
        '"\u6771\u4eac"',
        '"Q.\u6771\u4eac\u3068\u306f\u3002 A.\u6771\u4eac\u3067\u3059\u3002"',
    ):
        assert search.search([query]).ids == [[0]]
