"""Search without a GPU: lexical retrieval and neural reranking on numpy and onnxruntime."""

from importlib.metadata import version

from glane.analysis import Analyzer
from glane.bm25 import BM25
from glane.checkpoint import Checkpoint, CheckpointError, ModelInfo
from glane.colbert import ColBERT
from glane.fusion import fuse
from glane.hits import Hits, Results
from glane.maxsim import TokenStorage
from glane.search import Search
from glane.sparse_embed import SparseEmbed
from glane.splade import Splade
from glane.tfidf import TfIdf
from glane.vectors import SparseVectors, TermEmbeddings, TokenVectors

__version__ = version("glane")
__all__ = [
    "BM25",
    "Analyzer",
    "Checkpoint",
    "CheckpointError",
    "ColBERT",
    "Hits",
    "ModelInfo",
    "Results",
    "Search",
    "SparseEmbed",
    "SparseVectors",
    "Splade",
    "TermEmbeddings",
    "TfIdf",
    "TokenStorage",
    "TokenVectors",
    "fuse",
]
