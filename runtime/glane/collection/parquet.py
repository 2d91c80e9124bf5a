"""Parquet, a batch of rows at a time, through pyarrow, which the extra `data` brings."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, BinaryIO

BATCH = 1024
"""Rows in memory at once."""

BUFFER = 1 << 16
"""Bytes of each column that are read at once."""


def read_parquet(file: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each row, from 1, and the row.

    Times, dates and decimals come as text, since JSON has no form for them.

    Raises:
        ModuleNotFoundError: If pyarrow is not installed.
        ValueError: If it cannot be read, or a column appears twice.
    """
    if find_spec("pyarrow") is None:
        raise ModuleNotFoundError(f"{name} is Parquet and needs pyarrow: pip install 'glane[data]'")
    import pyarrow  # here, not above: the base install has none

    try:
        yield from enumerate(_records(file, name), 1)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{name} cannot be read as Parquet: {error}") from None


def _records(file: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet

    # By default pyarrow reads ahead, and holds the more the longer the file is.
    stored = pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER)
    names = stored.schema_arrow.names
    for column in names:
        if names.count(column) > 1:
            raise ValueError(f"{name}: the column {column!r} appears twice")
    for batch in stored.iter_batches(BATCH, use_threads=False):
        schema = pyarrow.schema([_as_json(field) for field in batch.schema])
        yield from batch.cast(schema).to_pylist()


def _as_json(field: Any) -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Return the field with text in place of what JSON has no form for, inside of it as well."""
    import pyarrow

    kind, types = field.type, pyarrow.types
    if types.is_temporal(kind) or types.is_decimal(kind):
        return field.with_type(pyarrow.string())
    if types.is_struct(kind):
        return field.with_type(pyarrow.struct([_as_json(each) for each in kind]))
    if types.is_list(kind):
        return field.with_type(pyarrow.list_(_as_json(kind.value_field)))
    return field
