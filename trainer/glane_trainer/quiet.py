"""Holds back what transformers writes to the terminal."""

from __future__ import annotations

from transformers.utils import logging


class Quiet:
    """Keeps transformers' bars and remarks on loading away from the terminal."""

    def __enter__(self) -> None:
        self._verbosity = logging.get_verbosity()
        self._bar = logging.is_progress_bar_enabled()
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    def __exit__(self, *_: object) -> None:
        logging.set_verbosity(self._verbosity)
        if self._bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
