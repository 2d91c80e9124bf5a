"""ONNX files of any size: one file, or, beyond what protobuf can hold, a second one of weights."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has none

from glane.model.checkpoint import DATA

LARGEST = 2_000_000_000
"""Bytes of weights that one file holds; protobuf's own limit is 2,147,483,647 of all."""

AXES_AS_INPUT = 18
"""From this version of the standard operators on, what is reduced is an input."""

LEAST = 1024
"""Bytes from which a tensor goes into the second file."""


def read_onnx(path: Path) -> onnx.ModelProto:
    """Read a graph with its weights, wherever they are.

    Raises:
        ValueError: If this is no ONNX file, or a file of weights is missing.
    """
    try:
        return onnx.load(str(path))
    except (OSError, ValueError, DecodeError, onnx.checker.ValidationError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{str(path)!r} cannot be read as ONNX: {reason}") from None


def write_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph, and its weights beside it in `<name>.data` where they are too many for one.

    Args:
        model: With its weights; where they go into a second file, they are taken out of it.
        path: The file to write, in a folder that is there.
    """
    data = path.with_name(f"{path.name}{DATA}")
    data.unlink(missing_ok=True)  # onnx would append to it
    if n_bytes(model) > LARGEST:
        onnx.save_model(
            model,
            str(path),
            save_as_external_data=True,
            location=data.name,
            size_threshold=LEAST,
        )
        data.chmod(path.stat().st_mode)  # onnx keeps it from all but its owner
    else:
        onnx.save_model(model, str(path))
    onnx.checker.check_model(str(path))


def n_bytes(model: onnx.ModelProto) -> int:
    """Return the bytes of a graph's weights."""
    return sum(tensor.ByteSize() for tensor in model.graph.initializer)


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operator set that a graph asks for."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return int(versions[0])
