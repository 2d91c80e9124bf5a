"""Search without a GPU: lexical retrieval and neural reranking on numpy and onnxruntime.

A name is imported when it is first asked for: the program begins before numpy is loaded.
"""

from importlib import import_module

from glane.moved import install

TYPE_CHECKING = False
if TYPE_CHECKING:  # not from `typing`, which takes longer to load than all of this
    from glane.analysis.analyzer import Analyzer
    from glane.collection.dataset import Dataset, read_beir
    from glane.errors import CheckpointError, GlaneError, IndexDamaged, LockedError, ParityError
    from glane.evaluation.measures import Evaluation, evaluate
    from glane.hits import Hits, Results
    from glane.maxsim.index import TokenStorage
    from glane.model.checkpoint import Checkpoint, ModelInfo
    from glane.retrievers.bm25 import BM25
    from glane.retrievers.colbert import ColBERT
    from glane.retrievers.contract import Reranker, Retriever
    from glane.retrievers.fusion import FusionSettings, fuse
    from glane.retrievers.sparse_embed import SparseEmbed
    from glane.retrievers.splade import Splade
    from glane.retrievers.text_reranker import TextReranker
    from glane.retrievers.tfidf import TfIdf
    from glane.search import Search
    from glane.vectors import SparseVectors, TermEmbeddings, TokenVectors

    __version__: str

install()
__all__ = [
    "BM25",
    "Analyzer",
    "Checkpoint",
    "CheckpointError",
    "ColBERT",
    "Dataset",
    "Evaluation",
    "FusionSettings",
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
    "TextReranker",
    "TfIdf",
    "TokenStorage",
    "TokenVectors",
    "evaluate",
    "fuse",
    "read_beir",
]

_PLACES = {
    **dict.fromkeys(("Analyzer",), "analysis.analyzer"),
    **dict.fromkeys(
        ("CheckpointError", "GlaneError", "IndexDamaged", "LockedError", "ParityError"), "errors"
    ),
    **dict.fromkeys(("Dataset", "read_beir"), "collection.dataset"),
    **dict.fromkeys(("Evaluation", "evaluate"), "evaluation.measures"),
    **dict.fromkeys(("FusionSettings", "fuse"), "retrievers.fusion"),
    **dict.fromkeys(("Hits", "Results"), "hits"),
    **dict.fromkeys(("TokenStorage",), "maxsim.index"),
    **dict.fromkeys(("Checkpoint", "ModelInfo"), "model.checkpoint"),
    **dict.fromkeys(("BM25",), "retrievers.bm25"),
    **dict.fromkeys(("ColBERT",), "retrievers.colbert"),
    **dict.fromkeys(("Reranker", "Retriever"), "retrievers.contract"),
    **dict.fromkeys(("SparseEmbed",), "retrievers.sparse_embed"),
    **dict.fromkeys(("Splade",), "retrievers.splade"),
    **dict.fromkeys(("TextReranker",), "retrievers.text_reranker"),
    **dict.fromkeys(("TfIdf",), "retrievers.tfidf"),
    **dict.fromkeys(("Search",), "search"),
    **dict.fromkeys(("SparseVectors", "TermEmbeddings", "TokenVectors"), "vectors"),
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("glane")
    elif name in _PLACES:
        if _PLACES[name] != "errors":
            _import_numpy()
        value = getattr(import_module(f"glane.{_PLACES[name]}"), name)
    else:
        return _module(name)
    globals()[name] = value
    return value


def _import_numpy() -> None:
    from glane.threads import import_numpy

    import_numpy()


def _module(name: str) -> object:
    from importlib.util import find_spec

    if name.startswith("_") or find_spec(f"glane.{name}") is None:
        raise AttributeError(f"module 'glane' has no attribute {name!r}")
    return import_module(f"glane.{name}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
