"""Fine-tunes the models that glane searches with, in PyTorch: on a CPU, with CUDA or with MPS."""

try:
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("glane_trainer needs PyTorch: pip install 'glane[train]'") from error

from glane_trainer.models import ColBERT

__all__ = ["ColBERT"]
