"""`python -m glane_trainer`: `glane train`, as `accelerate launch -m` can start it."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

from glane.commands.main import main
from glane_trainer.telling import is_first

if __name__ == "__main__":
    arguments = ["train", *sys.argv[1:]]
    if is_first():
        sys.exit(main(arguments))
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # one process tells
        sys.exit(main(arguments))
