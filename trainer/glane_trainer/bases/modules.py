"""The modules of a model of sentence-transformers or PyLate, and their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from glane.errors import CheckpointError
from glane_trainer.bases.json_files import (
    number,
    read_if_there,
    read_json,
    read_record,
    refuse_unknown,
    require,
    text,
)
from glane_trainer.bases.pickles import read_any_tensors
from glane_trainer.bases.tokenizers import UNBOUNDED, OwnTokenizer
from glane_trainer.projection import Layer

LIST = "modules.json"
TOP = "config_sentence_transformers.json"
OF_TOP = {
    "__version__",
    "model_type",
    "prompts",
    "default_prompt_name",
    "similarity_fn_name",
    "requirements",
}
"""Settings of a whole model."""

OWNERS = ("sentence_transformers.", "pylate.")

TRANSFORMERS = ("Transformer", "MLMTransformer")
SETTINGS = (
    "sentence_bert_config.json",
    *(
        f"sentence_{name}_config.json"
        for name in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    ),
)
"""Names that the settings of a transformer have had."""

OLD_NAMES = {
    "model_args": "model_kwargs",
    "tokenizer_args": "processor_kwargs",
    "config_args": "config_kwargs",
}
OF_TRANSFORMER = {
    "max_seq_length",
    "do_lower_case",
    "transformer_task",
    "modality_config",
    "module_output_name",
    "processing_kwargs",
    "unpad_inputs",
    "query_length",
    "document_length",
    "query_expansion",
    "backend",
    *OLD_NAMES,
    *OLD_NAMES.values(),
}
HARMLESS = {"attn_implementation", "dtype", "torch_dtype", "trust_remote_code", "unpad_inputs"}
"""Arguments for loading that change no number beyond its rounding."""

DENSE = {
    "in_features",
    "out_features",
    "bias",
    "activation_function",
    "module_input_name",
    "module_output_name",
    "use_residual",
}


class Module(NamedTuple):
    """One module: its class, without the package, and its folder."""

    type: str
    folder: Path

    def settings(self, known: set[str], name: str = "config.json") -> dict[str, Any]:
        """Return its settings, refusing any that is not known."""
        return read_if_there(self.folder / name, known)


def read_modules(folder: Path) -> list[Module]:
    """Read the list of a model's modules, at least one.

    Raises:
        CheckpointError: If it is damaged, or a module is code of somebody else.
    """
    path = folder / LIST
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise CheckpointError(f"{str(path)!r} does not name a first module")
    found = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise CheckpointError(f"{str(path)!r}: a module must be a JSON object, got {entry!r}")
        refuse_unknown(entry, {"idx", "name", "path", "type", "kwargs"}, path)
        found.append(module_of(text(entry, "type", path), folder / text(entry, "path", path), path))
    return found


def module_of(type: str, folder: Path, path: Path) -> Module:
    """Return a module by the full name of its class, refusing code of somebody else."""
    if not type:
        raise CheckpointError(f"{str(path)!r} has a module without a type")
    if not type.startswith(OWNERS):
        raise CheckpointError(
            f"{str(path)!r}: the module {type!r} is code that comes with the model, which glane "
            "does not run"
        )
    return Module(type.rsplit(".", 1)[-1], folder)


def prompts_of(top: dict[str, Any], path: Path) -> dict[str, str]:
    """Return the prompts that the settings of a whole model name."""
    prompts = top.get("prompts") or {}
    if not isinstance(prompts, dict):
        raise CheckpointError(f"{str(path)!r}: prompts must be a JSON object, got {prompts!r}")
    return {name: text(prompts, name, path) for name in prompts}


def transformer_settings(module: Module) -> dict[str, Any]:
    """Return the settings of the module that holds the encoder.

    Raises:
        CheckpointError: If one is not known, or does what glane cannot.
    """
    paths = [module.folder / name for name in SETTINGS]
    path = next((path for path in paths if path.is_file()), paths[0])
    record = read_if_there(path, OF_TRANSFORMER)
    record |= {new: record.pop(old) for old, new in OLD_NAMES.items() if old in record}
    default = "fill-mask" if module.type == "MLMTransformer" else "feature-extraction"
    record.setdefault("transformer_task", default)
    require(record["transformer_task"], ("feature-extraction", "fill-mask"), "the task", path)
    require(record.get("backend", "torch"), ("torch",), "backend", path)
    if record.get("processing_kwargs"):
        raise CheckpointError(
            f"{str(path)!r}: processing_kwargs changes the tokenizer's own ways, which glane "
            f"cannot: {record['processing_kwargs']!r}"
        )
    for name in OLD_NAMES.values():
        refuse_unknown(record.get(name) or {}, HARMLESS | {"model_max_length"}, path)
    _check_texts(record.get("modality_config"), path)
    return record


def own_length(settings: dict[str, Any], tokenizer: OwnTokenizer, folder: Path) -> int:
    """Return how many tokens of a text a transformer's module reads."""
    path = folder / SETTINGS[0]
    named = settings.get("processor_kwargs") or {}
    asked = number(settings, "max_seq_length", path, None)
    asked = number(named, "model_max_length", path, asked)
    if asked is not None:
        return asked
    positions = read_record(folder / "config.json").get("max_position_embeddings")
    limits = [tokenizer.length, positions if type(positions) is int and positions > 0 else None]
    return min([limit for limit in limits if limit is not None], default=UNBOUNDED)


def read_dense(module: Module) -> Layer:
    """Read a dense layer, with whatever bias, activation and residual it has.

    Raises:
        CheckpointError: If its settings or weights are not understood, or do not fit each other.
    """
    path = module.folder / "config.json"
    record = read_record(path, DENSE)
    for name in ("module_input_name", "module_output_name"):
        require(record.get(name) or "token_embeddings", ("token_embeddings",), name, path)
    activation = text(record, "activation_function", path, "torch.nn.modules.activation.Tanh")
    if activation.startswith("torch.nn."):
        activation = activation.rsplit(".", 1)[-1].lower()
    tensors = read_any_tensors(module.folder)
    residual = bool(record.get("use_residual", False))
    try:
        layer = Layer.of(
            _taken(tensors, "linear.weight", module.folder),
            tensors.pop("linear.bias", None),
            activation,
            residual=residual,
            residual_weight=tensors.pop("residual.weight", None),
        )
    except ValueError as error:
        raise CheckpointError(f"{str(path)!r}: {error}") from None
    if tensors:
        raise CheckpointError(f"{str(module.folder)!r} has unknown weights: {sorted(tensors)[:3]}")
    sizes = (record.get("in_features"), record.get("out_features"))
    if sizes != (layer.n_in, layer.n_out) or bool(record.get("bias", True)) != layer.has_bias:
        raise CheckpointError(f"{str(path)!r} does not fit the weights beside it")
    return layer


def _taken(tensors: dict[str, Tensor], name: str, folder: Path) -> Tensor:
    if name not in tensors:
        raise CheckpointError(f"{str(folder)!r} lacks the weights {name!r}")
    return tensors.pop(name)


def _check_texts(modalities: object, path: Path) -> None:
    """Refuse what is not a plain text given to the model's forward."""
    if modalities is None:
        return
    wanted = ("last_hidden_state", "logits")
    texts = modalities.get("text") if isinstance(modalities, dict) else None
    if not isinstance(texts, dict) or set(modalities) != {"text"}:  # type: ignore[call-overload]
        raise CheckpointError(
            f"{str(path)!r}: glane reads plain texts alone, and modality_config is {modalities!r}"
        )
    require(texts.get("method"), ("forward",), "the method for texts", path)
    require(texts.get("method_output_name"), wanted, "the output for texts", path)
