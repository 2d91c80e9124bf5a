"""Finds a base's files by name or folder and reads them, whatever made them; never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING
from transformers.utils import logging

from glane.errors import CheckpointError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

WANTED = ("config.json", "modules.json", "model*.safetensors*", "tokenizer*.json", "vocab.txt")
"""What is fetched from the hub: no pickle, no other framework's weights."""

SUBFOLDER = "0_Transformer"
"""Where older sentence-transformers models keep the encoder."""

OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet"})
"""Kinds of model that lose the first two of their positions to padding."""


class Base(NamedTuple):
    """An encoder, or a whole masked language model, and its tokenizer.

    Attributes:
        model: In float32, on the CPU.
        tokenizer_json: The content of `tokenizer.json`.
    """

    model: PreTrainedModel
    tokenizer_json: str


def read_base(name: str | Path, *, masked: bool = False) -> Base:
    """Read an encoder.

    Args:
        name: A folder (of transformers, of sentence-transformers, or only `config.json`,
            `model.safetensors` and `tokenizer.json`), or a name on the Hugging Face hub.
        masked: Whether the whole masked language model is read instead, where there is one.

    Raises:
        FileNotFoundError: If there is no such folder and the hub has no such model.
        CheckpointError: If the weights are a pickle, or a file is missing or damaged.
    """
    folder = _transformer_folder(_fetched(name))
    _check_files(folder)
    whole = _masked_base(folder) if masked else None
    return Base(whole or _encoder_base(folder), _tokenizer_json(folder))


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
    auto = AutoModelForMaskedLM if masked else AutoModel
    with Quiet():
        model: PreTrainedModel = auto.from_config(  # type: ignore[no-untyped-call]
            config, dtype=torch.float32
        )
    if not masked:
        model.pooler = None  # type: ignore[assignment]
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


def position_limit(config: PretrainedConfig) -> int | None:
    """Return how many tokens the encoder can read, or None where nothing bounds it."""
    limit: int | None = getattr(config, "max_position_embeddings", None)
    if limit is not None and config.model_type in OFFSET_POSITIONS:
        return limit - 2
    return limit


class Quiet:
    """Keeps transformers' bars and remarks on loading away from the terminal."""

    def __enter__(self) -> None:
        self._verbosity = logging.get_verbosity()
        self._bar = logging.is_progress_bar_enabled()
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    def __exit__(self, *_: object) -> None:
        logging.set_verbosity(self._verbosity)
        if self._bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _fetched(name: str | Path) -> Path:
    if Path(name).is_dir():
        return Path(name)
    patterns = [*WANTED, *(f"{SUBFOLDER}/{pattern}" for pattern in WANTED)]
    try:
        return Path(snapshot_download(str(name), allow_patterns=patterns))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileNotFoundError(
            f"{str(name)!r} is not a folder, and could not be had from the hub: {reason}"
        ) from None


def _transformer_folder(folder: Path) -> Path:
    """Return where the encoder lies, which in a sentence-transformers model is its first module."""
    path = folder / "modules.json"
    if not path.is_file():
        return folder
    try:
        return folder / str(json.loads(path.read_text(encoding="utf-8"))[0]["path"])
    except (ValueError, LookupError, TypeError):
        raise CheckpointError(f"{str(path)!r} does not name a first module") from None


def _check_files(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{str(folder)!r} has no config.json; is it an encoder?")
    if any(folder.glob("model*.safetensors")):
        return
    pickles = sorted(path.name for path in folder.glob("*") if path.suffix in (".bin", ".pt"))
    if pickles:
        raise CheckpointError(
            f"{str(folder)!r} holds its weights as a pickle, {pickles[0]!r}, which can run code "
            "and is never read; convert it to model.safetensors"
        )
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


def _encoder_base(folder: Path) -> PreTrainedModel:
    encoder, info = _load(folder, AutoModel)
    encoder.pooler = None  # type: ignore[assignment] # its output is never used
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise CheckpointError(f"{str(folder)!r} lacks weights of its model: {missing[:3]}")
    return encoder


def _masked_base(folder: Path) -> PreTrainedModel | None:
    """Return the whole masked language model, or None where it is not all there."""
    if type(_config(folder)) not in MODEL_FOR_MASKED_LM_MAPPING:
        return None
    model, info = _load(folder, AutoModelForMaskedLM)
    return None if info["missing_keys"] else model


def _load(
    folder: Path, auto: type[AutoModel | AutoModelForMaskedLM]
) -> tuple[PreTrainedModel, dict[str, set[str]]]:
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


def _tokenizer_json(folder: Path) -> str:
    path = folder / "tokenizer.json"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    if not (folder / "vocab.txt").is_file():
        raise CheckpointError(f"{str(folder)!r} has no tokenizer.json")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return str(tokenizer.backend_tokenizer.to_str())
