"""Reads a late-interaction model of PyLate, or of sentence-transformers' `MultiVectorEncoder`."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from torch import nn

from glane.errors import CheckpointError
from glane_trainer.bases.found import Found
from glane_trainer.bases.json_files import (
    flag,
    names,
    number,
    read_if_there,
    refuse_unknown,
    require,
    text,
)
from glane_trainer.bases.modules import (
    OF_TOP,
    TOP,
    TRANSFORMERS,
    Module,
    own_length,
    prompts_of,
    read_dense,
    transformer_settings,
)
from glane_trainer.bases.tokenizers import OwnTokenizer, read_tokenizer
from glane_trainer.projection import Layer, spelled
from glane_trainer.rules import Rules

OF_PYLATE = {
    "query_prefix",
    "document_prefix",
    "query_length",
    "document_length",
    "attend_to_expansion_tokens",
    "skiplist_words",
    "do_query_expansion",
}
OF_MASK = {"skiplist_words", "skiplist_tasks", "keep_only_token_ids"}
PYLATE, MULTI_VECTOR = "a ColBERT of PyLate", "a MultiVectorEncoder of sentence-transformers"
PUNCTUATION = list(string.punctuation)


def is_late_interaction(folder: Path, modules: list[Module]) -> bool:
    """Return whether a model gives a vector a token, by what its files say."""
    top = read_if_there(folder / TOP)
    if top.get("model_type") in ("ColBERT", "MultiVectorEncoder") or OF_PYLATE & set(top):
        return True
    types = [module.type for module in modules[1:]]
    return "MultiVectorMask" in types or types[:1] == ["Dense"]


def read_late_interaction(name: str, folder: Path, modules: list[Module]) -> Found:
    """Read a model that gives a vector a token.

    Raises:
        CheckpointError: If it has what glane has no counterpart for, named.
    """
    path = folder / TOP
    top = read_if_there(path, OF_TOP | OF_PYLATE)
    require(modules[0].type, TRANSFORMERS, "the first module", path)
    settings = transformer_settings(modules[0])
    require(settings["transformer_task"], ("feature-extraction",), "the task", path)
    of_pylate = top.get("model_type") != "MultiVectorEncoder" or bool(OF_PYLATE & set(top))
    lower = flag(settings, "do_lower_case", path, default=False)
    tokenizer = read_tokenizer(modules[0].folder, lower=lower and not of_pylate)
    remarks: list[str] = []
    if of_pylate:
        layers = _layers_of_pylate(modules[1:], folder, remarks)
        rules = _rules_of_pylate(top, tokenizer, path) | Rules(strip=True, lower=lower)
    else:
        layers, mask = _parts(modules[1:], folder)
        length = own_length(settings, tokenizer, modules[0].folder)
        rules = _rules(top, settings, tokenizer, mask, length, path)
    rules["projection_layers"] = spelled(layers)
    rules["pad_token"] = tokenizer.pad_of(modules[0].folder)
    return Found(
        name=name,
        what=PYLATE if of_pylate else MULTI_VECTOR,
        kind="colbert",
        transformer=modules[0].folder,
        tokenizer_json=tokenizer.json,
        rules=rules,
        projection=_projection(layers),
        remarks=tuple(remarks),
    )


def _layers_of_pylate(modules: list[Module], folder: Path, remarks: list[str]) -> list[Layer]:
    """Return the dense layers, telling of other modules, which PyLate passes over."""
    layers = [read_dense(module) for module in modules if module.type == "Dense"]
    if not layers:
        raise CheckpointError(
            f"{str(folder)!r} has no Dense, and PyLate would put a random one on it; begin with "
            "its encoder"
        )
    passed = [m.type for m in modules if m.type not in ("Dense", "MultiVectorMask", "Normalize")]
    if passed:
        remarks.append(f"PyLate passes over its {' and '.join(passed)}, and so does glane")
    return layers


def _parts(modules: list[Module], folder: Path) -> tuple[list[Layer], Module | None]:
    """Return the dense layers and the mask of a `MultiVectorEncoder`."""
    layers: list[Layer] = []
    mask, normalized = None, False
    for module in modules:
        if module.type == "Dense" and not normalized:
            layers.append(read_dense(module))
        elif module.type == "MultiVectorMask" and mask is None:
            mask = module
        elif module.type == "Normalize" and not normalized:
            _check_normalize(module)
            normalized = True
        elif not _does_nothing(module):
            raise CheckpointError(
                f"{str(folder)!r} has a module {module.type!r} that glane has no counterpart for "
                "where it is; expected Dense layers, one MultiVectorMask and one Normalize"
            )
    if not normalized:
        raise CheckpointError(
            f"{str(folder)!r} has no module Normalize: its vectors have any length, and glane's "
            "have length 1"
        )
    return layers, mask


def _does_nothing(module: Module) -> bool:
    """Return whether a module leaves vectors as they are outside of training."""
    if module.type == "HierarchicalTokenPooling":
        return read_if_there(module.folder / "config.json").get("pool_factor") == 1
    return module.type == "Dropout"


def _check_normalize(module: Module) -> None:
    record = module.settings({"module_input_name", "module_output_name"})
    path = module.folder / "config.json"
    given = record.get("module_input_name") or "sentence_embedding"
    require(given, ("token_embeddings",), "module_input_name", path)
    require(record.get("module_output_name") or given, (given,), "module_output_name", path)


def _projection(layers: list[Layer]) -> nn.Module | None:
    if not layers:
        return None
    return layers[0].linear if spelled(layers) == [] else nn.Sequential(*layers)


def _rules_of_pylate(top: dict[str, Any], tokenizer: OwnTokenizer, path: Path) -> Rules:
    """Return the rules that PyLate's settings say, with its defaults for those it leaves out."""
    rules = Rules()
    for role, marker, length in (("query", "[Q] ", 32), ("document", "[D] ", 180)):
        prefix = text(top, f"{role}_prefix", path, marker)
        if prefix and not tokenizer.has(prefix):
            raise CheckpointError(
                f"{str(path)!r}: the tokenizer has no token {prefix!r}, its {role}_prefix, and "
                "PyLate would give it a random vector"
            )
        rules[f"{role}_prefix"] = prefix  # type: ignore[literal-required]
        rules[f"{role}_length"] = number(top, f"{role}_length", path, length)  # type: ignore[literal-required]
    default = text(top, "default_prompt_name", path)
    prompts = prompts_of(top, path)
    rules["query_prompt"] = rules["document_prompt"] = prompts.get(default, "")
    words = names(top, "skiplist_words", path, PUNCTUATION)
    rules |= _skipped(tokenizer.skipped(words, unknown_too=True), tokenizer)
    if flag(top, "do_query_expansion", path, default=True):
        rules |= Rules(
            query_expansion=True,
            attend_to_expansion=flag(top, "attend_to_expansion_tokens", path, default=False),
            mask_token=tokenizer.mask or tokenizer.eos or tokenizer.pad,
        )
    else:
        rules |= Rules(query_expansion=False, attend_to_expansion=False)
    return rules


def _rules(
    top: dict[str, Any],
    settings: dict[str, Any],
    tokenizer: OwnTokenizer,
    mask: Module | None,
    longest: int,
    path: Path,
) -> Rules:
    """Return the rules that the settings of a `MultiVectorEncoder` say."""
    require(top.get("similarity_fn_name"), (None, "maxsim"), "similarity", path)
    prompts = prompts_of(top, path)
    query_length = number(settings, "query_length", path, longest) or longest
    rules = Rules(
        query_prefix="",
        document_prefix="",
        query_prompt=prompts.get("query", ""),
        document_prompt=prompts.get("document", ""),
        query_length=query_length,
        document_length=number(settings, "document_length", path, longest) or longest,
        query_expansion=False,
        attend_to_expansion=False,
    )
    if mask is not None:
        rules |= _mask_rules(mask, tokenizer)
    expansion = settings.get("query_expansion")
    if expansion is not None:
        if mask is None:
            raise CheckpointError(
                f"{str(path)!r}: query_expansion without a MultiVectorMask does not count in the "
                "score, and glane's does"
            )
        rules |= _expansion(expansion, query_length, tokenizer, path)
    return rules


def _expansion(
    record: dict[str, Any], query_length: int, tokenizer: OwnTokenizer, path: Path
) -> Rules:
    refuse_unknown(record, {"strategy", "attend", "token", "length"}, path)
    require(record.get("strategy"), ("fixed", "min"), "the strategy of expansion", path)
    length = number(record, "length", path, None)
    if length is None:
        raise CheckpointError(f"{str(path)!r}: query_expansion needs a length")
    rules = Rules(
        query_expansion=True,
        attend_to_expansion=flag(record, "attend", path, default=False),
        mask_token=text(record, "token", path) or tokenizer.mask or tokenizer.eos,
    )
    if record["strategy"] == "fixed":
        return rules | Rules(query_length=length)
    return rules | Rules(query_length=max(query_length, length), expansion_length=length)


def _mask_rules(mask: Module, tokenizer: OwnTokenizer) -> Rules:
    path = mask.folder / "config.json"
    record = mask.settings(OF_MASK)
    require(record.get("keep_only_token_ids"), (None, []), "keep_only_token_ids", path)
    tasks = record.get("skiplist_tasks")
    tasks = [tasks] if isinstance(tasks, str) else ["document"] if tasks is None else tasks
    words = tokenizer.skipped(names(record, "skiplist_words", path, []), unknown_too=False)
    if not words:
        return Rules(skip_punctuation=False, skipped_tokens=[], skip_in_queries=False)
    require(sorted(tasks), (["document"], ["document", "query"]), "skiplist_tasks", path)
    return _skipped(words, tokenizer) | Rules(skip_in_queries="query" in tasks)


def _skipped(words: list[str], tokenizer: OwnTokenizer) -> Rules:
    """Return the rules that leave some tokens out, by one word where they are punctuation."""
    if set(words) == set(tokenizer.skipped(PUNCTUATION, unknown_too=False)):
        return Rules(skip_punctuation=True, skipped_tokens=[])
    return Rules(skip_punctuation=False, skipped_tokens=words)
