"""Fine-tunes the models that glane searches with, in PyTorch: on a CPU, with CUDA or with MPS."""

try:
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("glane_trainer needs PyTorch: pip install 'glane[train]'") from error

from glane_trainer.data import Example, TrainingData, read_data
from glane_trainer.losses import Objective
from glane_trainer.models import ColBERT, SparseEmbed, Splade, load_model
from glane_trainer.settings import DEFAULTS, Settings
from glane_trainer.sparse_steps import train_sparse_embed, train_splade
from glane_trainer.sparsity import Sparsity
from glane_trainer.splade import idf_weights
from glane_trainer.starts import principal_projection
from glane_trainer.steps import StepOptions, train_colbert
from glane_trainer.training import train

__all__ = [
    "DEFAULTS",
    "ColBERT",
    "Example",
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
    "train_colbert",
    "train_sparse_embed",
    "train_splade",
]
