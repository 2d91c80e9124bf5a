"""Tiny checkpoints with random weights; without torch or onnx this folder is skipped."""

import os
import runpy
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MISSING = [name for name in ("torch", "transformers", "onnx") if find_spec(name) is None]
if MISSING and os.environ.get("GLANE_REQUIRE_TORCH") == "1":
    raise ModuleNotFoundError(f"GLANE_REQUIRE_TORCH is set, but {MISSING} are not installed")
collect_ignore_glob = ["test_*.py"] if MISSING else []

FIXTURES = Path(__file__).parents[1] / "fixtures"


def pytest_report_header() -> str | None:
    return f"tests/export is skipped: {MISSING} are not installed" if MISSING else None


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


def bert(seed: int = 1, n_positions: int = 48) -> "PreTrainedModel":
    """Return a small encoder of random weights that reads so many tokens."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=320,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=n_positions,
        initializer_range=0.3,
    )
    return BertModel(config, add_pooling_layer=False)


def modernbert() -> "PreTrainedModel":
    """No token types, attention to neighbours in two of three layers, weights in bf16."""
    import torch
    from transformers import ModernBertConfig, ModernBertModel

    torch.manual_seed(2)
    config = ModernBertConfig(
        vocab_size=320,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
        local_attention=8,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
    )
    model = ModernBertModel(config)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    return model


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Write a checkpoint: by default BERT, queries of 12 tokens and documents of 24."""
    from glane.model.checkpoint import Checkpoint
    from glane.model.preparation import TextPreparer
    from glane_trainer.colbert import ColBERT
    from glane_trainer.projection import random_projection

    def make(name: str = "checkpoint", kind: str = "bert", **rules: bool) -> Path:
        tokenizer_json = (FIXTURES / "colbert" / "tokenizer.json").read_text()
        rules_and_sizes = Checkpoint(dim=8, query_length=12, document_length=24, **rules)  # type: ignore[arg-type] # no field but flags is given
        preparer = TextPreparer(rules_and_sizes, tokenizer_json)
        encoder = bert() if kind == "bert" else modernbert()
        ColBERT(encoder, random_projection(16, 8, seed=0), preparer).save(tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def checkpoint(make_checkpoint: Callable[..., Path]) -> Path:
    """A BERT-like checkpoint."""
    return make_checkpoint()


@pytest.fixture(params=["splade", "splade-inference-free", "sparse-embed"])
def sparse_checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The checkpoint that a fixture of this name was exported from."""
    made = runpy.run_path(str(FIXTURES.parent / "make_fixtures.py"))
    made["CHECKPOINTS"][request.param](tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A random encoder that reads as many tokens as the demo asks for."""
    folder = tmp_path / "base"
    bert(seed=3, n_positions=512).save_pretrained(folder)
    shutil.copyfile(FIXTURES / "colbert" / "tokenizer.json", folder / "tokenizer.json")
    return folder
