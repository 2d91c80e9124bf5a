"""Text preparation: the one road from a string to token ids and masks, for trainer and runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers.processors import TemplateProcessing

from glane.errors import CheckpointError
from glane.model.checkpoint import Checkpoint
from glane.model.cutting import Cutter
from glane.model.framing import (
    Frame,
    Role,
    frame,
    mask_id,
    pad_id,
    plain_tokenizer,
    skipped_ids,
)
from glane.model.schema import read_small
from glane.model.texts import check_texts, clean
from glane.types import Ids, Mask

CHARACTERS_A_TOKEN = 8
"""Characters of a long text that are tokenized at first for each token that is kept; those of
English have 4 to 5."""

AT_ONCE = 1 << 20
"""Characters that are tokenized at once."""

__all__ = ["Batch", "Role", "TextPreparer", "Tokens", "check_texts", "clean"]


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


class Reading(NamedTuple):
    """What a model is given of one text, token by token, markers and expansion included.

    Attributes:
        ids: Shape (n_tokens,).
        names: Entries of the vocabulary.
        places: Shape (n_tokens, 2), the first character and the one behind the last; -1 and -1 of
            a token that is not of the text.
        counts: Shape (n_tokens,), true where a token vector counts.
    """

    ids: Ids
    names: list[str]
    places: Ids
    counts: Mask

    def counted(self) -> Reading:
        """Return the tokens whose vectors count."""
        kept = np.flatnonzero(self.counts)
        names = [self.names[token] for token in kept]
        return Reading(self.ids[kept], names, self.places[kept], self.counts[kept])

    def piece(self, token: int) -> tuple[int, int] | None:
        """Return where a token lies, None where it is not of the text."""
        start, stop = self.places[token].tolist()
        return None if start < 0 else (start, stop)


class TextPreparer:
    """Turns texts into token ids and masks as one checkpoint prescribes.

    The tokenizer is made here, once, and not changed again: calls from many threads are safe.

    Attributes:
        checkpoint: The rules.
        vocabulary_size: Entries of the tokenizer.
        frames: What goes around a text, by role.
        pad_id: Of the token that pads a batch.
        mask_id: Of the token that expansion fills with; None where there is none.
        skipped: Ids of tokens that are left out of documents' vectors, int64.
    """

    def __init__(
        self, checkpoint: Checkpoint, tokenizer_json: str | bytes, *, one_thread: bool = False
    ) -> None:
        """Make the tokenizer, and what goes around a query and around a document.

        Args:
            checkpoint: Prefixes, lengths and rules.
            tokenizer_json: The content of `tokenizer.json`, bytes in UTF-8; its own truncation,
                padding and template are replaced.
            one_thread: Whether texts are tokenized in the thread that asks, one after another;
                else `tokenizers` takes a thread for each CPU of the machine.

        Raises:
            CheckpointError: If this is not a tokenizer, or a length leaves no room for text.
        """
        content = tokenizer_json if isinstance(tokenizer_json, bytes) else tokenizer_json.encode()
        plain = plain_tokenizer(content)
        self.checkpoint = checkpoint
        self._content = content
        self._one_thread = one_thread
        self.vocabulary_size: int = plain.get_vocab_size()
        self.pad_id = pad_id(plain, checkpoint.pad_token)
        self.mask_id = mask_id(plain, checkpoint.mask_token) if checkpoint.query_expansion else None
        self.skipped = skipped_ids(plain, checkpoint)
        self.frames: dict[Role, Frame] = {
            "query": frame(plain, checkpoint, "query"),
            "document": frame(plain, checkpoint, "document"),
        }
        plain.post_processor = TemplateProcessing(single="$A", special_tokens=[])
        self._tokenizer = plain
        self._cutter = Cutter(plain)

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
    def parse(
        cls, checkpoint: Checkpoint, content: bytes, path: str, *, one_thread: bool = False
    ) -> TextPreparer:
        """Make the preparer from a file's content, with the same errors as `load`."""
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{path!r} is not UTF-8: {error}") from None
        try:
            return cls(checkpoint, content, one_thread=one_thread)
        except CheckpointError as error:
            raise CheckpointError(f"{path!r}: {error}") from None

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
        frame = self.frames[role]
        whole = [frame.whole(text) for text in check_texts(texts, "texts")]
        rows, n_truncated = [], 0
        for ids in self._first_ids(whole, frame.room):
            n_truncated += len(ids) > frame.room
            rows.append(np.array([*frame.before, *ids[: frame.room], *frame.after], np.int64))
        return Tokens(rows, n_truncated)

    def places(self, text: str, role: Role) -> Ids:
        """Return where each token of a text lies in it, however long it is.

        Args:
            text: Any string.
            role: Which prompt and suffix are tokenized with it; markers are not among the tokens.

        Returns:
            Shape (n_tokens, 2), the first character and the one behind the last, never falling;
            -1 and -1 of a token of prompt or suffix.
        """
        frame = self.frames[role]
        (text,) = check_texts([text], "texts")
        whole = clean(frame.whole(text))
        offsets = self._tokenizer.encode(whole, add_special_tokens=False).offsets
        found = np.array(offsets, np.int64).reshape(-1, 2)
        return frame.within(text, np.maximum.accumulate(found, axis=0))

    def read(self, text: str, role: Role) -> Reading:
        """Return what the model is given of a text, and where that lies in it.

        Args:
            text: Any string; of a long one the beginning that is read.
            role: How it is read.
        """
        frame = self.frames[role]
        batch = self.encode([text], role)
        ids = batch.input_ids[0]
        places = np.full((len(ids), 2), -1)
        own = self.places(text, role)[: frame.room]
        places[len(frame.before) : len(frame.before) + len(own)] = own
        names = [self.token(id) for id in ids.tolist()]
        return Reading(ids, names, places, batch.score_mask[0])

    def length(self, row: Ids, role: Role) -> int:
        """Return how many tokens of a row from `tokenize` the model is given."""
        return max(len(row), self._floor(role))

    def _floor(self, role: Role) -> int:
        """Return how many tokens a text is filled up to."""
        if role == "document" or not self.checkpoint.query_expansion:
            return 0
        return self.checkpoint.expansion_length or self.checkpoint.query_length

    def _first_ids(self, texts: list[str], room: int) -> Iterator[list[int]]:
        """Yield the first ids of each text, more than `room` where it has more than that.

        A long text is cut where that cannot change them; where fewer are left than are wanted,
        twice as much of it is tokenized.
        """
        n_characters = room * CHARACTERS_A_TOKEN
        beginnings = [self._cutter.cut(text, n_characters) for text in texts]
        for text, begun, found in zip(texts, beginnings, self._ids(beginnings), strict=True):
            ids, beginning, wanted = found, begun, n_characters
            while len(ids) <= room and len(beginning) < len(text):
                wanted = max(2 * wanted, len(beginning) + 1)
                beginning = self._cutter.cut(text, wanted)
                (ids,) = self._ids([beginning])
            yield ids

    def _ids(self, texts: list[str]) -> Iterator[list[int]]:
        """Yield the ids of each text, without markers."""
        encode = self._tokenizer.encode
        if self._one_thread or len(texts) == 1:
            for text in texts:
                yield encode(clean(text), add_special_tokens=False).ids
            return
        for part in _parts_of(texts):
            cleaned = [clean(text) for text in part]
            found = self._tokenizer.encode_batch_fast(cleaned, add_special_tokens=False)
            yield from [encoding.ids for encoding in found]

    def batch(self, rows: Sequence[Ids], role: Role) -> Batch:
        """Pad token ids to the longest row, queries by expansion where the checkpoint says so.

        A row without a token, of a tokenizer without markers, is padding alone, as no graph takes
        a length of 0.

        Args:
            rows: From `tokenize`, of the same role.
            role: Queries are expanded with mask tokens; documents lose what is skipped.
        """
        floor = self._floor(role)
        lengths = np.array([len(row) for row in rows], np.int64)
        width = max(int(lengths.max(initial=1)), floor)
        input_ids = np.full((len(rows), width), self.pad_id)
        places = np.arange(width)
        own, filled = places < lengths[:, None], places < floor
        if self.mask_id is not None:
            input_ids[:, filled] = self.mask_id
        if rows:
            input_ids[own] = np.concatenate(rows)
        attention = own | (filled & self.checkpoint.attend_to_expansion)
        score_mask = own | filled
        if role == "document" or self.checkpoint.skip_in_queries:
            score_mask &= ~np.isin(input_ids, self.skipped)
        return Batch(input_ids.astype(np.int64), attention.astype(np.int64), score_mask)

    def encode(self, texts: Sequence[str], role: Role) -> Batch:
        """Tokenize and pad in one call, for batches that are already formed."""
        return self.batch(self.tokenize(texts, role).rows, role)

    def token(self, id: int) -> str:
        """Return the vocabulary entry of a token id."""
        return str(self._tokenizer.id_to_token(id))


def _parts_of(texts: list[str]) -> Iterator[list[str]]:
    """Yield runs of texts of about `AT_ONCE` characters together, at least one text each."""
    start, total = 0, 0
    for row, text in enumerate(texts):
        if total + len(text) > AT_ONCE and row > start:
            yield texts[start:row]
            start, total = row, 0
        total += len(text)
    yield texts[start:]
