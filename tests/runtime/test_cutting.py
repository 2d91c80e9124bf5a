"""Texts cut before they are tokenized: the tokens that are kept are those of the whole text."""

import json
import resource
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from glane.model import framing, preparation
from glane.model.checkpoint import Checkpoint
from glane.model.cutting import Cutter
from glane.model.preparation import TextPreparer, clean

Part = Any
"""Of a tokenizer; the library's stubs have no types of them."""

SENTENCES = [
    "the tea leaf floats on the river",
    "a stone, a leaf: tea! rivers and leaves; don't they?",
    "日本 の 茶 and 12 stones, naïve café",
] * 4
MARKERS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "[Q]"]
LETTERS = pre_tokenizers.ByteLevel.alphabet()


def trained(
    model: Part,
    normalizer: Part,
    splitter: Part,
    *added: AddedToken,
) -> str:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    makers: dict[type[Part], Callable[[], Part]] = {
        models.BPE: lambda: trainers.BpeTrainer(
            vocab_size=400, special_tokens=MARKERS, show_progress=False, initial_alphabet=LETTERS
        ),
        models.Unigram: lambda: trainers.UnigramTrainer(
            vocab_size=120, special_tokens=MARKERS, unk_token="<unk>", show_progress=False
        ),
        models.WordLevel: lambda: trainers.WordLevelTrainer(
            special_tokens=MARKERS, show_progress=False
        ),
        models.WordPiece: lambda: trainers.WordPieceTrainer(
            vocab_size=200, special_tokens=MARKERS, show_progress=False
        ),
    }
    tokenizer.train_from_iterator(SENTENCES, makers[type(model)]())
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_tokens(list(added))
    return str(tokenizer.to_str())


def sequence(*parts: Part) -> Part:
    return normalizers.Sequence(list(parts))


def splits(*parts: Part) -> Part:
    return pre_tokenizers.Sequence(list(parts))


def wordpiece() -> Part:
    return models.WordPiece(unk_token="<unk>")


COLLAPSED = normalizers.Replace(Regex(" {2,}"), " ")

TOKENIZERS: dict[str, tuple[bool, Callable[[], str]]] = {
    "BERT": (
        True,
        lambda: trained(
            wordpiece(), normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        ),
    ),
    "BERT, cased": (
        True,
        lambda: trained(
            wordpiece(),
            normalizers.BertNormalizer(lowercase=False, handle_chinese_chars=False),
            pre_tokenizers.BertPreTokenizer(),
        ),
    ),
    "BERT with words of several tokens": (
        True,
        lambda: trained(
            wordpiece(),
            normalizers.BertNormalizer(),
            pre_tokenizers.BertPreTokenizer(),
            AddedToken("leafriver", single_word=True, normalized=False),
            AddedToken("teatea", normalized=True),
        ),
    ),
    "GPT": (
        True,
        lambda: trained(models.BPE(), normalizers.NFC(), pre_tokenizers.ByteLevel()),
    ),
    "GPT with runs of spaces": (
        True,
        lambda: trained(
            models.BPE(),
            normalizers.NFC(),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
            AddedToken("  ", normalized=True),
            AddedToken("    ", normalized=True),
            AddedToken("<mask>", lstrip=True, special=True),
        ),
    ),
    "Unigram": (
        True,
        lambda: trained(
            models.Unigram(),
            sequence(normalizers.Nmt(), normalizers.NFKC(), COLLAPSED),
            pre_tokenizers.Metaspace(),
        ),
    ),
    "Unigram of words": (
        True,
        lambda: trained(
            models.Unigram(),
            sequence(normalizers.Nmt(), normalizers.NFKD(), normalizers.StripAccents(), COLLAPSED),
            splits(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()),
        ),
    ),
    "words": (
        True,
        lambda: trained(
            models.WordLevel(unk_token="<unk>"),
            sequence(normalizers.Lowercase(), normalizers.Strip()),
            pre_tokenizers.Whitespace(),
        ),
    ),
    "digits, marks and words": (
        True,
        lambda: trained(
            models.BPE(unk_token="<unk>", fuse_unk=True),
            sequence(normalizers.NFD(), normalizers.Replace("''", '"')),
            splits(
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.Punctuation(),
                pre_tokenizers.WhitespaceSplit(),
            ),
        ),
    ),
    "no white space": (False, lambda: trained(models.BPE(unk_token="<unk>"), None, None)),
    "one piece": (
        False,
        lambda: trained(
            models.Unigram(), normalizers.NFKC(), pre_tokenizers.Metaspace(split=False)
        ),
    ),
    "spaces taken away": (
        False,
        lambda: trained(
            wordpiece(), normalizers.Replace(" ", ""), pre_tokenizers.WhitespaceSplit()
        ),
    ),
    "a rule of its own": (
        False,
        lambda: trained(
            models.BPE(),
            None,
            splits(
                pre_tokenizers.Split(Regex(r"\p{L}+\s?"), "isolated"),
                pre_tokenizers.ByteLevel(use_regex=False),
            ),
        ),
    ),
    "a token with a space": (
        False,
        lambda: trained(
            wordpiece(),
            normalizers.BertNormalizer(),
            pre_tokenizers.BertPreTokenizer(),
            AddedToken("tea leaf"),
        ),
    ),
}
MADE = {name: make() for name, (_, make) in TOKENIZERS.items()}
READY = {name: Tokenizer.from_str(content) for name, content in MADE.items()}
CUTTERS = {name: Cutter(tokenizer) for name, tokenizer in READY.items()}

PIECES = [
    *("tea", "leaf", "river", "leafriver", "teatea", "tea leaf", "don't", "''", "x" * 30, "12"),
    *(" ", "  ", "    ", "\n", "\t", "\r\n", "\x1c", "\x85", "\xa0", "\u3000", "\u200b", "\x01"),
    *(".", "日", "本", "の", "茶。", "ﬁ", "Ǆ", "ß", "İ", "e\u0301", "\u0308", "\u0600", "\u0e33"),
    *("¨", "½", "<mask>", "<s>", "[Q]", "</s>", "▁", "Ġ", "\x00", "\ufffd", "\ud83d", "\ude00"),
    *("🙂", "👩\u200d👧"),
]
TEXTS = st.lists(
    st.one_of(st.sampled_from(PIECES), st.just(" "), st.characters(exclude_categories=[])),
    max_size=60,
).map("".join)


def whole(content: str, text: str, length: int) -> tuple[list[int], bool]:
    """Return the ids as `tokenizers` cuts them, after it has read all of the text."""
    tokenizer = Tokenizer.from_str(content)
    tokenizer.enable_truncation(length)
    encoding = tokenizer.encode(clean(text))
    return encoding.ids, bool(encoding.overflowing)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(text=TEXTS, length=st.integers(3, 12))
def test_the_tokens_that_are_kept_are_those_of_the_whole_text(
    name: str, text: str, length: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "CHARACTERS_A_TOKEN", 1)
        prepared = TextPreparer(Checkpoint(dim=1, document_length=length), MADE[name])
        tokens = prepared.tokenize([text, text], "document")
    ids, cut = whole(MADE[name], text, length)
    assert [row.tolist() for row in tokens.rows] == [ids, ids]
    assert tokens.n_truncated == 2 * cut


ODD = {
    "a token that must stand alone, before an ideograph": "leafriver日 leaf",
    "a character that is removed between spaces": "tea \x01 leaf",
    "surrogates that are one character": "\ud83d\ude00tea leaf",
    "a mark that takes the space": "tea\u0600 leaf",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("name", TOKENIZERS)
def test_odd_places_are_cut_as_the_whole_text_is(name: str, text: str) -> None:
    for n_characters in range(len(text) + 1):
        begins_as_the_whole(name, text, n_characters)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=100, deadline=None)
@given(text=TEXTS, n_characters=st.integers(0, 40))
def test_the_tokens_of_a_beginning_begin_those_of_the_whole(
    name: str, text: str, n_characters: int
) -> None:
    begins_as_the_whole(name, text, n_characters)


def begins_as_the_whole(name: str, text: str, n_characters: int) -> None:
    tokenizer = READY[name]
    beginning = CUTTERS[name].cut(text, n_characters)
    assert text.startswith(beginning)
    assert len(beginning) >= min(n_characters, len(text))
    begun, all_ids = (
        tokenizer.encode(clean(part), add_special_tokens=False).ids for part in (beginning, text)
    )
    assert all_ids[: len(begun)] == begun


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_long_text_is_cut_where_that_is_known_to_be_right(name: str) -> None:
    cutter, text = Cutter(Tokenizer.from_str(MADE[name])), "tea leaf stone " * 1000
    expected = text[:104] if TOKENIZERS[name][0] else text
    assert cutter.cut(text, 100) == expected
    assert cutter.cut(text, 10**6) == text


@pytest.mark.parametrize(
    "text",
    ["x" * 50_000, " " * 50_000, " " * 50_000 + "tea", "\u200b " * 20_000, "日" * 20_000],
    ids=["one word", "white space", "white space first", "nothing", "ideographs"],
)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_long_runs_have_the_tokens_of_the_whole_text(name: str, text: str) -> None:
    if TOKENIZERS[name][0] is False and text.startswith("x"):
        text = text[:5000]
    prepared = TextPreparer(Checkpoint(dim=1, document_length=8), MADE[name])
    tokens = prepared.tokenize([text], "document")
    assert (tokens.rows[0].tolist(), bool(tokens.n_truncated)) == whole(MADE[name], text, 8)


def test_ideographs_are_cut_between_where_the_normalizer_parts_them() -> None:
    cutter = Cutter(Tokenizer.from_str(MADE["BERT"]))
    assert len(cutter.cut("の茶" * 1000, 100)) < 110
    assert len(Cutter(Tokenizer.from_str(MADE["BERT, cased"])).cut("の茶" * 1000, 100)) == 2000


def test_memory_follows_what_is_kept() -> None:
    prepared = TextPreparer(Checkpoint(dim=1, document_length=24), MADE["BERT"], one_thread=True)
    prepared.tokenize(["tea leaf " * 300] * 8, "document")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = "tea leaf stone " * 70_000
    assert prepared.tokenize([text] * 64, "document").n_truncated == 64
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_a_tokenizer_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class Counted:
        @staticmethod
        def from_buffer(content: bytes) -> Tokenizer:
            read.append(content)
            return Tokenizer.from_buffer(content)

    monkeypatch.setattr(framing, "Tokenizer", Counted)
    content = json.dumps(json.loads(MADE["GPT"]), indent=3) + "\r\n"
    prepared = TextPreparer(Checkpoint(dim=1), content.encode())
    assert prepared.tokenizer_json == content
    assert read == [content.encode()]
