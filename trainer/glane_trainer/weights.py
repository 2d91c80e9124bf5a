"""Reads and writes the weights of encoders and masked language models; never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForTextEncoding
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_TEXT_ENCODING_MAPPING,
)

from glane.errors import CheckpointError
from glane_trainer.probing import check_encoder, table_limit
from glane_trainer.quiet import Quiet
from glane_trainer.unexpected import refuse_unexpected

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    Auto = AutoModel | AutoModelForMaskedLM | AutoModelForTextEncoding


def read_model(folder: str | Path) -> tuple[PreTrainedModel, dict[str, torch.Tensor]]:
    """Read the weights of a checkpoint of ours, as the class that `config.json` names.

    Returns:
        An encoder or a masked language model, and the tensors of the file that are not its own.

    Raises:
        CheckpointError: If a file is missing or damaged, or the two do not fit.
    """
    folder = Path(folder)
    _check_files(folder)
    config = _config(folder)
    masked = _is_masked(config)
    auto = AutoModelForMaskedLM if masked else _encoder_class(folder, config)
    with Quiet():
        model: PreTrainedModel = auto.from_config(  # type: ignore[no-untyped-call]
            config, dtype=torch.float32
        )
    if not masked:
        model = _without_pooler(model)
    tensors = read_tensors(folder / "model.safetensors")
    own = model.state_dict()
    others = {name: tensors.pop(name) for name in tensors.keys() - own.keys()}
    given = {own[name].data_ptr() for name in tensors}
    try:
        missing = model.load_state_dict(tensors, strict=False).missing_keys
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{str(folder)!r}: weights do not fit config.json: {reason}"
        ) from None
    missing = [name for name in missing if own[name].data_ptr() not in given]  # not only tied
    if missing:
        raise CheckpointError(f"{str(folder)!r} lacks weights of its model: {sorted(missing)[:3]}")
    return model, others


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file onto the CPU.

    Raises:
        CheckpointError: If it is missing or is not a safetensors file.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{str(path.parent)!r} has no {path.name}") from None
    except SafetensorError as error:
        raise CheckpointError(f"{str(path)!r} is not a safetensors file: {error}") from None


def read_some(path: Path, beginning: str | tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Read those tensors of a safetensors file whose names begin in a way, the others unread.

    Raises:
        CheckpointError: As `read_tensors`.
    """
    if not path.is_file():
        raise CheckpointError(f"{str(path.parent)!r} has no {path.name}")
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(beginning)]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise CheckpointError(f"{str(path)!r} is not a safetensors file: {error}") from None


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors into a safetensors file; those that share memory are each written whole.

    Raises:
        OSError: If it cannot be written.
    """
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(copies, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"{str(path)!r} cannot be written: {error}") from None
    path.chmod(path.parent.stat().st_mode & 0o666)  # it was made for its owner alone


def position_limit(encoder: PreTrainedModel) -> int | None:
    """Return how many tokens an encoder reads, or None where nothing bounds it.

    A table of positions decides, less the rows it loses to padding; where there is none, what the
    config says the model was made for.
    """
    limit = table_limit(encoder)
    if limit is None:
        limit = getattr(encoder.config, "max_position_embeddings", None)
    return limit if limit is not None and limit > 0 else None  # XLNet says -1


def _check_files(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{str(folder)!r} has no config.json; is it an encoder?")
    if not any(folder.glob("model*.safetensors")):
        raise CheckpointError(f"{str(folder)!r} has no model.safetensors")


def _config(folder: Path) -> PretrainedConfig:
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{str(folder / 'config.json')!r} cannot be read: {reason}") from None
    return config


def _is_masked(config: PretrainedConfig) -> bool:
    """Return whether the class that a config names is a masked language model.

    Most are called `...ForMaskedLM`, but not all: XLM's is `XLMWithLMHeadModel`.
    """
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        return False
    known: Any = MODEL_FOR_MASKED_LM_MAPPING[type(config)]
    return known.__name__ in (config.architectures or [])


def encoder_base(folder: Path, claimed: frozenset[str] = frozenset()) -> PreTrainedModel:
    """Read an encoder, without its pooler, in float32.

    Args:
        folder: With `config.json` and safetensors.
        claimed: Names of tensors that are not the encoder's, and are read elsewhere.

    Raises:
        CheckpointError: If a file is missing or damaged, the encoder lacks weights, or there are
            tensors that neither it nor a head of its kind has.
    """
    _check_files(folder)
    config = _config(folder)
    encoder, info = _load(folder, _encoder_class(folder, config))
    encoder = _without_pooler(encoder)
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise CheckpointError(f"{str(folder)!r} lacks weights of its model: {missing[:3]}")
    refuse_unexpected(folder, config, info["unexpected_keys"] - claimed)
    check_encoder(encoder)
    return encoder


def masked_base(folder: Path, claimed: frozenset[str] = frozenset()) -> PreTrainedModel | None:
    """Read a whole masked language model, or return None where it is not all there.

    Raises:
        CheckpointError: As `encoder_base`.
    """
    _check_files(folder)
    config = _config(folder)
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING or config.is_encoder_decoder:
        return None
    model, info = _load(folder, AutoModelForMaskedLM)
    if info["missing_keys"]:
        return None
    refuse_unexpected(folder, config, info["unexpected_keys"] - claimed)
    encoder: Any = model.base_model
    check_encoder(encoder)
    return model


def _encoder_class(folder: Path, config: PretrainedConfig) -> type[Auto]:
    """Return what reads an encoder: the first half alone of a model that also has a decoder."""
    if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING:
        return AutoModelForTextEncoding
    if config.is_encoder_decoder:
        raise CheckpointError(
            f"{str(folder)!r} is a {config.model_type}, an encoder with a decoder, of which "
            "transformers has no encoder alone; pass a base of another kind"
        )
    return AutoModel


def _without_pooler(encoder: PreTrainedModel) -> PreTrainedModel:
    """Drop a pooler, whose output is never used; some models call it nevertheless."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = torch.nn.Identity()
    return encoder


def _load(folder: Path, auto: type[Auto]) -> tuple[PreTrainedModel, dict[str, set[str]]]:
    config = _config(folder)
    try:
        with Quiet():
            model, info = auto.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{str(folder)!r} cannot be loaded: {reason}") from None
    return model, info
