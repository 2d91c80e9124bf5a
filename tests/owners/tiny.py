"""Tiny encoders of random weights, in folders as transformers saves them.

`python -m tests.owners.tiny FOLDER` writes one folder a kind. The weights are drawn from a fixed
seed and are large, so that a wrong token, place or mask shows in every score.
"""

from __future__ import annotations

import json
import string
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from tests.owners.texts import DOCUMENTS, QUERIES
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

N_ENTRIES = 180
"""Of a trained vocabulary, about."""

WIDTH = 16

WORDS = "the of and to in a is it by was how do where light wind sea tree river green rock over"

UNUSED = tuple(f"[unused{number}]" for number in range(6))


def word_piece(*, lower: bool) -> Tokenizer:
    """Return BERT's kind of tokenizer: words, letters, and pieces of letters."""
    letters = [*string.ascii_lowercase, *string.digits, *("" if lower else string.ascii_uppercase)]
    names = ["[PAD]", *UNUSED, "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    entries = [*names, *string.punctuation, *letters, *WORDS.split(), "森", "林", "火", "の"]
    entries += [f"##{letter}" for letter in letters] + ["##s", "##ing", "##er"]
    vocabulary = {entry: number for number, entry in enumerate(dict.fromkeys(entries))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return _framed(tokenizer, "[CLS]", "[SEP]")


def byte_level(names: Iterable[str], first: str, last: str) -> Tokenizer:
    """Return RoBERTa's and ModernBERT's kind: pieces of bytes, a blank belongs to what follows."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = [
        mark for mark in pre_tokenizers.ByteLevel.alphabet() if ord(mark) < 127 or mark == "Ġ"
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=N_ENTRIES, special_tokens=list(names), initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator([*QUERIES, *DOCUMENTS], trainer)
    return _framed(tokenizer, first, last)


def metaspace(names: Iterable[str], first: str, last: str) -> Tokenizer:
    """Return XLM-R's kind: pieces chosen by likelihood, a blank is a mark of its own."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=N_ENTRIES, special_tokens=list(names), unk_token="<unk>"
    )
    tokenizer.train_from_iterator([*QUERIES, *DOCUMENTS, string.punctuation], trainer)
    return _framed(tokenizer, first, last)


def _framed(tokenizer: Tokenizer, first: str, last: str) -> Tokenizer:
    markers = [(name, tokenizer.token_to_id(name)) for name in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", pair=f"{first} $A {last} $B {last}", special_tokens=markers
    )
    return tokenizer


BRACKETS = {
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
}
ANGLES = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


def _shape(**more: Any) -> dict[str, Any]:
    return {
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 224,
        **more,
    }


def _bert(name: str, *, lower: bool = True) -> Callable[[Path], None]:
    return lambda folder: _write(folder, name, word_piece(lower=lower), BRACKETS, _shape())


def _distilbert(folder: Path) -> None:
    shape = {"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
    shape["max_position_embeddings"] = 224
    _write(folder, "DistilBertModel", word_piece(lower=True), BRACKETS, shape)


def _modernbert(name: str) -> Callable[[Path], None]:
    shape = _shape(
        global_attn_every_n_layers=2,
        local_attention=64,
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        bos_token_id=2,
        eos_token_id=3,
    )

    def write(folder: Path) -> None:
        names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
        _write(folder, name, byte_level(names, "[CLS]", "[SEP]"), BRACKETS, shape)

    return write


def _roberta(folder: Path) -> None:
    names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    shape = _shape(max_position_embeddings=226, pad_token_id=1, bos_token_id=0, eos_token_id=2)
    _write(folder, "RobertaModel", byte_level(names, "<s>", "</s>"), ANGLES, shape)


def _xlm_roberta(folder: Path) -> None:
    names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    shape = _shape(max_position_embeddings=226, pad_token_id=1, bos_token_id=0, eos_token_id=2)
    _write(folder, "XLMRobertaModel", metaspace(names, "<s>", "</s>"), ANGLES, shape)


KINDS: dict[str, Callable[[Path], None]] = {
    "bert": _bert("BertModel"),
    "bert-cased": _bert("BertModel", lower=False),
    "mlm": _bert("BertForMaskedLM"),
    "mlm-cased": _bert("BertForMaskedLM", lower=False),
    "electra": _bert("ElectraModel"),
    "distilbert": _distilbert,
    "modernbert": _modernbert("ModernBertModel"),
    "modernbert-mlm": _modernbert("ModernBertForMaskedLM"),
    "roberta": _roberta,
    "xlm-roberta": _xlm_roberta,
}


def _write(
    folder: Path, name: str, tokenizer: Tokenizer, names: dict[str, str], shape: dict[str, Any]
) -> None:
    transformers = import_module("transformers")
    kind = getattr(transformers, name)
    torch.manual_seed(0)
    config = kind.config_class(vocab_size=tokenizer.get_vocab_size(), **shape)
    model = kind(config).eval()
    with torch.no_grad():
        for part in model.modules():
            for tensor in part.parameters(recurse=False):
                _draw(tensor, isinstance(part, torch.nn.Embedding))
    model.save_pretrained(folder)
    tokenizer.add_special_tokens([AddedToken(each, special=True) for each in names.values()])
    tokenizer.save(str(folder / "tokenizer.json"))
    said: dict[str, Any] = {
        **names,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 224,
    }
    types = ["token_type_ids"] if hasattr(config, "type_vocab_size") else []
    said |= {"model_input_names": ["input_ids", *types, "attention_mask"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(said, indent=1) + "\n")


def _draw(tensor: torch.Tensor, is_embedding: bool) -> None:
    """Draw weights under which each token differs, and none of the biases is zero."""
    if is_embedding:
        tensor.normal_()
    elif tensor.ndim > 1:
        tensor.normal_(std=0.7 / tensor.shape[1] ** 0.5)
    else:
        tensor += 0.1 * torch.randn_like(tensor)


def main(folder: str) -> None:
    """Write all kinds into a folder."""
    for name, write in KINDS.items():
        place = Path(folder) / name
        place.mkdir(parents=True, exist_ok=True)
        write(place)


if __name__ == "__main__":
    main(sys.argv[1])
