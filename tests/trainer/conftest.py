"""Tiny models with random weights; without torch this folder is skipped."""

import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import BertConfig, ModernBertConfig

    from glane_trainer import Example, TrainingData

MISSING = [name for name in ("torch", "transformers") if find_spec(name) is None]
if MISSING and os.environ.get("GLANE_REQUIRE_TORCH") == "1":
    raise ModuleNotFoundError(f"GLANE_REQUIRE_TORCH is set, but {MISSING} are not installed")
collect_ignore_glob = ["test_*.py"] if MISSING else []

SUBJECTS = [
    ("plants eat", "light plants"),
    ("rivers run", "to the sea"),
    ("granite", "granite is hard"),
    ("tea", "tea grows on hills"),
    ("birds", "birds sing at dawn"),
    ("snow", "snow falls in winter"),
    ("bread", "bread needs yeast"),
    ("iron", "iron rusts"),
    ("bees", "bees make honey"),
    ("stars", "stars burn gas"),
]

WORDS = " ".join(f"the {query} {document}" for query, document in SUBJECTS).split()


def pytest_report_header() -> str | None:
    return f"tests/trainer is skipped: {MISSING} are not installed" if MISSING else None


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny models lose more by waiting for other threads than they gain."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def nothing_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of something that takes long is not told, however busy the machine is."""
    from glane_trainer import telling

    monkeypatch.setattr(telling, "DELAY", 1e6)


@pytest.fixture(scope="session")
def tokenizer_json() -> str:
    """A WordPiece tokenizer with truncation and fixed padding baked in, as some bases have."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    entries = [*specials, *dict.fromkeys(WORDS), *(f"##{c}" for c in "abc"), ",", "."]
    vocabulary = {token: id for id, token in enumerate(entries)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(specials)
    tokenizer.enable_truncation(6)
    tokenizer.enable_padding(length=6)
    return tokenizer.to_str()


@pytest.fixture(scope="session")
def bert_config() -> "BertConfig":
    from transformers import BertConfig

    return BertConfig(
        vocab_size=64,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=320,
        initializer_range=0.5,
    )


@pytest.fixture(scope="session")
def modernbert_config() -> "ModernBertConfig":
    from transformers import ModernBertConfig

    return ModernBertConfig(
        vocab_size=64,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=320,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
    )


@pytest.fixture(scope="session")
def bert(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_json: str, bert_config: "BertConfig"
) -> Path:
    """A folder with a BERT: only config.json, model.safetensors and tokenizer.json."""
    import torch
    from transformers import BertModel

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("bert")
    BertModel(bert_config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer_json)
    return folder


@pytest.fixture(scope="session")
def modernbert(
    tmp_path_factory: pytest.TempPathFactory,
    tokenizer_json: str,
    modernbert_config: "ModernBertConfig",
) -> Path:
    """A folder with a ModernBERT: no token types, and weights in bf16."""
    import torch
    from transformers import ModernBertModel

    torch.manual_seed(2)
    folder = tmp_path_factory.mktemp("modernbert")
    model = ModernBertModel(modernbert_config)
    torch.nn.Module.to(model, torch.bfloat16)  # the method itself is wrapped, without its types
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer_json)
    return folder


@pytest.fixture(scope="session")
def bert_mlm(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_json: str, bert_config: "BertConfig"
) -> Path:
    """A folder with a whole masked language model."""
    import torch
    from transformers import BertForMaskedLM

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("bert-mlm")
    model = BertForMaskedLM(bert_config)
    torch.nn.init.constant_(model.cls.predictions.bias, -1.0)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer_json)
    return folder


@pytest.fixture(scope="session")
def modernbert_mlm(
    tmp_path_factory: pytest.TempPathFactory,
    tokenizer_json: str,
    modernbert_config: "ModernBertConfig",
) -> Path:
    """A folder with another, whose encoder, transform and decoder have other names."""
    import torch
    from transformers import ModernBertForMaskedLM

    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("modernbert-mlm")
    ModernBertForMaskedLM(modernbert_config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer_json)
    return folder


@pytest.fixture(params=["bert", "bert_mlm", "modernbert_mlm"])
def term_base(request: pytest.FixtureRequest) -> Path:
    """Each kind of base of the models with terms: an encoder alone, and masked models."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture(params=["bert", "modernbert"])
def base(request: pytest.FixtureRequest) -> Path:
    """Each kind of base in turn."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture
def examples() -> "list[Example]":
    """Two queries on each of ten subjects, the next subject being the negative."""
    from glane_trainer import Example

    turned = [*SUBJECTS[1:], SUBJECTS[0]]
    return [
        Example(query, positive, (negative,))
        for (subject, positive), (_, negative) in zip(SUBJECTS, turned, strict=True)
        for query in (subject, f"the {subject}")
    ]


@pytest.fixture
def triples(tmp_path: Path) -> Callable[..., Path]:
    """Write JSON lines: of the objects given, or else of ten subjects."""

    def write(*records: object) -> Path:
        rows = records or [
            {"anchor": query, "positive": positive, "negative": SUBJECTS[number - 1][1]}
            for number, (subject, positive) in enumerate(SUBJECTS)
            for query in (subject, f"the {subject}")
        ]
        path = tmp_path / "triples.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def data(triples: Callable[..., Path]) -> "TrainingData":
    """The ten subjects, a fifth of their queries held out."""
    from glane_trainer import read_data

    return read_data(triples(), holdout=0.2)
