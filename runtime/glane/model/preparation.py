"""Text preparation: the one road from a string to token ids and masks, for trainer and runtime."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer
from tokenizers.processors import TemplateProcessing

from glane.errors import CheckpointError
from glane.model.checkpoint import Checkpoint, read_small
from glane.types import Ids, Mask

Role = Literal["query", "document"]


class Tokens(NamedTuple):
    """Token ids of n texts, ragged.

    Attributes:
        rows: One int64 array a text, markers included, cut at the role's length.
        n_truncated: How many texts were longer than that.
    """

    rows: list[Ids]
    n_truncated: int


class Batch(NamedTuple):
    """Token ids of n texts, padded to the longest.

    Attributes:
        input_ids: int64, shape (n, length).
        attention_mask: int64, shape (n, length), 1 where the model attends.
        score_mask: Boolean, shape (n, length), true where a token vector counts.
    """

    input_ids: Ids
    attention_mask: Ids
    score_mask: Mask


class TextPreparer:
    """Turns texts into token ids and masks as one checkpoint prescribes.

    The tokenizers are configured here, once, and never again: calls from many threads are safe.
    """

    def __init__(self, checkpoint: Checkpoint, tokenizer_json: str | bytes) -> None:
        """Configure a tokenizer for queries and one for documents.

        Args:
            checkpoint: Prefixes, lengths and rules.
            tokenizer_json: The content of `tokenizer.json`, bytes in UTF-8; its own truncation,
                padding and template are replaced.

        Raises:
            CheckpointError: If this is not a tokenizer, or a length leaves no room for text.
        """
        content = tokenizer_json if isinstance(tokenizer_json, bytes) else tokenizer_json.encode()
        try:
            plain = Tokenizer.from_buffer(content)
        except Exception as error:  # tokenizers raises bare Exception; nothing else can be named
            raise CheckpointError(f"tokenizer.json is not a tokenizer: {error}") from None
        plain.no_truncation()
        plain.no_padding()
        self.checkpoint = checkpoint
        self._content = content
        self.vocabulary_size: int = plain.get_vocab_size()
        self._pad_id = _special_id(plain, "[PAD]", "<pad>", default=0)
        self._skipped = _punctuation_ids(plain) if checkpoint.skip_punctuation else np.empty(0, int)
        self._tokenizers = {
            "query": _configured(plain, checkpoint.query_prefix, checkpoint.query_length),
            "document": _configured(plain, checkpoint.document_prefix, checkpoint.document_length),
        }
        self._mask_id = 0
        if checkpoint.query_expansion:
            self._mask_id = _special_id(plain, "[MASK]", "<mask>")

    @classmethod
    def load(cls, folder: str | Path) -> TextPreparer:
        """Make the preparer of a checkpoint or of an exported model.

        Raises:
            CheckpointError: If `glane.json` or `tokenizer.json` is missing or damaged.
        """
        checkpoint = Checkpoint.read(folder)
        path = Path(folder) / "tokenizer.json"
        return cls.parse(checkpoint, read_small(folder, path.name), str(path))

    @classmethod
    def parse(cls, checkpoint: Checkpoint, content: bytes, path: str) -> TextPreparer:
        """Make the preparer from a file's content, with the same errors as `load`."""
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{path!r} is not UTF-8: {error}") from None
        return cls(checkpoint, content)

    @property
    def tokenizer_json(self) -> str:
        """The content of `tokenizer.json`, to the byte."""
        return self._content.decode("utf-8")

    def tokenize(self, texts: Sequence[str], role: Role) -> Tokens:
        """Return the token ids of each text, cut at the role's length.

        Args:
            texts: Any strings; lone surrogates become U+FFFD, the empty string is markers alone.
            role: Which prefix, length and expansion apply.

        Raises:
            TypeError: If `texts` is one string, or holds something else than strings.
        """
        cleaned = [clean(text) for text in check_texts(texts, "texts")]
        encodings = self._tokenizers[role].encode_batch_fast(cleaned)
        rows = [np.array(encoding.ids, np.int64) for encoding in encodings]
        return Tokens(rows, sum(_is_truncated(encoding) for encoding in encodings))

    def batch(self, rows: Sequence[Ids], role: Role) -> Batch:
        """Pad token ids to the longest row, queries by expansion where the checkpoint says so.

        A row without a token, of a tokenizer without markers, is padding alone, as no graph takes
        a length of 0.

        Args:
            rows: From `tokenize`, of the same role.
            role: Queries are expanded with mask tokens; documents lose their punctuation.
        """
        expanded = role == "query" and self.checkpoint.query_expansion
        lengths = np.array([len(row) for row in rows], np.int64)
        width = self.checkpoint.query_length if expanded else int(lengths.max(initial=1))
        input_ids = np.full((len(rows), width), self._mask_id if expanded else self._pad_id)
        own = np.arange(width) < lengths[:, None]
        if rows:
            input_ids[own] = np.concatenate(rows)
        attention = own | (expanded and self.checkpoint.attend_to_expansion)
        score_mask = own | expanded
        if role == "document" and len(self._skipped):
            score_mask &= ~np.isin(input_ids, self._skipped)
        return Batch(input_ids.astype(np.int64), attention.astype(np.int64), score_mask)

    def encode(self, texts: Sequence[str], role: Role) -> Batch:
        """Tokenize and pad in one call, for batches that are already formed."""
        return self.batch(self.tokenize(texts, role).rows, role)

    def token(self, id: int) -> str:
        """Return the vocabulary entry of a token id."""
        return str(self._tokenizers["document"].id_to_token(id))


def clean(text: str) -> str:
    r"""Return the text with lone surrogates, which no encoding can carry, as U+FFFD.

    >>> clean("caf\u00e9 \ud83d")
    'café \ufffd'
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def check_texts(texts: Sequence[str], name: str) -> list[str]:
    """Return the texts as a list, refusing what is not a list of strings.

    Raises:
        TypeError: If one string is given where a list is due, or an element is no string.
    """
    if isinstance(texts, str):
        shown = texts if len(texts) <= 40 else texts[:40] + "..."
        raise TypeError(f"{name} must be a list of strings, got one string; pass [{shown!r}]")
    checked = list(texts)
    for position, text in enumerate(checked):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise TypeError(f"{name} must be strings, got {kind} at position {position}")
    return checked


def _configured(plain: Tokenizer, prefix: str, length: int) -> Tokenizer:
    """Return a copy whose template puts the prefix after the first marker and cuts at `length`."""
    probe = plain.encode("a")
    content = [i for i, special in enumerate(probe.special_tokens_mask) if not special]
    if not content:
        raise CheckpointError("tokenizer.json has no token for the letter 'a', not even unknown")
    before = [*probe.ids[: content[0]], *_prefix_ids(plain, prefix)]
    after = probe.ids[content[-1] + 1 :]
    n_markers = len(before) + len(after)
    if length <= n_markers:
        raise CheckpointError(
            f"a length of {length} tokens leaves no room beside {n_markers} markers"
        )
    markers = [
        {"id": name, "ids": ids, "tokens": [plain.id_to_token(id) for id in ids]}
        for name, ids in (("before", before), ("after", after))
    ]
    tokenizer = Tokenizer.from_str(plain.to_str())
    tokenizer.post_processor = TemplateProcessing(
        single=["before", "$A", "after"], special_tokens=markers
    )
    tokenizer.enable_truncation(length)
    return tokenizer


def _prefix_ids(plain: Tokenizer, prefix: str) -> list[int]:
    marker = plain.token_to_id(prefix.strip()) if prefix else None
    if marker is not None:
        return [marker]
    return list(plain.encode(prefix, add_special_tokens=False).ids) if prefix else []


def _special_id(plain: Tokenizer, *names: str, default: int | None = None) -> int:
    ids = [plain.token_to_id(name) for name in names]
    found = next((id for id in ids if id is not None), default)
    if found is None:
        raise CheckpointError(f"tokenizer.json has none of the tokens {list(names)}")
    return int(found)


def _punctuation_ids(plain: Tokenizer) -> npt.NDArray[np.int64]:
    """Return the ids of ASCII punctuation; what the vocabulary lacks is not mapped to UNK."""
    ids = [plain.token_to_id(character) for character in string.punctuation]
    return np.array([id for id in ids if id is not None], np.int64)


def _is_truncated(encoding: Encoding) -> bool:
    return len(encoding.overflowing) > 0
