"""Turns a checkpoint into an ONNX model, and proves that it gives the same vectors and ranks."""

from importlib.util import find_spec

_MISSING = [name for name in ("torch", "transformers", "onnx") if find_spec(name) is None]
if _MISSING:
    raise ModuleNotFoundError(f"glane_export needs {_MISSING[0]}: pip install 'glane[export]'")

from glane_export.exporting import ExportSettings, export_model
from glane_export.parity import ParityError

__all__ = ["ExportSettings", "ParityError", "export_model"]
