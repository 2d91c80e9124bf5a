"""Writes the models of `tests/fixtures`: random weights, real files, a few kilobytes.

Run `python tests/make_fixtures.py` where the extra `export` is installed; the same versions of
torch and onnx give the same bytes. What comes out is committed, so that `tests/runtime` runs
encoders without torch.

`fixtures/colbert` is fp32, `fixtures/colbert-int8` its quantized version: BERT of two layers, 8
numbers a vector, queries of 12 tokens filled up with mask tokens, documents of 24, punctuation
left out, token markers `[Q]` and `[D]`.
"""

from __future__ import annotations

import string
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from glane.checkpoint import Checkpoint
from glane.text import TextPreparer
from glane_export import ExportSettings, export_model
from glane_trainer.models import ColBERT, random_projection

FIXTURES = Path(__file__).parent / "fixtures"

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[Q]", "[D]")

WORDS = (
    "a an and are as at be by can do does eat for from grow has how in into is it its light "
    "long made many more most new night no not of on or over plant river rock run sea see she "
    "some sound than that the them they this to tree under up was water we what when where "
    "which why wind with work year you bread cold day dog earth fire fish forest green heat "
    "ice leaf moon mountain music old rain red salt sand snow star stone storm summer sun "
    "wheel winter wolf wood word bird city glass gold iron oil "
)

SUFFIXES = ("s", "es", "ed", "er", "ing", "ly", "y", "th", "en")

OTHER_SCRIPTS = "日本語森林水火山川空海雨の文章検索はをにがです私木"


def tokenizer_json() -> str:
    """Return a WordPiece tokenizer, lower-casing, of some 340 entries."""
    pieces = [f"##{piece}" for piece in (*SUFFIXES, *string.ascii_lowercase, *string.digits)]
    characters = [*string.punctuation, *string.ascii_lowercase, *string.digits, *OTHER_SCRIPTS]
    entries = dict.fromkeys([*SPECIAL, *characters, *WORDS.split(), *pieces])
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    markers = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=markers
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return str(tokenizer.to_str())


def bert(vocabulary_size: int) -> BertModel:
    """Return a BERT of two layers, its weights drawn from a fixed seed."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
        initializer_range=0.3,
    )
    return BertModel(config, add_pooling_layer=False)


def write_checkpoint(folder: Path) -> None:
    """Write the checkpoint that both fixtures are exported from."""
    checkpoint = Checkpoint(
        dim=8,
        query_length=12,
        document_length=24,
        query_prefix="[Q]",
        document_prefix="[D]",
        query_expansion=True,
        skip_punctuation=True,
        base="tests/make_fixtures.py",
    )
    preparer = TextPreparer(checkpoint, tokenizer_json())
    encoder = bert(preparer.vocabulary_size)
    model = ColBERT(encoder, random_projection(16, checkpoint.dim, seed=0), preparer)
    model.save(folder)


def main() -> None:
    """Write both fixtures, in place of those that are there."""
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch) / "checkpoint"
        write_checkpoint(checkpoint)
        fp32 = ExportSettings(quantize="none", overwrite=True)
        export_model(checkpoint, FIXTURES / "colbert", fp32)
        export_model(checkpoint, FIXTURES / "colbert-int8", ExportSettings(overwrite=True))


if __name__ == "__main__":
    main()
