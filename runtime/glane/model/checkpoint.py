"""The checkpoint's schema: one dataclass whose fields are `glane.json`, read by every part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from glane.errors import CheckpointError
from glane.model.schema import FORMAT_VERSION, Schema

Kind = Literal["colbert", "splade", "sparse-embed"]
Pooling = Literal["max", "sum"]
Activation = Literal["relu", "log1p_relu"]

OF_COLBERT: dict[str, object] = {
    "query_expansion": False,
    "expansion_length": 0,
    "skip_punctuation": False,
    "skipped_tokens": [],
    "skip_in_queries": False,
    "projection_layers": [],
}
OF_SPLADE: dict[str, object] = {"inference_free": False, "pooling": "max", "activation": "relu"}
"""Fields of one kind alone, and what they are in the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Schema):
    """Everything besides the weights and the tokenizer that changes a vector.

    Attributes:
        format_version: Version of this schema.
        kind: Which model this is.
        dim: Width of a token vector (colbert) or of a term's embedding (sparse-embed); 0 where
            there is none (splade).
        query_terms: Terms of highest weight that a query keeps at most; 0 for colbert, which has
            no terms.
        document_terms: Terms that a document keeps at most, likewise.
        inference_free: Whether a query's terms are its own tokens, weighed by a table, without a
            model call (splade alone).
        query_length: Tokens a query is cut at, markers included; expansion fills up to it.
        document_length: Tokens a document is cut at, markers included.
        query_prefix: Put before a query: the name of one token of the vocabulary, which is put
            behind the tokenizer's own first marker, or text, as `query_prompt`.
        document_prefix: Put before a document, likewise.
        query_expansion: Whether queries are filled up to `query_length` with mask tokens, which
            then count in the score (Khattab and Zaharia 2020, "query augmentation").
        attend_to_expansion: Whether other tokens attend to those mask tokens.
        skip_punctuation: Whether a document's punctuation tokens are left out of its vectors.
        base: Name or folder of the model the training began with, for the record.
        query_prompt: Text put before a query's text and tokenized with it as one.
        document_prompt: Text put before a document's text, likewise.
        suffix: Text put behind every text, tokenized with it, and cut with it.
        strip: Whether white space around a text, its prompt included, is dropped.
        lower: Whether a text and its prompt are put into lower case before the tokenizer sees them.
        expansion_length: Tokens that expansion fills a query up to, at most `query_length`; 0 for
            `query_length`.
        skipped_tokens: Names of further tokens that are left out of a document's vectors.
        skip_in_queries: Whether what is left out of documents is left out of queries too.
        mask_token: Name of the token that expansion fills with; empty for the one that is called
            mask, as in `[MASK]`.
        pad_token: Name of the token that pads a batch; empty for the one that is called pad, or
            number 0.
        projection_layers: How a token's vector comes from the encoder's, one entry a layer: the
            name of its activation, and " residual" behind it where the layer's input is added to
            its output; empty for one linear layer without bias, or none (colbert alone).
        pooling: How a term's weight comes from its logits at all tokens (splade alone).
        activation: What is done with a logit before log(1 + x): ReLU, or log(1 + ReLU(x))
            (splade alone).
    """

    file_name = "glane.json"

    format_version: int = FORMAT_VERSION
    kind: Kind = "colbert"
    dim: int
    query_terms: int = 0
    document_terms: int = 0
    inference_free: bool = False
    query_length: int = 32
    document_length: int = 300
    query_prefix: str = ""
    document_prefix: str = ""
    query_expansion: bool = False
    attend_to_expansion: bool = False
    skip_punctuation: bool = False
    base: str = ""
    query_prompt: str = ""
    document_prompt: str = ""
    suffix: str = ""
    strip: bool = False
    lower: bool = False
    expansion_length: int = 0
    skipped_tokens: list[str] = field(default_factory=list)
    skip_in_queries: bool = False
    mask_token: str = ""
    pad_token: str = ""
    projection_layers: list[str] = field(default_factory=list)
    pooling: Pooling = "max"
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        """Refuse what does not fit the kind of model.

        Raises:
            CheckpointError: The message names the field.
        """
        has_vectors, has_terms = self.kind != "splade", self.kind != "colbert"
        for name, value, wanted in (
            ("dim", self.dim, has_vectors),
            ("query_terms", self.query_terms, has_terms),
            ("document_terms", self.document_terms, has_terms),
        ):
            if (value >= 1) != wanted or value < 0:
                expected = "at least 1" if wanted else "0"
                raise CheckpointError(f"`{name}` of a {self.kind} must be {expected}, got {value}")
        self._refuse_elsewhere("colbert", OF_COLBERT)
        self._refuse_elsewhere("splade", OF_SPLADE)
        if not 0 <= self.expansion_length <= self.query_length:
            raise CheckpointError(
                f"`expansion_length` must be from 0 to query_length, {self.query_length}, got "
                f"{self.expansion_length}"
            )

    def _refuse_elsewhere(self, kind: Kind, names: dict[str, object]) -> None:
        """Refuse fields that say something, and are for another kind of model alone."""
        for name, silent in names.items():
            if self.kind != kind and getattr(self, name) != silent:
                raise CheckpointError(f"`{name}` is for {kind} alone, not {self.kind}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo(Schema):
    """What the export decided: `model.json`, beside `model.onnx`.

    Attributes:
        format_version: Version of this schema.
        precision: Precision of the weights.
        quantization: How they were quantized, in words; "none" for fp32.
        batch_dependent: Whether a text's vector changes with the texts encoded beside it. The
            runtime then encodes one text at a time.
        batch_effect: Largest distance, 1 - cosine, measured between a token vector encoded alone
            and in a batch; in [0, 2].
        opset: ONNX operator set of the graph.
        checkpoint: Fingerprint of the checkpoint that was exported.
    """

    file_name = "model.json"

    format_version: int = FORMAT_VERSION
    precision: Literal["fp32", "fp16", "int8"]
    quantization: str
    batch_dependent: bool
    batch_effect: float
    opset: int
    checkpoint: str


QUERY_WEIGHTS = "query_weights.npy"
"""Of an inference-free model: float32, shape (n_vocabulary,), at least 0, the weight of each token
of the vocabulary in a query."""

DATA = ".data"
"""Behind the name of a graph, that of the file of its weights, where they are not inside it."""

MODEL_FILES = ("glane.json", "tokenizer.json", "model.onnx")
CHECKPOINT_FILES = ("glane.json", "tokenizer.json", "model.safetensors")


def fingerprint(folder: str | Path, files: tuple[str, ...] = MODEL_FILES) -> str:
    """Return the sha256, in hex, over the files that decide a model's vectors.

    Args:
        folder: An exported model, or a checkpoint with `files=CHECKPOINT_FILES`.
        files: Names, in order; name, size and content of each enter the hash, those of
            `QUERY_WEIGHTS` where it exists, and the hash of weights beside a graph.

    Raises:
        CheckpointError: If one is missing.
    """
    digest = hashlib.sha256()
    table = (QUERY_WEIGHTS,) if (Path(folder) / QUERY_WEIGHTS).is_file() else ()
    for name in (*files, *table):
        path = Path(folder) / name
        if not path.is_file():
            raise CheckpointError(f"{str(folder)!r} has no {name}; is it an exported model?")
        digest.update(file_head(name, path.stat().st_size))
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if (path.with_name(f"{name}{DATA}")).is_file():
            digest.update(_digest(path.with_name(f"{name}{DATA}")))
    return digest.hexdigest()


def _digest(path: Path) -> bytes:
    """Return the sha256 of a file's name, size and content."""
    digest = hashlib.sha256(file_head(path.name, path.stat().st_size))
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


def file_head(name: str, n_bytes: int) -> bytes:
    """Return what enters a fingerprint ahead of a file's content."""
    return f"{name} {n_bytes}\n".encode()
