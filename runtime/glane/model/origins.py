"""Which token of a text a sparse model's terms come from: the one whose logit was the highest.

The graph gives terms and weights alone. To see more, it is loaded once more with inner values as
further outputs: what the decoder is given for each token, and the decoder itself.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from glane.errors import CheckpointError
from glane.model.encoder import Encoder, n_terms_of
from glane.model.preparation import Role
from glane.model.session import load_session, run
from glane.types import Floats, Ids

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TRANSFORMED = "transformed"
"""What a model of `glane export` calls the decoder's input, shape (n, length, width)."""

DECODERS = (("decoder",), ("decoder/int8",), ("decoder/int8", "int8/middle"))
"""Names of the decoder, shape (width, n_terms), and of what is to be taken from its numbers."""


def origins(encoder: Encoder, text: str, role: Role, terms: Ids) -> Ids | None:
    """Return the token of a text that each of some terms comes from.

    Args:
        encoder: A model whose graph ends in terms.
        text: Any string; of a long one the beginning that is read.
        role: How it is read.
        terms: Numbers of terms.

    Returns:
        For each term the place of a token in what the model reads, markers included; None where
        the graph was not made by `glane export`, or lies in several files.

    Raises:
        CheckpointError: If the graph fails.
    """
    with _loading:
        if encoder not in _opened:
            _opened[encoder] = _open(encoder)
        opened = _opened[encoder]
    if opened is None:
        return None
    batch = encoder.preparer.encode([text], role)
    n_terms = n_terms_of(encoder.checkpoint, role)
    outputs = run(opened.session, batch, n_terms, repr(str(encoder.folder)))
    transformed, decoder, *middle = outputs[-opened.n_added :]
    columns: Floats = np.asarray(decoder[:, terms], np.float32)
    if middle:
        columns = columns - np.float32(middle[0])
    logits = np.asarray(transformed[0], np.float32) @ columns
    logits[batch.attention_mask[0] == 0] = -np.inf
    return np.asarray(logits.argmax(axis=0), np.int64)


class _Opened(NamedTuple):
    """A graph that shows inner values.

    Attributes:
        session: The graph.
        n_added: Outputs behind its own.
    """

    session: InferenceSession
    n_added: int


_opened: WeakKeyDictionary[Encoder, _Opened | None] = WeakKeyDictionary()
_loading = Lock()


def _open(encoder: Encoder) -> _Opened | None:
    """Load a model once more; None where its graph has no values of these names."""
    contents = encoder.contents()
    graph = b"".join(contents["model.onnx"]())
    names = [name for name in DECODERS if all(_is_named(graph, each) for each in name)]
    if not names or not _is_named(graph, TRANSFORMED) or "model.onnx.data" in contents:
        return None
    wanted = (TRANSFORMED, *names[-1])
    source = graph + _outputs(wanted)
    path = encoder.files.graph.path
    return _Opened(load_session(path, encoder.threads, source, encoder.device), len(wanted))


def _is_named(graph: bytes, name: str) -> bool:
    """Return whether a graph has a value of a name: as protocol buffers write a short string."""
    encoded = name.encode()
    return bytes([len(encoded)]) + encoded in graph


def _outputs(names: tuple[str, ...]) -> bytes:
    """Return what adds outputs to a graph when it is put behind its file.

    Protocol buffers join two messages that lie one behind the other: ModelProto's field 7 is the
    graph, GraphProto's field 12 an output, ValueInfoProto's field 1 its name.
    """
    return b"".join(_field(7, _field(12, _field(1, name.encode()))) for name in names)


def _field(number: int, content: bytes) -> bytes:
    """Return a field of fewer than 128 bytes."""
    if len(content) > 127:
        raise CheckpointError(f"a name must be shorter than 128 bytes, got {len(content)}")
    return bytes([number << 3 | 2, len(content)]) + content
