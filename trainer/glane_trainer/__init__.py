"""Fine-tunes the models that glane searches with, in PyTorch: on a CPU, with CUDA or with MPS."""

try:
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("glane_trainer needs PyTorch: pip install 'glane[train]'") from error

from glane_trainer.data import Example, TrainingData, read_data
from glane_trainer.models import ColBERT
from glane_trainer.projection import principal_projection
from glane_trainer.settings import Settings
from glane_trainer.steps import StepOptions, train_colbert
from glane_trainer.training import train

__all__ = [
    "ColBERT",
    "Example",
    "Settings",
    "StepOptions",
    "TrainingData",
    "principal_projection",
    "read_data",
    "train",
    "train_colbert",
]
