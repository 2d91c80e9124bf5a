"""Search without a GPU: lexical retrieval and neural reranking on numpy and onnxruntime."""

from importlib.metadata import version

from glane.analysis.analyzer import Analyzer
from glane.errors import CheckpointError, GlaneError, IndexDamaged, LockedError, ParityError
from glane.evaluation.dataset import Dataset, read_beir
from glane.evaluation.measures import Evaluation, evaluate
from glane.fusion import fuse
from glane.hits import Hits, Results
from glane.maxsim.index import TokenStorage
from glane.model.checkpoint import Checkpoint, ModelInfo
from glane.moved import install
from glane.retrievers.bm25 import BM25
from glane.retrievers.colbert import ColBERT
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.sparse_embed import SparseEmbed
from glane.retrievers.splade import Splade
from glane.retrievers.tfidf import TfIdf
from glane.search import Search
from glane.vectors import SparseVectors, TermEmbeddings, TokenVectors

install()
__version__ = version("glane")
__all__ = [
    "BM25",
    "Analyzer",
    "Checkpoint",
    "CheckpointError",
    "ColBERT",
    "Dataset",
    "Evaluation",
    "GlaneError",
    "Hits",
    "IndexDamaged",
    "LockedError",
    "ModelInfo",
    "ParityError",
    "Reranker",
    "Results",
    "Retriever",
    "Search",
    "SparseEmbed",
    "SparseVectors",
    "Splade",
    "TermEmbeddings",
    "TfIdf",
    "TokenStorage",
    "TokenVectors",
    "evaluate",
    "fuse",
    "read_beir",
]
