"""Canaries: some texts, with what a model made of them where it was exported.

Whoever has the model elsewhere learns whether it gives the same there. What can differ is the CPU:
one without VNNI adds products of uint8 and int8 in 16 bits, which saturate.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glane.errors import CheckpointError, option
from glane.model.model_files import CANARY
from glane.model.preparation import Role
from glane.model.saturation import saturates
from glane.model.schema import FORMAT_VERSION, parse_json
from glane.retrievers.neural import Neural
from glane.types import Floats, Ids
from glane.vectors import SparseVectors, TermEmbeddings, TokenVectors

LEAST_COSINE = 0.999
"""Of each text. Other CPUs, whose sums have another order, stay within 1e-5 of 1; one that
saturates takes a trained model's int8 to .993, and others further."""


class Canary(NamedTuple):
    """A text, and what a model makes of it.

    Attributes:
        role: In which role.
        text: The text.
        keys: Numbers of its tokens, from 0, or its terms, rising, shape (n,).
        values: The vector of each, float32, shape (n, dim); the weight of a term, where terms have
            no vectors, with a dim of 1.
    """

    role: Role
    text: str
    keys: Ids
    values: Floats


def encoded(model: Neural[Any, Any], role: Role, texts: Sequence[str]) -> list[Canary]:
    """Return what a model makes of each text."""
    encode = model.encode_queries if role == "query" else model.encode_documents
    vectors = encode(texts)
    return [Canary(role, text, *_parts(vectors[row : row + 1])) for row, text in enumerate(texts)]


def write_canaries(canaries: Sequence[Canary], folder: Path) -> None:
    """Write `canary.json`, which `docs/model-folder.md` describes."""
    rows = [
        {
            "role": canary.role,
            "text": canary.text,
            "keys": canary.keys.tolist(),
            "shape": list(canary.values.shape),
            "values": base64.b64encode(canary.values.astype("<f4").tobytes()).decode("ascii"),
        }
        for canary in canaries
    ]
    record = {"format_version": FORMAT_VERSION, "canaries": rows}
    text = json.dumps(record, indent=1, ensure_ascii=False)
    (folder / CANARY).write_text(text + "\n", encoding="utf-8")


def verify_canaries(model: Neural[Any, Any]) -> dict[str, Any]:
    """Encode a model's canaries here, and compare.

    Returns:
        `n_texts`, 0 of a model exported by an earlier glane; `lowest_cosine` and `mean_cosine`,
        None without texts; `cpu_saturates`.

    Raises:
        CheckpointError: If a text's cosine is below `LEAST_COSINE`, or the file is damaged.
    """
    content = model.encoder.files.small.get(CANARY)
    noted = [] if content is None else _read(content, str(model.encoder.folder / CANARY))
    cosines = []
    for canary in noted:
        (found,) = encoded(model, canary.role, [canary.text])
        cosines.append(cosine(canary, found))
    lowest = min(cosines, default=None)
    if lowest is not None and not lowest >= LEAST_COSINE:
        raise CheckpointError(_different(model, lowest))
    return {
        "n_texts": len(noted),
        "lowest_cosine": lowest,
        "mean_cosine": float(np.mean(cosines)) if cosines else None,
        "cpu_saturates": saturates(),
    }


def cosine(one: Canary, other: Canary) -> float:
    """Return the cosine of two texts, each as one vector over its keys; 1 for two without any.

    Of token vectors this is the mean of their cosines, where both have as many tokens.
    """
    if one.values.shape[1] != other.values.shape[1]:
        return 0.0
    _, left, right = np.intersect1d(one.keys, other.keys, return_indices=True)
    product = float((one.values[left].astype(float) * other.values[right]).sum())
    norms = [float(np.linalg.norm(side.values.astype(float))) for side in (one, other)]
    if not any(norms):
        return 1.0
    return product / (norms[0] * norms[1]) if all(norms) else 0.0


def _different(model: Neural[Any, Any], lowest: float) -> str:
    where = f"{str(model.encoder.folder)!r} gives other vectors here than where it was exported"
    found = f"{where}: the lowest cosine of its canary texts is {lowest:.4f}, at least "
    if saturates() and model.encoder.info.precision == "int8":
        how = option("range 7bit", 'range="7bit"')
        return (
            f"{found}{LEAST_COSINE} was expected; this CPU adds products of uint8 and int8 in 16 "
            f"bits (it has no VNNI): export the model with {how}, or on such a CPU"
        )
    return f"{found}{LEAST_COSINE} was expected; export it again, on a machine of this kind"


def _parts(row: TokenVectors | SparseVectors | TermEmbeddings) -> tuple[Ids, Floats]:
    if isinstance(row, TokenVectors):
        return np.arange(len(row.values)), row.values
    terms = row.terms if isinstance(row, TermEmbeddings) else row
    values = row.embeddings if isinstance(row, TermEmbeddings) else terms.values[:, None]
    order = np.argsort(terms.indices)
    return terms.indices[order].astype(np.int64), values[order]


def _read(content: bytes, path: str) -> list[Canary]:
    record = parse_json(content, path)
    try:
        if record["format_version"] != FORMAT_VERSION:
            raise CheckpointError(f"{path!r} is of a later glane; upgrade glane")
        return [_canary(row) for row in record["canaries"]]
    except (KeyError, TypeError, ValueError) as error:
        kind = type(error).__name__
        raise CheckpointError(f"{path!r} holds no canaries ({kind}: {error})") from None


def _canary(row: dict[str, Any]) -> Canary:
    if row["role"] not in ("query", "document") or not isinstance(row["text"], str):
        raise ValueError("a role or a text is none")
    values = np.frombuffer(base64.b64decode(row["values"], validate=True), "<f4")
    keys = np.array(row["keys"], np.int64)
    values = values.reshape(row["shape"]).astype(np.float32)
    if values.ndim != 2 or keys.shape != values.shape[:1]:
        raise ValueError(f"{len(keys)} keys for values of shape {values.shape}")
    return Canary(row["role"], row["text"], keys, values)
