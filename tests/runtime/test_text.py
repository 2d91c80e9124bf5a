"""Text preparation: ids, masks and lengths, on small tokenizers of three kinds."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from glane.errors import CheckpointError
from glane.model.checkpoint import Checkpoint
from glane.model.preparation import Batch, Role, TextPreparer, check_texts, clean

PAD, UNK, CLS, SEP, MASK, Q, A, TEA, LEAF, STONE, RIVER, S, LET, DOT, COMMA, MARK, DASH = range(17)

ODD = {
    "empty": "",
    "blanks": " \n\t ",
    "NUL": "\x00",
    "NUL between": "tea\x00leaf",
    "emoji": "tea 🙂 leaf 👩‍👩‍👧",
    "lone surrogate": "tea \ud83d leaf",
    "surrogates in the wrong order": "\ude42\ud83d",
    "right to left": "שלום tea",
    "no blanks": "東京大学で茶を飲む",
    "long word": "t" * 5000,
    "markers": "[CLS] tea [PAD] </s>",
}

odd_texts = pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
KINDS = pytest.mark.parametrize("kind", ["wordpiece", "byte_level"])


def preparer(tokenizer_json: str, **changes: Any) -> TextPreparer:  # noqa: ANN401 (any field)
    return TextPreparer(Checkpoint(dim=4, **changes), tokenizer_json)


def ids(prepared: TextPreparer, text: str, role: Role = "document") -> list[int]:
    row: list[int] = prepared.tokenize([text], role).rows[0].tolist()
    return row


def test_a_text_stands_between_the_markers(wordpiece: str) -> None:
    prepared = preparer(wordpiece)
    assert ids(prepared, "A Tea leafs, leaflets.") == [
        *(CLS, A, TEA, LEAF, S, COMMA, LEAF, LET, S, DOT, SEP)
    ]
    assert ids(prepared, "kettle tea") == [CLS, UNK, TEA, SEP]
    assert ids(prepared, "") == [CLS, SEP]
    assert ids(prepared, "tea", "query") == [CLS, TEA, SEP]


def test_a_prefix_that_is_a_token_follows_the_first_marker(wordpiece: str) -> None:
    for prefix in ("[Q]", "[Q] "):
        prepared = preparer(wordpiece, query_prefix=prefix)
        assert ids(prepared, "tea", "query") == [CLS, Q, TEA, SEP]
        assert ids(prepared, "", "query") == [CLS, Q, SEP]
        assert ids(prepared, "tea") == [CLS, TEA, SEP]


def test_a_prefix_is_looked_up_even_where_text_would_be_split(wordpiece: str) -> None:
    for prefix in ("##let", "##let "):
        assert ids(preparer(wordpiece, document_prefix=prefix), "tea") == [CLS, LET, TEA, SEP]


def test_a_prefix_that_is_text_is_tokenized(wordpiece: str) -> None:
    prepared = preparer(wordpiece, document_prefix="River leafs: ", query_prefix="kettle ")
    assert ids(prepared, "tea") == [CLS, RIVER, LEAF, S, UNK, TEA, SEP]
    assert ids(prepared, "tea", "query") == [CLS, UNK, TEA, SEP]


def test_a_prompt_is_tokenized_with_its_text_whatever_the_vocabulary_has(wordpiece: str) -> None:
    prepared = preparer(wordpiece, document_prompt="tea", query_prefix="[Q]", query_prompt="leaf")
    assert ids(prepared, " leaf") == [CLS, TEA, LEAF, SEP]
    assert ids(prepared, "let") == [CLS, *ids(preparer(wordpiece), "tealet")[1:]]
    assert ids(prepared, "let", "query") == [CLS, Q, LEAF, LET, SEP]


def test_a_suffix_is_tokenized_with_its_text_and_cut_with_it(wordpiece: str) -> None:
    prepared = preparer(wordpiece, suffix=" [Q] [Q]", query_length=5, document_length=40)
    assert ids(prepared, "tea") == [CLS, TEA, Q, Q, SEP]
    assert ids(prepared, "") == [CLS, Q, Q, SEP]
    assert ids(prepared, "tea leaf", "query") == [CLS, TEA, LEAF, Q, SEP]
    long = ids(prepared, "tea " * 100)
    assert long == [CLS, *[TEA] * 38, SEP]
    assert prepared.tokenize(["tea leaf"], "query").n_truncated == 1


def test_a_long_text_with_prompt_and_suffix_is_cut_as_if_it_were_read_whole(
    byte_level: str,
) -> None:
    prepared = preparer(byte_level, document_prompt="passage: ", suffix=" end", document_length=30)
    whole = Tokenizer.from_str(byte_level)
    for n in (1, 5, 8, 200, 2000):
        text = "tea leaf, river " * n
        expected = whole.encode(f"passage: {text} end", add_special_tokens=False).ids[:28]
        assert ids(prepared, text) == [0, *expected, 2]


def test_a_prefix_with_its_blank_in_the_vocabulary_is_one_token(wordpiece: str) -> None:
    tokenizer = Tokenizer.from_str(wordpiece)
    tokenizer.add_tokens(["[D] "])
    prepared = preparer(tokenizer.to_str(), document_prefix="[D] ")
    assert ids(prepared, "tea") == [CLS, tokenizer.token_to_id("[D] "), TEA, SEP]


@pytest.mark.parametrize("role", ["query", "document"])
@pytest.mark.parametrize("prefix", ["", "[Q]", "river leafs "])
@pytest.mark.parametrize("beyond", [-2, -1, 0, 1, 2])
def test_a_text_is_cut_at_the_length_markers_included(
    role: Role, prefix: str, beyond: int, wordpiece: str
) -> None:
    marks = {"": [], "[Q]": [Q], "river leafs ": [RIVER, LEAF, S]}[prefix]
    lengths = {f"{role}_length": 9, f"{role}_prefix": prefix}
    prepared = preparer(wordpiece, **lengths)
    room = 9 - 2 - len(marks)
    text = " ".join((["tea", "leaf", "stone"] * 4)[: room + beyond])
    tokens = prepared.tokenize([text, "tea", text], role)
    content = ([TEA, LEAF, STONE] * 4)[: min(room, room + beyond)]
    assert tokens.rows[0].tolist() == [CLS, *marks, *content, SEP]
    assert tokens.rows[1].tolist() == [CLS, *marks, TEA, SEP]
    assert tokens.n_truncated == (2 if beyond > 0 else 0)


@KINDS
def test_truncation_and_padding_of_the_file_are_replaced(
    kind: str, request: pytest.FixtureRequest
) -> None:
    plain = request.getfixturevalue(kind)
    tokenizer = Tokenizer.from_str(plain)
    tokenizer.enable_truncation(2, direction="left")
    tokenizer.enable_padding(length=64, direction="left")
    baked = preparer(tokenizer.to_str(), document_length=12, document_prefix="tea leafs: ")
    texts = ["", "tea leaf", "stone river " * 9]
    for one, other in zip(
        baked.encode(texts, "document"),
        preparer(plain, document_length=12, document_prefix="tea leafs: ").encode(
            texts, "document"
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def assert_batch(batch: Batch, ids: list[int], attended: int, scored: int) -> None:
    assert batch.input_ids.dtype == np.int64
    assert batch.attention_mask.dtype == np.int64
    assert batch.score_mask.dtype == np.bool_
    assert batch.input_ids.tolist() == [ids]
    assert batch.attention_mask.tolist() == [[int(i < attended) for i in range(len(ids))]]
    assert batch.score_mask.tolist() == [[i < scored for i in range(len(ids))]]


@pytest.mark.parametrize("attended", [True, False])
def test_queries_are_expanded_to_their_length(attended: bool, wordpiece: str) -> None:
    prepared = preparer(
        wordpiece, query_length=6, query_expansion=True, attend_to_expansion=attended
    )
    batch = prepared.encode(["tea"], "query")
    assert_batch(batch, [CLS, TEA, SEP, MASK, MASK, MASK], 6 if attended else 3, scored=6)
    batch = prepared.encode([""], "query")
    assert_batch(batch, [CLS, SEP, MASK, MASK, MASK, MASK], 6 if attended else 2, scored=6)
    batch = prepared.encode(["tea tea tea tea tea"], "query")
    assert_batch(batch, [CLS, TEA, TEA, TEA, TEA, SEP], 6, scored=6)
    assert_batch(prepared.encode(["tea"], "document"), [CLS, TEA, SEP], 3, scored=3)


def test_without_expansion_queries_are_padded_to_the_longest(wordpiece: str) -> None:
    batch = preparer(wordpiece, attend_to_expansion=True).encode(["tea", "tea leaf tea"], "query")
    assert batch.input_ids.tolist() == [[CLS, TEA, SEP, PAD, PAD], [CLS, TEA, LEAF, TEA, SEP]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    np.testing.assert_array_equal(batch.score_mask, batch.attention_mask == 1)


def test_punctuation_is_left_out_of_documents_alone(wordpiece: str) -> None:
    prepared = preparer(wordpiece, skip_punctuation=True)
    batch = prepared.encode(["tea, leaf - tea?", "..."], "document")
    assert batch.input_ids[0].tolist() == [CLS, TEA, COMMA, LEAF, DASH, TEA, MARK, SEP]
    assert batch.score_mask.tolist() == [
        [True, True, False, True, False, True, False, True],
        [True, False, False, False, True, False, False, False],
    ]
    assert batch.attention_mask.tolist() == [[1] * 8, [1] * 5 + [0] * 3]
    assert prepared.encode(["..."], "query").score_mask.all()
    assert preparer(wordpiece).encode(["..."], "document").score_mask.all()


def test_a_mark_the_vocabulary_lacks_does_not_take_unknown_words_along(wordpiece: str) -> None:
    batch = preparer(wordpiece, skip_punctuation=True).encode(["kettle ~ tea"], "document")
    assert batch.input_ids.tolist() == [[CLS, UNK, UNK, TEA, SEP]]
    assert batch.score_mask.all()


@KINDS
@odd_texts
def test_odd_texts_are_prepared(kind: str, text: str, request: pytest.FixtureRequest) -> None:
    prepared = preparer(request.getfixturevalue(kind), document_length=40, skip_punctuation=True)
    batch = prepared.encode([text], "document")
    assert 2 <= batch.input_ids.shape[1] <= 40
    assert (batch.input_ids >= 0).all()
    assert (batch.input_ids < prepared.vocabulary_size).all()
    assert batch.score_mask[0, [0, -1]].all()


def test_a_lone_surrogate_is_read_as_a_replacement_character(byte_level: str) -> None:
    prepared = preparer(byte_level)
    assert ids(prepared, "tea \ud83d leaf") == ids(prepared, "tea \ufffd leaf")


@KINDS
def test_a_text_of_a_megabyte_is_cut(kind: str, request: pytest.FixtureRequest) -> None:
    prepared = preparer(request.getfixturevalue(kind), document_length=16)
    tokens = prepared.tokenize(["tea leaf " * 120_000, "tea"], "document")
    assert tokens.rows[0].tolist() == ids(prepared, "tea leaf " * 30)
    assert len(tokens.rows[0]) == 16
    assert tokens.n_truncated == 1


def test_byte_level_texts_come_back(byte_level: str) -> None:
    prepared, tokenizer = preparer(byte_level), Tokenizer.from_str(byte_level)
    for text in ("the tea leaf", "Ünïcödé 🙂", " a\x00b"):
        row = ids(prepared, text)
        assert (row[0], row[-1]) == (0, 2)
        assert row[1:-1] == tokenizer.encode(text, add_special_tokens=False).ids
    batch = prepared.encode(["", "tea"], "document")
    assert (batch.input_ids[0, 2:] == 1).all()
    prefixed = preparer(byte_level, document_prefix="river: ")
    middle = tokenizer.encode("river: tea", add_special_tokens=False).ids
    assert ids(prefixed, "tea") == [0, *middle, 2]


def test_expansion_takes_the_mask_token_of_either_family(byte_level: str) -> None:
    batch = preparer(byte_level, query_length=8, query_expansion=True).encode([""], "query")
    assert batch.input_ids.tolist() == [[0, 2, 4, 4, 4, 4, 4, 4]]


def test_white_space_around_a_text_is_dropped_where_that_is_the_rule(byte_level: str) -> None:
    prepared = preparer(byte_level, strip=True, document_prompt=" passage: ", suffix=" .")
    whole = Tokenizer.from_str(byte_level)
    pairs = (("tea \n", "passage: tea ."), ("\u3000", "passage: ."), (" a", "passage:  a ."))
    for text, read in pairs:
        expected = whole.encode(read, add_special_tokens=False).ids
        assert ids(prepared, text) == [0, *expected, 2]
    lower = preparer(byte_level, lower=True, suffix=" .")
    assert ids(lower, "TEA <MASK>") == [
        *(0, *whole.encode("tea <mask> .", add_special_tokens=False).ids, 2)
    ]
    kept = preparer(byte_level)
    assert ids(kept, " tea ") == [0, *whole.encode(" tea ", add_special_tokens=False).ids, 2]


@pytest.mark.parametrize("name", ["<|mask|>", "[Mask]", "<<MASK>>"])
def test_a_mask_token_is_found_by_what_it_is_called(name: str, unmarked: str) -> None:
    tokenizer = Tokenizer.from_str(unmarked)
    tokenizer.add_special_tokens(["[gMASK]", "mask", name, name.replace("mask", "pad")])
    prepared = preparer(tokenizer.to_str(), query_length=3, query_expansion=True)
    assert prepared.encode([""], "query").input_ids.tolist() == [[tokenizer.token_to_id(name)] * 3]


def test_mask_and_pad_tokens_may_be_named(wordpiece: str) -> None:
    rules: dict[str, Any] = {"query_length": 5, "query_expansion": True, "expansion_length": 4}
    prepared = preparer(wordpiece, mask_token="[Q]", pad_token="river", **rules)
    batch = prepared.encode(["tea", "tea leaf tea"], "query")
    assert batch.input_ids.tolist() == [[CLS, TEA, SEP, Q, RIVER], [CLS, TEA, LEAF, TEA, SEP]]
    assert batch.score_mask.tolist() == [[True] * 4 + [False], [True] * 5]
    with pytest.raises(CheckpointError, match=r"no token '\[M\]', which glane\.json names"):
        preparer(wordpiece, query_expansion=True, mask_token="[M]")
    with pytest.raises(CheckpointError, match=r"no token '\[P\]'"):
        preparer(wordpiece, pad_token="[P]")


@pytest.mark.parametrize("attended", [True, False])
def test_expansion_may_stop_before_the_length_of_queries(attended: bool, wordpiece: str) -> None:
    rules: dict[str, Any] = {"query_length": 9, "query_expansion": True, "expansion_length": 4}
    prepared = preparer(wordpiece, attend_to_expansion=attended, **rules)
    texts = ["tea", "tea leaf tea stone", "tea " * 20]
    batch = prepared.encode(texts, "query")
    assert batch.score_mask.sum(1).tolist() == [4, 6, 9]
    assert batch.attention_mask.sum(1).tolist() == [4 if attended else 3, 6, 9]
    assert [prepared.length(row, "query") for row in prepared.tokenize(texts, "query").rows] == [
        *(4, 6, 9)
    ]
    alone = prepared.encode(["tea"], "query")
    assert batch.input_ids[0, :4].tolist() == alone.input_ids[0].tolist()


def test_tokens_by_name_are_left_out_of_documents_and_of_queries_if_wanted(wordpiece: str) -> None:
    prepared = preparer(wordpiece, skipped_tokens=["tea", "##s", "[UNK]"])
    scored = prepared.encode(["tea leafs kettle"], "document").score_mask
    assert scored.tolist() == [[True, False, True, False, False, True]]
    assert prepared.encode(["tea"], "query").score_mask.all()
    both = preparer(wordpiece, skipped_tokens=["tea"], skip_in_queries=True)
    assert both.encode(["tea leaf"], "query").score_mask.tolist() == [[True, False, True, True]]
    with pytest.raises(CheckpointError, match=r"no token 'kettle', which glane\.json names"):
        preparer(wordpiece, skipped_tokens=["kettle"])


def test_a_query_without_a_model_call_is_its_tokens_alone(wordpiece: str) -> None:
    rules: dict[str, Any] = {"kind": "splade", "query_terms": 8, "document_terms": 8}
    checkpoint = Checkpoint(dim=0, inference_free=True, query_length=2, **rules)
    prepared = TextPreparer(checkpoint, wordpiece)
    assert ids(prepared, "tea leaf tea", "query") == [TEA, LEAF]
    assert ids(prepared, "tea") == [CLS, TEA, SEP]


def test_without_markers_an_empty_text_is_padding_that_counts_for_nothing(unmarked: str) -> None:
    prepared = preparer(unmarked)
    assert_batch(prepared.encode([""], "document"), [0], attended=0, scored=0)
    batch = prepared.encode(["", "tea a"], "document")
    assert batch.input_ids.tolist() == [[0, 0], [1, 0]]
    assert batch.score_mask.tolist() == [[False, False], [True, True]]


def test_markers_may_have_any_name(wordpiece: str) -> None:
    record = wordpiece.replace("[CLS]", "$A:1").replace("[SEP]", "$")
    assert ids(preparer(record, document_prefix="tea"), "leaf") == [CLS, TEA, LEAF, SEP]


def test_no_texts_give_no_rows(wordpiece: str) -> None:
    prepared = preparer(wordpiece, query_expansion=True)
    assert prepared.tokenize([], "document") == ([], 0)
    assert prepared.encode([], "query").input_ids.shape == (0, 32)
    assert prepared.encode([], "document").input_ids.shape[0] == 0


WORDS = ["tea", "leafs", ",", "~", "kettle", "river"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@given(st.lists(TEXTS, min_size=1, max_size=5), st.sampled_from(["query", "document"]))
def test_a_batch_equals_one_by_one(wordpiece: str, texts: list[str], role: Role) -> None:
    prepared = preparer(wordpiece, query_length=8, document_length=10, skip_punctuation=True)
    batch = prepared.encode(texts, role)
    assert batch.input_ids.shape[1] == max(len(ids(prepared, text, role)) for text in texts)
    for row, text in enumerate(texts):
        alone = prepared.encode([text], role)
        width = alone.input_ids.shape[1]
        for whole, part in zip(batch, alone, strict=True):
            np.testing.assert_array_equal(whole[row, :width], part[0])
        assert (batch.input_ids[row, width:] == PAD).all()
        assert not batch.attention_mask[row, width:].any()
        assert not batch.score_mask[row, width:].any()


def test_many_threads_get_the_same_ids(wordpiece: str) -> None:
    prepared = preparer(wordpiece, query_length=8, document_length=40, query_expansion=True)
    texts = ["", "tea", "leafs, tea?", "river " * 100, *ODD.values()]
    calls: list[tuple[str, Role]] = [
        (text, role) for text in texts for role in ("query", "document")
    ]
    expected = [ids(prepared, *call) for call in calls]

    def prepare(start: int) -> bool:
        order = [(start + 7 * i) % len(calls) for i in range(len(calls))]
        return all(ids(prepared, *calls[i]) == expected[i] for i in order for _ in range(20))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(prepare, range(16)))


@given(st.text(st.characters(exclude_categories=[])))
def test_clean_changes_lone_surrogates_alone(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    pairs = text.encode("utf-16-le", "surrogatepass").decode(
        "utf-16-le",
        "surrogatepass",
    )
    assert cleaned == "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in pairs)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("tea", r"queries must be a list of strings, got one string; pass \['tea'\]"),
        ("t" * 99, r"pass \['t{40}\.\.\.'\]"),
        (["tea", 3], "queries must be strings, got int at position 1"),
        ([None], "queries must be strings, got NoneType at position 0"),
        (b"tea", "queries must be strings, got int at position 0"),
    ],
)
def test_what_is_not_a_list_of_strings_is_refused(texts: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=message):
        check_texts(texts, "queries")


def test_any_iterable_of_strings_is_a_list() -> None:
    assert check_texts(("a", "b"), "texts") == ["a", "b"]
    assert check_texts({"a": 1}.keys(), "texts") == ["a"]  # type: ignore[arg-type]


def test_the_preparer_refuses_a_lone_string(wordpiece: str) -> None:
    with pytest.raises(TypeError, match=r"pass \['tea'\]"):
        preparer(wordpiece).tokenize("tea", "query")


@pytest.mark.parametrize("content", ["", "{}", "null", "\x80\x04N.", '{"version": "1.0"}'])
def test_what_is_not_a_tokenizer_is_refused(content: str) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not a tokenizer: "):
        preparer(content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_length": 2}, "a length of 2 tokens leaves no room beside the 2 of markers"),
        ({"document_length": 0}, "a length of 0 tokens leaves no room beside the 2 of markers"),
        ({"document_length": -5}, "a length of -5 tokens"),
        ({"document_length": 3, "document_prefix": "[Q]"}, "a length of 3 tokens .* 3 of"),
        ({"query_length": 4, "query_prompt": "tea leaf "}, "a length of 4 tokens .* 4 of"),
    ],
)
def test_a_length_without_room_for_text_is_refused(
    changes: dict[str, Any], message: str, wordpiece: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        preparer(wordpiece, **changes)


def test_expansion_without_a_mask_token_is_refused(unmarked: str) -> None:
    with pytest.raises(CheckpointError, match=r"no token called mask.*name one in `mask_token`"):
        preparer(unmarked, query_expansion=True)


def test_a_tokenizer_that_reads_no_letter_is_refused(byte_level: str) -> None:
    record = json.loads(byte_level)
    record["model"]["vocab"] = {"x": 0}
    record["model"]["merges"] = []
    with pytest.raises(CheckpointError, match="no token for the letter 'a'"):
        preparer(json.dumps(record))


def test_loading_names_the_file_that_is_missing_or_damaged(tmp_path: Path, wordpiece: str) -> None:
    with pytest.raises(CheckpointError, match=r"has no glane\.json"):
        TextPreparer.load(tmp_path)
    Checkpoint(dim=4).write(tmp_path)
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json"):
        TextPreparer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\x80\x04N.")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json' is not UTF-8"):
        TextPreparer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json': .* is not a tokenizer"):
        TextPreparer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text(wordpiece)
    assert ids(TextPreparer.load(str(tmp_path)), "tea") == [CLS, TEA, SEP]
    assert TextPreparer.load(tmp_path).token(TEA) == "tea"
