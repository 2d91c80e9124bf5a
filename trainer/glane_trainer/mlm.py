"""A masked language model in three pieces: encoder, transform, decoder.

The logits of the model are `decoder(transform(hidden))`, with `hidden` from the encoder. Their
product with the whole vocabulary is what costs, so training and the exported graph make it in
chunks, and need the pieces by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from glane.errors import CheckpointError

BIAS = "decoder.bias"
"""Name, in a checkpoint, of the bias of a decoder that we built onto an encoder; see `bias_name`
for that of a decoder that had none."""


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
            are then no decoder for them, or if a masked model is not made of these three pieces.
    """
    if not is_masked_model(model):
        return Pieces(model, None, _tied_decoder(model, bias))
    encoder = model.base_model
    decoder = _decoder(model)
    assert isinstance(encoder, PreTrainedModel)
    if not isinstance(decoder, nn.Linear):
        raise CheckpointError(
            f"the decoder of a {type(model).__name__} is a {type(decoder).__name__}; expected a "
            "linear layer"
        )
    given = Given()
    if decoder.out_features != len(_embeddings(encoder)):
        decoder = _decoder_by_embeddings(model, encoder, given)
    else:
        if decoder.bias is None:  # as in EuroBERT and some ModernBERTs
            decoder.bias = _bias(decoder.weight, bias)
        model.set_submodule(_decoder_name(model), Passed())
    model.set_submodule(model.base_model_prefix, given)
    _check_transform(model, int(encoder.config.hidden_size), decoder.in_features)
    return Pieces(encoder, model, decoder)


def is_masked_model(model: PreTrainedModel) -> bool:
    """Return whether this is a masked language model, and not an encoder alone."""
    return _decoder(model) is not None


def bias_name(model: PreTrainedModel) -> str:
    """Return the name, in a checkpoint, of a bias that the decoder's own class does not have.

    Args:
        model: As for `take_apart`, before it.
    """
    return f"{_decoder_name(model)}.bias" if is_masked_model(model) else BIAS


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
            tensors[name if name.endswith(f".{key}") else f"{name}.{key}"] = tensor
    return tensors


class Given(nn.Module):
    """Stands for an encoder whose output is known."""

    def forward(self, *_: object, inputs_embeds: Tensor, **__: object) -> BaseModelOutput:
        """Return the vectors as if they were the encoder's."""
        return BaseModelOutput(last_hidden_state=inputs_embeds)


class Passed(nn.Module):
    """Stands for a decoder that is applied elsewhere, or for its bias alone."""

    def forward(self, transformed: Tensor) -> Tensor:
        """Return what the decoder was to be given."""
        return transformed

    __radd__ = forward


class Unit:
    """Stands for embeddings that a head multiplies by, where their product is made elsewhere."""

    def t(self) -> Unit:
        """Return what stands for the transposed embeddings."""
        return self

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Tensor],
        types: object,
        args: tuple[Tensor, ...] = (),
        kwargs: object = None,
    ) -> Tensor:
        """Return what was to be multiplied; any other operation is an error."""
        if func is not torch.matmul:
            raise TypeError(f"{func} of embeddings that are applied elsewhere")
        return args[0]


def _decoder(model: PreTrainedModel) -> nn.Module | None:
    decoder: nn.Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return decoder


def _check_transform(head: PreTrainedModel, hidden_size: int, width: int) -> None:
    """Refuse a head that does more than to pass on what its decoder is given.

    MobileBERT's multiplies by its decoder's weight itself, ESM's adds a bias behind it.
    """
    was_training = head.training
    hidden = torch.zeros(1, 2, hidden_size)
    try:
        with torch.no_grad():
            shape = tuple(head.train(False)(inputs_embeds=hidden).logits.shape)
    except (AttributeError, RuntimeError, TypeError):
        shape = ()
    head.train(was_training)
    if shape != (1, 2, width):
        raise CheckpointError(
            f"the head of a {type(head).__name__} does not end with its decoder, so it cannot be "
            "taken apart; pass a base of another kind"
        )


def _decoder_by_embeddings(
    model: PreTrainedModel, encoder: PreTrainedModel, given: Given
) -> nn.Linear:
    """Take the decoder out of a head that multiplies by the encoder's embeddings itself.

    DeBERTa's own head does (`legacy: false`); what it calls its decoder is another layer.

    Args:
        model: Its bias is replaced.
        encoder: Of it.
        given: Gets what stands for the embeddings, where the head looks for them.
    """
    weight = _embeddings(encoder)
    inner = {id(parameter) for parameter in encoder.parameters()}
    biases = [
        name
        for name, parameter in model.named_parameters()
        if id(parameter) not in inner and parameter.shape == weight.shape[:1]
    ]
    if len(biases) != 1:
        raise CheckpointError(
            f"the decoder of a {type(model).__name__} cannot be found; pass a base of another kind"
        )
    embeddings = encoder.get_input_embeddings()
    path = next(name for name, module in encoder.named_modules() if module is embeddings)
    place: nn.Module = given
    for part in path.split("."):
        place.add_module(part, nn.Module())
        place = place.get_submodule(part)
    place.weight = Unit()  # type: ignore[assignment]
    owner, _, name = biases[0].rpartition(".")
    bias = model.get_parameter(biases[0])
    delattr(model.get_submodule(owner), name)
    model.get_submodule(owner).add_module(name, Passed())
    return _linear(weight, bias)


def _decoder_name(model: PreTrainedModel) -> str:
    decoder = _decoder(model)
    names = (name for name, module in model.named_modules() if module is decoder)
    return str(next(names))


def _tied_decoder(encoder: PreTrainedModel, bias: Tensor | None) -> nn.Linear:
    embeddings = _embeddings(encoder)
    width = embeddings.shape[1]
    if width != int(encoder.config.hidden_size):
        raise CheckpointError(
            f"this encoder has no head of a masked language model, and its input embeddings, "
            f"{width} wide, cannot be one for its vectors, {encoder.config.hidden_size} wide"
        )
    return _linear(embeddings, _bias(embeddings, bias))


def _embeddings(encoder: PreTrainedModel) -> nn.Parameter:
    weight = encoder.get_input_embeddings().weight
    assert isinstance(weight, nn.Parameter)
    return weight


def _linear(weight: nn.Parameter, bias: nn.Parameter) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = weight, bias
    return layer


def _bias(weight: Tensor, bias: Tensor | None) -> nn.Parameter:
    return nn.Parameter(weight.new_zeros(len(weight)) if bias is None else bias)
