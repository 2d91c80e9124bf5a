"""A graph without its weights of 8 bits, which onnxruntime then maps from the graph's own file.

Mapped, they are read when they are needed, and processes that hold the same model share them;
in the graph, each process copies them (figures in `docs/service.md`). ONNX lets a tensor lie in a
file beside the graph, and nothing keeps that from being the graph itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

LEAST = 1 << 16
"""Bytes from which a tensor is mapped."""

EIGHT_BITS = (2, 3)
"""uint8 and int8, as ONNX numbers them: they may begin at any byte."""

GRAPH, INITIALIZER = 7, 5
DIMS, TYPE, NAME, RAW, PLACE, IS_OUTSIDE = 1, 2, 8, 9, 13, 14
"""Numbers of fields, of a model, of a graph and of a tensor (`onnx.proto`)."""

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""How protobuf lays a field out."""


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: Which one.
        layout: How it is laid out.
        first: Where it begins.
        start: Where its value begins.
        end: The place behind it.
    """

    number: int
    layout: int
    first: int
    start: int
    end: int


def without_weights(content: memoryview, name: str) -> bytes:
    """Return an ONNX file whose large tensors of 8 bits are said to lie where they are.

    Args:
        content: An ONNX file.
        name: What it is called in its folder.

    Returns:
        The file without them; nothing where it has none.

    Raises:
        ValueError: If the content is no message of protobuf.
    """
    parts = list(fields(content, 0, len(content)))
    graphs = [part for part in parts if part.number == GRAPH and part.layout == LENGTH]
    outside = {
        tensor: written
        for graph in graphs
        for tensor in fields(content, graph.start, graph.end)
        if tensor.number == INITIALIZER and (written := _outside(content, tensor, name))
    }
    if not outside:
        return b""
    rest = [content[part.first : part.end] for part in parts if part not in graphs]
    made = [_message(GRAPH, _replaced(content, graph, outside)) for graph in graphs]
    return b"".join([*rest, *made])


def fields(content: memoryview, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of a message that lies between two places.

    Raises:
        ValueError: If what lies there is no message.
    """
    first = start
    while first < end:
        key, start = _varint(content, first, end)
        layout, after = key & 7, start
        if layout == LENGTH:
            length, start = _varint(content, start, end)
            after = start + length
        elif layout == VARINT:
            _, after = _varint(content, start, end)
        elif layout in (EIGHT_BYTES, FOUR_BYTES):
            after = start + (8 if layout == EIGHT_BYTES else 4)
        else:
            raise ValueError(f"no layout {layout}")
        if after > end:
            raise ValueError("a field is longer than its message")
        yield Field(key >> 3, layout, first, start, after)
        first = after


def _replaced(content: memoryview, message: Field, others: Mapping[Field, bytes]) -> bytes:
    """Return a message's own content, with others in the place of some of its fields."""
    kept: list[bytes | memoryview] = []
    start = message.start
    for field, other in others.items():
        if message.start <= field.first < message.end:
            kept += [content[start : field.first], _message(field.number, other)]
            start = field.end
    return b"".join([*kept, content[start : message.end]])


def _outside(content: memoryview, tensor: Field, name: str) -> bytes:
    """Return a tensor that says where its values are; nothing for one that is not mapped."""
    if tensor.end - tensor.start < LEAST:
        return b""
    parts = list(fields(content, tensor.start, tensor.end))
    of_type = [_varint(content, part.start, part.end)[0] for part in parts if part.number == TYPE]
    raw = [part for part in parts if part.number == RAW]
    if len(raw) != 1 or not set(of_type) <= set(EIGHT_BITS):
        return b""
    said = {"location": name, "offset": raw[0].start, "length": raw[0].end - raw[0].start}
    rest = (content[part.first : part.end] for part in parts if part.number in (DIMS, TYPE, NAME))
    places = (
        _message(PLACE, _message(1, key.encode()) + _message(2, str(value).encode()))
        for key, value in said.items()
    )
    return b"".join([*rest, *places, bytes([IS_OUTSIDE << 3 | VARINT, 1])])


def _message(number: int, content: bytes) -> bytes:
    return _as_varint(number << 3 | LENGTH) + _as_varint(len(content)) + content


def _varint(content: memoryview, start: int, end: int) -> tuple[int, int]:
    """Return a number, and the place behind it."""
    value = 0
    for at in range(start, min(end, start + 10)):
        value |= (content[at] & 127) << 7 * (at - start)
        if content[at] < 128:
            return value, at + 1
    raise ValueError("a number does not end")


def _as_varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])
