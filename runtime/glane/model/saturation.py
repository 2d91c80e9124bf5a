"""Whether this CPU's products of integers come out whole."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from glane.model.session import load_session

PRODUCT = (
    b"\x08\x08:b\n\x18\n\x01a\n\x01b\x12\x01c"
    b'"\rMatMulInteger\x12\x01gZ\x15\n\x01a\x12\x10\n\x0e\x08\x02\x12\n\n\x03\x12\x01n\n\x03'
    b"\x12\x01kZ\x15\n\x01b\x12\x10\n\x0e\x08\x03\x12\n\n\x03\x12\x01k\n\x03\x12\x01m"
    b"b\x15\n\x01c\x12\x10\n\x0e\x08\x06\x12\n\n\x03\x12\x01n\n\x03\x12\x01mB\x04\n\x00\x10\x11"
)
"""An ONNX graph of one `MatMulInteger`, uint8 (n, k) by int8 (k, m), as `onnx` writes it; the
runtime cannot write one."""


@cache
def saturates() -> bool:
    """Return whether this CPU's products of uint8 and int8 come out too small.

    Without VNNI (AVX2 alone) onnxruntime adds two of them in 16 bits; found out by multiplying.
    """
    session = load_session(Path("saturates"), 1, PRODUCT)
    rows, weights = np.full((4, 64), 255, np.uint8), np.full((64, 8), 127, np.int8)
    (products,) = session.run(None, {"a": rows, "b": weights})
    return bool((np.asarray(products) != 64 * 255 * 127).any())
