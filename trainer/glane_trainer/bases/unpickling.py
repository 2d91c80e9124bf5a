"""A program: writes the tensors of a pickle as a safetensors file, and runs nothing that is in it.

Usage: python -m glane_trainer.bases.unpickling PICKLE SAFETENSORS
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import torch

from glane_trainer.weights import write_tensors


def main(source: str, target: str) -> None:
    """Read tensors by name from a pickle and write them.

    Raises:
        SystemExit: If it holds anything else.
    """
    try:
        found = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise SystemExit(" ".join(str(error).split())[:150]) from None
    if not isinstance(found, dict):
        raise SystemExit(f"it holds a {type(found).__name__}, not tensors by name")
    others = [str(name) for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise SystemExit(f"it holds more than tensors: {others[:3]}")
    write_tensors(Path(target), found)


if __name__ == "__main__":
    main(*sys.argv[1:])
