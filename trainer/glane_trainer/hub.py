"""Puts a finished model on the Hugging Face hub, with the token that its own programs use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub import errors as hub_errors

from glane_trainer.sample import SAMPLE
from glane_trainer.state import FOLDER

UNREACHED: type[Exception] = vars(hub_errors)["HTTPError"]
"""What the client raises where no server answers: of the library that it asks with, not an
OSError in all versions."""

LEFT_OUT = [f"{FOLDER}/*", "last/*", SAMPLE]
"""What is not pushed: what a resume needs, weights that were not kept, and texts of the data."""


def make_repository(name: str) -> None:
    """Make a repository of models, private where it is new.

    Args:
        name: Such as "owner/model"; without an owner it is the token's.

    Raises:
        OSError: If the hub refuses, or cannot be reached.
        ValueError: If the name is none.
    """
    with _in_one_line(f"--push-to-hub: {name!r} could not be made on the hub"):
        HfApi().create_repo(name, private=True, exist_ok=True)


def push(folder: Path, name: str) -> str:
    """Push a checkpoint, card included, and return where it is.

    Args:
        folder: That is written.
        name: Of a repository that is there.

    Raises:
        OSError: If the hub refuses, or cannot be reached; the message says how to push it later.
    """
    later = f"`hf upload {name} {folder} --exclude {' '.join(map(repr, LEFT_OUT))}` pushes it"
    api = HfApi()
    with _in_one_line(f"{str(folder)!r} is written, but could not be pushed; {later}"):
        repository = api.create_repo(name, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=repository.repo_id,
            folder_path=folder,
            commit_message="Upload a model that was trained with glane",
            ignore_patterns=LEFT_OUT,
        )
    return str(repository)


@contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    except (OSError, UNREACHED) as error:
        reason = " ".join(str(error).split())[:200]
        raise OSError(f"{what}: {reason}") from None
