"""What processes of Ray run on this machine."""

from pathlib import Path


def titled(beginning: str) -> list[int]:
    """Return the numbers of the processes whose title begins so, as Ray gives them titles."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            title = (folder / "cmdline").read_bytes()
        except (NotADirectoryError, FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if title.startswith(beginning.encode()):
            found.append(int(folder.name))
    return found
