"""Turns a checkpoint into an ONNX model, and proves that it gives the same vectors and ranks."""

try:
    import onnx  # noqa: F401
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ModuleNotFoundError as error:
    missing = error.name
    raise ModuleNotFoundError(
        f"glane_export needs {missing}: pip install 'glane[export]'"
    ) from error

from glane.errors import ParityError
from glane_export.exporting import ExportSettings, export_model

__all__ = ["ExportSettings", "ParityError", "export_model"]
