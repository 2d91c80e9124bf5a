"""A folder's tokenizer, as its owner's library makes it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers.normalizers import Lowercase, Sequence
from transformers import AutoTokenizer

from glane.errors import CheckpointError
from glane.model.framing import plain_tokenizer
from glane.model.schema import read_small
from glane_trainer.bases.json_files import read_record
from glane_trainer.quiet import Quiet

UNBOUNDED = 1 << 20
"""Tokens that are read at most where nothing says how many."""


class OwnTokenizer(NamedTuple):
    """A tokenizer and what it calls its special tokens.

    Attributes:
        tokenizer: Without truncation and padding.
        mask: Name of the token that stands for a hidden word; empty where none is named.
        pad: Of the token that pads a batch, likewise.
        eos: Of the token that ends a text, likewise.
        unknown: Of the token for what the vocabulary lacks, likewise.
        length: Tokens that a text is cut at; None where nothing says so.
    """

    tokenizer: Tokenizer
    mask: str = ""
    pad: str = ""
    eos: str = ""
    unknown: str = ""
    length: int | None = None

    @property
    def json(self) -> str:
        """The content of `tokenizer.json`."""
        return str(self.tokenizer.to_str())

    def pad_of(self, folder: Path) -> str:
        """Return the token that an encoder's `config.json` calls padding, or else the own one.

        PyLate writes the mask token where the tokenizer has its pad token.
        """
        id = read_record(folder / "config.json").get("pad_token_id")
        if not isinstance(id, int) or id < 0 or self.tokenizer.id_to_token(id) is None:
            return self.pad
        return name_of(self.tokenizer, id)

    def has(self, name: str) -> bool:
        """Return whether the vocabulary has a token of this name."""
        return self.tokenizer.token_to_id(name) is not None

    def skipped(self, words: list[str], *, unknown_too: bool) -> list[str]:
        """Return the names of the tokens that words are.

        Args:
            words: Looked up as they are.
            unknown_too: Whether a word that the vocabulary lacks is its unknown token, as in
                PyLate; else it is no token at all, as in sentence-transformers.
        """
        found: list[str] = []
        for word in words:
            if self.has(word):
                found.append(word)
            elif unknown_too and self.unknown:
                found.append(self.unknown)
        return list(dict.fromkeys(found))


def name_of(tokenizer: Tokenizer, id: int) -> str:
    """Return a token's name as it is written; `id_to_token` gives it in the tokenizer's case."""
    added = tokenizer.get_added_tokens_decoder().get(id)
    return str(tokenizer.id_to_token(id)) if added is None else str(added.content)


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
        return OwnTokenizer(_lowering(_parsed(folder), lower=lower))
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
        _lowering(plain_tokenizer(backend.to_str().encode()), lower=lower),
        mask=str(made.mask_token or ""),
        pad=str(made.pad_token or ""),
        eos=str(made.eos_token or ""),
        unknown=str(made.unk_token or ""),
        length=length if length < UNBOUNDED else None,
    )


def _parsed(folder: Path) -> Tokenizer:
    content = read_small(folder, "tokenizer.json")
    try:
        return plain_tokenizer(content)
    except CheckpointError as error:
        raise CheckpointError(f"{str(folder / 'tokenizer.json')!r}: {error}") from None


def _lowering(tokenizer: Tokenizer, *, lower: bool) -> Tokenizer:
    """Return a tokenizer that puts texts into lower case before all else, where that is asked."""
    if lower:
        own = tokenizer.normalizer
        tokenizer.normalizer = Sequence([Lowercase(), own]) if own else Lowercase()
    return tokenizer
