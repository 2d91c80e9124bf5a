"""Whether a base knows the language: what its tokenizer makes of the texts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from glane.commands.main import main
from glane.model.checkpoint import Checkpoint
from glane.model.preparation import TextPreparer
from glane_trainer.language import SAMPLE, crumbs, language_warning

ENGLISH = ["plants eat light plants", "tea grows on hills.", "birds sing at dawn"] * 5


@pytest.fixture
def preparer(tokenizer_json: str) -> TextPreparer:
    return TextPreparer(Checkpoint(dim=8), tokenizer_json)


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(ENGLISH, trainer)
    return tokenizer


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("tea grows on hills", 0.0),
        ("tea gruwz", 0.5),
        ("tea cab, cab", 0.0),
        ("茶 は 飲み物", 1.0),
    ],
)
def test_what_is_unknown_is_a_crumb(tokenizer_json: str, text: str, share: float) -> None:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    known = text.replace("cab", "the")
    assert crumbs(known, tokenizer) == share


def test_single_letters_of_longer_words_are_crumbs_and_words_of_one_letter_are_not() -> None:
    tokenizer = byte_level()
    assert crumbs("tea grows on hills", tokenizer) == 0
    assert crumbs("a b c", tokenizer) == 0, "each is a word"
    assert crumbs("qxzjq", tokenizer) == 1
    assert crumbs("شاي", tokenizer) == 1, "bytes of a letter are no more than the letter"
    assert crumbs("茶飲", tokenizer) == 0, "Han characters are words"
    assert crumbs("\ud800", tokenizer) == 0


@pytest.mark.parametrize(
    ("n_unread", "warned"), [(0, False), (SAMPLE // 4, False), (SAMPLE // 4 + 1, True)]
)
def test_a_quarter_of_the_texts_may_be_in_another_language(
    preparer: TextPreparer, n_unread: int, warned: bool
) -> None:
    texts = ["der Tee wächst"] * n_unread + ["tea grows on hills"] * (SAMPLE - n_unread)
    warning = language_warning(texts, preparer)
    assert bool(warning) == warned
    assert f"{n_unread} of {SAMPLE} documents" in warning or not warned


def test_a_part_of_many_texts_is_looked_at_and_of_none_none(preparer: TextPreparer) -> None:
    assert language_warning([], preparer) == ""
    assert "200 of 200 documents" in language_warning(["Tee wächst"] * 999, preparer)


def test_training_warns_of_a_base_that_does_not_know_the_language(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"anchor": f"Tee {n}", "positive": f"Tee wächst auf Hügel {n}"} for n in "abcdef"]
    words = ["train", "colbert", "--base", str(bert), "--data", str(triples(*rows)), "--dim", "8"]
    words += ["--holdout", "0", "--epochs", "1", "--threads", "1"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "does not know their language" in printed.err
    assert "does not know their language" in printed.out
    words[5] = str(triples())
    assert main([*words, "--out", str(tmp_path / "known")]) == 0
    assert "language" not in "".join(capsys.readouterr())
