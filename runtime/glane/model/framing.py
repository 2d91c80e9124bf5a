"""What a checkpoint puts around a text, and which tokens it fills, pads and leaves out with."""

from __future__ import annotations

import re
import string
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from glane.errors import CheckpointError
from glane.model.checkpoint import Checkpoint
from glane.types import Ids

Role = Literal["query", "document"]


class Frame(NamedTuple):
    """What a role puts around a text, and how much of it is kept.

    Attributes:
        before: Ids of the markers ahead of the text.
        after: Ids of the markers behind it.
        prompt: Text ahead of the text, tokenized with it.
        suffix: Text behind the text, tokenized with it.
        strip: Whether white space around prompt and text is dropped.
        lower: Whether prompt and text are put into lower case.
        room: Tokens of prompt, text and suffix that are kept at most, at least 1.
    """

    before: list[int]
    after: list[int]
    prompt: str
    suffix: str
    strip: bool
    lower: bool
    room: int

    @property
    def length(self) -> int:
        """Tokens that a text is cut at, markers included."""
        return len(self.before) + self.room + len(self.after)

    def whole(self, text: str) -> str:
        """Return a text with what is tokenized with it."""
        text = self.prompt + text
        text = text.strip() if self.strip else text
        return (text.lower() if self.lower else text) + self.suffix

    def within(self, text: str, places: Ids) -> Ids:
        """Return where in a text those tokens lie that `whole` was made into.

        Args:
            text: What `whole` was given.
            places: Shape (n_tokens, 2), of each token in what `whole` returned.

        Returns:
            The same shape; -1 and -1 of a token of prompt or suffix.
        """
        given = self.prompt + text
        first = len(given) - len(given.lstrip()) if self.strip else 0
        kept = given.strip() if self.strip else given
        origins = np.arange(len(kept)) + first - len(self.prompt)
        if self.lower:
            origins = np.repeat(origins, [len(character.lower()) for character in kept])
        start = int(np.searchsorted(origins, 0))  # of the text in the whole
        ends = np.concatenate([origins, [len(text)]])
        stops = np.minimum(places[:, 1], len(origins))
        found = np.stack([ends[places[:, 0].clip(start, len(origins))], ends[stops - 1] + 1], 1)
        found[(places[:, 1] <= start) | (places[:, 0] >= len(origins))] = -1
        return found


def plain_tokenizer(content: bytes) -> Tokenizer:
    """Return a tokenizer that neither cuts nor pads.

    Args:
        content: Of `tokenizer.json`, in UTF-8.

    Raises:
        CheckpointError: If this is not a tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # tokenizers raises bare Exception; nothing else can be named
        raise CheckpointError(f"tokenizer.json is not a tokenizer: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def frame(plain: Tokenizer, checkpoint: Checkpoint, role: Role) -> Frame:
    """Return what goes around a text in a role.

    The tokenizer's own markers stay where they are, and a marker of the checkpoint comes behind
    the first of them. A query of an inference-free model has none: its terms are its tokens.

    Args:
        plain: Without truncation and padding, with its own template.
        checkpoint: Prefixes, prompts and lengths.
        role: Which of them.

    Raises:
        CheckpointError: If a length leaves no room for text.
    """
    is_query = role == "query"
    prefix = checkpoint.query_prefix if is_query else checkpoint.document_prefix
    prompt = checkpoint.query_prompt if is_query else checkpoint.document_prompt
    length = checkpoint.query_length if is_query else checkpoint.document_length
    before, after = _own_markers(plain)
    if is_query and checkpoint.inference_free:
        before, after = [], []
    marker = _marker(plain, prefix)
    if marker is None:
        prompt = prefix + prompt
    else:
        before = [*before[:1], marker, *before[1:]]
    n_around = len(before) + len(after) + _n_tokens(plain, prompt)
    if length <= n_around:
        raise CheckpointError(
            f"a length of {length} tokens leaves no room beside the {n_around} of markers "
            "and prompt"
        )
    room = length - len(before) - len(after)
    return Frame(before, after, prompt, checkpoint.suffix, checkpoint.strip, checkpoint.lower, room)


def pad_id(plain: Tokenizer, name: str) -> int:
    """Return the id of the token that pads: the named one, or the one called pad, or 0.

    Raises:
        CheckpointError: If the vocabulary lacks the named one.
    """
    if name:
        return _known(plain, name)
    found = _called(plain, "pad")
    return 0 if found is None else found


def mask_id(plain: Tokenizer, name: str) -> int:
    """Return the id of the token that expansion fills with: the named one, or the one called mask.

    Raises:
        CheckpointError: If the vocabulary has no such token.
    """
    found = _known(plain, name) if name else _called(plain, "mask")
    if found is None:
        raise CheckpointError(
            "tokenizer.json has no token called mask, as in '[MASK]' or '<mask>', to expand "
            "queries with; name one in `mask_token`"
        )
    return found


def skipped_ids(plain: Tokenizer, checkpoint: Checkpoint) -> npt.NDArray[np.int64]:
    """Return the ids of the tokens that are left out of a document's vectors.

    Of punctuation, what the vocabulary lacks is not mapped to the unknown token.

    Raises:
        CheckpointError: If the vocabulary lacks a token of `skipped_tokens`.
    """
    marks = string.punctuation if checkpoint.skip_punctuation else ""
    ids = [plain.token_to_id(character) for character in marks]
    ids += [_known(plain, name) for name in checkpoint.skipped_tokens]
    return np.array([id for id in ids if id is not None], np.int64)


def _own_markers(plain: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the markers that the tokenizer's template puts before and after a text."""
    probe = plain.encode("a")
    content = [i for i, special in enumerate(probe.special_tokens_mask) if not special]
    if not content:
        raise CheckpointError("tokenizer.json has no token for the letter 'a', not even unknown")
    return list(probe.ids[: content[0]]), list(probe.ids[content[-1] + 1 :])


def _marker(plain: Tokenizer, prefix: str) -> int | None:
    """Return the id of a prefix that is one token of the vocabulary, or is but for white space."""
    for name in (prefix, prefix.strip()):
        id = plain.token_to_id(name) if name else None
        if id is not None:
            return int(id)
    return None


def _n_tokens(plain: Tokenizer, prompt: str) -> int:
    return len(plain.encode(prompt, add_special_tokens=False).ids) if prompt else 0


def _known(plain: Tokenizer, name: str) -> int:
    id = plain.token_to_id(name)
    if id is None:
        raise CheckpointError(f"tokenizer.json has no token {name!r}, which glane.json names")
    return int(id)


def _called(plain: Tokenizer, word: str) -> int | None:
    """Return the id of the token that has this word in brackets, added tokens first."""
    added = plain.get_added_tokens_decoder()
    names = [token.content for _, token in sorted(added.items())]
    usual = [f"[{word.upper()}]", f"<{word}>", f"<|{word}|>"]
    signed = [name for name in names if re.fullmatch(rf"\W+{word}\W+", name, re.IGNORECASE)]
    ids = [plain.token_to_id(name) for name in (*usual, *signed)]
    return next((int(id) for id in ids if id is not None), None)
