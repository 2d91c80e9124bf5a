"""A masked language model in three pieces: encoder, transform, decoder.

The logits of the model are `decoder(transform(hidden))`, with `hidden` from the encoder. Their
product with the whole vocabulary is what costs, so training and the exported graph make it in
chunks, and need the pieces by themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from glane.errors import CheckpointError

BIAS = "decoder.bias"
"""Name, in a checkpoint, of the bias of a decoder that we built onto an encoder."""


class Pieces(NamedTuple):
    """A masked language model, taken apart.

    Attributes:
        encoder: Without its pooler.
        head: The model with its encoder and decoder cut out, what is left being the transform;
            None where an encoder had no such head, and the transform is the identity.
        decoder: To the logits, shape of the weight (n_vocabulary, width), with bias; the weight
            is the encoder's input embeddings where they are tied.
    """

    encoder: PreTrainedModel
    head: PreTrainedModel | None
    decoder: nn.Linear


def take_apart(model: PreTrainedModel, bias: Tensor | None = None) -> Pieces:
    """Take a masked language model apart, or build a decoder onto an encoder alone.

    The head is found without a word about its architecture: in the whole model, what stands for
    the encoder returns the vectors it is given, and what stands for the decoder passes them on.

    Args:
        model: A masked language model, which is changed, or an encoder.
        bias: Of a decoder that has none of its own, shape (n_vocabulary,); by default zeros.

    Raises:
        CheckpointError: If an encoder's vectors are not as wide as its input embeddings, which
            are then no decoder for them.
    """
    if not is_masked_model(model):
        return Pieces(model, None, _tied_decoder(model, bias))
    encoder = model.base_model
    decoder = _decoder(model)
    assert isinstance(encoder, PreTrainedModel)
    assert isinstance(decoder, nn.Linear)
    if decoder.bias is None:  # some ModernBERTs; theirs would have the name of `BIAS`
        decoder.bias = _bias(decoder.weight, bias)
    name = next(name for name, module in model.named_modules() if module is decoder)
    model.set_submodule(name, Passed())
    model.set_submodule(model.base_model_prefix, Given())
    return Pieces(encoder, model, decoder)


def is_masked_model(model: PreTrainedModel) -> bool:
    """Return whether this is a masked language model, and not an encoder alone."""
    return _decoder(model) is not None


def tensors_of(pieces: Pieces) -> dict[str, Tensor]:
    """Return all weights under the names that transformers gives them; tied ones come once."""
    encoder, head, decoder = pieces
    if head is None:
        return {**encoder.state_dict(), BIAS: decoder.bias}
    name = next(name for name, module in head.named_modules() if isinstance(module, Passed))
    tensors = {f"{head.base_model_prefix}.{key}": t for key, t in encoder.state_dict().items()}
    tensors |= head.state_dict()
    known = {tensor.data_ptr() for tensor in tensors.values()}
    for key, tensor in decoder.state_dict().items():
        if tensor.data_ptr() not in known:
            tensors[f"{name}.{key}"] = tensor
    return tensors


class Given(nn.Module):
    """Stands for an encoder whose output is known."""

    def forward(self, *_: object, inputs_embeds: Tensor, **__: object) -> BaseModelOutput:
        """Return the vectors as if they were the encoder's."""
        return BaseModelOutput(last_hidden_state=inputs_embeds)


class Passed(nn.Module):
    """Stands for a decoder that is applied elsewhere."""

    def forward(self, transformed: Tensor) -> Tensor:
        """Return what the decoder was to be given."""
        return transformed


def _decoder(model: PreTrainedModel) -> nn.Module | None:
    decoder: nn.Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return decoder


def _tied_decoder(encoder: PreTrainedModel, bias: Tensor | None) -> nn.Linear:
    embeddings = encoder.get_input_embeddings().weight
    assert isinstance(embeddings, nn.Parameter)
    n_vocabulary, width = embeddings.shape
    if width != int(encoder.config.hidden_size):
        raise CheckpointError(
            f"this encoder has no head of a masked language model, and its input embeddings, "
            f"{width} wide, cannot be one for its vectors, {encoder.config.hidden_size} wide"
        )
    decoder = nn.Linear(width, n_vocabulary, device="meta")
    decoder.weight = embeddings
    decoder.bias = _bias(embeddings, bias)
    return decoder


def _bias(weight: Tensor, bias: Tensor | None) -> nn.Parameter:
    return nn.Parameter(weight.new_zeros(len(weight)) if bias is None else bias)
