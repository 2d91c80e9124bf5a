"""The checkpoint's schema: one dataclass whose fields are `glane.json`, read by every part."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from glane.errors import CheckpointError

FORMAT_VERSION = 1

Kind = Literal["colbert", "splade", "sparse-embed"]


class Schema:
    """A frozen dataclass that is a JSON file: unknown and missing keys are refused by name."""

    __slots__ = ()
    file_name: str

    def write(self, folder: str | Path) -> None:
        """Write the file into an existing folder: keys in order of the fields, one a line."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)  # type: ignore[call-overload]
        (Path(folder) / self.file_name).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read the file from a folder.

        Raises:
            CheckpointError: If the file is missing, is not JSON, has another `format_version`,
                or has unknown, missing or mistyped keys; the message names them.
        """
        return cls.parse(read_small(folder, cls.file_name), str(Path(folder) / cls.file_name))

    @classmethod
    def parse(cls, content: bytes, path: str) -> Self:
        """Make the dataclass from the file's content, with the same errors as `read`."""
        return cls.from_record(parse_json(content, path), path)

    @classmethod
    def from_record(cls, record: Any, path: str) -> Self:  # noqa: ANN401 (parsed JSON)
        """Make the dataclass from parsed JSON, with the same errors as `read`."""
        if not isinstance(record, dict):
            raise CheckpointError(f"{path!r} must hold a JSON object, got {type(record).__name__}")
        version = record.get("format_version", FORMAT_VERSION)
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{path!r} has format_version {version!r}; this version of glane reads "
                f"{FORMAT_VERSION}. Upgrade glane, or train or export again."
            )
        known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
        _refuse_unknown(record, list(known), path)
        missing = [n for n, field in known.items() if n not in record and _required(field)]
        if missing:
            raise CheckpointError(f"Missing keys in {path!r}: {missing}")
        hints = get_type_hints(cls)
        values = {name: _checked(name, value, hints[name], path) for name, value in record.items()}
        try:
            return cls(**values)
        except CheckpointError as error:
            raise CheckpointError(f"{path!r}: {error}") from None


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
        query_prefix: Put before a query's text: the name of one token of the vocabulary, or text.
        document_prefix: Put before a document's text, likewise.
        query_expansion: Whether queries are filled up to `query_length` with mask tokens, which
            then count in the score (Khattab and Zaharia 2020, "query augmentation").
        attend_to_expansion: Whether other tokens attend to those mask tokens.
        skip_punctuation: Whether a document's punctuation tokens are left out of its vectors.
        base: Name or folder of the model the training began with, for the record.
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
        if self.inference_free and self.kind != "splade":
            raise CheckpointError(f"`inference_free` is for splade alone, not {self.kind}")
        for name, value in (
            ("query_expansion", self.query_expansion),
            ("skip_punctuation", self.skip_punctuation),
        ):
            if value and has_terms:
                raise CheckpointError(f"`{name}` is for colbert alone, not {self.kind}")


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
    precision: Literal["fp32", "int8"]
    quantization: str
    batch_dependent: bool
    batch_effect: float
    opset: int
    checkpoint: str


QUERY_WEIGHTS = "query_weights.npy"
"""Of an inference-free model: float32, shape (n_vocabulary,), at least 0, the weight of each token
of the vocabulary in a query."""

MODEL_FILES = ("glane.json", "tokenizer.json", "model.onnx")
CHECKPOINT_FILES = ("glane.json", "tokenizer.json", "model.safetensors")


def fingerprint(folder: str | Path, files: tuple[str, ...] = MODEL_FILES) -> str:
    """Return the sha256, in hex, over the files that decide a model's vectors.

    Args:
        folder: An exported model, or a checkpoint with `files=CHECKPOINT_FILES`.
        files: Names, in order; name, size and content of each enter the hash, and those of
            `QUERY_WEIGHTS` where it exists.

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
    return digest.hexdigest()


def file_head(name: str, n_bytes: int) -> bytes:
    """Return what enters a fingerprint ahead of a file's content."""
    return f"{name} {n_bytes}\n".encode()


def read_small(folder: str | Path, name: str) -> bytes:
    """Return the content of a small file of a checkpoint or model.

    Raises:
        CheckpointError: If it is missing, or is not a file.
    """
    path = Path(folder) / name
    if not path.is_file():  # a named pipe would be waited for
        raise CheckpointError(f"{str(folder)!r} has no {name}")
    return path.read_bytes()


def parse_json(content: bytes, path: str) -> Any:  # noqa: ANN401 (parsed JSON)
    """Return what the content of a JSON file says.

    Raises:
        CheckpointError: If it is not JSON in UTF-8, or is nested too deeply.
    """
    try:
        return json.loads(content.decode("utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path!r} is not JSON: {error}") from None
    except RecursionError:
        raise CheckpointError(f"{path!r} is nested too deeply") from None


def _refuse_unknown(record: Mapping[str, Any], known: list[str], path: str) -> None:
    unknown = [name for name in record if name not in known]
    if not unknown:
        return
    close = [match for name in unknown for match in difflib.get_close_matches(name, known, n=1)]
    hint = f"; did you mean {', '.join(map(repr, close))}?" if close else ""
    raise CheckpointError(f"Unknown keys in {path!r}: {unknown}{hint}")


def _required(field: Any) -> bool:  # noqa: ANN401 (dataclasses.Field)
    return field.default is MISSING or field.name == "format_version"


def _checked(name: str, value: Any, hint: Any, path: str) -> Any:  # noqa: ANN401 (parsed JSON)
    if get_origin(hint) is list:
        if isinstance(value, list) and all(type(item) is str for item in value):
            return value
        expected = "a list of strings"
    elif choices := get_args(hint):
        if value in choices:
            return value
        expected = f"one of {list(choices)}"
    elif hint is float and type(value) in (int, float):
        return float(value)
    elif type(value) is hint:
        return value
    else:
        expected = hint.__name__
    raise CheckpointError(f"`{name}` in {path!r} must be {expected}, got {value!r}")
