"""A graph that somebody else made, checked, and brought into the form of a traced encoder."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto

from glane.errors import CheckpointError
from glane.model.preparation import Batch
from glane.model.session import load_session, run
from glane_export.constants import all_nodes
from glane_export.onnx_files import opset_of, read_onnx, write_onnx
from glane_export.rewiring import (
    IDS,
    MASK,
    POSITIONS,
    TYPES,
    inputs_of,
    known_inputs,
    rewired,
)
from glane_export.unfusing import unfuse
from glane_trainer.model import Model

VECTORS = "token_vectors"
OUTPUTS = (VECTORS, "last_hidden_state", "token_embeddings", "hidden_states", "sequence_output")
"""What graphs call a vector for each token, best first; one of another name must be alone."""

INTEGERS = (TensorProto.INT64, TensorProto.INT32)
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
TAKEN = {IDS: INTEGERS, MASK: (*INTEGERS, *FLOATS, TensorProto.BOOL)}

LEAST_OPSET = 13
"""From here to `USUAL_OPSET`, nothing that a graph says has another meaning."""

IN_INTEGERS = frozenset(
    {
        *("MatMulInteger", "DynamicQuantizeLinear", "QLinearMatMul", "MatMulNBits", "QAttention"),
        *("DequantizeLinear", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"),
    }
)

LENGTHS = ("a", "a river runs to the sea, and the snow to the river")


@dataclass(frozen=True, slots=True)
class Given:
    """A ready graph that fits a model.

    Attributes:
        path: Its file.
        output: The output that is taken.
        ending: Whether that is the encoder's "hidden" states, or the "vectors" of a ColBERT.
        half: Whether its weights are in fp16.
        one_at_a_time: Whether it takes a single text.
        activation: The model's own, as `config.json` calls it.
        changes: What is taken apart of it, in words.
    """

    path: Path
    output: str
    ending: Literal["hidden", "vectors"]
    half: bool
    one_at_a_time: bool
    activation: str
    changes: tuple[str, ...]

    def encoder(self) -> onnx.ModelProto:
        """Return the graph from `input_ids` and `attention_mask`, int64, to `self.ending`."""
        graph = read_onnx(self.path)
        unfuse(graph.graph, self.activation)
        return rewired(graph, self.output, self.ending)


def look_at(path: Path, model: Model[Any]) -> Given:
    """Check a graph's names, types and shapes, and run it on a few texts.

    Args:
        path: An ONNX file, of any maker.
        model: The checkpoint that it is said to be the encoder of.

    Raises:
        CheckpointError: If it cannot take the place of the model's encoder; the message says why.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{str(path)!r} is not a file")
    where = f"the graph {str(path)!r}"
    try:
        graph = read_onnx(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    _check_operators(graph, where)
    _check_inputs(graph, where)
    output = _chosen_output(graph, where)
    _check_types(graph, where)
    activation = str(getattr(model.encoder.config, "hidden_act", ""))
    changes = unfuse(graph.graph, activation)
    half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in graph.graph.initializer)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "given.onnx"
        write_onnx(rewired(graph, output, "hidden"), file)
        found, one_at_a_time = _tried(file, model, where)
    ending = _ending(found, output, model, where)
    return Given(path, output, ending, half, one_at_a_time, activation, tuple(changes))


def _check_operators(graph: onnx.ModelProto, where: str) -> None:
    version = opset_of(graph)
    if version < LEAST_OPSET:
        raise CheckpointError(
            f"{where} is of opset {version}; export it with opset {LEAST_OPSET} or newer"
        )
    integers = sorted({node.op_type for node in all_nodes(graph.graph)} & IN_INTEGERS)
    if integers:
        raise CheckpointError(
            f"{where} is quantized already ({integers[0]}); pass the one it was made of, which "
            "`--quantize int8` quantizes"
        )


def _check_inputs(graph: onnx.ModelProto, where: str) -> None:
    asked = inputs_of(graph)
    found = known_inputs(graph)
    if any(role not in found for role in (IDS, MASK)) or len(found) != len(asked):
        raise CheckpointError(
            f"{where} asks for {asked}; expected {IDS} and {MASK}, and at most {TYPES} and "
            f"{POSITIONS}"
        )


def _chosen_output(graph: onnx.ModelProto, where: str) -> str:
    """Return the name of the output that has a vector for each token."""
    ranks = {value.name: _rank(value) for value in graph.graph.output}
    known = [name for name in OUTPUTS if name in ranks]
    others = [name for name, rank in ranks.items() if rank == 3 and "logits" not in name]
    if known:
        return str(known[0])
    if len(others) != 1:
        raise CheckpointError(
            f"{where} gives {list(ranks)}; expected last_hidden_state, the encoder's output, or "
            f"{VECTORS}, of shape (n, length, width)"
        )
    name = str(others[0])
    return name


def _check_types(graph: onnx.ModelProto, where: str) -> None:
    values = {value.name: value for value in graph.graph.input}
    for role, name in known_inputs(graph).items():
        kind = values[name].type.tensor_type.elem_type
        allowed = TAKEN.get(role, INTEGERS)
        if kind not in allowed or _rank(values[name]) not in (2, None):
            wanted = " or ".join(TensorProto.DataType.Name(one).lower() for one in allowed)
            given = TensorProto.DataType.Name(kind).lower()
            raise CheckpointError(
                f"{where} takes {name} as {given} with {_rank(values[name])} axes; expected "
                f"{wanted} of shape (n, length)"
            )


def _rank(value: onnx.ValueInfoProto) -> int | None:
    tensor = value.type.tensor_type
    return len(tensor.shape.dim) if tensor.HasField("shape") else None


def _tried(file: Path, model: Model[Any], where: str) -> tuple[np.ndarray[Any, Any], bool]:
    """Return what a graph gives for a text, and whether it takes one text at a time alone.

    Raises:
        CheckpointError: If it does not take texts of different lengths.
    """
    session = load_session(file, 1)
    preparer = model.preparer

    def encoded(*texts: str) -> tuple[Batch, np.ndarray[Any, Any]]:
        batch = preparer.encode(list(texts), "document")
        return batch, run(session, batch, name=where)[0]

    try:
        found = [encoded(text) for text in LENGTHS]
    except CheckpointError as error:
        raise CheckpointError(f"{error}; export it with axes for any length") from None
    for batch, vectors in found:
        if vectors.shape[:2] != batch.input_ids.shape:
            raise CheckpointError(
                f"{where} gives an output of shape {vectors.shape} for ids of shape "
                f"{batch.input_ids.shape}; expected a vector for each token"
            )
    try:
        batch, vectors = encoded(*LENGTHS)
        one_at_a_time = vectors.shape[:2] != batch.input_ids.shape
    except CheckpointError:
        one_at_a_time = True
    return found[-1][1], one_at_a_time


def _ending(
    vectors: np.ndarray[Any, Any], output: str, model: Model[Any], where: str
) -> Literal["hidden", "vectors"]:
    """Return what the output is, by its name, its width and the length of its vectors."""
    width, hidden_size = vectors.shape[2], int(model.encoder.config.hidden_size)
    checkpoint = model.checkpoint
    is_unit = bool(np.allclose(np.linalg.norm(vectors[0], axis=1), 1, atol=1e-2))
    if checkpoint.kind == "colbert" and width == checkpoint.dim and (output == VECTORS or is_unit):
        return "vectors"
    if width == hidden_size:
        return "hidden"
    ends = f", or {VECTORS}, {checkpoint.dim} wide" if checkpoint.kind == "colbert" else ""
    raise CheckpointError(
        f"{where} gives vectors {width} wide; expected the encoder's, {hidden_size} wide{ends}"
    )
