"""Writes the models of `tests/fixtures`: random weights, real files, a few kilobytes.

Run `python tests/make_fixtures.py` where the extra `export` is installed; the same versions of
torch and onnx give the same bytes. What comes out is committed, so that `tests/runtime` runs
encoders without torch.

`fixtures/colbert` is fp32, `fixtures/colbert-int8` its quantized version: BERT of two layers, 8
numbers a vector, queries of 12 tokens filled up with mask tokens, documents of 24, punctuation
left out, token markers `[Q]` and `[D]`.

`fixtures/splade`, `fixtures/splade-inference-free` and `fixtures/sparse-embed` are fp32: the same
BERT with the head of a masked language model, 8 terms a query, 16 a document, 8 numbers an
embedding.
"""

from __future__ import annotations

import string
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx.parser
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, BertModel

import glane
from glane.model.checkpoint import Checkpoint, Kind
from glane.model.preparation import TextPreparer
from glane_export import ExportSettings, export_model
from glane_export.graph import OPSET
from glane_trainer.mlm import Pieces, take_apart
from glane_trainer.models import ColBERT, SparseEmbed, Splade
from glane_trainer.projection import random_projection

FIXTURES = Path(__file__).parent / "fixtures"

PRODUCTS = {
    "gemm": """
        product (float[n_rows, dim] rows, float[dim, n_columns] columns)
            => (float[n_columns, n_rows] products)
        {
            whole = MatMul(rows, columns)
            products = Transpose(whole)
        }
    """,
    "integers": """
        product (
            uint8[n_rows, dim] rows, int8[dim, n_columns] columns, uint8 middle,
            float[n_rows] row_steps, float[n_columns] column_steps
        ) => (float[n_columns, n_rows] products)
        <float one = {1.0}>
        {
            in_row_steps =
                com.microsoft.MatMulIntegerToFloat(rows, columns, one, column_steps, middle)
            transposed = Transpose(in_row_steps)
            products = Mul(transposed, row_steps)
        }
    """,
}
"""The graphs behind `glane.maxsim.gemm` and `glane.maxsim.integers`."""

DIM = 8

N_ACTIVE = 14
"""Terms of a text, on average."""

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


def config(vocabulary_size: int) -> BertConfig:
    """Return the shape of a BERT of two layers, whose weights are drawn from a fixed seed."""
    torch.manual_seed(0)
    return BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
        initializer_range=0.3,
    )


def write_colbert(folder: Path) -> None:
    """Write the checkpoint that both fixtures of ColBERT are exported from."""
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
    encoder = BertModel(config(preparer.vocabulary_size), add_pooling_layer=False)
    model = ColBERT(encoder, random_projection(16, checkpoint.dim, seed=0), preparer)
    model.save(folder)


def write_products(folder: Path) -> None:
    """Write the graphs behind `glane.maxsim.gemm` and `.integers`, which are part of the runtime.

    What they multiply comes out transposed: maxima are taken faster of numbers that lie side by
    side. In the place of `MatMul` and `Transpose`, `Gemm` would become another product.
    """
    for name, text in PRODUCTS.items():
        header = f'<ir_version: 8, opset_import: ["": {OPSET}, "com.microsoft": 1]>'
        onnx.save_model(onnx.parser.parse_model(header + text), str(folder / f"{name}.onnx"))


def sparse_preparer(kind: Kind, *, inference_free: bool = False) -> TextPreparer:
    """Return the text preparation of a sparse model: few terms, so that many texts have more."""
    checkpoint = Checkpoint(
        kind=kind,
        dim=DIM if kind == "sparse-embed" else 0,
        query_terms=8,
        document_terms=16,
        query_length=12,
        document_length=24,
        base="tests/make_fixtures.py",
        inference_free=inference_free,
    )
    return TextPreparer(checkpoint, tokenizer_json())


def pieces(preparer: TextPreparer) -> Pieces:
    """Return a masked language model that finds some fourteen terms in each text of the words."""
    model = BertForMaskedLM(config(preparer.vocabulary_size))
    model.train(False)
    words = WORDS.split()
    texts = [" ".join(words[start : start + 6]) for start in range(0, len(words), 6)]
    batch = preparer.encode(texts, "document")
    with torch.no_grad():
        logits = model(
            input_ids=torch.from_numpy(batch.input_ids),
            attention_mask=torch.from_numpy(batch.attention_mask),
        ).logits
    logits[~torch.from_numpy(batch.score_mask)] = float("-inf")
    made = take_apart(model)
    made.decoder.bias.data -= logits.amax(1).quantile(1 - N_ACTIVE / logits.shape[2])
    return made


def write_splade(folder: Path) -> None:
    """Write a SPLADE checkpoint."""
    preparer = sparse_preparer("splade")
    Splade(pieces(preparer), preparer).save(folder)


def write_inference_free(folder: Path) -> None:
    """Write a SPLADE checkpoint whose queries are weighed by a table, a third of it 0."""
    preparer = sparse_preparer("splade", inference_free=True)
    generator = torch.Generator().manual_seed(0)
    table = torch.rand(preparer.vocabulary_size, generator=generator) * 3 - 1
    Splade(pieces(preparer), preparer, table).save(folder)


def write_sparse_embed(folder: Path) -> None:
    """Write a SparseEmbed checkpoint."""
    preparer = sparse_preparer("sparse-embed")
    SparseEmbed(pieces(preparer), random_projection(16, DIM, seed=0), preparer).save(folder)


CHECKPOINTS: dict[str, Callable[[Path], None]] = {
    "colbert": write_colbert,
    "splade": write_splade,
    "splade-inference-free": write_inference_free,
    "sparse-embed": write_sparse_embed,
}


def main() -> None:
    """Write all fixtures, in place of those there, and the graphs of `glane.maxsim`."""
    write_products(Path(glane.__file__).parent / "maxsim")
    with tempfile.TemporaryDirectory() as scratch:
        for name, write in CHECKPOINTS.items():
            write(Path(scratch) / name)
            fp32 = ExportSettings(quantize="none", overwrite=True)
            export_model(Path(scratch) / name, FIXTURES / name, fp32)
        int8 = ExportSettings(overwrite=True)
        export_model(Path(scratch) / "colbert", FIXTURES / "colbert-int8", int8)


if __name__ == "__main__":
    main()
