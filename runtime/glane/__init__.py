"""Search without a GPU: lexical retrieval and neural reranking on numpy and onnxruntime."""

from importlib.metadata import version

from glane.hits import Hits

__version__ = version("glane")
__all__ = ["Hits"]
