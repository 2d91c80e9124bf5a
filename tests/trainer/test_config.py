"""`glane train --config`: what a file says, what wins over it, and that a file repeats a run."""

import argparse
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glane.commands.main import main
from glane.commands.program import parse
from glane.model.checkpoint import Checkpoint
from glane_trainer.command import settings_of
from glane_trainer.config import resolved
from glane_trainer.settings import DEFAULTS


def parsed(config: Path, text: str, *words: str) -> argparse.Namespace:
    config.write_text(text, encoding="utf-8")
    return parse(["train", "--config", str(config), *words])[1]


EVERY = """
kind = "splade"
base = "some base"
out = "some where"
data = "triples \\"of\\" \\u0000 \U0001f355.jsonl"
split = "dev"
holdout = 0
inference-free = false
query-expansion = true
epochs = 7
lr = 1e-4
clip = 2
loss = "kl"
query-flops = 0.5
train-document-length = 99
document-length = 111
overwrite = true
threads = 1
seed = 5
"""


def test_a_file_has_every_option(tmp_path: Path) -> None:
    found = parsed(tmp_path / "run.toml", EVERY)
    assert (found.kind, found.base, found.out) == ("splade", "some base", "some where")
    assert (found.data, found.split) == (['triples "of" \0 \U0001f355.jsonl'], "dev")
    assert (found.inference_free, found.query_expansion, found.overwrite) == (False, True, True)
    assert (found.skip_punctuation, found.resume) == (None, False)
    assert isinstance(found.holdout, float)
    settings = settings_of(found)
    assert (settings.epochs, settings.learning_rate, settings.clip) == (7, 1e-4, 2.0)
    assert (settings.objective.loss, settings.sparsity.query_weight) == ("kl", 0.5)
    assert (settings.document_length, found.document_length) == (99, 111)
    assert settings.batch_size == DEFAULTS["splade"].batch_size


def test_what_may_be_several_is_a_list_or_one(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    found = parsed(config, 'data = ["a", "b"]\nweights = [1, 2.5]')
    assert (found.data, found.weights) == (["a", "b"], [1.0, 2.5])
    found = parsed(config, 'data = ["a", "b"]', "--data", "c")
    assert found.data == ["c"]
    typed = parse(["train", "colbert", "--data", "a", "--data", "b", "--weights", "1", "3"])[1]
    text = resolved(typed, settings_of(typed), Checkpoint(dim=8))
    assert "weights = [1.0, 3.0]" in text
    assert parsed(config, text).data == ["a", "b"]


@pytest.mark.parametrize("is_last", [True, False])
def test_what_is_typed_wins_wherever_it_is_typed(tmp_path: Path, is_last: bool) -> None:
    """Also where it is what would hold by default."""
    config = tmp_path / "run.toml"
    config.write_text(EVERY)
    typed = ["colbert", "--seed", "0", "--holdout", "0.1", "--no-query-expansion", "--out", "o"]
    said = ["--config", str(config)]
    found = parse(["train", *typed, *said] if is_last else ["train", *said, *typed])[1]
    assert (found.kind, found.seed, found.holdout) == ("colbert", 0, 0.1)
    assert (found.query_expansion, found.out, found.epochs) == (False, "o", 7)


def test_one_of_two_alternatives_that_is_typed_takes_the_place_of_the_other(
    tmp_path: Path,
) -> None:
    config = tmp_path / "run.toml"
    assert parsed(config, "dev-split = 'dev'", "--holdout", "0.2").dev_split is None
    found = parsed(config, "holdout = 0.2", "--dev-split", "dev")
    assert (found.dev_split, found.holdout) == ("dev", 0.1)
    assert parsed(config, "dev-split = 'dev'").dev_split == "dev"


WRONG = [
    ("batch-sise = 3", "unknown keys in {}: ['batch-sise']; did you mean 'batch-size'?"),
    ("batch_size = 3", "unknown keys in {}: ['batch_size']; did you mean 'batch-size'?"),
    ("config = 'x'", "unknown keys in {}: ['config']"),
    ("[training]\nseed = 3", "unknown keys in {}: ['training']"),
    ("seed = '3'", "`seed` in {} must be a whole number, got '3'"),
    ("seed = 3.0", "`seed` in {} must be a whole number, got 3.0"),
    ("seed = true", "`seed` in {} must be a whole number, got True"),
    ("lr = 'fast'", "`lr` in {} must be a number, got 'fast'"),
    ("lr = false", "`lr` in {} must be a number, got False"),
    ("base = 7", "`base` in {} must be a text, got 7"),
    ("base = ['a']", "`base` in {} must be a text, got ['a']"),
    ("weights = [1, 'a']", "`weights` in {} must be a number, got 'a'"),
    ("inference-free = 'yes'", "`inference-free` in {} must be true or false, got 'yes'"),
    ("kind = 'bert'", "`kind` in {} must be one of ['colbert', 'splade', 'sparse-embed'], got"),
    ("device = 'tpu'", "`device` in {} must be one of ['auto', 'cpu', 'cuda', 'mps'], got 'tpu'"),
    ("holdout = 0.1\ndev-split = 'dev'", "{} has both `holdout` and `dev-split`; keep one"),
    ("seed = ", "{} is not TOML: "),
    ("seed = 1\nseed = 2", "{} is not TOML: "),
    ("kind = 'colbert'\nout = 'o'\nlr = 0", "--lr must be above 0, got 0.0"),
    ("kind = 'colbert'", "--out is missing"),
    ("out = 'o'", "the kind of model is missing: colbert, splade or sparse-embed"),
    ("kind = 'colbert'\nout = 'o'", "--base is missing"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_is_wrong_with_a_file_is_said_in_one_line(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = WRONG[number]
    config = tmp_path / "run.toml"
    config.write_text(text)
    assert main(["train", "--config", str(config)]) == 2
    told = capsys.readouterr().err
    assert message.format(repr(str(config))) in told
    assert told.count("\n") == 1


def test_a_file_that_cannot_be_read_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--config", str(tmp_path / "none.toml")]) == 1
    assert "none.toml' is not a file: nothing is there" in capsys.readouterr().err
    (tmp_path / "latin.toml").write_bytes(b"base = '\xe9'")
    assert main(["train", "--config", str(tmp_path / "latin.toml")]) == 2
    assert "is not TOML" in capsys.readouterr().err


TYPED = [
    ["colbert"],
    ["colbert", "--no-query-expansion", "--query-prefix", "", "--dim", "8", "--max-steps", "3"],
    ["colbert", "--query-prefix", 'a "b"\\\t\x7f\U0001f355 ', "--skip-punctuation", "--lr", "1e-9"],
    ["splade", "--inference-free", "--data", "x", "--dev-split", "dev", "--eval-steps", "5"],
    ["sparse-embed", "--projection", "random", "--freeze-layers", "0", "--contrastive-weight", "1"],
]


@pytest.mark.parametrize("words", TYPED)
def test_a_file_that_is_written_says_the_same_again(tmp_path: Path, words: list[str]) -> None:
    """All but what a call does: --overwrite, --resume and the like."""
    typed = parse(["train", *words, "--base", "b", "--out", "o", "--overwrite"])[1]
    settings = settings_of(typed)
    dim, terms = {"colbert": (8, 0), "splade": (0, 64), "sparse-embed": (8, 64)}[words[0]]
    checkpoint = Checkpoint(
        kind=words[0],  # type: ignore[arg-type]
        dim=dim,
        query_terms=terms,
        document_terms=terms,
        query_length=17,
        query_prefix=typed.query_prefix or "",
        inference_free=bool(typed.inference_free),
        skip_punctuation=bool(typed.skip_punctuation),
    )
    text = resolved(typed, settings, checkpoint)
    found = parsed(tmp_path / "run.toml", text)
    assert settings_of(found) == settings
    assert not found.overwrite
    assert resolved(found, settings, checkpoint) == text
    assert (found.query_length, typed.query_length) == (17, None)
    for name in ("kind", "base", "out", "data", "dev_split", "projection", "query_expansion"):
        assert getattr(found, name) == getattr(typed, name), name
    for name in ("query_prefix", "skip_punctuation", "inference_free"):
        assert getattr(found, name) == getattr(typed, name), name
    said = tomllib.loads(text)
    assert ("holdout" in said) == ("dev-split" not in said)
    assert "# max-steps: all of the epochs" in text or "max-steps" in said


def test_a_file_that_is_written_names_no_setting_of_another_kind() -> None:
    typed = parse(["train", "colbert", "--base", "b", "--out", "o"])[1]
    said = tomllib.loads(resolved(typed, settings_of(typed), Checkpoint(dim=8)))
    assert "query-terms" not in said
    assert "inference-free" not in said
    assert said["train-document-length"] == DEFAULTS["colbert"].document_length
    changed = replace(DEFAULTS["colbert"], freeze_layers=0)
    assert tomllib.loads(resolved(typed, changed, Checkpoint(dim=8)))["freeze-layers"] == 0


@pytest.mark.parametrize("kind", ["colbert", "splade", "sparse-embed"])
def test_the_file_of_a_checkpoint_repeats_the_training(
    kind: str, bert: Path, triples: Callable[..., Path], tmp_path: Path
) -> None:
    def weights(name: str) -> dict[str, Any]:
        files = ("model.safetensors", "glane.json")
        return {file: (tmp_path / name / file).read_bytes() for file in files}

    words: list[str] = ["train", kind, "--base", str(bert), "--data", str(triples())]
    words += ["--epochs", "2", "--threads", "1", "--batch-size", "4", "--lr", "1e-3"]
    words += [] if kind == "splade" else ["--dim", "8"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    config = str(tmp_path / "one" / "run.toml")
    assert main(["train", "--config", config, "--out", str(tmp_path / "two")]) == 0
    assert weights("two") == weights("one")
    again, once = ((tmp_path / name / "run.toml").read_text() for name in ("two", "one"))
    assert again == once.replace(str(tmp_path / "one"), str(tmp_path / "two"))
    other = [*("--config", config), "--seed", "1", "--out", str(tmp_path / "other")]
    assert main(["train", *other]) == 0
    assert weights("other") != weights("one")


def test_an_untrained_model_has_its_file_as_well(bert: Path, tmp_path: Path) -> None:
    words = ["train", "colbert", "--base", str(bert), "--max-steps", "0"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    config = str(tmp_path / "one" / "run.toml")
    assert tomllib.loads(Path(config).read_text())["max-steps"] == 0
    assert main(["train", "--config", config, "--out", str(tmp_path / "two")]) == 0
    for file in ("model.safetensors", "glane.json"):
        assert (tmp_path / "two" / file).read_bytes() == (tmp_path / "one" / file).read_bytes()


@pytest.mark.parametrize(
    ("kind", "owner"),
    [
        ("colbert", "pylate-default-prompt"),
        ("colbert", "stanford-attended"),
        ("colbert", "st-vectors-expansion-min"),
        ("splade", "st-terms-table"),
        ("splade", "cherche-terms-short"),
    ],
)
def test_the_rules_of_a_finished_base_repeat_themselves(
    kind: str, owner: str, tmp_path: Path
) -> None:
    base = Path(__file__).parents[1] / "fixtures" / "owners" / owner
    words = ["train", kind, "--base", str(base), "--max-steps", "0"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    config = str(tmp_path / "one" / "run.toml")
    assert main(["train", "--config", config, "--out", str(tmp_path / "two")]) == 0
    for file in ("model.safetensors", "glane.json", "tokenizer.json"):
        assert (tmp_path / "two" / file).read_bytes() == (tmp_path / "one" / file).read_bytes()
