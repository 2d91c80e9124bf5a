"""Fine-tunes the models that glane searches with, in PyTorch: on a CPU, with CUDA or with MPS.

Names are imported when they are first asked for, so that a command can be checked, and can say how
torch's threads are to wait, before torch is loaded.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

for _name in ("torch", "transformers"):
    if find_spec(_name) is None:
        raise ModuleNotFoundError(
            f"glane_trainer needs PyTorch: pip install 'glane[train]' ({_name} is missing)",
            name=_name,
        )

if TYPE_CHECKING:
    from glane.collection.pairs import Fields
    from glane_trainer.data import TrainingData
    from glane_trainer.examples import Example
    from glane_trainer.models import ColBERT, SparseEmbed, Splade, load_model
    from glane_trainer.reading import read_data
    from glane_trainer.settings import DEFAULTS, Objective, Settings, Sparsity
    from glane_trainer.splade import idf_weights
    from glane_trainer.starts import principal_projection
    from glane_trainer.training import train
    from glane_trainer.virtual import StepOptions, train_step

_HOMES = {
    "data": ("TrainingData",),
    "examples": ("Example",),
    "models": ("ColBERT", "SparseEmbed", "Splade", "load_model"),
    "reading": ("Fields", "read_data"),
    "settings": ("DEFAULTS", "Objective", "Settings", "Sparsity"),
    "splade": ("idf_weights",),
    "starts": ("principal_projection",),
    "training": ("train",),
    "virtual": ("StepOptions", "train_step"),
}
"""The module of each public name."""

__all__ = [
    "DEFAULTS",
    "ColBERT",
    "Example",
    "Fields",
    "Objective",
    "Settings",
    "SparseEmbed",
    "Sparsity",
    "Splade",
    "StepOptions",
    "TrainingData",
    "idf_weights",
    "load_model",
    "principal_projection",
    "read_data",
    "train",
    "train_step",
]


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"glane_trainer.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'glane_trainer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
