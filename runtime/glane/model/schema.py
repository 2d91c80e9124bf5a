"""A JSON file that is a dataclass: what is no field of it is refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, Self, get_args, get_origin, get_type_hints

from glane.errors import CheckpointError, no_folder
from glane.model.foreign import advice

FORMAT_VERSION = 1


class Schema:
    """A frozen dataclass that is a JSON file: unknown and missing keys are refused by name."""

    __slots__ = ()
    file_name: str

    def write(self, folder: str | Path) -> None:
        """Write the file into an existing folder: keys in order of the fields, one a line."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)  # type: ignore[call-overload]
        (Path(folder) / self.file_name).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read the file from a folder.

        Raises:
            CheckpointError: If the file is missing, is not JSON, has another `format_version`,
                or has unknown, missing or mistyped keys; the message names them.
        """
        return cls.parse(read_small(folder, cls.file_name), str(Path(folder) / cls.file_name))

    @classmethod
    def parse(cls, content: bytes, path: str) -> Self:
        """Make the dataclass from the file's content, with the same errors as `read`."""
        return cls.from_record(parse_json(content, path), path)

    @classmethod
    def from_record(cls, record: Any, path: str) -> Self:  # noqa: ANN401 (parsed JSON)
        """Make the dataclass from parsed JSON, with the same errors as `read`."""
        if not isinstance(record, dict):
            raise CheckpointError(f"{path!r} must hold a JSON object, got {type(record).__name__}")
        version = record.get("format_version", FORMAT_VERSION)
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{path!r} has format_version {version!r}; this version of glane reads "
                f"{FORMAT_VERSION}. Upgrade glane, or train or export again."
            )
        known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
        _refuse_unknown(record, list(known), path)
        missing = [n for n, field in known.items() if n not in record and _required(field)]
        if missing:
            raise CheckpointError(f"Missing keys in {path!r}: {missing}")
        hints = get_type_hints(cls)
        values = {name: _checked(name, value, hints[name], path) for name, value in record.items()}
        try:
            return cls(**values)
        except CheckpointError as error:
            raise CheckpointError(f"{path!r}: {error}") from None


def read_small(folder: str | Path, name: str) -> bytes:
    """Return the content of a small file of a checkpoint or model.

    Raises:
        CheckpointError: If it is missing, or is not a file.
    """
    path = Path(folder) / name
    if not path.parent.is_dir():
        made = f"`glane export CHECKPOINT {folder}` makes one"
        raise CheckpointError(f"{no_folder(folder)}; {made}")
    if not path.is_file():  # a named pipe would be waited for
        raise CheckpointError(f"{str(folder)!r} has no {name}{advice(folder, name)}")
    return path.read_bytes()


def parse_json(content: bytes, path: str) -> Any:  # noqa: ANN401 (parsed JSON)
    """Return what the content of a JSON file says.

    Raises:
        CheckpointError: If it is not JSON in UTF-8, or is nested too deeply.
    """
    try:
        return json.loads(content.decode("utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path!r} is not JSON: {error}") from None
    except RecursionError:
        raise CheckpointError(f"{path!r} is nested too deeply") from None


def _refuse_unknown(record: Mapping[str, Any], known: list[str], path: str) -> None:
    unknown = [name for name in record if name not in known]
    if not unknown:
        return
    from difflib import get_close_matches  # late: only an error needs it

    close = [match for name in unknown for match in get_close_matches(name, known, n=1)]
    hint = f"; did you mean {', '.join(map(repr, close))}?" if close else ""
    raise CheckpointError(f"Unknown keys in {path!r}: {unknown}{hint}")


def _required(field: Any) -> bool:  # noqa: ANN401 (dataclasses.Field)
    optional = field.default is not MISSING or field.default_factory is not MISSING
    return not optional or field.name == "format_version"


def _checked(name: str, value: Any, hint: Any, path: str) -> Any:  # noqa: ANN401 (parsed JSON)
    if get_origin(hint) is list:
        if isinstance(value, list) and all(type(item) is str for item in value):
            return value
        expected = "a list of strings"
    elif choices := get_args(hint):
        if value in choices:
            return value
        expected = f"one of {list(choices)}"
    elif hint is float and type(value) in (int, float):
        return float(value)
    elif type(value) is hint:
        return value
    else:
        expected = hint.__name__
    raise CheckpointError(f"`{name}` in {path!r} must be {expected}, got {value!r}")
