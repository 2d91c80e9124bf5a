"""Tiny models of every family of encoders, with random weights and a tokenizer of their own kind.

No bias is zero and no norm is one, so that a piece that is lost or put in the wrong place shows in
every vector.
"""

import json
import re
import string
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import transformers
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedModel

from glane_export.texts import ORDINARY

N_VOCABULARY = 400
"""Of the models; the tokenizers have fewer entries, as many a checkpoint's does."""

Precision = Literal["int8", "none"]

BRACKETS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
ANGLES = {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}


class Words(NamedTuple):
    """A tokenizer, what its special tokens are called, and their ids for a model's config."""

    tokenizer: Tokenizer
    names: dict[str, str]
    ids: dict[str, int]


class Family(NamedTuple):
    """A family of encoders.

    Attributes:
        name: Of the class of transformers whose weights lie in the folder.
        words: Makes its tokenizer.
        shape: What its config says, beside the ids of special tokens.
        reader: Class of transformers whose vectors are expected, by default `AutoModel`'s.
        precision: What it is exported to: "none" where its products are no matter of int8.
    """

    name: str
    words: Callable[[], Words]
    shape: dict[str, Any]
    reader: str = "AutoModel"
    precision: Precision = "int8"


@cache
def word_pieces() -> Words:
    """Return BERT's kind of tokenizer, padding being 0."""
    return _word_pieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])


@cache
def word_pieces_padded_by_4() -> Words:
    """Return the same with padding last of the special tokens."""
    return _word_pieces(["[CLS]", "[SEP]", "[UNK]", "[MASK]", "[PAD]"])


@cache
def bytes_in_brackets() -> Words:
    """Return ModernBERT's kind: pieces of bytes, with BERT's special tokens."""
    return _bytes(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"], BRACKETS, "[CLS]", "[SEP]")


@cache
def bytes_in_angles() -> Words:
    """Return RoBERTa's kind: pieces of bytes, padding being 1."""
    return _bytes(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], ANGLES, "<s>", "</s>")


@cache
def bytes_in_bars() -> Words:
    """Return EuroBERT's kind."""
    names = {"pad_token": "<|pad|>", "mask_token": "<|mask|>"}
    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|mask|>", "<|pad|>"]
    return _bytes(specials, names, "<|begin_of_text|>", "<|end_of_text|>")


@cache
def bytes_alone() -> Words:
    """Return the kind of decoders: no marker, no mask; padding is the end of a text."""
    names = {"pad_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    words = _bytes(["<|endoftext|>"], names, None, None)
    return words._replace(ids={"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0})


@cache
def likely_pieces() -> Words:
    """Return XLM-R's kind: pieces chosen by likelihood, padding being 1."""
    return _likely(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], ANGLES, "<s>", "</s>")


@cache
def likely_in_brackets() -> Words:
    """Return the kind of ALBERT, RemBERT and DeBERTa."""
    return _likely(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"], BRACKETS, "[CLS]", "[SEP]")


@cache
def likely_and_an_end() -> Words:
    """Return T5's kind: no first marker, and no mask."""
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"}
    return _likely(["<pad>", "</s>", "<unk>"], names, None, "</s>")


SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
GROUPED = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}
NARROW = {**SMALL, "embedding_size": 16}
RELATIVE = {**SMALL, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
V3 = {
    **RELATIVE,
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 64}
MODERN = {**SMALL, "num_hidden_layers": 3, "local_attention": 8, "global_attn_every_n_layers": 3}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}

FAMILIES: dict[str, Family] = {
    "bert": Family("BertForMaskedLM", word_pieces, SMALL),
    "bert-pad-4": Family("BertForMaskedLM", word_pieces_padded_by_4, SMALL),
    "distilbert": Family("DistilBertForMaskedLM", word_pieces, DISTIL),
    "electra": Family("ElectraForMaskedLM", word_pieces, NARROW),
    "nomic-bert": Family("NomicBertForMaskedLM", word_pieces, SMALL),
    "gte": Family("GteModel", word_pieces, SMALL),
    "squeezebert": Family(
        "SqueezeBertForMaskedLM", word_pieces, {**SMALL, "embedding_size": 32}, precision="none"
    ),
    "mpnet": Family("MPNetForMaskedLM", bytes_in_angles, SMALL),
    "roberta": Family("RobertaForMaskedLM", bytes_in_angles, SMALL),
    "roberta-prelayernorm": Family("RobertaPreLayerNormForMaskedLM", bytes_in_angles, SMALL),
    "xlm-roberta": Family("XLMRobertaForMaskedLM", likely_pieces, SMALL),
    "camembert": Family("CamembertForMaskedLM", likely_pieces, SMALL),
    "xmod": Family("XmodForMaskedLM", likely_pieces, {**SMALL, "default_language": "en_XX"}),
    "jina-v3": Family("JinaEmbeddingsV3ForMaskedLM", likely_pieces, SMALL),
    "modernbert": Family("ModernBertForMaskedLM", bytes_in_brackets, MODERN),
    "eurobert": Family("EuroBertForMaskedLM", bytes_in_bars, GROUPED),
    "albert": Family("AlbertForMaskedLM", likely_in_brackets, {**NARROW, "num_hidden_layers": 4}),
    "rembert": Family(
        "RemBertForMaskedLM",
        likely_in_brackets,
        {**SMALL, "input_embedding_size": 16, "output_embedding_size": 48},
    ),
    "deberta": Family("DebertaForMaskedLM", likely_in_brackets, RELATIVE),
    "deberta-v3": Family("DebertaV2ForMaskedLM", likely_in_brackets, V3),
    "deberta-v3-own-head": Family(
        "DebertaV2ForMaskedLM", likely_in_brackets, {**V3, "legacy": False}
    ),
    "t5": Family("T5ForConditionalGeneration", likely_and_an_end, T5, "AutoModelForTextEncoding"),
    "t5-encoder": Family("T5EncoderModel", likely_and_an_end, T5, "AutoModelForTextEncoding"),
    "mt5": Family("MT5ForConditionalGeneration", likely_and_an_end, T5, "AutoModelForTextEncoding"),
    "big-bird": Family("BigBirdForMaskedLM", likely_in_brackets, {**SMALL, "block_size": 8}),
    "roformer": Family("RoFormerForMaskedLM", word_pieces, NARROW),
    "ernie": Family("ErnieForMaskedLM", word_pieces, SMALL),
    "gpt2": Family("GPT2LMHeadModel", bytes_alone, GPT2),
    "qwen3": Family("Qwen3ForCausalLM", bytes_alone, GROUPED),
    "llama": Family("LlamaForCausalLM", bytes_alone, GROUPED),
    "mistral": Family("MistralForCausalLM", bytes_alone, GROUPED),
    "gemma": Family("GemmaForCausalLM", bytes_alone, GROUPED),
}
"""What is walked through the whole chain."""

REFUSED: dict[str, tuple[Family, str]] = {
    "convbert": (Family("ConvBertForMaskedLM", word_pieces, NARROW), "change by .* when .* padded"),
    "nystromformer": (
        Family("NystromformerForMaskedLM", word_pieces, SMALL),
        "change by .* when .* padded",
    ),
    "fnet": (Family("FNetForMaskedLM", word_pieces, SMALL), "change by .* when .* padded"),
    "yoso": (Family("YosoForMaskedLM", word_pieces, SMALL), "cannot be used"),
    "longformer": (
        Family("LongformerForMaskedLM", bytes_in_angles, {**SMALL, "attention_window": 16}),
        "fills 5 tokens up to 16",
    ),
    "bart": (
        Family("BartModel", bytes_in_angles, {"d_model": 32, "encoder_layers": 1}),
        "no encoder alone",
    ),
}
"""What is refused before anything is trained."""


def write_family(family: Family, folder: Path, seed: int = 0) -> None:
    """Write a tiny model of a family as transformers saves it, with its tokenizer."""
    words = family.words()
    kind = getattr(transformers, family.name)
    torch.manual_seed(seed)
    config = kind.config_class(vocab_size=N_VOCABULARY, **family.shape, **words.ids)
    model = kind(config).eval()
    model.tie_weights()
    draw(model)
    model.save_pretrained(folder)
    words.tokenizer.save(str(folder / "tokenizer.json"))
    said = {**words.names, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))


def draw(model: PreTrainedModel) -> None:
    """Draw every weight anew: matrices that keep lengths, biases and norms a little apart."""
    with torch.no_grad():
        for module in model.modules():
            for tensor in module.parameters(recurse=False):
                if isinstance(module, torch.nn.Embedding):
                    tensor.normal_()
                elif tensor.ndim > 1:
                    tensor.normal_(std=tensor[0].numel() ** -0.5)
                else:
                    tensor.add_(0.1 * torch.randn_like(tensor))


def _word_pieces(specials: list[str]) -> Words:
    characters, words = _vocabulary(str.lower)
    pieces = [*specials, *characters, *(f"##{character}" for character in characters), *words]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces[:300]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _framed(tokenizer, BRACKETS, "[CLS]", "[SEP]")


def _vocabulary(fold: Callable[[str], str] = str) -> tuple[list[str], list[str]]:
    """Return the characters of the texts, and their words, the most frequent first.

    The trainers for pieces of words and for likely pieces give another vocabulary in each process.
    """
    words = Counter(re.findall(r"\w+", fold(" ".join(ORDINARY))))
    characters = sorted({*fold("".join(ORDINARY)), *string.punctuation} - {" "})
    return characters, sorted(words, key=lambda word: (-words[word], word))


def _bytes(
    specials: list[str], names: dict[str, str], first: str | None, last: str | None
) -> Words:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*ORDINARY, string.punctuation], trainer)
    return _framed(tokenizer, names, first, last)


def _likely(
    specials: list[str], names: dict[str, str], first: str | None, last: str | None
) -> Words:
    characters, words = _vocabulary()
    pieces = [*(f"\u2581{word}" for word in words), *words]
    pieces = pieces[: 300 - len(specials) - len(characters) - 1]
    scored = [(piece, -8.0 - number / 100) for number, piece in enumerate(pieces)]
    scored += [(character, -12.0) for character in ["\u2581", *characters]]
    known = [*((name, 0.0) for name in specials), *dict(scored).items()]
    unknown = specials.index(names["unk_token"])
    tokenizer = Tokenizer(models.Unigram(known, unk_id=unknown))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return _framed(tokenizer, names, first, last)


def _framed(
    tokenizer: Tokenizer, names: dict[str, str], first: str | None, last: str | None
) -> Words:
    """Frame the texts of a tokenizer by markers."""
    frame = [(name, tokenizer.token_to_id(name)) for name in (first, last) if name]
    tokens = [first, "$A", last]
    if frame:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=" ".join(token for token in tokens if token), special_tokens=frame
        )
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names.values()])
    ids = {"pad_token_id": _id(tokenizer, names["pad_token"])}
    for key in ("cls_token_id", "bos_token_id"):
        ids |= {key: _id(tokenizer, first)} if first else {}
    for key in ("sep_token_id", "eos_token_id"):
        ids |= {key: _id(tokenizer, last)} if last else {}
    return Words(tokenizer, names, ids)


def _id(tokenizer: Tokenizer, name: str) -> int:
    found = tokenizer.token_to_id(name)
    assert found is not None
    return int(found)
