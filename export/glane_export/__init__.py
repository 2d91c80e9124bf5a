"""Turns a checkpoint into an ONNX model, and proves that it gives the same vectors and ranks.

Names are imported when they are first asked for, as in `glane_trainer`.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from glane.errors import ParityError

for _name in ("onnx", "torch", "transformers"):
    if find_spec(_name) is None:
        raise ModuleNotFoundError(
            f"glane_export needs {_name}: pip install 'glane[export]'", name=_name
        )

if TYPE_CHECKING:
    from glane_export.exporting import export_loaded, export_model
    from glane_export.settings import ExportSettings

__all__ = ["ExportSettings", "ParityError", "export_loaded", "export_model"]

_HOMES = {"ExportSettings": "settings", "export_loaded": "exporting", "export_model": "exporting"}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(import_module(f"glane_export.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'glane_export' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
