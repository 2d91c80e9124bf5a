"""Files elsewhere, by addresses such as s3://bucket/corpus.jsonl: through fsspec, if need be.

fsspec comes with the extra `data`; of what some stores need besides it says itself what to install.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import BinaryIO, cast

OWN_CLASSES = (
    ("aiohttp", "ClientError"),
    ("azure.core.exceptions", "AzureError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)
"""What libraries of stores raise that is no OSError: module and class."""

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_address(path: str) -> bool:
    """Return whether a path is the address of something elsewhere.

    >>> is_address("s3://bucket/corpus.jsonl"), is_address("corpus.jsonl")
    (True, False)
    """
    return ADDRESS.match(path) is not None


def open_address(address: str) -> tuple[BinaryIO, bool]:
    """Open a file elsewhere.

    Returns:
        The file, and whether it can be sought in.

    Raises:
        OSError: If it is missing or not readable.
        ValueError: If there is no such kind of address.
        ImportError: If fsspec, or what it needs for this kind, is not installed.
    """
    _check_installed(address)
    from fsspec.core import url_to_fs

    # Not every web server sends a part of a file: of these the whole is read at once.
    options = {"block_size": 0} if address.lower().startswith(("http:", "https:")) else {}
    with reading(repr(address)):
        system, path = url_to_fs(address)
        file = system.open(path, "rb", **options)
    return cast(BinaryIO, file), getattr(file, "size", None) is not None


def list_address(address: str) -> dict[str, str]:
    """Return the addresses of all files below a folder elsewhere, by their names from there.

    Raises:
        OSError: As `open_address`; the other errors too.
    """
    _check_installed(address)
    from fsspec.core import url_to_fs

    with reading(repr(address)):
        system, root = url_to_fs(address)
        files = system.find(root)
        return {
            file.removeprefix(root).lstrip("/"): system.unstrip_protocol(file) for file in files
        }


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what the library of a store raises into one line.

    Args:
        name: How messages call the file.

    Raises:
        OSError: Instead of an error of a class of the library's own.
    """
    try:
        yield
    except FileNotFoundError as error:  # so fsspec calls whatever the web refuses, too
        if isinstance(error.__cause__, _own_classes()):
            raise _one_line(name, error.__cause__) from None
        missing = "is not a file: nothing is there; the address of a folder ends in /"
        raise FileNotFoundError(f"{name} {missing}") from None
    except _own_classes() as error:
        raise _one_line(name, error) from None


def _own_classes() -> tuple[type[Exception], ...]:
    """Return the classes of errors of the libraries of stores, of those that are loaded."""
    loaded = ((sys.modules[module], name) for module, name in OWN_CLASSES if module in sys.modules)
    return tuple(getattr(module, name) for module, name in loaded)


def _one_line(name: str, error: BaseException) -> OSError:
    told = str(error).partition("\n")[0]
    return OSError(f"{name} cannot be read: {type(error).__name__}: {told}")


def _check_installed(address: str) -> None:
    if find_spec("fsspec") is None:
        raise ModuleNotFoundError(f"{address!r} needs fsspec: pip install 'glane[data]'")
