"""What a mining has done so far, beside the file that it becomes: it goes on after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glane.store import files
from glane.store.folders import check_new
from glane.store.lock import LOCK, writing
from glane.store.segments import new_name

DONE = "done.jsonl"


class Draft:
    """What is done of a file: one line of JSON for each part, below a head.

    A part is there whole or not at all: a line that a kill has torn is dropped.
    """

    def __init__(self, out: Path, folder: Path) -> None:
        """Take a file that is to be made, and the folder of its draft."""
        self._out, self._folder, self._path = out, folder, folder / DONE

    def begin(self, identity: str, *, overwrite: bool) -> None:
        """Begin, or go on with what is done.

        Args:
            identity: What decides the content.
            overwrite: Whether a draft of other content may be replaced.

        Raises:
            FileExistsError: If there is one, and it may not.
        """
        head = _line({"identity": identity})
        content = self._path.read_bytes() if self._path.is_file() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole and not whole.startswith(head) and not overwrite:
            raise FileExistsError(
                f"{str(self._folder)!r} holds a mining that was interrupted, of other data or "
                "settings; repeat that command to go on with it, or pass --overwrite"
            )
        temporary = self._folder / new_name()
        files.write(temporary, [whole if whole.startswith(head) else head])
        files.sync(temporary)
        files.replace(temporary, self._path)
        files.sync_folder(self._folder)

    def parts(self) -> Iterator[Any]:
        """Yield what is done, part by part."""
        with self._path.open("rb") as file:
            next(file)
            yield from map(json.loads, file)

    def n_done(self) -> int:
        """Return how many parts are done."""
        with self._path.open("rb") as file:
            return sum(1 for _ in file) - 1

    def add(self, part: Any) -> None:  # noqa: ANN401 (JSON)
        """Add a part; it is on the disk when this returns."""
        with self._path.open("ab") as file:
            file.write(_line(part))
        files.sync(self._path)

    def finish(self, records: Iterable[Any]) -> None:
        """Let the file be there, all at once, and the draft no longer."""
        temporary = self._folder / new_name()
        files.write(temporary, map(_line, records))
        files.sync(temporary)
        files.replace(temporary, self._out)
        files.sync_folder(self._out.parent)
        for path in self._folder.iterdir():
            if path.name != LOCK:
                files.remove(path)
        files.remove(self._folder / LOCK)
        files.remove_folder(self._folder)


@contextmanager
def drafting(out: Path, identity: str, *, overwrite: bool) -> Iterator[Draft]:
    """Begin a file, or go on with one that was interrupted, as its only writer.

    Args:
        out: The file; its folders are made.
        identity: What decides its content.
        overwrite: Whether a draft of other content may be replaced.

    Raises:
        FileExistsError: If there is one, and it may not.
        LockedError: If another process is at it.
    """
    out = out.resolve()
    folder = out.with_name(f".{out.name}.mining")
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder):
        draft = Draft(out, folder)
        draft.begin(identity, overwrite=overwrite)
        yield draft


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse a file that cannot be made.

    Raises:
        OSError: If it is there and may not be replaced, or is a folder.
    """
    if out.is_dir():
        raise IsADirectoryError(f"{str(out)!r} is a folder; expected a file to write")
    if not overwrite:
        check_new(out)


def _line(record: Any) -> bytes:  # noqa: ANN401
    """Return a line of JSON; lone surrogates, which UTF-8 cannot carry, are written as escapes."""
    try:
        return f"{json.dumps(record, ensure_ascii=False)}\n".encode()
    except UnicodeEncodeError:
        return f"{json.dumps(record)}\n".encode()
