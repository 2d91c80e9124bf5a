"""Small tokenizers, made of words of our own."""

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

WORDPIECE = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[Q]",
    "a",
    "tea",
    "leaf",
    "stone",
    "river",
]
WORDPIECE += ["##s", "##let", ".", ",", "?", "-"]

SENTENCES = ["the tea leaf floats on the river", "a stone, a leaf: tea!", "rivers and leaves"] * 3


@pytest.fixture(scope="session")
def wordpiece() -> str:
    """`tokenizer.json` of a lower-casing WordPiece; ids are positions in `WORDPIECE`."""
    vocabulary = {entry: number for number, entry in enumerate(WORDPIECE)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.add_special_tokens(WORDPIECE[:6])
    return str(tokenizer.to_str())


@pytest.fixture(scope="session")
def byte_level() -> str:
    """`tokenizer.json` of a byte-level BPE with RoBERTa's markers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    markers = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), markers])
    return str(tokenizer.to_str())


@pytest.fixture(scope="session")
def unmarked() -> str:
    """`tokenizer.json` of two words, without markers, padding or mask token."""
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "tea": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(tokenizer.to_str())
