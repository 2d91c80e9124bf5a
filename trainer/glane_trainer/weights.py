"""Finds an encoder's files by name or folder and reads them, whatever made them; never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging

from glane.checkpoint import CheckpointError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

WANTED = ("config.json", "modules.json", "model*.safetensors*", "tokenizer*.json", "vocab.txt")
"""What is fetched from the hub: no pickle, no other framework's weights."""

SUBFOLDER = "0_Transformer"
"""Where older sentence-transformers models keep the encoder."""

OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet"})
"""Kinds of model that lose the first two of their positions to padding."""


class Base(NamedTuple):
    """An encoder and its tokenizer.

    Attributes:
        encoder: In float32, on the CPU.
        tokenizer_json: The content of `tokenizer.json`.
    """

    encoder: PreTrainedModel
    tokenizer_json: str


def read_base(name: str | Path) -> Base:
    """Read an encoder.

    Args:
        name: A folder (of transformers, of sentence-transformers, or only `config.json`,
            `model.safetensors` and `tokenizer.json`), or a name on the Hugging Face hub.

    Raises:
        FileNotFoundError: If there is no such folder and the hub has no such model.
        CheckpointError: If the weights are a pickle, or a file is missing or damaged.
    """
    folder = _transformer_folder(_fetched(name))
    _check_files(folder)
    with Quiet():
        encoder, info = _load_encoder(folder)
    encoder.pooler = None  # type: ignore[assignment] # its output is never used
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise CheckpointError(f"{str(folder)!r} lacks weights of its model: {missing[:3]}")
    return Base(encoder, _tokenizer_json(folder))


def read_encoder(folder: str | Path) -> tuple[PreTrainedModel, dict[str, torch.Tensor]]:
    """Read the encoder of a checkpoint of ours.

    Returns:
        The encoder, and the tensors of the file that are not its own, by name.

    Raises:
        CheckpointError: If a file is missing or damaged, or the two do not fit.
    """
    folder = Path(folder)
    _check_files(folder)
    with Quiet():
        encoder: PreTrainedModel = AutoModel.from_config(  # type: ignore[no-untyped-call]
            _config(folder), dtype=torch.float32
        )
    encoder.pooler = None  # type: ignore[assignment]
    tensors = read_tensors(folder / "model.safetensors")
    others = {name: tensors.pop(name) for name in tensors.keys() - encoder.state_dict().keys()}
    try:
        encoder.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{str(folder)!r}: weights do not fit config.json: {reason}"
        ) from None
    return encoder, others


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file onto the CPU.

    Raises:
        CheckpointError: If it is missing or is no safetensors file.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{str(path.parent)!r} has no {path.name}") from None
    except SafetensorError as error:
        raise CheckpointError(f"{str(path)!r} is no safetensors file: {error}") from None


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors into a safetensors file; those that share memory are each written whole."""
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    save_file(copies, path, metadata={"format": "pt"})
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
            f"{str(name)!r} is no folder, and could not be had from the hub: {reason}"
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


def _load_encoder(folder: Path) -> tuple[PreTrainedModel, dict[str, set[str]]]:
    config = _config(folder)
    try:
        encoder, info = AutoModel.from_pretrained(
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
    return encoder, info


def _tokenizer_json(folder: Path) -> str:
    path = folder / "tokenizer.json"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    if not (folder / "vocab.txt").is_file():
        raise CheckpointError(f"{str(folder)!r} has no tokenizer.json")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return str(tokenizer.backend_tokenizer.to_str())
