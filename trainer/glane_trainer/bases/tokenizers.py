"""A folder's tokenizer, as its owner's library makes it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers.normalizers import Lowercase, Sequence
from transformers import AutoTokenizer

from glane.errors import CheckpointError
from glane.model.schema import read_small
from glane_trainer.bases.json_files import read_record
from glane_trainer.quiet import Quiet

UNBOUNDED = 1 << 20
"""Tokens that are read at most where nothing says how many."""


class OwnTokenizer(NamedTuple):
    """A tokenizer and what it calls its special tokens.

    Attributes:
        json: The content of `tokenizer.json`, without truncation and padding.
        mask: Name of the token that stands for a hidden word; empty where none is named.
        pad: Of the token that pads a batch, likewise.
        eos: Of the token that ends a text, likewise.
        unknown: Of the token for what the vocabulary lacks, likewise.
        length: Tokens that a text is cut at; None where nothing says so.
    """

    json: str
    mask: str = ""
    pad: str = ""
    eos: str = ""
    unknown: str = ""
    length: int | None = None

    def pad_of(self, folder: Path) -> str:
        """Return the token that an encoder's `config.json` calls padding, or else the own one.

        PyLate writes the mask token where the tokenizer has its pad token.
        """
        id = read_record(folder / "config.json").get("pad_token_id")
        known = isinstance(id, int) and id >= 0
        name = Tokenizer.from_str(self.json).id_to_token(int(id)) if known else None  # type: ignore[arg-type]
        return self.pad if name is None else str(name)

    def has(self, name: str) -> bool:
        """Return whether the vocabulary has a token of this name."""
        return Tokenizer.from_str(self.json).token_to_id(name) is not None

    def skipped(self, words: list[str], *, unknown_too: bool) -> list[str]:
        """Return the names of the tokens that words are.

        Args:
            words: Looked up as they are.
            unknown_too: Whether a word that the vocabulary lacks is its unknown token, as in
                PyLate; else it is no token at all, as in sentence-transformers.
        """
        vocabulary = Tokenizer.from_str(self.json)
        found: list[str] = []
        for word in words:
            known = vocabulary.token_to_id(word) is not None
            found += [word] if known else [self.unknown] if unknown_too and self.unknown else []
        return list(dict.fromkeys(found))


def read_tokenizer(folder: Path, *, lower: bool = False) -> OwnTokenizer:
    """Read a folder's tokenizer; `tokenizer_config.json`, where it is there, counts.

    Args:
        folder: With `tokenizer.json`, or files that transformers makes one of.
        lower: Whether texts are put into lower case before all else.

    Raises:
        CheckpointError: If there is none, or transformers cannot make one that runs without it.
    """
    plain = (folder / "tokenizer.json").is_file()
    if plain and not (folder / "tokenizer_config.json").is_file():
        return OwnTokenizer(_settled(_parsed(folder), lower=lower))
    try:
        with Quiet():
            made = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, TypeError, ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{str(folder)!r} has no tokenizer to be read: {reason}") from None
    backend = getattr(made, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise CheckpointError(
            f"{str(folder)!r}: its tokenizer, {type(made).__name__}, runs in Python alone; "
            "expected one that has a tokenizer.json"
        )
    length = int(made.model_max_length)
    return OwnTokenizer(
        _settled(Tokenizer.from_str(backend.to_str()), lower=lower),
        mask=str(made.mask_token or ""),
        pad=str(made.pad_token or ""),
        eos=str(made.eos_token or ""),
        unknown=str(made.unk_token or ""),
        length=length if length < UNBOUNDED else None,
    )


def _parsed(folder: Path) -> Tokenizer:
    content = read_small(folder, "tokenizer.json")
    try:
        return Tokenizer.from_buffer(content)
    except Exception as error:  # tokenizers raises bare Exception; nothing else can be named
        path = str(folder / "tokenizer.json")
        raise CheckpointError(f"{path!r} is not a tokenizer: {error}") from None


def _settled(tokenizer: Tokenizer, *, lower: bool) -> str:
    """Return the file of a tokenizer that neither cuts nor pads, and puts into lower case first."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if lower:
        own = tokenizer.normalizer
        tokenizer.normalizer = Sequence([Lowercase(), own]) if own else Lowercase()
    return str(tokenizer.to_str())
