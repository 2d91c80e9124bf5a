"""Finds out what a base is: a finished model of some library, or an encoder to make one of."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download

from glane.errors import CheckpointError
from glane_trainer.bases.cherche import is_cherche, read_cherche
from glane_trainer.bases.dense import read_dense_model, read_transformer
from glane_trainer.bases.found import Found
from glane_trainer.bases.late_interaction import is_late_interaction, read_late_interaction
from glane_trainer.bases.modules import LIST, read_modules
from glane_trainer.bases.own import is_own, read_own
from glane_trainer.bases.sparse import is_sparse, read_sparse
from glane_trainer.bases.stanford import is_stanford, read_stanford

WANTED = ["*.json", "*.txt", "*.model", "*.safetensors", "artifact.metadata", "linear.pt"]
PICKLES = ["*.bin"]
"""What is fetched from the hub: large pickles only where there are no safetensors."""

UNWANTED = ["onnx/*", "openvino/*", "*optimizer*", "*scheduler*", "*rng_state*", "*training_args*"]


def find_base(name: str | Path) -> Found:
    """Find out what a base is, and read all of it but the encoder.

    Args:
        name: A folder (of glane, PyLate, sentence-transformers, Stanford's ColBERT, neural-cherche
            or transformers), or a name on the Hugging Face hub.

    Raises:
        FileNotFoundError: If there is no such folder and the hub has no such model.
        CheckpointError: If a file is missing or damaged, or says what glane cannot do, named.
    """
    folder, name = fetched(name), str(name)
    if is_own(folder):
        return read_own(name, folder)
    if (folder / LIST).is_file():
        modules = read_modules(folder)
        if is_sparse(folder, modules):
            return read_sparse(name, folder, modules)
        if is_late_interaction(folder, modules):
            return read_late_interaction(name, folder, modules)
        return read_dense_model(name, folder, modules)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{name!r} has no config.json; is it an encoder?")
    if is_stanford(folder):
        return read_stanford(name, folder)
    if is_cherche(folder):
        return read_cherche(name, folder)
    return read_transformer(name, folder)


def fetched(name: str | Path) -> Path:
    """Return the folder of a model, fetched from the hub where it is not a folder.

    Raises:
        FileNotFoundError: If there is no such folder and the hub has no such model.
    """
    if Path(name).is_dir():
        return Path(name)
    try:
        folder = Path(snapshot_download(str(name), allow_patterns=WANTED, ignore_patterns=UNWANTED))
        if not any(folder.rglob("*.safetensors")):
            both = [*WANTED, *PICKLES]
            snapshot_download(str(name), allow_patterns=both, ignore_patterns=UNWANTED)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{str(name)!r} could not be had from the hub ({_reason(error)}), and there is no "
            "folder of that name"
        ) from None
    return folder


def _reason(error: BaseException) -> str:
    """Return the first of the reasons that an error gives, in one line."""
    while (first := error.__cause__ or error.__context__) is not None:
        error = first
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return line.partition(". ")[0].rstrip(".") or type(error).__name__
