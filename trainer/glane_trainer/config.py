"""The options of `glane train` in a file: read for --config, and written as they were resolved."""

from __future__ import annotations

import argparse
import difflib
import json
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from glane.collection.messages import listed
from glane.commands.program import add_common_arguments
from glane.commands.usage import UsageError
from glane.model.checkpoint import Checkpoint
from glane_trainer.options import SETTING_OF, UNSET, add_arguments
from glane_trainer.settings import Settings

RUN = "run.toml"
"""What --config reads to repeat a run: beside its weights."""

ALTERNATIVES = ("holdout", "dev_split")
"""Options of which one takes the place of the other."""

OF_A_CALL = {"help", "config", "overwrite", "resume", "json", "push_to_hub"}
"""Options that say what a call does, not what is trained; a file that is written has none."""

KIND_OF = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def settle(arguments: argparse.Namespace, typed: Collection[str]) -> None:
    """Take from the file of --config what was not typed.

    Args:
        arguments: Of `glane train`; they are changed.
        typed: Names of those that were typed, which win; one that was typed also takes the place
            of its alternatives in the file.

    Raises:
        FileNotFoundError: If there is no such file.
        UsageError: If it is not TOML, has an unknown key, or a value of another type.
    """
    if arguments.config is None:
        return
    parser = _parser()
    said = _checked(_read(arguments.config), _options(parser), arguments.config)
    if all(name in said for name in ALTERNATIVES):
        names = " and ".join(f"`{name.replace('_', '-')}`" for name in ALTERNATIVES)
        raise UsageError(f"--config: {arguments.config!r} has both {names}; keep one of them")
    won = {*typed, *(ALTERNATIVES if any(name in typed for name in ALTERNATIVES) else ())}
    for name, value in said.items():
        if name not in won:
            setattr(arguments, name, value)


def resolved(arguments: argparse.Namespace, settings: Settings, checkpoint: Checkpoint) -> str:
    """Return what `settle` reads to repeat a run: each option with the value that it had.

    Args:
        arguments: Of `glane train`.
        settings: Of the training.
        checkpoint: What was made, with the rules of the base where no other was asked for.
    """
    values = _values(arguments, settings, checkpoint)
    lines = ["# glane train --config FILE --out DIR repeats this training."]
    for name, action in _options(_parser()).items():
        option = name.replace("_", "-")
        value = values.get(name)
        if value is None and option in UNSET:
            lines.append(f"# {option}: {UNSET[option]}")
        elif value is not None and name not in OF_A_CALL:
            lines.append(f"{option} = {_toml(value, action)}")
    return "\n".join(lines) + "\n"


def _values(
    arguments: argparse.Namespace, settings: Settings, checkpoint: Checkpoint
) -> dict[str, Any]:
    """Return the value of each option; None where it has none, or none of this kind of model."""
    trained = asdict(settings)
    trained |= trained.pop("objective") | trained.pop("sparsity")
    values = dict(vars(arguments))
    rules = asdict(checkpoint)
    rules["base"] = values["base"] or checkpoint.base
    for name, value in rules.items():
        if values.get(name) is not None or (value and name in values):
            values[name] = value
    for name in values:
        setting = SETTING_OF.get(name, name)
        if setting in trained and name != "document_length":
            values[name] = trained[setting]
    if values["dev_split"] is not None:
        values["holdout"] = None
    values["report_to"] = ",".join(settings.report_to) or None
    return values


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    add_common_arguments(parser)
    return parser


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {action.dest: action for action in parser._actions if action.dest != "config"}


def _read(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"--config: {path!r} is not a file: nothing is there") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config: {path!r} is not TOML: {error}") from None


def _checked(
    record: Mapping[str, Any], options: Mapping[str, argparse.Action], path: str
) -> dict[str, Any]:
    """Return the values of a file by the names that arguments have."""
    known = {name.replace("_", "-"): name for name in options}
    unknown = [key for key in record if key not in known]
    if unknown:
        close = [match for key in unknown for match in difflib.get_close_matches(key, known, n=1)]
        hint = f"; did you mean {', '.join(map(repr, close))}?" if close else ""
        raise UsageError(f"--config: unknown keys in {path!r}: {listed(unknown)}{hint}")
    return {
        known[key]: _value(options[known[key]], value, f"--config: `{key}` in {path!r}")
        for key, value in record.items()
    }


def _value(action: argparse.Action, value: Any, place: str) -> Any:  # noqa: ANN401 (parsed TOML)
    """Return a value as the option's own parsing would give it.

    Raises:
        UsageError: If it is of another type, or none of the choices.
    """
    many = action.nargs in ("+", "*") or isinstance(action, argparse._AppendAction)
    if many and isinstance(value, list):
        return [_single(action, each, place) for each in value]
    found = _single(action, value, place)
    return [found] if many else found


def _single(action: argparse.Action, value: Any, place: str) -> Any:  # noqa: ANN401
    wanted = _type_of(action)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise UsageError(f"{place} must be {KIND_OF[wanted]}, got {value!r}")
    if action.choices is not None and value not in action.choices:
        raise UsageError(f"{place} must be one of {list(action.choices)}, got {value!r}")
    if wanted is str and callable(action.type):
        try:
            return cast(Callable[[str], Any], action.type)(str(value))
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise UsageError(f"{place}: {error}") from None
    return value


def _type_of(action: argparse.Action) -> type:
    if action.nargs == 0:
        return bool
    plain: dict[object, type] = {int: int, float: float}
    return plain.get(action.type, str)


def _toml(value: Any, action: argparse.Action) -> str:  # noqa: ANN401
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(each, action) for each in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
