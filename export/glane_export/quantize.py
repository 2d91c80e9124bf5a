"""int8: every matrix product and every embedding table, with one scale a row of activations.

onnxruntime's own dynamic quantization has one scale for a whole tensor: a text's vectors then
change with its batch, and the longest activation of a batch decides how coarsely all others are
stored. Here each token has its own scale, so that neither is true (figures in `docs/export.md`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal, NamedTuple

import onnx
from onnx import helper, numpy_helper

from glane.model.saturation import saturates
from glane_export.constants import all_nodes, is_matrix, n_products, see_through
from glane_export.onnx_files import read_onnx, write_onnx
from glane_export.products import DOMAIN, Products, looks_up, lookup, to_int8

DESCRIPTION = "weights int8 per output channel, activations {} per token, embeddings per row"
UNSIGNED = ", weights stored as uint8"
"""Added to the description where the products of this CPU saturate."""

WHOLE = 8
"""Bits of an activation that fill its byte."""

TABLE_ROWS = 256
"""Tables of fewer rows stay in fp32: they save nothing."""


class Share(NamedTuple):
    """How much of a model became int8.

    Attributes:
        n_int8: Products with a weight that are of integers.
        n_products: All products with a weight: MatMul, Gemm, Conv and their like, those in loops
            included, not those of activations alone.
    """

    n_int8: int
    n_products: int


def quantize(
    source: Path, target: Path, *, bits: Literal[7, 8] = 8, unsigned: bool | None = None
) -> Share:
    """Write the int8 version of an fp32 graph.

    Args:
        source: Graph of `write_graph`, or any other.
        target: The file to write.
        bits: Of each activation: with 7, pairs of products fit into 16 bits, so that all CPUs give
            the same numbers, at twice the error.
        unsigned: Whether weights are stored as uint8: the same numbers, for the products of uint8
            and uint8, which no CPU adds up in 16 bits; by default where this CPU `saturates` and
            activations have 8 bits.

    Returns:
        How many products became int8; the others stay as they were.
    """
    if unsigned is None:
        unsigned = bits == WHOLE and saturates()
    model = read_onnx(source)
    see_through(model.graph)
    total = n_products(model.graph)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    products = Products(model.graph, versions[""], unsigned=unsigned, bits=bits)
    share = Share(products.rewrite(), total)
    quantize_embeddings(model.graph)
    if DOMAIN not in versions:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    write_onnx(model, target)
    return share


def description(bits: Literal[7, 8] = 8) -> str:
    """Return how `quantize` does it on this CPU, in words."""
    if bits != WHOLE:
        return DESCRIPTION.format(f"{bits} bits")
    return DESCRIPTION.format("uint8") + (UNSIGNED if saturates() else "")


def quantize_embeddings(graph: onnx.GraphProto) -> None:
    """Replace each embedding table that is only looked up by an int8 table, one scale a row."""
    lookups = [node for node in graph.node if looks_up(node, axis=0)]
    read = Counter(name for node in all_nodes(graph) for name in node.input)
    read.subtract(node.input[0] for node in lookups)
    looked_up = {node.input[0] for node in lookups} - {name for name, n in read.items() if n > 0}
    tables = [
        table
        for table in graph.initializer
        if table.name in looked_up and is_matrix(table) and table.dims[0] >= TABLE_ROWS
    ]
    for table in tables:
        values, scales = to_int8(numpy_helper.to_array(table), axis=1)
        graph.initializer.append(numpy_helper.from_array(values, f"{table.name}/int8"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{table.name}/scales"))
        graph.initializer.remove(table)
    replaced = {table.name for table in tables}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        name = node.input[0] if node.input else ""
        nodes += lookup(node, f"{name}/int8", f"{name}/scales", 0) if name in replaced else [node]
    del graph.node[:]
    graph.node.extend(nodes)
